"""The verbs of the Spaaza dialect for tasks, and of the links to their files."""

from __future__ import annotations

import re
from functools import cached_property
from itertools import islice
from typing import Any

from flask import Request, Response, send_file
from werkzeug.exceptions import BadRequest

from api import body
from api.answers import nothing, reply
from api.auth import Caller
from api.door import Door
from api.mergent.dump import Dumper
from api.slow import turns
from api.spaaza import read
from api.spaaza.dump import dump_export, dump_state
from api.spaaza.errors import speak
from timeball.dispatch import export_files, exports
from timeball.errors import InvalidField, NotFound
from timeball.model.export import Code, Export
from timeball.store.chains import MOST

KEYS = frozenset({"chain", "target", "trigger"})
"""What only this dialect's tasks have."""

_TYPES = {"csv": "text/csv", "json": "application/json", "gz": "application/gzip"}
_NUMBER = re.compile(r"[0-9]{1,16}").fullmatch
_ONE_RANGE = re.compile(
    r"\s*bytes\s*=\s*([0-9]+\s*-\s*[0-9]*|-\s*[0-9]+)\s*", re.IGNORECASE
).fullmatch


def one_range_at_most(environ: dict[str, Any]) -> None:
    """Let a request ask for the whole file where it asks for what cannot be sent.

    RFC 9110, 14.2: a unit that is not known is ignored; of several ranges Werkzeug can send none.
    """
    if not _ONE_RANGE(environ.get("HTTP_RANGE", "")):
        environ.pop("HTTP_RANGE", None)


class Exports:
    """The verbs. Each speaks for a caller, whose chain bounds what there is."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def _dump(self, export: Export) -> dict[str, Any]:
        return dump_export(export, self.dumper.hidden)

    @cached_property
    def dumper(self) -> Dumper:
        return Dumper(self.door.settings.secret or "", self.door.settings.call_timeout)

    def wants(self, caller: Caller, data: Any) -> bool:
        """Whether a body that came to the path of both dialects is this one's. Raises InvalidField for both."""
        if type(data) is not dict:
            return False
        ours = KEYS & data.keys()
        if ours and "request" in data:
            raise InvalidField(
                "request", f"must not stand beside {min(ours)}: one task is one kind"
            )
        return bool(ours) or (caller.pair and "request" not in data)

    def create(self, caller: Caller, request: Request) -> Response:
        """Take an export in, from the path of this dialect alone."""
        raw = body.read(request.environ, self.door.request_limit_bytes)
        return self.take(caller, request, body.load_json(raw))

    def take(self, caller: Caller, request: Request, data: Any) -> Response:
        """Take an export in."""
        speak()
        if type(data) is not dict:
            raise BadRequest("a task is a JSON object")
        order = read.order(self.door.house, self.door.policy, caller, data)
        self.door.quotas.tasks(self.door.house, caller.project, 1)
        export = exports.create(self.door.house, caller.project, order)
        path = f"{request.path.rstrip('/')}/{export.number}"
        return reply(self._dump(export), 201, (("Location", self._url(path)),))

    def _url(self, path: str) -> str:
        return (self.door.settings.public_url or "").rstrip("/") + path

    def find(self, caller: Caller, request: Request) -> Response:
        """The chain's exports, newest first: a bare list."""
        read.chain_of(caller)
        wanted = read.wanted(request.args)

        def fits(export: Export) -> bool:
            target = export.order.target
            return (
                (wanted.status is None or export.code is wanted.status)
                and (wanted.action is None or target["action"] == wanted.action)
                and (wanted.campaign is None or target.get("campaign") == wanted.campaign)
            )

        every = exports.find(self.door.house, caller.project, wanted.log_limit)
        some = islice(filter(fits, every), wanted.offset, wanted.offset + wanted.limit)
        return reply([self._dump(export) for export in some])

    def get(self, caller: Caller, request: Request, task_id: str) -> Response:
        """One export; `log_limit` and `offset` page its log, newest first."""
        limit = read.whole(request.args, "log_limit", 10, 200)
        offset = read.whole(request.args, "offset", 0, 200)
        house, number = self.door.house, _number(task_id)
        return reply(self._dump(exports.get(house, caller.project, number, limit, offset)))

    def execute(self, caller: Caller, request: Request, task_id: str) -> Response:
        """Run an export now and wait; 202 when it still runs after that."""
        house = self.door.house
        with turns.patient(request.environ):
            export, ended = exports.execute(house, caller.project, _number(task_id))
        if not ended:
            return reply(dump_state(export, Code.INPROGRESS), 202)
        # One that repeats waits for its next run already; the caller asks how this one went.
        code = Code.DONE if export.code is Code.READY else export.code
        return reply(dump_state(export, code))

    def cancel(self, caller: Caller, request: Request, task_id: str) -> Response:
        """Take an export back, or stop it. Ours."""
        number = _number(task_id)
        return reply(self._dump(exports.cancel(self.door.house, caller.project, number)))

    def delete(self, caller: Caller, request: Request, task_id: str) -> Response:
        """Forget an export and its file. Ours."""
        exports.delete(self.door.house, caller.project, _number(task_id))
        return nothing()

    def download_url(self, caller: Caller, request: Request, task_id: str) -> Response:
        """A link to the file."""
        export = exports.get(self.door.house, caller.project, _number(task_id), 0)
        url = export_files.download_url(self.door.house, export, caller.key_id)
        return reply({"url": self._url(url) if url.startswith("/") else url})

    def send(self, request: Request, name: str) -> Response:
        """The file of a link. Whoever has the link has the file; nothing else is asked for."""
        path, result = export_files.opened(self.door.house, request.args.get("token", ""), name)
        one_range_at_most(request.environ)
        answer = send_file(
            path,
            mimetype=_TYPES.get(name.rpartition(".")[2], "application/octet-stream"),
            as_attachment=True,
            download_name=name,
            conditional=True,
            etag=result.sha256,
            last_modified=result.at,
        )
        answer.headers["Cache-Control"] = "private, no-store"
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer


def _number(text: str) -> int:
    if not _NUMBER(text) or int(text) > MOST:
        raise NotFound("task not found")
    return int(text)

"""The short road of a create: what is plainly right does not go through Flask.

Flask, its routing and its objects for request and answer cost more than all else about a create. Here the
same verbs are called with the WSGI environ itself. Whatever is not plain (a key that is not known now, another
form of body, a field that only the schema reads) goes the long road untouched; whatever goes wrong is handed to
the long road to be raised there, so that there is one place where errors become answers.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from api import body
from api.answers import JSON, headers_of
from api.mergent.reader import Sender
from api.mergent.routes import FAILED, Headers, Tasks, idempotency
from timeball.errors import InvalidField
from timeball.model.project import Scope

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATHS = frozenset({"/v2/tasks", "/tasks"})


class ShortRoad:
    """WSGI around the app of the long road."""

    def __init__(self, long: WSGIApplication, tasks: Tasks) -> None:
        self.long = long
        self.tasks = tasks

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] in _PATHS and environ["REQUEST_METHOD"] == "POST":
            try:
                made = self._create(environ)
            except Exception as error:
                environ[FAILED] = error
                made = None
            if made is not None:
                text, headers = made
                start_response("201 Created", headers_of(environ, text, (*JSON, *headers)))
                return [text]
        return self.long(environ, start_response)

    def _create(self, environ: dict[str, Any]) -> tuple[bytes, Headers] | None:
        """The answer to a plain create, None when it must go the long road."""
        if not environ.get("CONTENT_LENGTH") or not _is_json(environ.get("CONTENT_TYPE", "")):
            return None
        tasks = self.tasks
        door = tasks.door
        caller = door.doorman.known(environ.get("HTTP_AUTHORIZATION", ""), Scope.WRITE)
        if caller is None or caller.pair:
            return None
        if door.rate is not None:
            door.rate.count(door.house, caller.key_id, environ)
        raw = body.read(environ, door.request_limit_bytes)
        environ["wsgi.input"] = io.BytesIO(raw)  # for the long road to read again
        data = body.load_json(raw)
        try:
            key, fingerprint = idempotency(environ, raw)
        except InvalidField:  # there may be worse to say of the body
            return None
        draft = tasks.reader.quick(data, Sender(caller.project, caller.key_id, key, fingerprint))
        return None if draft is None else tasks.take(caller, environ, draft)


def _is_json(kind: str) -> bool:
    """Whether a Content-Type leaves no doubt; many clients send none."""
    return not kind or kind.startswith("application/json")

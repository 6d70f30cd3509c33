"""The routes of the Mergent dialect for tasks, each under `/v2` and under `/`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast
from urllib.parse import urlencode

import orjson
from flask import Blueprint, Request, Response, request

from api import body, trace_context
from api.answers import nothing, reply, reply_text, request_id
from api.auth import Caller
from api.door import Door
from api.mergent import lists
from api.mergent.dump import Dumper, dump_attempt
from api.mergent.errors import Fault, Rejected, shape, shape_faults
from api.mergent.reader import Reader, Sender
from api.mergent.schemas import Terms
from api.spaaza.tasks import Exports
from timeball import logs
from timeball.dispatch import intake
from timeball.errors import Conflict, InvalidField, NotFound
from timeball.ids import id_bytes
from timeball.model.project import Scope
from timeball.model.task import Draft, Sibling, Task
from timeball.store.tasks import Submitted, Taken

BATCH_LIMIT = 1000
BATCH_BYTES_LIMIT = 8 * 1024 * 1024
SUBMIT_AT_ONCE = 200
"""Tasks of a batch taken in one move: Redis serves nobody else meanwhile, about 10 us a task."""

Headers = tuple[tuple[str, str], ...]
REPLAYED = (("Idempotency-Replayed", "true"),)
FAILED = "timeball.failed"
"""Where a request's environ has the error that it met on the short road."""
_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,255}").fullmatch

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who calls, and what was sent."""

    caller: Caller
    request: Request


class Tasks:
    """The verbs of tasks."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.spaaza = Exports(door)

    @cached_property
    def reader(self) -> Reader:
        return Reader(Terms(self.door.policy, self.door.settings.body_limit_bytes))

    @cached_property
    def dumper(self) -> Dumper:
        return Dumper(self.door.settings.secret or "", self.door.settings.call_timeout)

    def create(self, call: Call) -> Response:
        """Take a task in."""
        raw = body.read(call.request.environ, self.door.request_limit_bytes)
        data = body.load(raw, call.request.environ.get("CONTENT_TYPE", ""))
        if type(data) is list:
            message = "must be an object: several tasks go to /tasks/batch-create"
            raise Rejected([Fault("", message)])
        caller = call.caller
        if self.spaaza.wants(caller, data):
            return self.spaaza.take(caller, call.request, data)
        key, fingerprint = idempotency(call.request.environ, raw)
        draft = self.reader.draft(data, Sender(caller.project, caller.key_id, key, fingerprint))
        text, headers = self.take(caller, call.request.environ, draft)
        return reply_text(text, 201, headers)

    def take(
        self, caller: Caller, environ: dict[str, Any], draft: Draft | Sibling
    ) -> tuple[bytes, Headers]:
        """The text of the answer to a draft, when it was taken in. Raises TooMany, Conflict, StoreUnavailable."""
        if trace := trace_context.told(environ):
            draft = replace(draft.whole(), traceparent=trace[0], tracestate=trace[1])
        house = self.door.house
        self.door.quotas.tasks(house, caller.project, 1)
        taken = intake.submit_one(house, draft)
        if _lost(taken):
            raise _conflict(taken)
        headers = REPLAYED if taken.taken is Taken.REPEATED else ()
        return self.dumper.submitted(taken, caller.retries), headers

    def create_many(self, call: Call) -> Response:
        """Take up to 1,000 tasks in. Not atomic: at the place of a wrong one stands its error."""
        raw = body.read(call.request.environ, BATCH_BYTES_LIMIT)
        data = body.load_json(raw)
        if type(data) is dict and data.keys() == {"tasks"}:
            data = data["tasks"]
        if type(data) is not list:
            raise Rejected([Fault("", "must be a list of tasks")])
        if not 1 <= len(data) <= BATCH_LIMIT:
            message = f"must have 1 to {BATCH_LIMIT} tasks; this one has {len(data)}"
            raise Rejected([Fault("", message)])
        caller = call.caller
        key, fingerprint = idempotency(call.request.environ, raw)
        trace = trace_context.told(call.request.environ)
        sender = Sender(caller.project, caller.key_id, None, fingerprint if key else None)
        places: list[int] = []
        drafts: list[Draft | Sibling] = []
        wrong: dict[int, tuple[Fault, ...]] = {}
        for place, item in enumerate(data):
            # The first is guarded by the key itself, the others by the key and what was sent: so another
            # body with the same key is refused before anything of it is taken.
            own = _digest(key, fingerprint, place) if key and drafts else key
            try:
                draft = self.reader.draft(item, sender._replace(idempotency_key=own))
            except Rejected as rejected:
                wrong[place] = rejected.faults
                continue
            places.append(place)
            if trace:
                draft = replace(draft.whole(), traceparent=trace[0], tracestate=trace[1])
            drafts.append(draft)
        if not drafts:
            raise Rejected(
                [
                    Fault(f"{place}.{fault.param}".rstrip("."), fault.message)
                    for place, faults in wrong.items()
                    for fault in faults
                ]
            )
        answers = [b""] * len(data)
        for place, faults in wrong.items():
            answers[place] = orjson.dumps(shape_faults(faults))
        taken = self._submit(caller, drafts, first_alone=key is not None)
        for place, one in zip(places, taken, strict=True):
            answers[place] = (
                orjson.dumps(shape(str(_conflict(one))))
                if _lost(one)
                else self.dumper.submitted(one, caller.retries)
            )
        replayed = all(one.taken is Taken.REPEATED for one in taken)
        return reply_text(b"[" + b",".join(answers) + b"]", 201, REPLAYED if replayed else ())

    def _submit(
        self, caller: Caller, drafts: list[Draft | Sibling], *, first_alone: bool = False
    ) -> list[Submitted]:
        house, project = self.door.house, caller.project
        self.door.quotas.tasks(house, project, len(drafts))
        taken: list[Submitted] = []
        if first_alone:
            taken = intake.submit(house, project, drafts[:1])
            if taken[0].taken is Taken.KEY_REUSED:
                raise _conflict(taken[0])
        while len(taken) < len(drafts):
            part = drafts[len(taken) : len(taken) + SUBMIT_AT_ONCE]
            taken += intake.submit(house, project, part)
        return taken

    def find(self, call: Call) -> Response:
        """A page of tasks, newest first: a bare list; where to go on is in headers."""
        wanted = lists.read(call.request.args)
        project = call.caller.project
        if wanted.ids is not None:
            found = intake.get_many(self.door.house, project, wanted.ids)
            return self._tasks(call, [task for task in found if wanted.filter.fits(task)])
        signer, position = self.door.signer, None
        if wanted.cursor is not None:
            position = signer.open(wanted.cursor, project, wanted.purpose)
        page = intake.find(self.door.house, project, wanted.filter, wanted.limit, position)
        if page.cursor is None:
            return self._tasks(call, page.tasks)
        cursor = signer.sign(page.cursor, project, wanted.purpose)
        asked = {k: v for k, v in call.request.args.items() if k != "after"}
        query = urlencode({**asked, "cursor": cursor})
        url = f"{self.door.settings.public_url or ''}{call.request.path}?{query}"
        headers = (
            ("X-Next-Cursor", cursor),
            ("X-Cursor-After", cursor),
            ("Link", f'<{url}>; rel="next"'),
        )
        return self._tasks(call, page.tasks, headers)

    def _tasks(
        self, call: Call, tasks: list[Task], headers: tuple[tuple[str, str], ...] = ()
    ) -> Response:
        retries = call.caller.retries
        return reply([self.dumper.task(task, retries) for task in tasks], 200, headers)

    def get(self, call: Call, task_id: str) -> Response:
        """One task."""
        return self._one(
            call, intake.get(self.door.house, call.caller.project, task_id_of(task_id))
        )

    def _one(self, call: Call, task: Task) -> Response:
        return reply(self.dumper.task(task, call.caller.retries))

    def update(self, call: Call, task_id: str) -> Response:
        """Change a queued task: what is named, and within `request` what is named there."""
        raw = body.read(call.request.environ, self.door.request_limit_bytes)
        data = body.load(raw, call.request.environ.get("CONTENT_TYPE", ""))
        task = self._change(call, task_id, self.reader.changes(data), intake.update)
        _say("a task was changed", call, task_id)
        return self._one(call, task)

    def _change(
        self, call: Call, task_id: str, changes: dict[str, Any], verb: Callable[..., Task]
    ) -> Task:
        house, project, wanted = self.door.house, call.caller.project, task_id_of(task_id)
        hidden = changes.get("request", {}).get("headers", ())
        if any(value.startswith("hidden:") for _, value in hidden):
            # the caller sends back what it was shown: the true values stay
            true = intake.get(house, project, wanted).request.headers
            changes["request"]["headers"] = self.dumper.unhide(hidden, true)
        return verb(house, project, wanted, changes)

    def redrive(self, call: Call, task_id: str) -> Response:
        """Send a dead task again, with what the body changes of it if there is one. Ours."""
        raw = body.read(call.request.environ, self.door.request_limit_bytes)
        changes: dict[str, Any] = {}
        if raw:
            data = body.load(raw, call.request.environ.get("CONTENT_TYPE", ""))
            changes = self.reader.changes(data) if data != {} else {}
        task = self._change(call, task_id, changes, intake.redrive)
        _say("a task was redriven", call, task_id)
        return self._one(call, task)

    def delete(self, call: Call, task_id: str) -> Response:
        """Forget a task, whatever its state."""
        if not intake.delete(self.door.house, call.caller.project, task_id_of(task_id)):
            raise NotFound("there is no such task")
        _say("a task was deleted", call, task_id)
        return nothing()

    def run(self, call: Call, task_id: str) -> Response:
        """Make a task due now; while it runs nothing changes."""
        task = intake.run(self.door.house, call.caller.project, task_id_of(task_id))
        _say("a task was run", call, task_id)
        return self._one(call, task)

    def cancel(self, call: Call, task_id: str) -> Response:
        """Take a queued task back. Ours."""
        task = intake.cancel(self.door.house, call.caller.project, task_id_of(task_id))
        _say("a task was cancelled", call, task_id)
        return self._one(call, task)

    def attempts(self, call: Call, task_id: str) -> Response:
        """A task's attempts that ended, oldest first. Ours."""
        log = intake.attempts(self.door.house, call.caller.project, task_id_of(task_id))
        return reply([dump_attempt(attempt) for attempt in log])


View = Callable[..., Response]

ROUTES: tuple[tuple[str, str, str, Scope], ...] = (
    ("GET", "/tasks", "find", Scope.READ),
    ("POST", "/tasks", "create", Scope.WRITE),
    ("POST", "/tasks/batch-create", "create_many", Scope.WRITE),
    ("GET", "/tasks/<task_id>", "get", Scope.READ),
    ("PATCH", "/tasks/<task_id>", "update", Scope.WRITE),
    ("DELETE", "/tasks/<task_id>", "delete", Scope.WRITE),
    ("POST", "/tasks/<task_id>/run", "run", Scope.WRITE),
    ("POST", "/tasks/<task_id>/cancel", "cancel", Scope.WRITE),
    ("POST", "/tasks/<task_id>/redrive", "redrive", Scope.WRITE),
    ("GET", "/tasks/<task_id>/attempts", "attempts", Scope.READ),
)
"""Method, path, verb of `Tasks`, and the scope a key needs."""

_SHARED = frozenset({"find", "get", "delete", "cancel"})
"""Verbs that both dialects have under one path, and whose requests have no body: the key decides, unless the id
is one of Mergent's."""


def blueprint(door: Door, name: str, tasks: Tasks) -> Blueprint:
    """The routes, to be registered under a prefix."""
    made = Blueprint(name, __name__)
    for method, path, verb, scope in ROUTES:
        other = getattr(tasks.spaaza, verb) if verb in _SHARED else None
        view = guarded(door, getattr(tasks, verb), scope, other)
        made.add_url_rule(path, verb, view, methods=[method])
    return made


def guarded(door: Door, verb: View, scope: Scope, other: View | None = None) -> View:
    """The verb behind the door: its caller must hold a key with the scope."""

    def view(**path: str) -> Response:
        current: Request = cast(Any, request)._get_current_object()
        failed = current.environ.pop(FAILED, None)
        if failed is not None:
            raise failed
        authorization = current.environ.get("HTTP_AUTHORIZATION")
        caller = door.doorman.admit(door.house, authorization, scope)
        if door.rate is not None:
            door.rate.count(door.house, caller.key_id, current.environ)
        if other is not None and caller.pair and id_bytes(path.get("task_id", "")) is None:
            return other(caller, current, **path)
        return verb(Call(caller, current), **path)

    return view


def task_id_of(text: str) -> bytes:
    """The id that a path names. Raises NotFound."""
    found = id_bytes(text)
    if found is None:
        raise NotFound("there is no such task")
    return found


def idempotency(environ: dict[str, Any], raw: bytes) -> tuple[str | None, str | None]:
    """(digest of the Idempotency-Key, fingerprint of the body), or twice None. Raises InvalidField."""
    key = environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None, None
    if not _IDEMPOTENCY_KEY(key):
        raise InvalidField("Idempotency-Key", "must be 1 to 255 printable characters of ASCII")
    return hashlib.sha256(key.encode()).hexdigest()[:32], hashlib.sha256(raw).hexdigest()


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _lost(taken: Submitted) -> bool:
    """Whether no task stands for a draft."""
    return taken.fresh is None and taken.task is None


def _conflict(taken: Submitted) -> Conflict:
    if taken.taken is Taken.KEY_REUSED:
        return Conflict(
            "this Idempotency-Key came before with another body: take a new key for a new request"
        )
    return Conflict("the task that has this name was deleted at this moment: send it again")


def _say(event: str, call: Call, task_id: str) -> None:
    caller = call.caller
    log.info(event, task=task_id, project=caller.project, key=caller.key_id, request=request_id())

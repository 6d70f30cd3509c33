"""What every framework's handler shares: from headers and body to a call, from its end to an answer."""

from __future__ import annotations

import json as json_text
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from timeball.receivers.seen import Memory, Seen, Standing
from timeball.signing import TOLERANCE, Verification, verify_mergent, verify_webhook

BUSY_AGAIN_SECONDS = 5


class Rejected(Exception):
    """The call does not come from Timeball, as far as can be told; `why` says what was found."""

    def __init__(self, why: Verification) -> None:
        super().__init__(f"the signature is {why}")
        self.why = why


class Retry(Exception):
    """A handler's word: not now, call again; `after` seconds if given, else as the task's policy says."""

    def __init__(self, after: float | None = None) -> None:
        super().__init__(after)
        self.after = after


class Stop(Exception):
    """A handler's word: never call again; the task dies."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that Timeball made. `schedule` and `occurrence` are there when a schedule made the task."""

    task_id: str
    attempt: int
    body: bytes
    headers: Mapping[str, str]
    """With names in lower case."""
    schedule: str | None = None
    occurrence: datetime | None = None

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json_text.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a framework is to answer."""

    status: int
    headers: Mapping[str, str]
    body: str = ""


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that was let in: `reply` is there when it must not be handled but answered at once."""

    call: Call
    reply: Reply | None


class Receiver:
    """Knows the secrets, and what was handled before. One an application."""

    def __init__(
        self,
        secrets: Sequence[str] = (),
        keys: Sequence[str] = (),
        *,
        seen: Seen | None = None,
        tolerance: timedelta = TOLERANCE,
    ) -> None:
        """`secrets` are the project's signing secrets, `keys` API keys for Mergent's signature: one must be given.

        With secrets, only they count. `seen` remembers what was handled; without, each process does for itself.
        """
        if not secrets and not keys:
            raise ValueError("give secrets or keys: without, a call could come from anybody")
        self.secrets, self.keys = tuple(secrets), tuple(keys)
        self.seen: Seen = Memory() if seen is None else seen
        self.tolerance = tolerance

    def verify(self, headers: Mapping[str, str], body: bytes) -> Call:
        """The call of a request. Raises Rejected."""
        lowered = {name.lower(): value for name, value in headers.items()}
        if self.secrets:
            now = datetime.now(UTC)
            found = verify_webhook(self.secrets, lowered, body, now, self.tolerance)
        else:
            every = [verify_mergent(key, lowered, body) for key in self.keys]
            found = Verification.VALID if Verification.VALID in every else every[0]
        if found is not Verification.VALID:
            raise Rejected(found)
        # The signature covers webhook-id, and not our own header.
        task_id = lowered.get("webhook-id") if self.secrets else lowered.get("timeball-task")
        attempt, occurrence = (
            lowered.get("timeball-attempt", ""),
            lowered.get("timeball-occurrence"),
        )
        return Call(
            task_id=task_id or lowered.get("x-mergent-task", ""),
            attempt=int(attempt) if attempt.isascii() and attempt.isdigit() else 1,
            body=body,
            headers=lowered,
            schedule=lowered.get("timeball-schedule"),
            occurrence=datetime.fromisoformat(occurrence) if occurrence else None,
        )

    def begin(self, headers: Mapping[str, str], body: bytes) -> Begun | Reply:
        """Let a call in, or say what to answer instead. After a Begun without reply comes `end`."""
        try:
            call = self.verify(headers, body)
        except Rejected as error:
            return Reply(401, {}, str(error))
        standing = self.seen.begin(call.task_id) if call.task_id else Standing.NEW
        if standing is Standing.DONE:
            return Begun(call, Reply(200, {"Timeball-Seen": "1"}))
        if standing is Standing.BUSY:
            wait = {"Retry-After": str(BUSY_AGAIN_SECONDS)}
            return Begun(call, Reply(503, wait, "the same task is being handled"))
        return Begun(call, None)

    def end(self, call: Call, error: BaseException | None = None) -> Reply | None:
        """A handler returned, or raised; the answer to that. None: an error that the framework must see."""
        if error is None:
            self.seen.done(call.task_id)
            return Reply(204, {})
        self.seen.failed(call.task_id)
        if isinstance(error, Retry):
            wait = {} if error.after is None else {"Retry-After": str(max(0, round(error.after)))}
            return Reply(503, wait, "not now")
        if isinstance(error, Stop):
            return Reply(422, {"Task-No-Retry": "true"}, str(error))
        return None

    def handle(
        self, headers: Mapping[str, str], body: bytes, handler: Callable[[Call], Any]
    ) -> tuple[Reply, Any]:
        """All of it for a handler that is not a coroutine: the answer, and what the handler returned.

        What the handler raises besides Retry and Stop is raised again.
        """
        begun = self.begin(headers, body)
        if isinstance(begun, Reply):
            return begun, None
        if begun.reply is not None:
            return begun.reply, None
        try:
            returned = handler(begun.call)
        except BaseException as error:
            reply = self.end(begun.call, error)
            if reply is None:
                raise
            return reply, None
        reply = self.end(begun.call)
        assert reply is not None
        return reply, returned

"""What a task is, the states it can be in, and the only moves between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from timeball.model.retry import Retry


class State(StrEnum):
    """Where a task stands. The dialects translate: Mergent says queued, working, success, failure."""

    SCHEDULED = "scheduled"
    """Waits for its due instant, or for the next attempt. A pump's claim moves it on."""
    RUNNING = "running"
    """A pump holds it and its call is in flight. The pump's finish moves it on, or a rescue."""
    SUCCEEDED = "succeeded"
    """The last attempt was answered with 2xx. It stays until retention ends."""
    DEAD = "dead"
    """Out of attempts, or stopped by the endpoint. It waits for a person, until retention ends."""
    CANCELLED = "cancelled"
    """Taken back before its call. It stays until retention ends."""


class Move(NamedTuple):
    """One verb that changes a state: who may make it, from where, to where."""

    verb: str
    source: State
    target: State
    by: str


MOVES: tuple[Move, ...] = (
    Move("claim", State.SCHEDULED, State.RUNNING, "pump"),
    Move("finish", State.RUNNING, State.SUCCEEDED, "pump"),
    Move("finish", State.RUNNING, State.SCHEDULED, "pump"),
    Move("finish", State.RUNNING, State.DEAD, "pump"),
    Move("rescue", State.RUNNING, State.SCHEDULED, "beat"),
    Move("rescue", State.RUNNING, State.DEAD, "beat"),
    Move("cancel", State.SCHEDULED, State.CANCELLED, "caller"),
    Move("update", State.SCHEDULED, State.SCHEDULED, "caller"),
    Move("redrive", State.DEAD, State.SCHEDULED, "caller"),
    Move("run", State.SCHEDULED, State.SCHEDULED, "caller"),
    Move("run", State.SUCCEEDED, State.SCHEDULED, "caller"),
    Move("run", State.DEAD, State.SCHEDULED, "caller"),
    Move("run", State.CANCELLED, State.SCHEDULED, "caller"),
)
"""Every change of state. A task begins `scheduled`, by `submit`; any state ends by `delete` or `prune`."""

FINAL = frozenset({State.SUCCEEDED, State.DEAD, State.CANCELLED})
"""States in which nothing will happen by itself."""


class Method(StrEnum):
    """HTTP methods that a call may use."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


class Priority(StrEnum):
    """Who goes first when more is due than can be called."""

    HIGH = "high"
    """Before all others."""
    NORMAL = "normal"
    """As the high ones after half a minute of waiting."""
    LOW = "low"
    """As the high ones after a minute of waiting."""


class BodyKind(StrEnum):
    """How the caller wrote the body, so that it is shown the same way."""

    TEXT = "text"
    JSON = "json"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class Request:
    """The HTTP request to make. `body` is the raw bytes to send, whatever way they were written."""

    url: str
    method: Method = Method.POST
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    body_kind: BodyKind = BodyKind.TEXT


@dataclass(frozen=True, slots=True)
class Draft:
    """A task as asked for, before the store has taken it.

    `delay` counts from `scheduled_for`, or from now when that is None. `idempotency_key` and
    `fingerprint` (a digest of the request that asked) go together. `id` is set only for occurrences,
    whose id is given; otherwise the store's caller makes one.
    """

    project: str
    request: Request
    queue: str = "default"
    name: str | None = None
    tags: tuple[str, ...] = ()
    scheduled_for: datetime | None = None
    delay: timedelta | None = None
    timeout: timedelta | None = None
    retry: Retry | None = None
    key_id: str | None = None
    schedule: str | None = None
    occurrence: datetime | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    id: bytes | None = None
    priority: Priority = Priority.NORMAL
    concurrency_key: str | None = None
    """Tasks with one key share the queue's limit `key_concurrency` (1 unless set)."""
    ordering_key: str | None = None
    """Tasks with one key are called one after the other, in the order they were taken in."""
    on_success: str | None = None
    """A URL that is told when the task has succeeded."""
    on_failure: str | None = None
    """A URL that is told when the task has died."""
    on_attempt: str | None = None
    """A URL that is told of every attempt."""
    traceparent: str | None = None
    """The caller's place in a trace (W3C Trace Context), passed on with each call."""
    tracestate: str | None = None
    """What else the caller's tracing systems say of the trace; never without `traceparent`."""

    @property
    def body(self) -> bytes:
        """What is sent to the endpoint."""
        return self.request.body

    def whole(self) -> Draft:
        """The draft itself; for a sibling, the draft that it stands for."""
        return self


class Kin:
    """What siblings have in common."""

    __slots__ = ("draft", "line", "shown")

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        """One of them, whose body and idempotency key do not count."""
        self.line: Any = None
        """What the store is sent once for all of them in a move."""
        self.shown: Any = None
        """What answers show of each."""


class Sibling(NamedTuple):
    """A draft that differs from others in nothing but body and idempotency key, at a tenth of a draft's cost."""

    kin: Kin
    body: bytes
    idempotency_key: str | None = None
    fingerprint: str | None = None

    @property
    def project(self) -> str:
        return self.kin.draft.project

    @property
    def queue(self) -> str:
        return self.kin.draft.queue

    @property
    def traceparent(self) -> str | None:
        return self.kin.draft.traceparent

    def whole(self) -> Draft:
        """The draft that it stands for."""
        draft = self.kin.draft
        return replace(
            draft,
            request=replace(draft.request, body=self.body),
            idempotency_key=self.idempotency_key,
            fingerprint=self.fingerprint,
        )


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the store keeps it. `id` is 16 bytes; `project` and `queue` name its lane."""

    id: bytes
    project: str
    queue: str
    state: State
    request: Request
    attempt: int
    """Claims so far: the number of the running attempt, or of the last one."""
    attempt_base: int
    """The attempt after which the policy began to count afresh (a person's run resets it)."""
    lost: int
    """How many times in a row the worker died with it."""
    due_at: datetime
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    scheduled_for: datetime | None
    name: str | None = None
    tags: tuple[str, ...] = ()
    timeout: timedelta | None = None
    retry: Retry | None = None
    key_id: str | None = None
    schedule: str | None = None
    occurrence: datetime | None = None
    priority: Priority = Priority.NORMAL
    concurrency_key: str | None = None
    ordering_key: str | None = None
    on_success: str | None = None
    on_failure: str | None = None
    on_attempt: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None

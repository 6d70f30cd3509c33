"""Why a task is not called at this moment, and when it will be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from timeball.model.task import State


class Reason(StrEnum):
    """What a task waits for, or what became of it."""

    ENDED = "ended"
    """Nothing will happen to it by itself."""
    RUNNING = "running"
    """A pump holds it: its call is in flight."""
    NOT_DUE = "not_due"
    """Its instant has not come."""
    RETRY = "retry"
    """An attempt failed: the next one has its instant."""
    PAUSED = "paused"
    """Its queue or project is paused, until a person lets it go on."""
    BREAKER = "breaker"
    """Calls to its host failed: none is made before an instant, then one to try."""
    PROBING = "probing"
    """One call to its host was let through to try; the others wait for how it ends."""
    QUIET = "quiet"
    """Its host asked for quiet with Retry-After."""
    ORDER = "order"
    """Tasks with its ordering key stand before it."""
    CONCURRENCY = "concurrency"
    """Its project, queue, key or host has as many calls in flight as it may."""
    RATE = "rate"
    """Its queue or project began as many calls as it may in a window."""
    BEHIND = "behind"
    """Due tasks of its queue go before it."""
    NO_WORKER = "no_worker"
    """No worker is there to make calls."""
    WORKER_SILENT = "worker_silent"
    """The worker that holds it has not been heard of: soon another gets the task."""
    BEAT_SILENT = "beat_silent"
    """No beat leads: nobody makes up for lost bells and dead workers."""
    NEXT = "next"
    """Nothing holds it: a pump takes it as soon as it has room."""


class Scope(StrEnum):
    """Whose limit it is."""

    PROJECT = "project"
    QUEUE = "queue"
    KEY = "key"
    """A concurrency key."""
    ORDER = "order"
    """An ordering key."""
    HOST = "host"


class Certainty(StrEnum):
    """How much the told start is worth."""

    EXPECTED = "expected"
    """Then, unless something else comes between."""
    EARLIEST = "earliest"
    """Not before."""
    UNKNOWN = "unknown"
    """Nobody can say: it hangs on a person, or on how long calls take."""


@dataclass(frozen=True, slots=True)
class Ground:
    """One reason, in words and in facts; what does not belong to it is None.

    `until` is when it ends by itself. `scope` and `name` say whose limit, key or host it is; `ahead` how
    many tasks go before; `limit` and `in_flight` count calls; `rate` calls begin in `per_seconds`.
    """

    reason: Reason
    words: str
    until: datetime | None = None
    scope: Scope | None = None
    name: str | None = None
    ahead: int | None = None
    limit: int | None = None
    in_flight: int | None = None
    rate: int | None = None
    per_seconds: float | None = None
    failed_in_row: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a task stands at `now`: the grounds, the weightiest first, and when it starts, as far as can be said.

    `starts_at` is None when the certainty is unknown, and for a task that runs or has ended.
    """

    state: State
    now: datetime
    grounds: tuple[Ground, ...]
    starts_at: datetime | None
    certainty: Certainty | None

    @property
    def words(self) -> str:
        """All of it in a sentence or two."""
        return "; ".join(ground.words for ground in self.grounds)

"""A named line of a project: its limits, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """What a queue, or a whole project, may do; None where there is no limit.

    At most `rate` calls begin in any window of `per`, and `burst` of them may begin at once after a
    rest; `concurrency` calls are in flight; `key_concurrency` of one concurrency key (1 where unset).
    """

    rate: int | None = None
    per: timedelta = timedelta(seconds=1)
    burst: int = 1
    concurrency: int | None = None
    key_concurrency: int | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue as it is now. `oldest_due_at` is the first due instant of those that wait."""

    name: str
    waiting: int
    in_flight: int
    oldest_due_at: datetime | None
    limits: Limits

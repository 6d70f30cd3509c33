"""How often and how far apart a task is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

MERGENT_BACKOFF = tuple(timedelta(seconds=s) for s in (0, 5, 300, 1800, 7200, 18000, 36000, 36000))
"""The waits after attempts 1 to 8 in the Mergent dialect: 9 attempts over 27 h 35 min 5 s."""


@dataclass(frozen=True, slots=True)
class RetryTable:
    """A fixed list of waits: after attempt n the task waits `waits[n - 1]`; past the end it dies."""

    waits: tuple[timedelta, ...]

    @property
    def max_attempts(self) -> int:
        return len(self.waits) + 1


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off, in the terms of Cloud Tasks' RetryConfig.

    The wait starts at `min_backoff`, doubles `max_doublings` times, then grows by the last step, and
    never passes `max_backoff`. `jitter` is the share of the wait (0 to 1) that chance may add or take.
    `max_age` counts from the task's first due instant; past it a failed task dies whatever is left.
    """

    max_attempts: int = 10
    min_backoff: timedelta = timedelta(seconds=10)
    max_backoff: timedelta = timedelta(hours=1)
    max_doublings: int = 9
    jitter: float = 0.2
    max_age: timedelta | None = None


Retry = RetryTable | RetryPolicy

MERGENT_DEFAULT = RetryTable(MERGENT_BACKOFF)
MERGENT_SCHEDULED = RetryTable(MERGENT_BACKOFF[:2])
"""Tasks made by schedules stop after the +5 s retry: 3 attempts."""
NO_RETRY = RetryTable(())

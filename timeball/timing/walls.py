"""Wall times as days and times of day.

Every rule here is a source of days joined with a set of times; finding the next wall time is one question
to the days and a search in three sorted tuples. Stepping through the clock, as the libraries do, costs ten
times as much. Dates and wall times here know no zone; `pace` puts them on the clock of one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self

from timeball.timing.durations import LAST_YEAR

Days = Callable[[date], date | None]
"""The first day of a rule on or after a day; None past LAST_YEAR or when none is found."""

Walls = Callable[[datetime], datetime | None]
"""The first wall time of a rule strictly after one."""

ONE_SECOND = timedelta(seconds=1)
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Times:
    """Times of day: every hour with every minute with every second, each tuple sorted."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    @classmethod
    def of(cls, hours: Iterable[int], minutes: Iterable[int], seconds: Iterable[int]) -> Self:
        """Times from values in any order."""
        return cls(
            tuple(sorted(set(hours))), tuple(sorted(set(minutes))), tuple(sorted(set(seconds)))
        )

    def __len__(self) -> int:
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def rank(self, hour: int, minute: int, second: int) -> int:
        """How many of the times lie before this one."""
        h, m, s = len(self.hours), len(self.minutes), len(self.seconds)
        at = bisect_left(self.hours, hour)
        rank = at * m * s
        if at < h and self.hours[at] == hour:
            at = bisect_left(self.minutes, minute)
            rank += at * s
            if at < m and self.minutes[at] == minute:
                rank += bisect_left(self.seconds, second)
        return rank

    def on(self, day: date, rank: int = 0) -> datetime:
        """The wall time of a day at the time with this rank."""
        rest, second = divmod(rank, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return datetime(  # noqa: DTZ001 - a wall time has no zone
            day.year,
            day.month,
            day.day,
            self.hours[hour],
            self.minutes[minute],
            self.seconds[second],
        )


def walls_of(days: Days, times: Times) -> Walls:
    """Join days and times of day."""
    size = len(times)

    def walls(after: datetime) -> datetime | None:
        start = after + ONE_SECOND
        today = start.date()
        day = days(today)
        if day == today:
            rank = times.rank(start.hour, start.minute, start.second)
            if rank < size:
                return times.on(today, rank)
            day = days(today + ONE_DAY)
        return None if day is None else times.on(day)

    return walls


def every_day(day: date) -> date | None:
    """All days."""
    return day if day.year <= LAST_YEAR else None

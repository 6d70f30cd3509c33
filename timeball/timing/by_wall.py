"""Rules of frequency DAILY to YEARLY, which keep the wall clock.

Those that are coarser than DAILY have their days from dateutil; DAILY is walked here, for there dateutil takes
seconds to see that nothing matches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial

from timeball.timing.budget import Budget
from timeball.timing.days import DayFilter
from timeball.timing.durations import FIRST_YEAR, LAST_YEAR
from timeball.timing.library import walk
from timeball.timing.pace import TICK, next_by_wall
from timeball.timing.rrule import Freq, RRule, Weekday
from timeball.timing.walls import ONE_DAY, ONE_SECOND, Times
from timeball.timing.zones import Zone

_MIDNIGHT = Times((0,), (0,), (0,))
_FOREVER = 366 * (LAST_YEAR - FIRST_YEAR + 1)
"""Days after which the last year is over, whatever the start."""


@dataclass(frozen=True, slots=True)
class ByWall:
    """A rule of frequency DAILY to YEARLY: days of the calendar at times on the wall.

    `begin` is the instant of `start`; they differ from the zone's own reading only when a caller began
    in the second pass of a fold.
    """

    rule: RRule
    start: datetime
    begin: datetime
    zone: Zone
    times: Times = field(init=False)
    days: DayFilter = field(init=False)

    def __post_init__(self) -> None:
        rule, start = self.rule, self.start
        object.__setattr__(
            self,
            "times",
            Times.of(
                rule.hours or (start.hour,),
                rule.minutes or (start.minute,),
                rule.seconds or (start.second,),
            ),
        )
        if not (rule.week_numbers or rule.year_days or rule.month_days or rule.weekdays):
            # What the rule leaves open the start decides (RFC 5545, 3.3.10).
            if rule.freq is Freq.YEARLY:
                rule = replace(rule, months=rule.months or (start.month,), month_days=(start.day,))
            elif rule.freq is Freq.MONTHLY:
                rule = replace(rule, month_days=(start.day,))
            elif rule.freq is Freq.WEEKLY:
                rule = replace(rule, weekdays=(Weekday(start.weekday()),))
            object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "days", DayFilter.of(self.rule))

    def next_after(self, after: datetime, budget: Budget) -> datetime | None:
        """The first occurrence strictly after an instant."""
        walls = partial(self.next_wall, budget=budget)
        if after < self.begin:
            if walls(self.start - TICK) == self.start:
                return self.begin
            after = self.begin - TICK
        return next_by_wall(walls, self.zone, after)

    def nth(self, count: int, budget: Budget) -> datetime | None:
        """The instant of the occurrence with this number, from 1; None if it never comes."""
        if self.rule.positions:
            for wall in self._positioned(self.start.date(), budget):
                budget.spend(1)
                count -= wall >= self.start
                if not count:
                    return self._instant(wall)
            return None
        rank = self.times.rank(self.start.hour, self.start.minute, self.start.second)
        if self.rule.freq is Freq.DAILY and not self.rule.picks_days:
            days, rank = divmod(rank + count - 1, len(self.times))
            day = self.start.date() + min(days * self.rule.interval, _FOREVER) * ONE_DAY
            return self._instant(self.times.on(day, rank)) if day.year <= LAST_YEAR else None
        for day in self._days(self.start.date(), budget):
            budget.spend(1)
            if day > self.start.date():
                rank = 0
            if rank + count <= len(self.times):
                return self._instant(self.times.on(day, rank + count - 1))
            count -= len(self.times) - rank
        return None

    def _instant(self, wall: datetime) -> datetime:
        return self.begin if wall == self.start else self.zone.first(wall)

    def next_wall(self, after: datetime, budget: Budget) -> datetime | None:
        """The first wall time strictly after one, whatever the zone makes of it."""
        after = max(after, self.start - TICK)
        if self.rule.positions:
            return next((w for w in self._positioned(after.date(), budget) if w > after), None)
        low = after + ONE_SECOND
        today = low.date()
        for day in self._days(today, budget):
            rank = self.times.rank(low.hour, low.minute, low.second) if day == today else 0
            if rank < len(self.times):
                return self.times.on(day, rank)
        return None

    def _days(self, day: date, budget: Budget) -> Iterator[date]:
        """The rule's days from `day` on, without BYSETPOS."""
        if self.rule.freq is not Freq.DAILY:
            for wall in walk(self.rule, self.start.date(), day, _MIDNIGHT, budget):
                if (found := wall.date()) >= day:
                    yield found
            return
        days, step = self.days, self.rule.interval
        behind = max(0, (day - self.start.date()).days)
        first: date | None = self.start.date() + (behind + step - 1) // step * step * ONE_DAY
        while first is not None and (first := days.first(budget, first, step)) is not None:
            yield first
            first += step * ONE_DAY

    def _positioned(self, day: date, budget: Budget) -> Iterator[datetime]:
        """The wall times that BYSETPOS picks, from the period of `day` on."""
        if self.rule.freq is not Freq.DAILY:
            yield from walk(self.rule, self.start.date(), day, self.times, budget)
            return
        size = len(self.times)
        ranks = sorted(
            {pos - 1 if pos > 0 else size + pos for pos in self.rule.positions if abs(pos) <= size}
        )
        plain = replace(self, rule=replace(self.rule, positions=()))
        for found in plain._days(day, budget) if ranks else ():
            for rank in ranks:
                yield self.times.on(found, rank)

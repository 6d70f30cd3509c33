"""Which days the BY parts of a rule let through, where each part only takes away."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta

from timeball.timing.budget import Budget
from timeball.timing.durations import LAST_YEAR
from timeball.timing.rrule import RRule
from timeball.timing.walls import ONE_DAY


def year_length(year: int) -> int:
    """Days in a year."""
    return 366 if calendar.isleap(year) else 365


@dataclass(frozen=True, slots=True)
class DayFilter:
    """The days let through; an empty set lets all through."""

    months: frozenset[int]
    year_days: frozenset[int]
    month_days: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def of(cls, rule: RRule) -> DayFilter:
        """The filter of a rule of frequency DAILY or finer."""
        return cls(
            frozenset(rule.months),
            frozenset(rule.year_days),
            frozenset(rule.month_days),
            frozenset(one.day for one in rule.weekdays),
        )

    def passes(self, day: date) -> bool:
        """Whether a day is let through."""
        if self.months and day.month not in self.months:
            return False
        if self.weekdays and day.weekday() not in self.weekdays:
            return False
        if self.month_days and day.day not in self.month_days:
            length = calendar.monthrange(day.year, day.month)[1]
            if day.day - length - 1 not in self.month_days:
                return False
        if self.year_days:
            number = day.timetuple().tm_yday
            if number not in self.year_days:
                return number - year_length(day.year) - 1 in self.year_days
        return True

    def first(self, budget: Budget, day: date, step: int = 1) -> date | None:
        """The first day let through among `day`, `day + step` and so on; None past LAST_YEAR."""
        while day.year <= LAST_YEAR:
            budget.spend(1)
            if self.passes(day):
                return day
            if step == 1 and self.months and day.month not in self.months:
                day = day.replace(day=28) + timedelta(days=4)
                day = day.replace(day=1)
            else:
                day += step * ONE_DAY
        return None

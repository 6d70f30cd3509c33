"""The walks that dateutil makes for us: YEARLY, MONTHLY and WEEKLY rules, on wall times.

It is given whole periods from just before the question, never an old start; rules whose parts are all given
and checked; no COUNT and no UNTIL, which are instants and not its matter; and an interval that pays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time

from dateutil import rrule as dateutil_rrule

from timeball.timing.budget import Budget
from timeball.timing.days import year_length
from timeball.timing.durations import LAST_YEAR
from timeball.timing.rrule import Freq, RRule
from timeball.timing.walls import ONE_DAY, Times

_CALL_COST = 40
_PERIOD_COST = {Freq.YEARLY: 60, Freq.MONTHLY: 8, Freq.WEEKLY: 6}
_POSITION_COST = {Freq.YEARLY: 24, Freq.MONTHLY: 3, Freq.WEEKLY: 2}
_ONCE = 10_000
"""An interval of years after which dateutil ends by itself: the next would not be a date."""


class _PaidInterval(int):
    """An INTERVAL that pays each time dateutil adds or multiplies it: once a period, whatever it finds.

    dateutil yields nothing while nothing matches, so there is no other place in its loop to stop it.
    """

    budget: Budget
    cost: int

    def __radd__(self, other: int) -> int:
        self.budget.spend(self.cost)
        return int(self) + other

    def __mul__(self, other: int) -> int:
        self.budget.spend(self.cost)
        return int(self) * other


def walk(rule: RRule, start: date, day: date, times: Times, budget: Budget) -> Iterator[datetime]:
    """Wall times of a rule that starts on `start`, ascending, from the period that `day` lies in.

    Some may lie before `day`, or even before `start`: a period is whole, for BYSETPOS counts in it.
    """
    first = _period(rule, start, max(day, start))
    if not rule.week_numbers:
        for wall in _walk(rule, first, times, budget):
            if wall.year > LAST_YEAR:
                return
            yield wall
        return
    # dateutil numbers the first days of January wrongly in some years (1 January 2022 would be in
    # week 53), so the weeks are written as days of each year.
    for year in range(first.year, LAST_YEAR + 1, rule.interval):
        budget.spend(_PERIOD_COST[Freq.YEARLY])
        days = _days_of_weeks(year, rule.week_numbers, rule.week_start)
        if rule.year_days:
            days &= {n if n > 0 else year_length(year) + 1 + n for n in rule.year_days}
        if days:
            one = replace(rule, interval=_ONCE, week_numbers=(), year_days=tuple(sorted(days)))
            yield from _walk(one, date(year, 1, 1), times, budget)


def _period(rule: RRule, start: date, day: date) -> date:
    """The first day of the last period of a rule that begins on or before `day`."""
    if rule.freq is Freq.YEARLY:
        return date(day.year - (day.year - start.year) % rule.interval, 1, 1)
    if rule.freq is Freq.MONTHLY:
        months = (day.year - start.year) * 12 + day.month - start.month
        months = start.year * 12 + start.month - 1 + months - months % rule.interval
        return date(months // 12, months % 12 + 1, 1)
    week = start - (start.weekday() - rule.week_start) % 7 * ONE_DAY
    span = 7 * rule.interval
    return week + (day - week).days // span * span * ONE_DAY


def _walk(rule: RRule, first: date, times: Times, budget: Budget) -> Iterator[datetime]:
    """dateutil's walk over a rule whose parts are all given, from the first day of a period."""
    budget.spend(_CALL_COST + len(times) // 3)
    interval = _PaidInterval(rule.interval)
    interval.budget = budget
    interval.cost = _PERIOD_COST[rule.freq] + _POSITION_COST[rule.freq] * len(rule.positions)
    return iter(
        dateutil_rrule.rrule(
            int(rule.freq),  # type: ignore[arg-type]  # the stub wants its literal numbers
            dtstart=datetime.combine(first, time()),
            interval=interval,
            wkst=rule.week_start,
            bysetpos=rule.positions or None,
            bymonth=rule.months or None,
            bymonthday=rule.month_days or None,
            byyearday=rule.year_days or None,
            byweekday=[dateutil_rrule.weekday(one.day, one.nth or None) for one in rule.weekdays]
            or None,
            byhour=times.hours,
            byminute=times.minutes,
            bysecond=times.seconds,
        )
    )


def _days_of_weeks(year: int, numbers: tuple[int, ...], week_start: int) -> set[int]:
    """The days of a year (1 January is 1) that lie in weeks with these numbers (RFC 5545, 3.3.10).

    Week 1 is the first with four days in its year, so the ends of a year may lie in a neighbour's week.
    """
    days: set[int] = set()
    new_year = date(year, 1, 1)
    for of in (year - 1, year, year + 1):
        first, end = _first_week(of, week_start), _first_week(of + 1, week_start)
        weeks = (end - first).days // 7
        for number in numbers:
            index = number - 1 if number > 0 else weeks + number
            if 0 <= index < weeks:
                start = (first - new_year).days + 7 * index + 1
                days.update(range(start, start + 7))
    return {day for day in days if 1 <= day <= year_length(year)}


def _first_week(year: int, week_start: int) -> date:
    fourth = date(year, 1, 4)
    return fourth - (fourth.weekday() - week_start) % 7 * ONE_DAY

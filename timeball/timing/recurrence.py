"""From a checked recurrence set to its instants.

The frequencies that keep the wall clock (DAILY to YEARLY) and those that keep real time (HOURLY to SECONDLY)
are walked apart. dateutil finds the days of YEARLY, MONTHLY and WEEKLY rules, from a start moved by whole
intervals to where the question is, never from an old one. DAILY and finer are walked here: there dateutil
spins without a word when nothing matches, and gives hours that no clock shows.

Nothing runs for long: each step is paid from a Budget, and a spent one ends the walk, inside dateutil too.
"""

from __future__ import annotations

import calendar
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import partial

from dateutil import rrule as library

from timeball.errors import TimeballError
from timeball.timing.durations import FIRST_YEAR, LAST_YEAR
from timeball.timing.pace import TICK, Steps, next_by_wall, next_in_real_time
from timeball.timing.rrule import Freq, RRule, Weekday
from timeball.timing.walls import ONE_DAY, ONE_SECOND, Times, walls_of
from timeball.timing.zones import Zone

UNITS = {
    Freq.HOURLY: timedelta(hours=1),
    Freq.MINUTELY: timedelta(minutes=1),
    Freq.SECONDLY: ONE_SECOND,
}
_PERIOD_COST = {Freq.YEARLY: 60, Freq.MONTHLY: 8, Freq.WEEKLY: 6}
_LIBRARY_COST = 40
_STEP_COST = 4
_REAL_TIME_COST = 14
_FOREVER = 366 * (LAST_YEAR - FIRST_YEAR + 1)
"""Days after which the last year is over, whatever the start."""
_ONCE = 10_000
"""An interval of years after which dateutil ends by itself: the next would not be a date."""


class OverBudget(TimeballError):
    """The walk was longer than its budget; what it had found so far is still right."""


class Budget:
    """What a walk may still cost, in units of about a microsecond."""

    __slots__ = ("left",)

    def __init__(self, units: int) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        """Pay for a step; raises OverBudget when nothing is left."""
        self.left -= units
        if self.left < 0:
            raise OverBudget


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


@dataclass(frozen=True, slots=True)
class DayFilter:
    """Which days the BY parts let through, where each part only takes away."""

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
                length = 366 if calendar.isleap(day.year) else 365
                return number - length - 1 in self.year_days
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
            for wall in self._by_library(day, budget, Times((0,), (0,), (0,))):
                if (found := wall.date()) >= day:
                    yield found
            return
        days, step = DayFilter.of(self.rule), self.rule.interval
        behind = max(0, (day - self.start.date()).days)
        first: date | None = self.start.date() + (behind + step - 1) // step * step * ONE_DAY
        while first is not None and (first := days.first(budget, first, step)) is not None:
            yield first
            first += step * ONE_DAY

    def _positioned(self, day: date, budget: Budget) -> Iterator[datetime]:
        """The wall times that BYSETPOS picks, from the period of `day` on."""
        if self.rule.freq is not Freq.DAILY:
            yield from self._by_library(day, budget, self.times)
            return
        size = len(self.times)
        ranks = sorted(
            {pos - 1 if pos > 0 else size + pos for pos in self.rule.positions if abs(pos) <= size}
        )
        plain = replace(self, rule=replace(self.rule, positions=()))
        for found in plain._days(day, budget) if ranks else ():
            for rank in ranks:
                yield self.times.on(found, rank)

    def _by_library(self, day: date, budget: Budget, times: Times) -> Iterator[datetime]:
        """What dateutil finds from the start of the period that `day` lies in."""
        rule = self.rule
        first = self._period(day)
        if not rule.week_numbers:
            yield from _until_last_year(_library_rule(rule, first, budget, times))
            return
        # dateutil numbers the first days of January wrongly in some years (1 January 2022 would be in
        # week 53), so the weeks are written as days of each year.
        for year in range(first.year, LAST_YEAR + 1, rule.interval):
            budget.spend(_PERIOD_COST[Freq.YEARLY])
            days = _days_of_weeks(year, rule.week_numbers, rule.week_start)
            if rule.year_days:
                length = 366 if calendar.isleap(year) else 365
                days &= {n if n > 0 else length + 1 + n for n in rule.year_days}
            if days:
                one = replace(rule, interval=_ONCE, week_numbers=(), year_days=tuple(sorted(days)))
                yield from _library_rule(one, date(year, 1, 1), budget, times)

    def _period(self, day: date) -> date:
        """The first day of the last period of the rule that begins on or before `day`."""
        rule, start = self.rule, self.start.date()
        day = max(day, start)
        if rule.freq is Freq.YEARLY:
            return date(day.year - (day.year - start.year) % rule.interval, 1, 1)
        if rule.freq is Freq.MONTHLY:
            months = (day.year - start.year) * 12 + day.month - start.month
            months = start.year * 12 + start.month - 1 + months - months % rule.interval
            return date(months // 12, months % 12 + 1, 1)
        monday = start - (start.weekday() - rule.week_start) % 7 * ONE_DAY
        span = 7 * rule.interval
        return monday + (day - monday).days // span * span * ONE_DAY


def _until_last_year(walls: Iterator[datetime]) -> Iterator[datetime]:
    for wall in walls:
        if wall.year > LAST_YEAR:
            return
        yield wall


def _library_rule(rule: RRule, first: date, budget: Budget, times: Times) -> Iterator[datetime]:
    """dateutil's walk over a rule whose parts are all given, from the first day of a period."""
    budget.spend(_LIBRARY_COST + len(times) // 3)
    interval = _PaidInterval(rule.interval)
    interval.budget = budget
    interval.cost = _PERIOD_COST[rule.freq] + 12 * len(rule.positions)
    return iter(
        library.rrule(
            int(rule.freq),  # type: ignore[arg-type]  # the stub wants its literal numbers
            dtstart=datetime.combine(first, time()),
            interval=interval,
            wkst=rule.week_start,
            bysetpos=rule.positions or None,
            bymonth=rule.months or None,
            bymonthday=rule.month_days or None,
            byyearday=rule.year_days or None,
            byweekday=[library.weekday(one.day, one.nth or None) for one in rule.weekdays] or None,
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
    return {day for day in days if 1 <= day <= (366 if calendar.isleap(year) else 365)}


def _first_week(year: int, week_start: int) -> date:
    fourth = date(year, 1, 4)
    return fourth - (fourth.weekday() - week_start) % 7 * ONE_DAY


@dataclass(frozen=True, slots=True)
class InRealTime:
    """A rule of frequency HOURLY to SECONDLY: every so many hours, minutes or seconds that pass.

    Without a part finer than its frequency it steps from the start, else it looks into each of its hours or
    minutes for the times that the wall shows there. Coarser parts only take away.
    """

    rule: RRule
    start: datetime
    begin: datetime
    zone: Zone
    steps: Steps = field(init=False)
    times: Times = field(init=False)
    days: DayFilter = field(init=False)
    looks_inside: bool = field(init=False)

    def __post_init__(self) -> None:
        rule, start = self.rule, self.start
        inside = bool(
            (rule.freq is Freq.HOURLY and (rule.minutes or rule.seconds))
            or (rule.freq is Freq.MINUTELY and rule.seconds)
        )
        minute, second = (start.minute,), (start.second,)
        times = Times.of(
            rule.hours or range(24),
            rule.minutes or (minute if inside and rule.freq is Freq.HOURLY else range(60)),
            rule.seconds or (second if inside else range(60)),
        )
        begin = self.begin
        if inside:
            begin -= timedelta(seconds=start.second)
        if inside and rule.freq is Freq.HOURLY:
            begin -= timedelta(minutes=start.minute)
        object.__setattr__(self, "steps", Steps(begin, rule.interval * UNITS[rule.freq]))
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "days", DayFilter.of(rule))
        object.__setattr__(self, "looks_inside", inside)

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but steps."""
        return not (self.rule.picks_days or self.rule.picks_times or self.rule.positions)

    def next_after(self, after: datetime, budget: Budget) -> datetime | None:
        """The first occurrence strictly after an instant."""
        if self.looks_inside:
            return self._next_inside(max(after, self.begin - TICK), budget)
        if any(abs(pos) == 1 for pos in self.rule.positions) < bool(self.rule.positions):
            return None
        found = self.steps.next_after(after)
        while found.year <= LAST_YEAR:
            budget.spend(_STEP_COST)
            if self.is_plain or self._shows(found):
                return found
            shown = self._next_shown(found, budget)
            if shown is None:
                return None
            found = self.steps.next_after(shown - TICK)
        return None

    def nth(self, count: int, budget: Budget) -> datetime | None:
        """The instant of the occurrence with this number, from 1; None if it never comes."""
        if self.is_plain:
            try:
                return self.begin + (count - 1) * self.steps.step
            except OverflowError:
                return None
        found: datetime | None = self.begin - TICK
        while count and found is not None:
            found = self.next_after(found, budget)
            count -= 1
        return found

    def _shows(self, instant: datetime) -> bool:
        """Whether the wall shows, at this instant, what the parts ask for."""
        wall = self.zone.wall(instant)
        return (
            wall.hour in self.times.hours
            and wall.minute in self.times.minutes
            and wall.second in self.times.seconds
            and self.days.passes(wall.date())
        )

    def _next_shown(self, after: datetime, budget: Budget) -> datetime | None:
        budget.spend(_REAL_TIME_COST)
        walls = walls_of(partial(self.days.first, budget), self.times)
        return next_in_real_time(walls, self.zone, after)

    def _next_inside(self, after: datetime, budget: Budget) -> datetime | None:
        size = len(self.times.minutes) * len(self.times.seconds)
        if self.rule.positions and all(abs(pos) > size for pos in self.rule.positions):
            return None
        unit = UNITS[self.rule.freq]
        found = self._next_shown(after, budget)
        while found is not None:
            frame = (
                self.steps.start + (found - self.steps.start) // self.steps.step * self.steps.step
            )
            if found - frame >= unit:
                after = frame + self.steps.step - TICK
            elif not self.rule.positions:
                return found
            else:
                for pick in self._picks(frame, frame + unit, budget):
                    if pick > after:
                        return pick
                after = frame + unit - TICK
            found = self._next_shown(after, budget)
        return None

    def _picks(self, start: datetime, end: datetime, budget: Budget) -> list[datetime]:
        """What BYSETPOS picks among the instants of one hour or minute."""
        members = []
        member = self._next_shown(start - TICK, budget)
        while member is not None and member < end:
            members.append(member)
            member = self._next_shown(member, budget)
        return sorted(
            {
                members[pos - 1 if pos > 0 else pos]
                for pos in self.rule.positions
                if abs(pos) <= len(members)
            }
        )


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A whole set: the rule's instants up to `last`, with dates added and taken out."""

    source: ByWall | InRealTime
    last: datetime | None = None
    added: tuple[datetime, ...] = ()
    removed: frozenset[datetime] = frozenset()

    def next_after(self, after: datetime, budget: Budget) -> datetime | None:
        """The first occurrence strictly after an instant."""
        found = self.source.next_after(after, budget)
        while found is not None and found in self.removed:
            found = self.source.next_after(found, budget)
        if found is not None and self.last is not None and found > self.last:
            found = None
        for extra in self.added[bisect_right(self.added, after) :]:
            if extra not in self.removed:
                return extra if found is None else min(extra, found)
        return found

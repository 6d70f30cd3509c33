"""Rules of frequency HOURLY to SECONDLY, which keep real time.

They are walked here: dateutil counts hours on the wall, so it names one instant twice in a gap and leaves out an
hour in a fold, and spins without a word when nothing matches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from timeball.timing.budget import Budget
from timeball.timing.days import DayFilter
from timeball.timing.durations import LAST_YEAR
from timeball.timing.pace import TICK, Steps, next_in_real_time
from timeball.timing.rrule import Freq, RRule
from timeball.timing.walls import ONE_SECOND, Times, walls_of
from timeball.timing.zones import Zone

UNITS = {
    Freq.HOURLY: timedelta(hours=1),
    Freq.MINUTELY: timedelta(minutes=1),
    Freq.SECONDLY: ONE_SECOND,
}
_STEP_COST = 4
_LOOK_COST = 14


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
        budget.spend(_LOOK_COST)
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

"""How many calls schedules make in each minute of the day ahead. Pure, and bounded whatever the rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from timeball.errors import InvalidField
from timeball.model.schedule import Fate, Schedule
from timeball.model.task import Request
from timeball.timing.agenda import occurrence, rule_of
from timeball.timing.pace import TICK

_NO_REQUEST = Request("")
DAY = timedelta(days=1)
EXACT = 3000
"""So many calls of one schedule are counted one by one; then each minute it names counts as the fullest before."""


@dataclass
class Load:
    """Calls by minute of the day (UTC, 0 to 1439) from `begin` on, for 24 hours, as schedules are added.

    `schedules` were counted, those that fire never or not again included.
    """

    begin: datetime
    schedules: int = 0
    _single: Counter[int] = field(default_factory=Counter)
    _texts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _known: dict[tuple[str, str], Counter[int]] = field(default_factory=dict)

    @property
    def calls(self) -> Counter[int]:
        """The calls of all that were added."""
        found = self._single.copy()
        for text, times in self._texts.items():
            for minute, n in self._known[text].items():
                found[minute] += n * times
        return found

    def add(self, schedule: Schedule) -> None:
        """Count a schedule in. One without a rule that can be read, or that pauses, adds nothing."""
        self.schedules += 1
        if schedule.next_at is not None:
            first = schedule.next_at if schedule.next_at > self.begin else None
            self._single.update(self._of(schedule, first))

    def add_cron(self, cron: str, timezone: str) -> None:
        """Count in a schedule that fires whenever its text says; those of one text cost next to nothing."""
        self.schedules += 1
        text = (cron, timezone)
        if text not in self._known:
            plain = Schedule("", "", _NO_REQUEST, self.begin, cron=cron, timezone=timezone)
            self._known[text] = self._of(plain, None)
        self._texts[text] += 1

    def add_once(self, at: datetime) -> None:
        """Count in a schedule that fires at an instant, which is to come, and not again within a day."""
        self.schedules += 1
        if at < self.begin + DAY:
            self._single[at.hour * 60 + at.minute] += 1

    def add_none(self) -> None:
        """Count in a schedule that does not fire."""
        self.schedules += 1

    def _of(self, schedule: Schedule, first: datetime | None) -> Counter[int]:
        """The calls of one: from its `first` on where that is known."""
        found: Counter[int] = Counter()
        try:
            rule = rule_of(schedule, proven=True)
            end = self.begin + DAY
            if schedule.end_at is not None:
                end = min(end, schedule.end_at + TICK)
            at = first or rule.next_after(self.begin - TICK)
            often = 1
            while at is not None and at < end:
                due = occurrence(schedule, rule, at, Fate.MADE).due_at if schedule.window else at
                found[due.hour * 60 + due.minute] += often
                if often == 1 and found.total() == EXACT:
                    often = max(found.values())
                    found[due.hour * 60 + due.minute] = often
                if often > 1:  # one question a minute is enough
                    at = at.replace(second=59, microsecond=999_999)
                at = rule.next_after(at)
        except InvalidField:  # of an older version, or too sparse to be found in time
            pass
        return found

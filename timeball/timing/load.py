"""How many calls schedules make in each minute of the day ahead. Pure, and bounded whatever the rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from timeball.errors import InvalidField
from timeball.model.schedule import Fate, Schedule
from timeball.timing.agenda import occurrence, rule_of
from timeball.timing.pace import TICK

DAY = timedelta(days=1)
EXACT = 3000
"""So many calls of one schedule are counted one by one; then each minute it names counts as the fullest before."""


@dataclass
class Load:
    """Calls by minute of the day (UTC, 0 to 1439) from `begin` on, for 24 hours, as schedules are added.

    `schedules` were counted, those that fire never or not again included.
    """

    begin: datetime
    calls: Counter[int] = field(default_factory=Counter)
    schedules: int = 0
    _known: dict[tuple[str, str], Counter[int]] = field(default_factory=dict)

    def add(self, schedule: Schedule) -> None:
        """Count a schedule in. One without a rule that can be read, or that pauses, adds nothing."""
        self.schedules += 1
        if schedule.next_at is None:
            return
        plain = schedule.cron is not None and not (
            schedule.window or schedule.end_at or schedule.start_at or schedule.paused_until
        )
        if not plain or "@every" in (schedule.cron or ""):
            self.calls.update(self._of(schedule))
            return
        key = (schedule.cron or "", schedule.timezone)
        if key not in self._known:  # many schedules have the same text
            self._known[key] = self._of(replace(schedule, next_at=self.begin + TICK))
        self.calls.update(self._known[key])

    def _of(self, schedule: Schedule) -> Counter[int]:
        found: Counter[int] = Counter()
        try:
            rule = rule_of(schedule, proven=True)
            end = self.begin + DAY
            if schedule.end_at is not None:
                end = min(end, schedule.end_at + TICK)
            assert schedule.next_at is not None
            at = rule.next_after(max(self.begin, schedule.next_at) - TICK)
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

"""How a checked rule finds its next instant: by cron, by fixed steps, or by a recurrence set."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime

from timeball.timing.budget import Budget
from timeball.timing.by_wall import ByWall
from timeball.timing.pace import Steps, next_by_wall, next_in_real_time
from timeball.timing.real_time import InRealTime
from timeball.timing.walls import Walls
from timeball.timing.zones import Zone


@dataclass(frozen=True, slots=True)
class CronPlan:
    """A cron expression's wall times, the zone they are read in, and their pace."""

    walls: Walls
    zone: Zone
    hourly: bool

    def next_after(self, after: datetime, budget: Budget) -> datetime | None:
        """The first occurrence strictly after an instant."""
        budget.spend(10)
        pace = next_in_real_time if self.hourly else next_by_wall
        return pace(self.walls, self.zone, after)


@dataclass(frozen=True, slots=True)
class EveryPlan:
    """The fixed steps of `@every`."""

    steps: Steps

    def next_after(self, after: datetime, budget: Budget) -> datetime | None:
        """The first occurrence strictly after an instant."""
        budget.spend(1)
        return self.steps.next_after(after)


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


Plan = CronPlan | EveryPlan | Recurrence

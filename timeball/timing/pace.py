"""From wall times to instants, at one of two paces, and steps of a fixed length.

A source of wall times (`Walls`) knows nothing of zones: it answers the next wall time strictly after a
given one. The pace decides what a changed clock does to it:

- by the wall: a time in a gap moves to the first instant after it, one in a fold comes once, at the first
  (the rule of Debian's cron for jobs at a fixed hour);
- in real time: an instant counts when the clock on the wall shows a matching time at that instant; so a
  fold repeats and a gap leaves out, and a rule for every half hour keeps coming every half hour.

Both answer strictly increasing instants whatever they are asked, since each is a function of `after` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from timeball.timing.walls import ONE_DAY, Walls
from timeball.timing.zones import Zone

TICK = timedelta(microseconds=1)


def next_by_wall(walls: Walls, zone: Zone, after: datetime) -> datetime | None:
    """The first instant after `after` of wall times that each come once a day of the zone."""
    if zone.steady:
        found = walls(after.replace(tzinfo=None))
        return None if found is None else found.replace(tzinfo=UTC)
    wall = zone.wall(after)
    if wall.fold:
        # All of the fold's wall times had their instant in the first pass: go on behind it.
        first, second = zone.offsets(wall)
        end = zone.change(after - (first - second), after).replace(tzinfo=None) + first
        found = walls(end - TICK)
    else:
        found = walls(wall)
        if found is not None and (soon := _soon(zone, after, wall, found)):
            return soon
    while found is not None:
        instant = zone.first(found)
        if instant > after:
            return instant
        found = walls(found)
    return None


def next_in_real_time(walls: Walls, zone: Zone, after: datetime) -> datetime | None:
    """The first instant after `after` at which the zone's clock shows one of the wall times."""
    if zone.steady:
        found = walls(after.replace(tzinfo=None))
        return None if found is None else found.replace(tzinfo=UTC)
    wall = zone.wall(after)
    found = walls(wall.replace(fold=0))
    if found is not None and (soon := _soon(zone, after, wall, found)):
        return soon
    if not wall.fold:
        first, second = zone.offsets(wall)
        if first > second:
            # In the first pass of a fold: what is left of it, then all of it once more.
            change = zone.change(after, after + (first - second))
            end = change.replace(tzinfo=None) + first
            if found is not None and found < end:
                return (found - first).replace(tzinfo=UTC)
            after = change - TICK
            found = walls(end - (first - second) - TICK)
    while found is not None:
        first, second = zone.offsets(found)
        if first < second:
            found = walls(zone.wall(zone.gap_end(found)) - TICK)
            continue
        for offset in (first, second):
            instant = (found - offset).replace(tzinfo=UTC)
            if instant > after:
                return instant
        found = walls(found)
    return None


def _soon(zone: Zone, after: datetime, wall: datetime, found: datetime) -> datetime | None:
    """The instant of a wall time within a day of `after`, if no clock changes until then.

    The short cut for nearly all questions. It rests on no zone changing its clock twice within a day; none
    has since 1970.
    """
    step = found - wall
    if step > ONE_DAY:
        return None
    instant = after + step
    return instant if zone.wall(instant) == found else None


@dataclass(frozen=True, slots=True)
class Steps:
    """Instants a fixed time apart: `start`, `start + step`, and so on, whatever clocks do."""

    start: datetime
    step: timedelta

    def next_after(self, after: datetime) -> datetime:
        """The first of them strictly after `after`."""
        return self.start + max(0, (after - self.start) // self.step + 1) * self.step

"""Named time zones: from instants to wall clocks and back, across gaps and folds.

A wall time is a naive datetime, as a clock on the wall shows it. Where a clock is put forward, wall times
are missing (a gap); where it is put back, they come twice (a fold). PEP 495 names the two readings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from timeball.errors import InvalidField

MAX_NAME_CHARS = 64
_NAME = re.compile(r"[A-Za-z0-9+_/-]+")
_NOT_PLACES = frozenset({"Factory", "localtime", "posixrules"})
"""What some zone folders hold beside zones; `localtime` would mean another thing on each host."""

_TICK = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)


@cache
def zone_names() -> frozenset[str]:
    """Every IANA zone this installation knows, from the system or the tzdata package."""
    return frozenset(available_timezones() - _NOT_PLACES)


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone. `steady` says that it is UTC, whose clock never changes: that allows short cuts."""

    name: str
    info: tzinfo
    steady: bool

    def wall(self, instant: datetime) -> datetime:
        """The wall time at an instant; its `fold` is 1 in the second pass of a fold."""
        return instant.astimezone(self.info).replace(tzinfo=None)

    def offsets(self, wall: datetime) -> tuple[timedelta, timedelta]:
        """The offsets from UTC before and after the change that `wall` falls into, else twice the same.

        The first is the smaller in a gap and the greater in a fold.
        """
        before = wall.replace(tzinfo=self.info, fold=0).utcoffset()
        after = wall.replace(tzinfo=self.info, fold=1).utcoffset()
        if before is None or after is None:
            raise ValueError(f"zone {self.name} has no offset at {wall}")
        return before, after

    def first(self, wall: datetime) -> datetime:
        """The instant of a wall time: the first of two in a fold, the first after it in a gap."""
        if self.steady:
            return wall.replace(tzinfo=self.info).astimezone(UTC)
        before, after = self.offsets(wall)
        if before < after:
            return self.gap_end(wall)
        return (wall - before).replace(tzinfo=UTC, fold=0)

    def gap_end(self, wall: datetime) -> datetime:
        """The first instant after the gap that `wall` falls into."""
        before, after = self.offsets(wall)
        return self.change(
            (wall - after).replace(tzinfo=UTC, fold=0), (wall - before).replace(tzinfo=UTC, fold=0)
        )

    def change(self, low: datetime, high: datetime) -> datetime:
        """The first whole second after `low` whose offset is no longer that at `low`.

        `high` is an instant after exactly one change; found by halving, about 12 steps for an hour.
        """
        old = low.astimezone(self.info).utcoffset()
        low = low.replace(microsecond=0)
        while high - low > _SECOND:
            middle = low + (high - low) // 2
            middle = middle.replace(microsecond=0)
            if middle.astimezone(self.info).utcoffset() == old:
                low = middle
            else:
                high = middle
        return high.replace(microsecond=0)

    def gap_before(self, instant: datetime) -> timedelta:
        """By how much the clock was put forward at this very instant; zero if it was not."""
        if self.steady or instant.microsecond:
            return timedelta()
        now = instant.astimezone(self.info).utcoffset() or timedelta()
        then = (instant - _TICK).astimezone(self.info).utcoffset() or timedelta()
        return max(now - then, timedelta())


@lru_cache(maxsize=1024)
def _zone(name: str) -> Zone | None:
    if name in ("UTC", "Etc/UTC"):
        return Zone(name, UTC, steady=True)
    if name not in zone_names():
        return None
    return Zone(name, ZoneInfo(name), steady=False)


def find_zone(name: str, field: str = "timezone") -> Zone:
    """The zone of an IANA name such as `Europe/Amsterdam`; raises InvalidField if there is none.

    Only names of the list are looked up, so a path can never reach the file system.
    """
    if not name or len(name) > MAX_NAME_CHARS or not _NAME.fullmatch(name):
        raise InvalidField(
            field, f"{name[:MAX_NAME_CHARS]!r} is not a time zone: write one like Europe/Amsterdam"
        )
    zone = _zone(name)
    if zone is None:
        by_folded = {known.casefold(): known for known in zone_names()}
        near = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.7)
        hint = f"did you mean {by_folded[near[0]]}?" if near else "write one like Europe/Amsterdam"
        raise InvalidField(field, f"{name!r} is not a time zone known here: {hint}")
    return zone

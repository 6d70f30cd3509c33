"""RRULE of RFC 5545 (3.3.10): its parts, what each may say, and where each may stand.

Everything is checked here, before a library sees it: dateutil hangs on `INTERVAL=0`, takes `BYMONTHDAY=0` for
every day, lets the last of two FREQ win and looks for `TZID=../../etc/passwd` among the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from math import prod
from typing import NamedTuple

from timeball.errors import InvalidField
from timeball.timing.durations import FIRST_YEAR, LAST_YEAR

MAX_RULE_CHARS = 500
MAX_INTERVAL = 1_000_000
MAX_COUNT = 1_000_000
MAX_POSITIONS = 31
"""More positions than this cost more than a budget allows, and nobody has asked for them."""

MAX_POSITIONED = 1440
"""Times of day among which BYSETPOS may pick: one a minute."""

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


class Freq(IntEnum):
    """How often, from coarse to fine; the numbers are dateutil's."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


class Stamp(NamedTuple):
    """A date-time as written: a wall time, and whether a Z said that the wall is UTC's."""

    wall: datetime
    utc: bool


class Weekday(NamedTuple):
    """A day of the week, Monday 0, and which of its kind (1 the first, -1 the last, 0 all)."""

    day: int
    nth: int = 0


@dataclass(frozen=True, slots=True)
class RRule:
    """A checked RRULE. Empty tuples are parts that were not given; `week_start` is WKST, Monday 0."""

    freq: Freq
    interval: int = 1
    count: int | None = None
    until: Stamp | None = None
    week_start: int = 0
    months: tuple[int, ...] = ()
    week_numbers: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[Weekday, ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()

    @property
    def picks_days(self) -> bool:
        """Whether a part says something about days."""
        return bool(
            self.months or self.week_numbers or self.year_days or self.month_days or self.weekdays
        )

    @property
    def picks_times(self) -> bool:
        """Whether a part says something about times of day."""
        return bool(self.hours or self.minutes or self.seconds)


class _Part(NamedTuple):
    """A BY part: its field, its values, whether they may count from the end, and where it may stand."""

    field: str
    low: int
    high: int
    signed: bool
    freqs: frozenset[Freq]


_ALL = frozenset(Freq)
_FINE = frozenset({Freq.HOURLY, Freq.MINUTELY, Freq.SECONDLY})
_PARTS = {  # RFC 5545, 3.3.10, with its table of what each part may do at each frequency
    "BYMONTH": _Part("months", 1, 12, False, _ALL),
    "BYWEEKNO": _Part("week_numbers", 1, 53, True, frozenset({Freq.YEARLY})),
    "BYYEARDAY": _Part("year_days", 1, 366, True, _FINE | {Freq.YEARLY}),
    "BYMONTHDAY": _Part("month_days", 1, 31, True, _ALL - {Freq.WEEKLY}),
    "BYHOUR": _Part("hours", 0, 23, False, _ALL),
    "BYMINUTE": _Part("minutes", 0, 59, False, _ALL),
    "BYSECOND": _Part("seconds", 0, 59, False, _ALL),
    "BYSETPOS": _Part("positions", 1, 366, True, _ALL),
}
_KEYS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_PARTS)

_STAMP = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z?))?")
_COUNTED = re.compile(r"[0-9]{1,7}")
_SIGNED = re.compile(r"([+-]?)([0-9]{1,3})")
_BYDAY = re.compile(r"([+-]?)([0-9]{0,2})(MO|TU|WE|TH|FR|SA|SU)")


def parse_stamp(name: str, text: str) -> Stamp:
    """Read `20260526T120000`, with Z for UTC; a date alone is its midnight."""
    found = _STAMP.fullmatch(text.upper())
    try:
        if found is None:
            raise ValueError(text)
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        wall = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a wall time
    except ValueError:
        raise refused(
            f"{text[:40]!r} in {name} is no date-time: write it like 20260526T120000Z"
        ) from None
    if not FIRST_YEAR <= wall.year <= LAST_YEAR:
        raise refused(f"{text!r} in {name} lies outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return Stamp(wall, found[7] == "Z")


def parse_rule_value(text: str) -> RRule:
    if len(text) > MAX_RULE_CHARS:
        raise refused(
            f"has a rule longer than {MAX_RULE_CHARS} characters: make it several schedules"
        )
    parts: dict[str, str] = {}
    for part in text.upper().removesuffix(";").split(";"):
        key, _, value = part.partition("=")
        if key not in _KEYS:
            raise refused(
                f"{part[:40]!r} is not understood: a rule has {', '.join(_KEYS)}{_hint(key)}"
            )
        if key in parts:
            raise refused(f"has {key} twice: leave one")
        parts[key] = value
    if parts.get("FREQ") not in Freq.__members__:
        raise refused(
            f"FREQ={parts.get('FREQ', '')[:20]!s} is none of {', '.join(Freq.__members__)}"
        )
    freq = Freq[parts["FREQ"]]
    if "COUNT" in parts and "UNTIL" in parts:
        raise refused("has COUNT and UNTIL: leave one")
    by = {
        _PARTS[key].field: _parse_by(key, value, freq)
        for key, value in parts.items()
        if key in _PARTS
    }
    weekdays = _parse_weekdays(parts["BYDAY"], freq, parts) if "BYDAY" in parts else ()
    if "BYSETPOS" in parts and not (weekdays or len(by) > 1):
        raise refused("BYSETPOS picks among other BY parts: give one, like BYDAY=MO,TU")
    if len(by.get("positions", ())) > MAX_POSITIONS:
        raise refused(f"BYSETPOS has more than {MAX_POSITIONS} positions: use fewer")
    times = [len(by[part]) for part in ("hours", "minutes", "seconds") if part in by]
    if "BYSETPOS" in parts and prod(times) > MAX_POSITIONED:
        raise refused(f"BYSETPOS picks among more than {MAX_POSITIONED} times of day: give fewer")
    if "WKST" in parts and parts["WKST"] not in WEEKDAYS:
        raise refused(f"WKST={parts['WKST'][:20]} is none of {', '.join(WEEKDAYS)}")
    return RRule(
        freq,
        interval=_parse_count("INTERVAL", parts.get("INTERVAL", "1"), MAX_INTERVAL),
        count=_parse_count("COUNT", parts["COUNT"], MAX_COUNT) if "COUNT" in parts else None,
        until=parse_stamp("UNTIL", parts["UNTIL"]) if "UNTIL" in parts else None,
        week_start=WEEKDAYS.index(parts.get("WKST", "MO")),
        weekdays=weekdays,
        **by,
    )


def _hint(key: str) -> str:
    if key == "DTSTART":
        return "; DTSTART goes on a line of its own"
    return ""


def _parse_count(key: str, text: str, most: int) -> int:
    if not _COUNTED.fullmatch(text) or not 1 <= int(text) <= most:
        raise refused(f"{key}={text[:20]} is out of bounds: use 1 to {most}")
    return int(text)


def _parse_by(key: str, text: str, freq: Freq) -> tuple[int, ...]:
    """The values of a BY part, each once, in order."""
    part = _PARTS[key]
    if freq not in part.freqs:
        raise refused(
            f"{key} has no meaning with FREQ={freq.name} (RFC 5545, 3.3.10): leave it out"
        )
    values = set()
    for item in text.split(","):
        found = _SIGNED.fullmatch(item)
        if (
            found is None
            or (found[1] and not part.signed)
            or not part.low <= int(found[2]) <= part.high
        ):
            backwards = f" or -{part.high} to -{part.low}" if part.signed else ""
            raise refused(
                f"{item[:20]!r} in {key} is out of bounds: use {part.low} to {part.high}{backwards}"
            )
        values.add(int(item))
    return tuple(sorted(values))


def _parse_weekdays(text: str, freq: Freq, parts: dict[str, str]) -> tuple[Weekday, ...]:
    """The values of BYDAY. A mix of plain and numbered days is written out in numbers."""
    most = 0
    if freq is Freq.MONTHLY or (freq is Freq.YEARLY and "BYMONTH" in parts):
        most = 5
    elif freq is Freq.YEARLY and "BYWEEKNO" not in parts:
        most = 53
    days = set()
    for item in text.split(","):
        found = _BYDAY.fullmatch(item)
        if found is None or (found[1] and not found[2]):
            raise refused(
                f"{item[:20]!r} in BYDAY is no day: use {', '.join(WEEKDAYS)}, or like 2MO, -1FR"
            )
        nth = int(found[1] + found[2]) if found[2] else None
        if nth is not None and not 1 <= abs(nth) <= most:
            hint = f"use 1 to {most} or -{most} to -1" if most else f"write {found[3]}"
            raise refused(f"{item!r} in BYDAY cannot be with this FREQ: {hint}")
        days.add(Weekday(WEEKDAYS.index(found[3]), nth or 0))
    # dateutil takes a mix for days that are both, which no day is.
    plain = {one for one in days if not one.nth}
    if plain and len(plain) < len(days):
        days -= plain
        days |= {Weekday(one.day, nth) for one in plain for nth in range(1, most + 1)}
    return tuple(sorted(days))


def refused(message: str) -> InvalidField:
    return InvalidField("rrule", message)

"""The text of an RFC 5545 recurrence set: one RRULE, and DTSTART, TZID, RDATE, EXDATE as wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from timeball.timing.rrule import RRule, Stamp, parse_rule_value, parse_stamp, refused

MAX_CHARS = 8192
MAX_DATES = 366

_LINES = ("DTSTART", "TZID", "RRULE", "RDATE", "EXDATE")
_LINE = re.compile(r"([A-Za-z-]+)((?:;[^:]*)?)[:=](.*)")


@dataclass(frozen=True, slots=True)
class RecurrenceSet:
    """A checked text: the rule, where it starts, and dates added and taken out. `zone` is its TZID."""

    rule: RRule
    start: Stamp | None = None
    zone: str | None = None
    added: tuple[Stamp, ...] = ()
    removed: tuple[Stamp, ...] = ()


@lru_cache(maxsize=1024)
def parse_rrule(text: str) -> RecurrenceSet:
    """Check a recurrence set, lines apart by newlines; raises InvalidField on `rrule`."""
    if len(text) > MAX_CHARS:
        raise refused(f"is longer than {MAX_CHARS} characters: make it several schedules")
    if not text.isascii():
        raise refused(f"{text[:80]!r} has characters outside ASCII: write it like FREQ=DAILY")
    rule: RRule | None = None
    start: Stamp | None = None
    zone: str | None = None
    dates: dict[str, list[Stamp]] = {"RDATE": [], "EXDATE": []}
    unfolded = re.sub(r"\r?\n[ \t]", "", text.strip())  # RFC 5545, 3.1
    for line in re.split(r"\r?\n", unfolded):
        name, params, value = _split_line(line)
        if name == "RRULE":
            if rule is not None:
                raise refused("has two RRULE lines: make it two schedules")
            rule = parse_rule_value(value)
        elif name == "TZID":
            zone = _same_zone(zone, value)
        elif name == "DTSTART":
            if start is not None:
                raise refused("has two DTSTART lines: leave one")
            zone = _same_zone(zone, _zone_of(name, params))
            start = parse_stamp(name, value)
        else:
            zone = _same_zone(zone, _zone_of(name, params))
            dates[name] += [_parse_date(name, one) for one in _split_dates(name, value)]
    if rule is None:
        raise refused(f"{text[:80]!r} has no RRULE: write one like FREQ=DAILY;INTERVAL=2")
    return RecurrenceSet(rule, start, zone, tuple(dates["RDATE"]), tuple(dates["EXDATE"]))


def _split_line(line: str) -> tuple[str, str, str]:
    if ":" not in line and not line.upper().startswith("TZID="):
        return "RRULE", "", line
    found = _LINE.fullmatch(line)
    name = found[1].upper() if found else ""
    if found is None or name not in _LINES:
        raise refused(
            f"{line[:80]!r} is not understood: lines are {', '.join(_LINES)}, and the rule begins"
            " with FREQ="
        )
    return name, found[2], found[3]


def _zone_of(name: str, params: str) -> str | None:
    """The TZID among a line's parameters; VALUE says only what the value shows."""
    zone = None
    for param in params.split(";")[1:]:
        key, _, value = param.partition("=")
        if key.upper() == "TZID":
            zone = value
        elif key.upper() != "VALUE" or value.upper() not in ("DATE", "DATE-TIME"):
            raise refused(
                f"{param[:80]!r} is not understood on {name}: only TZID and VALUE=DATE-TIME are"
            )
    return zone


def _same_zone(known: str | None, found: str | None) -> str | None:
    if known is not None and found is not None and known != found:
        raise refused(f"names two zones, {known[:64]!r} and {found[:64]!r}: use one for all lines")
    return found if known is None else known


def _split_dates(name: str, value: str) -> list[str]:
    parts = value.split(",")
    if len(parts) > MAX_DATES:
        raise refused(f"has more than {MAX_DATES} dates in {name}: make it several schedules")
    return parts


def _parse_date(name: str, text: str) -> Stamp:
    if len(text) == 8:
        raise refused(f"{text!r} in {name} has no time: write it like {text}T090000")
    return parse_stamp(name, text)

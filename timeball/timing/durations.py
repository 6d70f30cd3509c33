"""Delays and instants as callers write them.

On the hot path of the API: one regular expression each, linear in the text, and no more than one
object built.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from timeball.errors import InvalidField

MAX_DELAY = timedelta(days=3650)
MAX_DELAY_CHARS = 32
MAX_INSTANT_CHARS = 40
FIRST_YEAR = 1970
LAST_YEAR = 2200
"""Instants outside these years are refused: zone data says nothing reliable there."""

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
# `m(?!s)` keeps the two readings of "5m..." apart, so that nothing is tried twice.
_SHORT = re.compile(
    rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?"
)
_ISO = re.compile(
    rf"P(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?=[0-9])(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?"
)
_MAX_SECONDS = MAX_DELAY.total_seconds()

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
    r"(?:Z|([+-](?:[01][0-9]|2[0-3]):[0-5][0-9]))?"
)
_LEAP_SECOND = re.compile(r"[0-9-]{10}[Tt ][0-9]{2}:[0-9]{2}:60")
_SPACED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} +[0-9]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_duration(text: str, field: str = "delay") -> timedelta:
    """Read `5s`, `1.5h`, `2h45m`, `1d`, `250ms`, or ISO 8601 (`PT5M`, `P1DT2H`, `P2W`).

    Units run from large to small, each at most once; any number may have decimals. Raises InvalidField
    for anything else, for months and years (they have no one length) and for more than MAX_DELAY.
    """
    if len(text) > MAX_DELAY_CHARS:
        raise InvalidField(field, f"is longer than {MAX_DELAY_CHARS} characters: write it like 90s")
    seconds = _seconds(text)
    if seconds is None:
        raise InvalidField(field, _why_no_duration(text))
    if seconds > _MAX_SECONDS:
        raise InvalidField(
            field, f"{text!r} is too long: the longest is {MAX_DELAY.days} days ({MAX_DELAY.days}d)"
        )
    return timedelta(seconds=seconds)


@lru_cache(maxsize=1024)
def _seconds(text: str) -> float | None:
    """Seconds in a duration, None if it is none. Cached, for callers use few durations, often."""
    weeks = millis = None
    if text and (match := _SHORT.fullmatch(text)):
        days, hours, minutes, seconds, millis = match.groups("0")
    elif len(text) > 1 and (match := _ISO.fullmatch(text)):
        weeks, days, hours, minutes, seconds = match.groups("0")
    else:
        return None
    return (
        float(weeks or 0) * 604800
        + float(days) * 86400
        + float(hours) * 3600
        + float(minutes) * 60
        + float(seconds)
        + float(millis or 0) / 1000
    )


def _why_no_duration(text: str) -> str:
    """Name the likely slip in a text that is no duration."""
    if text.startswith("-"):
        return f"{text!r} is negative: a duration cannot be"
    if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit():
        return f"{text!r} has no unit: write {text}s for seconds"
    if re.match(r"P[0-9.]+[YM]", text):
        return f"{text!r} has months or years, which have no one length: write it in days"
    if text and _SHORT.fullmatch(text.lower()):
        return f"{text!r} has capital units: write {text.lower()!r}"
    return (
        f"{text!r} is not a duration: write numbers with d, h, m, s or ms from large to small, like"
        " 90s, 1.5h or 2h45m, or ISO 8601 like PT5M"
    )


def parse_instant(text: str, field: str = "scheduled_for") -> datetime:
    """Read an RFC 3339 date-time; without an offset it is UTC. The answer is UTC, cut to milliseconds.

    Seconds may be left out, a lower-case `t` or `z` is taken. Raises InvalidField for anything else, and
    for instants outside FIRST_YEAR to LAST_YEAR. Leap seconds (RFC 3339, 5.7) are refused: the zones'
    arithmetic has none.
    """
    if len(text) > MAX_INSTANT_CHARS:
        raise InvalidField(
            field, f"is longer than {MAX_INSTANT_CHARS} characters: write 2026-05-26T12:00:00Z"
        )
    match = _INSTANT.fullmatch(text) or _INSTANT.fullmatch(text.upper())
    if match is None:
        raise InvalidField(field, _why_no_instant(text))
    try:
        instant = datetime.fromisoformat(match[0])
        if match[1]:
            instant = instant.astimezone(UTC)
    except OverflowError:
        raise InvalidField(field, _out_of_years(text)) from None
    except ValueError:
        raise InvalidField(field, _why_no_instant(text)) from None
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise InvalidField(field, _out_of_years(text))
    if rest := instant.microsecond % 1000:
        return instant.replace(microsecond=instant.microsecond - rest, tzinfo=UTC)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _out_of_years(text: str) -> str:
    return f"{text!r} lies outside the years {FIRST_YEAR} to {LAST_YEAR}: choose one within"


def _why_no_instant(text: str) -> str:
    """Name the likely slip in a text that is no instant."""
    if _LEAP_SECOND.match(text):
        return (
            f"{text!r} is a leap second, which no clock here counts: write :59 or the next minute"
        )
    if _SPACED.match(text):
        return f"{text!r} has a space: write T between date and time, as in 2026-05-26T12:00:00Z"
    if _DATE.fullmatch(text):
        return f"{text!r} has no time: write it like {text}T12:00:00Z"
    return f"{text!r} is not a date-time of RFC 3339: write it like 2026-05-26T12:00:00Z"


def format_instant(instant: datetime) -> str:
    """`2026-05-26T12:00:00.000Z`: UTC, always with milliseconds (cut, so never later than it is).

    Raises ValueError for an instant without a zone.
    """
    if instant.tzinfo is not UTC:
        if instant.tzinfo is None:
            raise ValueError(f"an instant needs a zone: {instant!r}")
        instant = instant.astimezone(UTC)
    return instant.replace(tzinfo=None).isoformat("T", "milliseconds") + "Z"

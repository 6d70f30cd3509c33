"""Cron expressions: what they may say, and the wall times they name.

We read the text ourselves, because the libraries take much that lies: `5-5` is every minute to croniter,
`R` changes at each evaluation, a step may have eleven digits. The days of what passes are found by cronsim,
which follows Debian's cron (a day matches by day of month or day of week, but by both when one of the two
begins with a star), and by croniter where there is a `W`. Neither sees a zone: `pace` owns the clocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import NamedTuple

from croniter import CroniterBadDateError, croniter
from cronsim import CronSim, CronSimError

from timeball.errors import InvalidField
from timeball.timing.durations import LAST_YEAR, parse_duration
from timeball.timing.walls import ONE_SECOND, Days, Times, every_day

MAX_CHARS = 255
PROOF_FROM = date(2024, 3, 1)
"""From here every expression must name an instant within 5 years; so a leap day just can (2028)."""
PROOF_SPAN = timedelta(days=5 * 365 + 1)
MIN_EVERY = timedelta(seconds=1)

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class Column(NamedTuple):
    """One of the columns of an expression: its values, their names, and the highest step."""

    noun: str
    low: int
    high: int
    max_step: int
    names: tuple[str, ...] = ()


SECOND = Column("second", 0, 59, 60)
MINUTE = Column("minute", 0, 59, 60)
HOUR = Column("hour", 0, 23, 24)
DAY = Column("day of month", 1, 31, 31)
MONTH = Column("month", 1, 12, 12, MONTHS)
WEEKDAY = Column("day of week", 0, 7, 7, DAYS)
COLUMNS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)

_TERM = re.compile(r"(\*|[0-9A-Z]+)(?:-([0-9A-Z]+))?(?:/([0-9]+))?")
_NEAREST = re.compile(r"(0?[1-9]|[12][0-9]|3[01])W")
_LAST = re.compile(r"([0-9A-Z]+)L")
_NTH = re.compile(r"([0-9A-Z]+)#([0-9]+)")
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S*)\s+(.*)")


@dataclass(frozen=True, slots=True)
class Cron:
    """A checked expression: six columns in plain numbers, or a fixed step for `@every`.

    `zone` is what a `CRON_TZ=` before it named.
    """

    columns: tuple[str, ...]
    every: timedelta | None = None
    zone: str | None = None

    @property
    def times(self) -> Times:
        """The times of day that seconds, minutes and hours name."""
        seconds, minutes, hours = (
            {value for term in text.split(",") for value in _values(term, column)}
            for text, column in zip(self.columns[:3], COLUMNS[:3], strict=True)
        )
        return Times.of(hours, minutes, seconds)

    @property
    def hourly(self) -> bool:
        """Whether it keeps real time: its hours begin with a star, or are all 24. Others keep the wall's."""
        return self.columns[2].startswith("*") or len(self.times.hours) == 24

    @property
    def text(self) -> str:
        """The six columns, seconds first, in numbers."""
        return " ".join(self.columns)


def _values(term: str, column: Column) -> range:
    """The values of a checked term."""
    span, _, step = term.partition("/")
    low, _, high = span.partition("-")
    if span == "*":
        return range(column.low, column.high + 1, int(step or 1))
    return range(int(low), int(high or low) + 1, int(step or 1))


def parse_cron(text: str) -> Cron:
    """Check an expression of 5 columns, or 6 with seconds first; raises InvalidField on `cron`."""
    if len(text) > MAX_CHARS:
        raise InvalidField(
            "cron", f"is longer than {MAX_CHARS} characters: split it into schedules"
        )
    if not text.isascii() or not text.replace("\t", " ").isprintable():
        raise InvalidField(
            "cron",
            f"{text[:80]!r} has characters outside printable ASCII: write it like 0 9 * * 1-5",
        )
    zone, text = (found[1], found[2]) if (found := _ZONE.fullmatch(text)) else (None, text)
    parts = text.split()
    if parts and parts[0].startswith("@"):
        return _parse_macro(parts, zone)
    if len(parts) not in (5, 6):
        raise InvalidField(
            "cron",
            f"{text[:80]!r} has {len(parts)} columns: write 5 (minute, hour, day, month, day of week), or 6"
            " with seconds before them; there is no column for years",
        )
    if len(parts) == 5:
        parts = ["0", *parts]
    columns = tuple(
        ",".join(_parse_term(term, column) for term in part.upper().split(","))
        for part, column in zip(parts, COLUMNS, strict=True)
    )
    cron = Cron(columns, zone=zone)
    if _nearest(cron) and ("," in columns[3] or columns[5] != "*"):
        raise InvalidField(
            "cron", f"{text!r}: W stands alone in its column, and with * for the day of week"
        )
    return cron


def _nearest(cron: Cron) -> bool:
    """Whether the day of month is a nearest weekday, like 15W."""
    return "W" in cron.columns[3].replace("LW", "")


def _parse_macro(parts: list[str], zone: str | None) -> Cron:
    name = parts[0].lower()
    if name == "@every" and len(parts) == 2:
        step = parse_duration(parts[1], "cron")
        if not MIN_EVERY <= step <= PROOF_SPAN:
            raise InvalidField(
                "cron", f"'@every {parts[1]}' is out of bounds: use 1s at least, 5 years at most"
            )
        return Cron((), every=step, zone=zone)
    if name in MACROS and len(parts) == 1:
        return Cron(("0", *MACROS[name].split()), zone=zone)
    raise InvalidField(
        "cron", f"{' '.join(parts)!r} is not known: use {', '.join(MACROS)} or '@every 90s'"
    )


def _parse_term(term: str, column: Column) -> str:
    """Check one term of a comma list and write it in numbers."""
    if term in ("L", "LW") and column is DAY:
        return term
    if column is DAY and (found := _NEAREST.fullmatch(term)):
        return f"{int(found[1])}W"
    if column is WEEKDAY and (found := _LAST.fullmatch(term)):
        return f"{_number(found[1], term, column)}L"
    if column is WEEKDAY and (found := _NTH.fullmatch(term)):
        if found[2] not in ("1", "2", "3", "4", "5"):
            raise _bad(term, column, "# counts from 1 to 5, like 1#2 for the second Monday")
        return f"{_number(found[1], term, column)}#{found[2]}"
    found = _TERM.fullmatch(term)
    if found is None:
        raise _bad(term, column, _why_no_term(term))
    start, end, step = found.groups()
    if step is not None and not (len(step) <= 2 and 1 <= int(step) <= column.max_step):
        raise _bad(term, column, f"a step runs from 1 to {column.max_step}")
    if start == "*":
        if end is not None:
            raise _bad(term, column, "* takes no range")
        return "*" if step in (None, "1", "01") else f"*/{int(step)}"
    low = _number(start, term, column)
    if end is None:
        if step is None:
            return str(low)
        # "5/15" reads from 5 to the end. Of the days of the week 7 is no more than Sunday again.
        high = 6 if column is WEEKDAY else column.high
        return f"{low}-{high}/{int(step)}" if low < high else str(low)
    high = 7 if column is WEEKDAY and end in ("SUN", "7", "07") else _number(end, term, column)
    if low == high:
        raise _bad(term, column, f"a range needs two ends: write {start}")
    if low > high:
        top = 6 if column is WEEKDAY else column.high
        upper = start if low == top else f"{start}-{top}"
        lower = end if high == column.low else f"{column.low}-{end}"
        raise _bad(term, column, f"a range runs upwards: write {upper},{lower}")
    return f"{low}-{high}" if step is None else f"{low}-{high}/{int(step)}"


def _number(word: str, term: str, column: Column) -> int:
    if word in column.names:
        return column.names.index(word) + column.low
    if not (word.isdigit() and len(word) <= 2 and column.low <= int(word) <= column.high):
        names = f" or {column.names[0]} to {column.names[-1]}" if column.names else ""
        raise _bad(term, column, f"values run from {column.low} to {column.high}{names}")
    return int(word)


def _why_no_term(term: str) -> str:
    if term == "":
        return "write no empty terms between commas"
    if "?" in term:
        return "? is not cron's: write * (and mind that 1 is Monday here)"
    if term.startswith(("R", "H")):
        return "random values would change at each reading: write a number"
    return "write *, a value, a range like 1-5 or a step like */15"


def _bad(term: str, column: Column, hint: str) -> InvalidField:
    article = "an" if column is HOUR else "a"
    return InvalidField("cron", f"{term!r} is not {article} {column.noun}: {hint}")


def cron_days(cron: Cron) -> Days:
    """The days of a checked expression. Raises InvalidField on days that no calendar has."""
    if cron.columns[3:] == ("*", "*", "*"):
        return every_day
    text = " ".join(("0", "0", *cron.columns[3:]))
    if _nearest(cron):
        return partial(_days_by_croniter, text)
    try:
        walker = CronSim(text, datetime.combine(PROOF_FROM, time()))
    except CronSimError:
        raise never_fires(cron.text) from None
    return partial(_days_by_cronsim, walker)


def _days_by_cronsim(walker: CronSim, day: date) -> date | None:
    # A copy with another clock, for a walker moves as it answers, and threads share this one.
    fresh = CronSim.__new__(CronSim)
    fresh.__dict__.update(walker.__dict__, dt=datetime.combine(day, time()) - ONE_SECOND)
    try:
        found = next(fresh).date()
    except StopIteration:
        return None
    return found if found.year <= LAST_YEAR else None


def _days_by_croniter(text: str, day: date) -> date | None:
    try:
        found: datetime = croniter(text, datetime.combine(day, time()) - ONE_SECOND).get_next(
            datetime
        )
    except CroniterBadDateError:
        return None
    return found.date() if found.year <= LAST_YEAR else None


def never_fires(text: str) -> InvalidField:
    """The error for an expression without an instant within 5 years."""
    return InvalidField("cron", f"{text!r} never fires: no instant within 5 years matches it")

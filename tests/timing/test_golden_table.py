"""Twelve zones by thirteen expressions, each over a year with clock changes, against brute force.

The oracle shares nothing with the product: it looks at every minute of the year, asks the zone what the wall
shows, and knows each expression only by the predicates written beside it.
"""

# ruff: noqa: DTZ001 - wall times have no zone

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from timeball.timing.rule import parse_rule

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

ZONES = [
    ("UTC", 2028),  # with a leap day
    ("America/New_York", 2026),
    ("Europe/Berlin", 2026),
    ("Europe/Dublin", 2026),  # winter time is the exception there
    ("Australia/Lord_Howe", 2026),  # half an hour
    ("Pacific/Apia", 2011),  # 30 December did not happen
    ("Africa/Casablanca", 2026),  # a clock change around Ramadan
    ("America/Sao_Paulo", 2018),  # gaps at midnight, folds into the day before
    ("America/Havana", 2026),  # midnight twice
    ("America/St_Johns", 2010),  # changes at one minute past midnight
    ("Pacific/Chatham", 2026),  # UTC+12:45
    ("Asia/Kathmandu", 2026),  # UTC+5:45, no changes
]


class Row(NamedTuple):
    """An expression, and what it means: which days, hours and minutes, and whose pace."""

    cron: str
    day: Callable[[date], bool]
    hours: list[int]
    minutes: list[int]
    hourly: bool = False


def any_day(day: date) -> bool:
    return True


def is_last_weekday(day: date) -> bool:
    later = (day + n * DAY for n in range(1, 31 - day.day + 1))
    return day.weekday() < 5 and not any(
        other.month == day.month and other.weekday() < 5 for other in later
    )


def is_nearest_to_15(day: date) -> bool:
    shift = {5: -1, 6: 1}.get(day.replace(day=15).weekday(), 0)
    return day.day == 15 + shift


ROWS = [
    Row("30 2 * * *", any_day, [2], [30]),
    Row("30 1 * * *", any_day, [1], [30]),
    Row("0 0 * * *", any_day, [0], [0]),
    Row("15,45 0-3 * * *", any_day, [0, 1, 2, 3], [15, 45]),
    Row("*/20 2 * * *", any_day, [2], [0, 20, 40]),
    Row("0 * * * *", any_day, list(range(24)), [0], hourly=True),
    Row("*/30 * * * *", any_day, list(range(24)), [0, 30], hourly=True),
    Row("10 */2 * * *", any_day, list(range(0, 24, 2)), [10], hourly=True),
    Row("5 0-23 * * SUN", lambda d: d.weekday() == 6, list(range(24)), [5], hourly=True),
    Row("0 9 * * 1-5", lambda d: d.weekday() < 5, [9], [0]),
    Row("0 12 13 * FRI", lambda d: d.day == 13 or d.weekday() == 4, [12], [0]),
    Row("59 23 LW * *", is_last_weekday, [23], [59]),
    Row("45 1 15W * *", is_nearest_to_15, [1], [45]),
]


class Year(NamedTuple):
    """A year as the wall of a zone shows it, in minutes."""

    walls: list[int]
    """Every wall minute that comes, ascending."""
    first: dict[int, int]
    """Wall minute to the minute of UTC at which it shows first."""
    second: dict[int, int]
    """The same of those that come twice."""


def minute_of(moment: datetime) -> int:
    return moment.toordinal() * 1440 + moment.hour * 60 + moment.minute


@lru_cache(maxsize=1)
def year_of(zone: str, year: int) -> Year:
    info = ZoneInfo(zone)
    first: dict[int, int] = {}
    second: dict[int, int] = {}
    instant = datetime(year, 1, 1, tzinfo=UTC) - 2 * DAY
    begin = minute_of(instant)
    for number in range(begin, begin + 370 * 1440):
        wall = minute_of(instant.astimezone(info))
        if first.setdefault(wall, number) != number:
            second[wall] = number
        instant += MINUTE
    return Year(sorted(first), first, second)


def expected(row: Row, zone: str, year: int) -> list[int]:
    """Minutes of UTC at which the row fires within the year, by looking at all of them."""
    walls, first, second = year_of(zone, year)
    found = set()
    for wall in named(row, year):
        if not row.hourly:
            # In a gap the next wall minute that comes, and of two instants the first.
            found.add(first[walls[bisect_left(walls, wall)]])
        elif wall in first:
            found.update((first[wall], second.get(wall, first[wall])))
    low, high = minute_of(datetime(year, 1, 1)), minute_of(datetime(year + 1, 1, 1))
    return sorted(one for one in found if low < one <= high)


def named(row: Row, year: int) -> Iterator[int]:
    """The wall minutes that the row names, whether they come or not."""
    day = date(year, 1, 1) - DAY
    while day <= date(year + 1, 1, 1):
        if row.day(day):
            for hour in row.hours:
                for minute in row.minutes:
                    yield day.toordinal() * 1440 + hour * 60 + minute
        day += DAY


@pytest.mark.parametrize(("zone", "year"), ZONES)
def test_a_year_of_every_expression_is_as_brute_force_finds_it(zone: str, year: int) -> None:
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    for row in ROWS:
        rule = parse_rule(cron=row.cron, timezone=zone)
        found = [minute_of(one) for one in rule.between(begin, end, 100_000)]
        assert found == expected(row, zone, year), f"{row.cron} in {zone} {year}"

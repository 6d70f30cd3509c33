"""When a project's schedules call: the minutes of the day ahead as a map, the busiest of them by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from flask import Response

from api.dashboard import shown
from api.dashboard.commands import curl
from api.dashboard.desk import Visit, base_url
from timeball.dispatch import schedules as verbs
from timeball.model.visitor import Role

COUNT_SECONDS = 0.25
KEEP_SECONDS = 60.0
BUSIEST = 5
CROWD = 20
"""A minute with so many calls more than the quietest, and three times the usual, is worth a hint."""
SHADES = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """A minute of the day that has calls: its column (minute), row (hour), and shade from 1 to SHADES."""

    x: int
    y: int
    shade: int
    words: str


@dataclass(frozen=True, slots=True)
class Peak:
    """A busy minute, as `13:00`."""

    at: str
    calls: int


@dataclass(frozen=True, slots=True)
class Map:
    """The day ahead. `floor` calls are in every minute, and shades tell what comes on top of them.

    `counted` of `schedules` were counted; `crowded` says that a window would help.
    """

    cells: list[Cell]
    busiest: list[Peak]
    begin: datetime
    calls: int
    floor: int
    counted: int
    schedules: int
    crowded: bool


def draw(calls: Counter[int], begin: datetime, counted: int, schedules: int) -> Map:
    """The map of calls by minute of the day."""
    floor = min(calls.values(), default=0) if len(calls) == 1440 else 0
    top = max(calls.values(), default=0) - floor
    cells = [
        Cell(
            minute % 60,
            minute // 60,
            shade(n - floor, top),
            f"{_at(minute)} UTC: {shown.many(n, 'call')}",
        )
        for minute, n in sorted(calls.items())
    ]
    busiest = [Peak(_at(minute), n) for minute, n in calls.most_common(BUSIEST)]
    usual = calls.total() / 1440 - floor
    crowded = top >= CROWD and top > 3 * usual
    return Map(cells, busiest, begin, calls.total(), floor, counted, schedules, crowded)


def shade(n: int, top: int) -> int:
    """The shade of a minute beside the busiest: each is half as busy as the one above."""
    level = SHADES if n else 1
    while level > 1 and n * 2 ** (SHADES - level + 1) <= top:
        level -= 1
    return level


def _at(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def load(visit: Visit) -> Response:
    """The page; what it counts is kept for a minute."""

    def make() -> Map:
        found, schedules = verbs.load(visit.house, visit.project.id, COUNT_SECONDS)
        return draw(found.calls, found.begin, found.schedules, schedules)

    drawn = visit.desk.cache.get(("load", visit.project.id), KEEP_SECONDS, make)
    hourly = {"request": {"url": visit.receiver("/hourly")}, "cron": "0 * * * *", "name": "hourly"}
    command_text = curl(base_url(visit.desk), "schedules", hourly)
    return visit.page("schedules_load.html", map=drawn, command_text=command_text)


ROUTES = (("GET", "/schedules/load", "schedules_load", load, Role.VIEWER),)

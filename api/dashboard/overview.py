"""The first page: how the project stands and how it went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from flask import Response, request

from api.dashboard import charts, shown
from api.dashboard.charts import Ahead, Percentile, Throughput
from api.dashboard.desk import Visit, base_url
from api.dashboard.first_steps import Step, steps
from timeball.dispatch.findings import SILENT_AFTER_SECONDS
from timeball.model.task import State
from timeball.model.visitor import Role
from timeball.store import figures, roll
from timeball.store.figures import Standing, Unit
from timeball.store.roll import Entry

LIVE_SECONDS = 1.0
"""So old the numbers may be; all viewers share them."""

PERIODS = {"1h": (Unit.MINUTE, 60), "24h": (Unit.HOUR, 24), "7d": (Unit.HOUR, 168)}
GOING_ON = 2
"""Units of a series that may still change: the last one, and the one before for counts that come late."""
OVER_SECONDS = 70.0
OUTLOOK_SECONDS = 10.0
LATE = timedelta(seconds=30)
"""A task that has been due for longer is worth a colour."""


@dataclass(frozen=True, slots=True)
class Card:
    """A number, what it counts, and where it leads."""

    name: str
    value: str
    counts: str
    kind: str
    link: str


@dataclass(frozen=True, slots=True)
class Live:
    """All that changes on the page."""

    standing: Standing
    cards: list[Card]
    chart: Throughput
    period: str
    total: Counter[str]
    success: str
    why: list[tuple[str, int]]
    durations: list[Percentile]
    lateness: list[Percentile]
    outlook: Ahead
    crew: list[Entry]
    steps: list[Step]
    silent_after: float = SILENT_AFTER_SECONDS


def overview(visit: Visit) -> Response:
    """The whole page."""
    return visit.page("overview.html", live=_live(visit))


def live(visit: Visit) -> Response:
    """Only what changes, for the script that renews it: one text for all viewers."""
    _, period, _ = _what(visit)
    return visit.live("live.html", period, LIVE_SECONDS, lambda: {"live": _live(visit)})


def _what(visit: Visit) -> tuple[str, str, str]:
    """What a viewer asks for: project, period, and the address in commands."""
    period = request.args.get("period", "1h")
    return visit.project.id, period if period in PERIODS else "1h", base_url(visit.desk)


def _live(visit: Visit) -> Live:
    project, period, base = _what(visit)
    return visit.desk.cache.get(
        ("live", project, period, base), LIVE_SECONDS, lambda: _read(visit, period, base)
    )


def _series(visit: Visit, now_ms: float, period: str) -> list[Counter[str]]:
    """What was counted, unit by unit. Those that are over change no more, and are read once."""
    unit, count = PERIODS[period]
    client, project, cache = visit.house.client, visit.project.id, visit.desk.cache

    def read(until_ms: float, units: int) -> list[Counter[str]]:
        return figures.series(client, visit.prefix, project, unit, until_ms, units)

    number = int(now_ms // unit.milliseconds)
    before_ms = now_ms - GOING_ON * unit.milliseconds
    over = cache.get(
        ("over", project, unit, count, number),
        OVER_SECONDS,
        lambda: read(before_ms, count - GOING_ON),
    )
    going_on = cache.get(("going on", project, unit), LIVE_SECONDS, lambda: read(now_ms, GOING_ON))
    return over + going_on


def _read(visit: Visit, period: str, base: str) -> Live:
    client, prefix, project = visit.house.client, visit.prefix, visit.project.id
    standing = figures.standing(client, prefix, project)
    now_ms = standing.now.timestamp() * 1000
    minutes, counts = _series(visit, now_ms, "1h"), _series(visit, now_ms, period)
    outlook = visit.desk.cache.get(
        ("outlook", project),
        OUTLOOK_SECONDS,
        lambda: figures.outlook(client, prefix, project, timedelta(minutes=1), 60),
    )
    hour = sum(minutes, Counter[str]())
    total = sum(counts, Counter[str]())
    return Live(
        standing=standing,
        cards=_cards(standing, hour, _a_second(minutes, now_ms)),
        chart=charts.throughput(counts, PERIODS[period][0], standing.now),
        period=period,
        total=total,
        success=success(total),
        why=_why(total),
        durations=charts.percentiles(counts, "d"),
        lateness=charts.percentiles(counts, "l"),
        outlook=charts.outlook(outlook),
        crew=roll.roll(client),
        steps=steps(visit, standing, hour, base),
    )


def _a_second(minutes: list[Counter[str]], now_ms: float) -> float:
    """Attempts that ended a second, over the last 60 seconds: of the minute before its share."""
    before, this = (charts.ended(one) for one in minutes[-2:])
    return (this + before * (1 - now_ms % 60_000 / 60_000)) / 60


def success(total: Counter[str]) -> str:
    """The share of attempts that succeeded; never rounded up to all."""
    ended = charts.ended(total)
    if not ended:
        return "–"
    return f"{total['succeeded'] * 1000 // ended / 10:g} %"


def _why(total: Counter[str]) -> list[tuple[str, int]]:
    """How the attempts ended that did not succeed, the most frequent first."""
    found = [
        (_ending(name.removeprefix("o:")), n) for name, n in total.items() if name.startswith("o:")
    ]
    return sorted(found, key=lambda it: (-it[1], it[0]))


def _ending(name: str) -> str:
    """The name of a counter for people: `answered5` is `answered 5xx`."""
    hundreds = name.removeprefix("answered")
    return f"answered {hundreds}xx" if hundreds.isdigit() else name.replace("_", " ")


def _cards(now: Standing, hour: Counter[str], a_second: float) -> list[Card]:
    least = "at least: " if now.capped else ""
    tasks, dead = "/dashboard/tasks?status=", now.ended[State.DEAD]
    failed, late = hour["retried"] + hour["dead"], now.overdue
    count = shown.count
    return [
        Card(
            "Waiting",
            count(now.waiting),
            least + "tasks whose next attempt lies ahead or is due",
            "",
            tasks + "queued",
        ),
        Card(
            "Due now",
            count(now.due),
            least + "of those, how many could be called at once",
            "warn" if now.due else "",
            tasks + "queued",
        ),
        Card(
            "Oldest",
            shown.span(shown.coarse(late.total_seconds())) if now.due else "–",
            "how long the first of those has been due, in a paused queue too",
            "warn" if late > LATE else "",
            tasks + "queued",
        ),
        Card(
            "In flight",
            count(now.in_flight),
            "calls that workers are making",
            "",
            tasks + "working",
        ),
        Card(
            "Calls a second",
            count(round(a_second)) if a_second >= 10 else f"{a_second:.2g}",
            "attempts that ended, over the last 60 seconds",
            "",
            tasks + "working",
        ),
        Card(
            "Succeeded",
            count(hour["succeeded"]),
            "attempts answered 2xx in the last 60 minutes"
            + (f", {success(hour)}" if charts.ended(hour) else ""),
            "good" if hour["succeeded"] else "",
            tasks + "success",
        ),
        Card(
            "Failed",
            count(failed),
            "attempts that failed in the last 60 minutes, to be retried or not",
            "warn" if failed else "",
            tasks + "queued",
        ),
        Card(
            "Dead",
            count(dead),
            "tasks out of attempts that wait for a person",
            "bad" if dead else "",
            "/dashboard/dead",
        ),
    ]


ROUTES = (
    ("GET", "", "overview", overview, Role.VIEWER),
    ("GET", "/live", "live", live, Role.VIEWER),
)

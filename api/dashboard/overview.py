"""The first page: how the project stands and how it went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from flask import Response, render_template, request

from api.dashboard import charts, shown
from api.dashboard.charts import Percentile, Throughput
from api.dashboard.commands import curl
from api.dashboard.desk import Visit, base_url
from api.health import SILENT_AFTER_SECONDS
from timeball.model.task import State
from timeball.model.visitor import Role
from timeball.store import codec, figures, roll
from timeball.store.figures import Standing, Unit
from timeball.store.roll import Entry

LIVE_SECONDS = 1.0
"""So old the numbers may be; all viewers share them."""

PERIODS = {"1h": (Unit.MINUTE, 60), "24h": (Unit.HOUR, 24), "7d": (Unit.HOUR, 168)}
PERIOD_SECONDS = {"1h": 1.0, "24h": 10.0, "7d": 30.0}
"""How old a chart may be."""


@dataclass(frozen=True, slots=True)
class Card:
    """A number, what it counts, and where it leads."""

    name: str
    value: int
    counts: str
    kind: str
    link: str


@dataclass(frozen=True, slots=True)
class Step:
    """A first step, with the command that makes it."""

    name: str
    why: str
    command: str
    done: bool


@dataclass(frozen=True, slots=True)
class Live:
    """All that changes on the page."""

    standing: Standing
    cards: list[Card]
    chart: Throughput
    period: str
    total: Counter[str]
    durations: list[Percentile]
    lateness: list[Percentile]
    crew: list[Entry]
    steps: list[Step]
    silent_after: float = SILENT_AFTER_SECONDS


def overview(visit: Visit) -> Response:
    """The whole page."""
    return visit.page("overview.html", live=_live(visit))


def live(visit: Visit) -> Response:
    """Only what changes, for the script that renews it: one text for all viewers."""
    key = ("live text", *_what(visit))
    text = visit.desk.cache.get(
        key,
        LIVE_SECONDS,
        lambda: render_template("live.html", visit=visit, live=_live(visit), shown=shown),
    )
    return Response(text, content_type="text/html; charset=utf-8")


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
    unit, count = PERIODS[period]
    client, project = visit.house.client, visit.project.id
    return visit.desk.cache.get(
        ("series", project, period),
        PERIOD_SECONDS[period],
        lambda: figures.series(client, visit.prefix, project, unit, now_ms, count),
    )


def _read(visit: Visit, period: str, base: str) -> Live:
    client, project, now_ms = visit.house.client, visit.project.id, visit.now_ms()
    standing = figures.standing(client, visit.prefix, project, now_ms)
    hour = sum(_series(visit, now_ms, "1h"), Counter[str]())
    counts = _series(visit, now_ms, period)
    total = sum(counts, Counter[str]())
    return Live(
        standing=standing,
        cards=_cards(standing, hour),
        chart=charts.throughput(counts, PERIODS[period][0], codec.from_ms(now_ms)),
        period=period,
        total=total,
        durations=charts.percentiles(counts, "d"),
        lateness=charts.percentiles(counts, "l"),
        crew=roll.roll(client),
        steps=_steps(visit, standing, hour, base),
    )


def _cards(now: Standing, hour: Counter[str]) -> list[Card]:
    least = "at least: " if now.capped else ""
    tasks, dead = "/dashboard/tasks?status=", now.ended[State.DEAD]
    failed = hour["retried"] + hour["dead"]
    return [
        Card(
            "Waiting",
            now.waiting,
            least + "tasks whose next attempt lies ahead or is due",
            "",
            tasks + "queued",
        ),
        Card(
            "Due now",
            now.due,
            least + "of those, how many could be called at once",
            "warn" if now.due else "",
            tasks + "queued",
        ),
        Card("In flight", now.in_flight, "calls that workers are making", "", tasks + "working"),
        Card(
            "Succeeded",
            hour["succeeded"],
            "attempts answered 2xx in the last 60 minutes",
            "good",
            tasks + "success",
        ),
        Card(
            "Failed",
            failed,
            "attempts that failed in the last 60 minutes, to be retried or not",
            "warn" if failed else "",
            tasks + "queued",
        ),
        Card(
            "Dead",
            dead,
            "tasks out of attempts that wait for a person",
            "bad" if dead else "",
            "/dashboard/dead",
        ),
    ]


def _steps(visit: Visit, now: Standing, hour: Counter[str], base: str) -> list[Step]:
    """The steps of a first visit, until all are done."""
    ended = sum(now.ended.values())
    seen = {
        "send": now.queues > 0 or ended > 0,
        "break": hour["retried"] + hour["dead"] > 0,
        "schedule": now.schedules > 0,
    }
    done = figures.steps_done(
        visit.house.client, visit.prefix, visit.project.id, [n for n, d in seen.items() if d]
    )
    if done >= seen.keys():
        return []
    inbox = visit.house.settings.inbox_url or "https://example.com"
    hello = {"request": {"url": f"{inbox}/hello", "body": "Hello from Timeball"}}
    broken = {
        "request": {"url": f"{inbox}/flaky?status=500&times=2"},
        "retry": {"min_backoff": "2s"},
    }
    each = {"request": {"url": f"{inbox}/tick"}, "cron": "* * * * *", "name": "tick"}
    return [
        Step(
            "Send a task",
            "Its call arrives in the inbox within a second.",
            curl(base, "tasks", hello),
            "send" in done,
        ),
        Step(
            "Break the inbox",
            "It answers 500 twice: watch the retries.",
            curl(base, "tasks", broken),
            "break" in done,
        ),
        Step(
            "Make a schedule",
            "One call a minute, until you delete it.",
            curl(base, "schedules", each),
            "schedule" in done,
        ),
    ]


ROUTES = (
    ("GET", "", "overview", overview, Role.VIEWER),
    ("GET", "/live", "live", live, Role.VIEWER),
)

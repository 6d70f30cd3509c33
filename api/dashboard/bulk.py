"""Bulks on the dashboard: how many tasks a verb would meet, the start, and the progress that renews itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Response, request, url_for
from werkzeug.datastructures import MultiDict

from api.dashboard import charts, shown
from api.dashboard.desk import Visit
from api.mergent import bulk as rules
from api.mergent import lists
from api.mergent.errors import Rejected
from timeball.dispatch import bulk as verbs
from timeball.dispatch import intake
from timeball.errors import InvalidField
from timeball.model.bulk import Action, Bulk, BulkState
from timeball.model.visitor import Role
from timeball.store import codec
from timeball.store.lists import Filter

FILTERS = ("status", "queue", "tag", "name", "url", "host", "created_after", "created_before")
"""The filters of the list, by their names in its URL."""
SAMPLE = 8
LIVE_SECONDS = 0.5
COUNT_SECONDS = 0.05
"""How long a page looks for a count that no index gives."""

WORDS = {
    Action.CANCEL: "Cancel",
    Action.RUN: "Run",
    Action.REDRIVE: "Redrive",
    Action.DELETE: "Delete",
}
DOES = {
    Action.CANCEL: "Waiting tasks are taken back; those in flight or ended are left as they are.",
    Action.RUN: "Each becomes due now, whatever its time was; what ended begins its retries afresh.",
    Action.REDRIVE: "Dead tasks become due now and begin their retries afresh.",
    Action.DELETE: "They and their attempts are forgotten for good; a call in flight goes on.",
}


def asked_for() -> dict[str, str]:
    """The filters of the request's query or form, as they were typed."""
    sent = request.form if request.method == "POST" else request.args
    typed = {name: sent.get(name, "").strip() for name in FILTERS}
    return {name: value for name, value in typed.items() if value}


def filter_of(given: dict[str, str]) -> Filter:
    """The filter that was typed. Raises InvalidField."""
    try:
        return lists.read(MultiDict(given)).filter
    except Rejected as wrong:
        raise InvalidField(wrong.faults[0].param, wrong.faults[0].sentence) from None


def in_words(wanted: Filter | None) -> list[tuple[str, str]]:
    """A filter as names and values for people."""
    if wanted is None:
        return []
    names = {
        "status": "state",
        "url": "URL begins with",
        "created_after": "made after",
        "created_before": "made before",
    }
    given = lists.dump_filter(wanted)
    if wanted.state is not None:
        given["status"] = shown.STATE_WORDS[wanted.state]
    return [(names.get(name, name.replace("_", " ")), value) for name, value in given.items()]


def new(visit: Visit) -> Response:
    """What a verb over a filter would meet: a count, some of them, and the question."""
    action, given = rules.action(request.args.get("verb", "")), asked_for()
    wanted = verbs.meant(action, filter_of(given))
    count = verbs.count(visit.house, visit.project.id, action, wanted, COUNT_SECONDS)
    page = intake.find(visit.house, visit.project.id, wanted, SAMPLE, None)
    return visit.page(
        "bulk_new.html",
        action=action,
        word=WORDS[action],
        does=DOES[action],
        given=given,
        words=in_words(wanted),
        count=count,
        sample=page.tasks,
        back=url_for("dashboard.tasks") + ("?" + urlencode(given) if given else ""),
        now=codec.from_ms(visit.now_ms()),
    )


def begin(visit: Visit) -> Response:
    """Begin a bulk over a filter."""
    action, given = rules.action(request.form.get("verb", "")), asked_for()
    if action is Action.DELETE and request.form.get("sure", "").strip() != "delete":
        again = url_for("dashboard.new_bulk") + "?" + urlencode({"verb": action, **given})
        return visit.go(again, "Nothing was deleted: type delete to confirm.", False)
    name, rate = visit.session.visitor.name, typed_rate()
    wanted = filter_of(given)
    made = verbs.begin(visit.house, visit.project.id, action, name, wanted=wanted, rate=rate)
    what = ", ".join(f"{name} {value}" for name, value in in_words(verbs.meant(action, wanted)))
    return started(visit, made, what or "all tasks")


def typed_rate() -> float | None:
    """The rate of a form; None when it was left empty. Raises InvalidField."""
    text = request.form.get("rate", "").strip().replace(",", ".")
    if not text:
        return None
    try:
        return rules.rate(float(text))
    except ValueError:
        raise InvalidField("rate", "rate must be a number of tasks a second, or empty") from None


def started(visit: Visit, made: Bulk, what: str) -> Response:
    """Write a bulk into the audit log, and lead to its page."""
    visit.wrote(
        f"bulk {made.action}", made.id, before=what, after=shown.many(made.total.count, "task")
    )
    return visit.go(url_for("dashboard.bulk_page", bulk_id=made.id))


@dataclass(frozen=True, slots=True)
class Progress:
    """A bulk as its page shows it."""

    it: Bulk
    word: str
    bars: list[charts.Bar]
    left: timedelta | None


def progress(found: Bulk, now_ms: float) -> Progress:
    """How far a bulk came, as a picture; and how long it will still take, at the pace it had."""
    met = found.done + found.refused
    whole = max(met, 1 if found.state is BulkState.DONE else found.total.count, 1)
    bars, x = [], 0.0
    for n, kind, what in ((found.done, "good", "changed"), (found.refused, "warn", "refused")):
        width = charts.WIDTH * n / whole
        if n:
            bars.append(charts.Bar(round(x, 2), 0, round(width, 2), 100, kind, f"{n} {what}"))
        x += width
    left = None
    spent = now_ms - codec.to_ms(found.created_at)
    if found.state is BulkState.RUNNING and met and spent > 1000:
        left = timedelta(milliseconds=max(0, whole - met) * spent / met)
    return Progress(found, WORDS[found.action], bars, left)


def _facts(visit: Visit, bulk_id: str) -> dict[str, Any]:
    now_ms = visit.now_ms()
    found = verbs.get(visit.house, visit.project.id, bulk_id)
    wanted = verbs.filter_of(visit.house, visit.project.id, bulk_id)
    return {
        "one": progress(found, now_ms),
        "words": in_words(wanted),
        "now": codec.from_ms(now_ms),
        "goes_on": found.ended_at is None,
    }


def page(visit: Visit, bulk_id: str) -> Response:
    """One bulk."""
    return visit.page("bulk.html", **_facts(visit, bulk_id))


def live(visit: Visit, bulk_id: str) -> Response:
    """Only what changes of a bulk's page."""
    return visit.live("bulk_live.html", bulk_id, LIVE_SECONDS, lambda: _facts(visit, bulk_id))


def stop(visit: Visit, bulk_id: str) -> Response:
    """Stop a bulk."""
    found = verbs.stop(visit.house, visit.project.id, bulk_id)
    visit.wrote("stop bulk", bulk_id, after=f"{found.done} done")
    stopped = found.state is BulkState.STOPPED
    told = "Stopped: what was done stays done." if stopped else "It had ended already."
    return visit.go(url_for("dashboard.bulk_page", bulk_id=bulk_id), told, stopped)


def bulks(visit: Visit) -> Response:
    """The project's last bulks."""
    now_ms = visit.now_ms()
    found = verbs.newest(visit.house, visit.project.id)
    return visit.page(
        "bulks.html", rows=[progress(b, now_ms) for b in found], now=codec.from_ms(now_ms)
    )


ROUTES = (
    ("GET", "/bulk", "bulks", bulks, Role.VIEWER),
    ("POST", "/bulk", "begin_bulk", begin, Role.OPERATOR),
    ("GET", "/bulk/new", "new_bulk", new, Role.OPERATOR),
    ("GET", "/bulk/<bulk_id>", "bulk_page", page, Role.VIEWER),
    ("GET", "/bulk/<bulk_id>/live", "bulk_live", live, Role.VIEWER),
    ("POST", "/bulk/<bulk_id>/stop", "stop_bulk", stop, Role.OPERATOR),
)

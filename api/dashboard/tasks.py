"""Tasks: the list, one task, a new one, and what may be done with them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Response, request, url_for
from werkzeug.datastructures import MultiDict

from api.dashboard import charts, shown
from api.dashboard.bulk import FILTERS, asked_for
from api.dashboard.commands import commands, curl
from api.dashboard.desk import Visit, base_url
from api.dashboard.forms import TOLD, Form
from api.mergent import lists
from api.mergent.dump import STATES, effective_retry, is_secret
from api.mergent.errors import Rejected
from timeball.dispatch import explain, intake
from timeball.dispatch.house import House
from timeball.errors import Conflict, InvalidField, NotFound
from timeball.ids import id_bytes
from timeball.model.attempt import Attempt
from timeball.model.task import State, Task
from timeball.model.visitor import Role
from timeball.store import codec, figures

PAGE = 50
MOST_AT_ONCE = 500
LIVE_SECONDS = 0.5
STANDING_SECONDS = 1.0


def tasks(visit: Visit) -> Response:
    """A page of the list, as its filters in the URL say."""
    given = asked_for()
    if at := request.args.get("cursor", ""):
        given["cursor"] = at
    form, found, cursor = Form({name: given.get(name, "") for name in FILTERS}), [], None
    project = visit.project.id
    try:
        wanted = lists.read(MultiDict({**given, "limit": str(PAGE)}))
        signer, position = visit.desk.door.signer, None
        if wanted.cursor is not None:
            position = signer.open(wanted.cursor, project, wanted.purpose)
        page = intake.find(visit.house, project, wanted.filter, wanted.limit, position)
        found = page.tasks
        if page.cursor is not None:
            cursor = signer.sign(page.cursor, project, wanted.purpose)
    except (Rejected, InvalidField) as error:
        form.reject(error)
    only = {name: value for name, value in given.items() if name != "cursor"}
    return visit.page(
        "tasks.html",
        rows=found,
        form=form,
        filtered=bool(only),
        given=only,
        states=[(word, shown.STATE_WORDS[state]) for word, state in STATES.items()],
        tabs=_tabs(visit, {k: v for k, v in only.items() if k != "status"}),
        next_url=url_for("dashboard.tasks") + "?" + urlencode({**only, "cursor": cursor})
        if cursor
        else None,
        first_url=url_for("dashboard.tasks") + "?" + urlencode(only) if "cursor" in given else None,
        now=codec.from_ms(visit.now_ms()),
        command_text=curl(
            base_url(visit.desk), "tasks", {"request": {"url": "https://example.com/hello"}}
        ),
    )


def _tabs(visit: Visit, given: dict[str, str]) -> list[tuple[str, str, int | None, str]]:
    """Each state as it stands in a URL, in words, with its tasks where no filter is given, and where it leads."""
    now = visit.desk.cache.get(
        ("standing", visit.project.id),
        STANDING_SECONDS,
        lambda: figures.standing(visit.house.client, visit.prefix, visit.project.id),
    )
    counts = {**now.ended, State.SCHEDULED: now.waiting, State.RUNNING: now.in_flight}
    where, list_url = {"": None, **STATES}, url_for("dashboard.tasks")
    out = []
    for word, state in where.items():
        query = urlencode({**given, **({"status": word} if word else {})})
        out.append(
            (
                word,
                "all" if state is None else shown.STATE_WORDS[state],
                (sum(counts.values()) if state is None else counts[state]) if not given else None,
                f"{list_url}?{query}" if query else list_url,
            )
        )
    return out


def bulk(visit: Visit) -> Response:
    """Run, cancel or delete the chosen tasks."""
    verb = request.form.get("verb", "")
    ids = [i for i in map(id_bytes, request.form.getlist("id")[:MOST_AT_ONCE]) if i is not None]
    if verb not in VERBS:
        raise InvalidField("verb", "choose run, cancel or delete")
    done, refused = 0, 0
    for task_id in ids:
        try:
            VERBS[verb](visit.house, visit.project.id, task_id)
            done += 1
        except (Conflict, NotFound):
            refused += 1
    back = urlencode(parse_qsl(request.form.get("back", "")))
    url = url_for("dashboard.tasks") + (f"?{back}" if back else "")
    if not ids:
        return visit.go(url, "No task was chosen: tick the boxes before the rows.", False)
    visit.wrote(f"{verb} tasks", f"{len(ids)} chosen", after=f"{done} done, {refused} refused")
    told = f"{_PAST[verb]} {done} of {len(ids)}."
    return visit.go(
        url, told + (" The state of the others forbids it." if refused else ""), not refused
    )


def act(visit: Visit, task_id: str, verb: str) -> Response:
    """Run, cancel or delete one task."""
    raw = task_id_of(task_id)
    if verb not in VERBS:
        raise NotFound("there is no such verb")
    before = intake.get(visit.house, visit.project.id, raw)
    VERBS[verb](visit.house, visit.project.id, raw)
    visit.wrote(f"{verb} task", task_id, before=before.state)
    if verb == "delete":
        return visit.go(url_for("dashboard.tasks"), f"{_PAST[verb]} {shown.title(before)}.")
    return visit.go(url_for("dashboard.task", task_id=task_id), f"{_PAST[verb]}.")


VERBS: dict[str, Callable[[House, str, bytes], object]] = {
    "run": intake.run,
    "cancel": intake.cancel,
    "delete": intake.delete,
}
_PAST = {"run": "Made due now", "cancel": "Cancelled", "delete": "Deleted"}


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt as its task's page shows it."""

    it: Attempt
    outcome: str
    good: bool
    parts: list[charts.Part]
    headers: list[tuple[str, str]]
    body: str


def task(visit: Visit, task_id: str) -> Response:
    """One task: its facts, its life, its attempts."""
    return visit.page("task.html", **_facts(visit, task_id))


def task_live(visit: Visit, task_id: str) -> Response:
    """Only what changes of a task's page."""
    return visit.live("task_live.html", task_id, LIVE_SECONDS, lambda: _facts(visit, task_id))


def _facts(visit: Visit, task_id: str) -> dict[str, Any]:
    house, project = visit.house, visit.project
    found = intake.get(house, project.id, task_id_of(task_id))
    log = intake.attempts(house, project.id, found.id)
    now = codec.from_ms(visit.now_ms())
    dumper = visit.desk.dumper
    return {
        "it": found,
        "id": task_id,
        "state": shown.state(found),
        "attempts": [_try(attempt) for attempt in reversed(log)],
        "timeline": charts.timeline(found, log, now),
        "retry": effective_retry(found, project.retries),
        "headers": [
            (name, dumper.hidden(value) if is_secret(name) else value)
            for name, value in found.request.headers
        ],
        "now": now,
        "why": explain.explain(house, project.id, found.id),
        "waits": found.state in (State.SCHEDULED, State.RUNNING),
        "again": commands(base_url(visit.desk), "tasks", as_sent(visit, found)),
        "direct": _direct(visit, found),
    }


def _try(attempt: Attempt) -> Try:
    return Try(
        attempt,
        charts.outcome(attempt),
        attempt.status is not None and 200 <= attempt.status < 300,
        charts.split(attempt.timing),
        [(n, "hidden" if is_secret(n) else v) for n, v in attempt.headers],
        shown.body(attempt.body, attempt.body_cut),
    )


AS_SENT = {
    **{"name": None, "queue": "default", "priority": "normal"},
    **dict.fromkeys(("concurrency_key", "ordering_key", *TOLD)),
}
"""Fields that a caller sends unless they are as they would be without."""


def as_sent(visit: Visit, found: Task) -> dict[str, Any]:
    """What a caller would send to make a task like this one."""
    dumped = visit.desk.dumper.task(found, visit.project.retries)
    sent = {
        k: v
        for k, v in dumped["request"].items()
        if v not in (None, {}) and (k, v) != ("method", "POST")
    }
    out: dict[str, Any] = {"request": sent}
    for name, unset in AS_SENT.items():
        if dumped[name] != unset:
            out[name] = dumped[name]
    if found.tags:
        out["tags"] = list(found.tags)
    if found.timeout is not None:
        out["timeout"] = dumped["timeout"]
    if found.retry is not None and "waits" not in dumped["retry"]:
        out["retry"] = {k: v for k, v in dumped["retry"].items() if v is not None}
    return out


def _direct(visit: Visit, found: Task) -> str:
    """The call itself, unsigned."""
    parts = ["curl", "-X", found.request.method.value, found.request.url]
    for name, value in found.request.headers:
        parts += ["-H", f"{name}: {visit.desk.dumper.hidden(value) if is_secret(name) else value}"]
    if found.request.body:
        parts += ["--data-binary", found.request.body.decode(errors="replace")]
    return " ".join(map(shlex.quote, parts))


def task_id_of(text: str) -> bytes:
    """The id that a path names. Raises NotFound."""
    found = id_bytes(text)
    if found is None:
        raise NotFound("there is no such task")
    return found


ROUTES = (
    ("GET", "/tasks", "tasks", tasks, Role.VIEWER),
    ("POST", "/tasks", "bulk", bulk, Role.OPERATOR),
    ("GET", "/tasks/<task_id>", "task", task, Role.VIEWER),
    ("GET", "/tasks/<task_id>/live", "task_live", task_live, Role.VIEWER),
    ("POST", "/tasks/<task_id>/<verb>", "act", act, Role.OPERATOR),
)

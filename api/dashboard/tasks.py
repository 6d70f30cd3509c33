"""Tasks: the list, one task, a new one, and what may be done with them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Response, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from api.dashboard import charts, forms, shown
from api.dashboard.desk import Visit, base_url
from api.dashboard.forms import Form
from api.dashboard.overview import curl
from api.mergent import lists
from api.mergent.dump import STATES, effective_retry, is_secret
from api.mergent.errors import Rejected
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.errors import Conflict, InvalidField, NotFound
from timeball.ids import id_bytes, id_text
from timeball.model.attempt import Attempt
from timeball.model.retry import RetryPolicy
from timeball.model.task import BodyKind, Draft, Method, State, Task
from timeball.model.visitor import Role
from timeball.store import codec
from timeball.store.tasks import Taken

PAGE = 50
MOST_AT_ONCE = 500
FILTERS = ("status", "queue", "tag", "name", "url", "created_after", "created_before")
FIELDS = (
    "request.url",
    "request.method",
    "request.headers",
    "request.body",
    "name",
    "queue",
    "tags",
    "delay",
    "scheduled_for",
    "timeout",
    "retry.max_attempts",
    "retry.min_backoff",
    "retry.max_backoff",
    "retry.max_doublings",
    "retry.jitter",
    "retry.max_age",
)


def tasks(visit: Visit) -> Response:
    """A page of the list, as its filters in the URL say."""
    asked = {n: request.args.get(n, "").strip() for n in (*FILTERS, "cursor")}
    given = {name: value for name, value in asked.items() if value}
    form, found, cursor = Form({name: asked[name] for name in FILTERS}), [], None
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
        states=[(word, shown.STATE_WORDS[state]) for word, state in STATES.items()],
        next_url=url_for("dashboard.tasks") + "?" + urlencode({**only, "cursor": cursor})
        if cursor
        else None,
        first_url=url_for("dashboard.tasks") + "?" + urlencode(only) if "cursor" in given else None,
        now=codec.from_ms(visit.now_ms()),
        command_text=curl(
            base_url(visit.desk), "tasks", {"request": {"url": "https://example.com/hello"}}
        ),
    )


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
    raw = _id(task_id)
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
    text = render_template("task_live.html", visit=visit, shown=shown, **_facts(visit, task_id))
    return Response(text, content_type="text/html; charset=utf-8")


def _facts(visit: Visit, task_id: str) -> dict[str, Any]:
    house, project = visit.house, visit.project
    found = intake.get(house, project.id, _id(task_id))
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
        "waits": found.state in (State.SCHEDULED, State.RUNNING),
        "again": curl(base_url(visit.desk), "tasks", _as_sent(visit, found)),
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


def _as_sent(visit: Visit, found: Task) -> dict[str, Any]:
    """What a caller would send to make a task like this one."""
    dumped = visit.desk.dumper.task(found, visit.project.retries)
    sent = {
        k: v
        for k, v in dumped["request"].items()
        if v not in (None, {}) and (k, v) != ("method", "POST")
    }
    out: dict[str, Any] = {"request": sent}
    for name, unset in (("name", None), ("queue", "default")):
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


def new(visit: Visit) -> Response:
    """The form for a new task, filled from another one when it is a clone."""
    form, source = Form(dict.fromkeys(FIELDS, "")), request.args.get("from", "")
    if source:
        form = _filled(visit, intake.get(visit.house, visit.project.id, _id(source)))
    elif request.args.get("url"):
        form.values["request.url"] = request.args["url"][:2048]
    return _form_page(visit, form, source)


def _form_page(visit: Visit, form: Form, source: str, status: int = 200) -> Response:
    return visit.page(
        "task_new.html",
        status,
        form=form,
        source=source,
        methods=list(Method),
        command=_command(visit, form),
    )


def _filled(visit: Visit, found: Task) -> Form:
    if found.request.body_kind is BodyKind.BASE64:
        raise Conflict("the body of this task is no text: clone it with the API")
    sent = visit.desk.dumper.request(found.request)
    form = Form(
        {
            **dict.fromkeys(FIELDS, ""),
            "request.url": sent["url"],
            "request.method": sent["method"],
            "request.headers": "\n".join(f"{n}: {v}" for n, v in sent["headers"].items()),
            "request.body": sent["body"] or "",
            "name": found.name or "",
            "queue": found.queue,
            "tags": ", ".join(found.tags),
            "timeout": shown.written(found.timeout) if found.timeout else "",
        }
    )
    retry = found.retry
    if isinstance(retry, RetryPolicy):
        form.values |= {
            "retry.max_attempts": str(retry.max_attempts),
            "retry.min_backoff": shown.written(retry.min_backoff),
            "retry.max_backoff": shown.written(retry.max_backoff),
            "retry.max_doublings": str(retry.max_doublings),
            "retry.jitter": f"{retry.jitter:g}",
            "retry.max_age": shown.written(retry.max_age) if retry.max_age else "",
        }
    return form


def _data(form: Form) -> dict[str, Any]:
    """The form as the API's JSON. Raises Rejected."""
    out: dict[str, Any] = {"request": forms.request_of(form)}
    out |= forms.plain(form, ("name", "queue", "delay", "scheduled_for", "timeout"))
    if form["tags"].strip():
        out["tags"] = forms.words(form["tags"])
    retry = forms.plain(form, ("retry.min_backoff", "retry.max_backoff", "retry.max_age"))
    for name in ("retry.max_attempts", "retry.max_doublings", "retry.jitter"):
        if form[name].strip():
            retry[name] = forms.number(form, name)
    if retry:
        out["retry"] = {name.removeprefix("retry."): value for name, value in retry.items()}
    return out


def _command(visit: Visit, form: Form) -> str:
    try:
        return curl(base_url(visit.desk), "tasks", _data(form))
    except Rejected:
        return ""


def _draft(visit: Visit, form: Form) -> Draft | None:
    """The draft of a form; None when something is wrong, which the form then says."""
    try:
        draft = visit.desk.reader.slow(_data(form), visit.project.id, "")
        return replace(draft, key_id=None)
    except (Rejected, InvalidField) as error:
        form.reject(error)
        return None


def preview(visit: Visit) -> Response:
    """What is wrong with a form so far, and the command that does the same."""
    form = forms.typed(request.form, FIELDS)
    if form["request.url"].strip():
        _draft(visit, form)
    text = render_template("task_preview.html", form=form, command=_command(visit, form))
    return Response(text, content_type="text/html; charset=utf-8")


def create(visit: Visit) -> Response:
    """Take a task in, or show what is wrong with it."""
    form, source = forms.typed(request.form, FIELDS), request.form.get("from", "")
    draft = _draft(visit, form)
    if draft is None:
        return _form_page(visit, form, source, 422)
    if source and any(value.startswith("hidden:") for _, value in draft.request.headers):
        true = intake.get(visit.house, visit.project.id, _id(source)).request.headers
        headers = visit.desk.dumper.unhide(draft.request.headers, true)
        draft = replace(draft, request=replace(draft.request, headers=headers))
    [taken] = intake.submit(visit.house, visit.project.id, [draft])
    if taken.task is None:
        raise Conflict("the task that has this name was deleted at this moment: send it again")
    task_id = id_text(taken.id)
    where = url_for("dashboard.task", task_id=task_id)
    if taken.taken is Taken.NAMED:
        return visit.go(
            where, "A live task has this name already: this is it. None was made.", False
        )
    visit.wrote(
        "create task", task_id, after=json.dumps({"url": draft.request.url, "queue": draft.queue})
    )
    return visit.go(where, "The task is taken in.")


def _id(text: str) -> bytes:
    found = id_bytes(text)
    if found is None:
        raise NotFound("there is no such task")
    return found


ROUTES = (
    ("GET", "/tasks", "tasks", tasks, Role.VIEWER),
    ("POST", "/tasks", "bulk", bulk, Role.OPERATOR),
    ("GET", "/tasks/new", "new_task", new, Role.OPERATOR),
    ("POST", "/tasks/new", "create_task", create, Role.OPERATOR),
    ("POST", "/tasks/preview", "preview_task", preview, Role.OPERATOR),
    ("GET", "/tasks/<task_id>", "task", task, Role.VIEWER),
    ("GET", "/tasks/<task_id>/live", "task_live", task_live, Role.VIEWER),
    ("POST", "/tasks/<task_id>/<verb>", "act", act, Role.OPERATOR),
)

"""The form for a new task, alone or as a clone of another."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from flask import Response, render_template, request, url_for

from api.dashboard import forms, shown
from api.dashboard.desk import Visit, base_url
from api.dashboard.forms import Form
from api.dashboard.overview import curl
from api.dashboard.tasks import task_id_of
from api.mergent.errors import Rejected
from timeball.dispatch import intake
from timeball.errors import Conflict, InvalidField
from timeball.ids import id_text
from timeball.model.retry import RetryPolicy
from timeball.model.task import BodyKind, Draft, Method, Task
from timeball.model.visitor import Role
from timeball.store.tasks import Taken

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


def new(visit: Visit) -> Response:
    """The form for a new task, filled from another one when it is a clone."""
    form, source = Form(dict.fromkeys(FIELDS, "")), request.args.get("from", "")
    if source:
        form = _filled(visit, intake.get(visit.house, visit.project.id, task_id_of(source)))
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
        true = intake.get(visit.house, visit.project.id, task_id_of(source)).request.headers
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


ROUTES = (
    ("GET", "/tasks/new", "new_task", new, Role.OPERATOR),
    ("POST", "/tasks/new", "create_task", create, Role.OPERATOR),
    ("POST", "/tasks/preview", "preview_task", preview, Role.OPERATOR),
)

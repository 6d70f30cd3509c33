"""The form of a task: a new one, a clone, one that waits and is changed, a dead one that is sent again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from flask import Response, render_template, request, url_for

from api.dashboard import forms, shown
from api.dashboard.commands import Commands, commands
from api.dashboard.desk import Visit, base_url
from api.dashboard.forms import Form
from api.dashboard.tasks import task_id_of
from api.mergent.errors import Rejected
from api.mergent.reader import Sender
from timeball.dispatch import intake
from timeball.errors import Conflict, InvalidField
from timeball.ids import id_text
from timeball.model.task import BodyKind, Draft, Method, Priority, State, Task
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
    *forms.RETRY,
    "priority",
    "concurrency_key",
    "ordering_key",
    *forms.TOLD,
)
_UNSET: dict[str, Any] = {
    **dict.fromkeys(("name", "timeout", "retry", "priority", "concurrency_key", "ordering_key")),
    **dict.fromkeys(forms.TOLD),
    "queue": "default",
    "tags": [],
}
"""What a field of the API is when the form leaves it empty."""


def new(visit: Visit) -> Response:
    """The form for a new task, filled from another one when it is a clone."""
    form, source = Form(dict.fromkeys(FIELDS, "")), request.args.get("from", "")
    if source:
        found = intake.get(visit.house, visit.project.id, task_id_of(source))
        if found.request.body_kind is BodyKind.BASE64:
            raise Conflict("the body of this task is no text: clone it with the API")
        form = _filled(visit, found)
    elif request.args.get("url"):
        form.values["request.url"] = request.args["url"][:2048]
    return _form_page(visit, form, source)


def _form_page(
    visit: Visit, form: Form, source: str, status: int = 200, edited: Task | None = None
) -> Response:
    return visit.page(
        "task_new.html",
        status,
        form=form,
        source=source,
        edited=edited,
        methods=list(Method),
        priorities=list(Priority),
        commands=_commands(visit, form, edited),
    )


def _filled(visit: Visit, found: Task) -> Form:
    sent = visit.desk.dumper.request(found.request)
    return Form(
        {
            **dict.fromkeys(FIELDS, ""),
            **forms.retry_typed(found.retry),
            "request.url": sent["url"],
            "request.method": sent["method"],
            "request.headers": "\n".join(f"{n}: {v}" for n, v in sent["headers"].items()),
            "request.body": sent["body"] or "",
            "name": found.name or "",
            "queue": found.queue,
            "tags": ", ".join(found.tags),
            "timeout": shown.written(found.timeout) if found.timeout else "",
            "priority": "" if found.priority is Priority.NORMAL else found.priority,
            "concurrency_key": found.concurrency_key or "",
            "ordering_key": found.ordering_key or "",
            **forms.told(found),
        }
    )


def _data(form: Form) -> dict[str, Any]:
    """The form as the API's JSON. Raises Rejected."""
    out: dict[str, Any] = {"request": forms.request_of(form)}
    out |= forms.plain(form, ("name", "queue", "delay", "scheduled_for", "timeout"))
    out |= forms.plain(form, ("concurrency_key", "ordering_key", *forms.TOLD))
    if form["priority"] not in ("", Priority.NORMAL):
        out["priority"] = form["priority"]
    if form["tags"].strip():
        out["tags"] = forms.words(form["tags"])
    if retry := forms.retry_of(form):
        out["retry"] = retry
    return out


def _changes(visit: Visit, form: Form, edited: Task) -> dict[str, Any]:
    """What of a task the form changes, as the API's JSON. Raises Rejected."""
    return _differences(visit, form, edited)[1]


def _differences(visit: Visit, form: Form, edited: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    before, after = ({**_UNSET, **_data(one)} for one in (_filled(visit, edited), form))
    return forms.differences(before, after)


def _commands(visit: Visit, form: Form, edited: Task | None = None) -> Commands | None:
    try:
        if edited is None and not form["request.url"].strip():
            return None
        if edited is None:
            return commands(base_url(visit.desk), "tasks", _data(form))
        path, method = f"tasks/{id_text(edited.id)}", "PATCH"
        if edited.state is State.DEAD:
            path, method = f"{path}/redrive", "POST"
        changes = _changes(visit, form, edited)
        if not changes and edited.state is not State.DEAD:
            return None
        return commands(base_url(visit.desk), path, changes, method)
    except Rejected:
        return None


def _draft(visit: Visit, form: Form) -> Draft | None:
    """The draft of a form; None when something is wrong, which the form then says."""
    try:
        draft = visit.desk.reader.slow(_data(form), Sender(visit.project.id, ""))
        return replace(draft, key_id=None)
    except (Rejected, InvalidField) as error:
        form.reject(error)
        return None


def preview(visit: Visit) -> Response:
    """What is wrong with a form so far, and the command that does the same."""
    form, edit = forms.typed(request.form, FIELDS), request.form.get("edit", "")
    edited = intake.get(visit.house, visit.project.id, task_id_of(edit)) if edit else None
    if form["request.url"].strip():
        _draft(visit, form)
    text = render_template(
        "task_preview.html", form=form, commands=_commands(visit, form, edited), visit=visit
    )
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


def edit(visit: Visit, task_id: str) -> Response:
    """The form for a task that waits, or that is dead and can be sent again."""
    found = _editable(visit, task_id)
    return _form_page(visit, _filled(visit, found), "", edited=found)


def _editable(visit: Visit, task_id: str) -> Task:
    found = intake.get(visit.house, visit.project.id, task_id_of(task_id))
    if shown.is_export(found):
        raise Conflict("an export cannot be changed: cancel it and make another")
    if found.state not in (State.SCHEDULED, State.DEAD):
        raise Conflict(
            f"the task is {shown.STATE_WORDS[found.state]}: only a waiting or a dead one can be changed"
        )
    return found


def save(visit: Visit, task_id: str) -> Response:
    """Change a waiting task; send a dead one again, changed or not."""
    found, form = _editable(visit, task_id), forms.typed(request.form, FIELDS)
    where, dead = url_for("dashboard.task", task_id=task_id), found.state is State.DEAD
    try:
        was, sent = _differences(visit, form, found)
        changes = visit.desk.reader.changes(sent) if sent else {}
        if "headers" in changes.get("request", {}):
            changes["request"]["headers"] = visit.desk.dumper.unhide(
                changes["request"]["headers"], found.request.headers
            )
        if not changes and not dead:
            return visit.go(where, "Nothing was changed.")
        verb = intake.redrive if dead else intake.update
        verb(visit.house, visit.project.id, found.id, changes)
    except (Rejected, InvalidField) as error:
        form.reject(error)
        return _form_page(visit, form, "", 422, found)
    visit.wrote(
        "redrive task" if dead else "change task",
        task_id,
        before=" ".join(filter(None, (found.state if dead else "", forms.audited(was)))),
        after=forms.audited(sent),
    )
    return visit.go(where, "It is sent again." if dead else "The task is changed.")


ROUTES = (
    ("GET", "/tasks/<task_id>/edit", "edit_task", edit, Role.OPERATOR),
    ("POST", "/tasks/<task_id>/edit", "save_task", save, Role.OPERATOR),
    ("GET", "/tasks/new", "new_task", new, Role.OPERATOR),
    ("POST", "/tasks/new", "create_task", create, Role.OPERATOR),
    ("POST", "/tasks/preview", "preview_task", preview, Role.OPERATOR),
)

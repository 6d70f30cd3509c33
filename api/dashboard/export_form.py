"""The form for a new export: an index, a file, a time, and which rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from flask import Response, render_template, request, url_for

from api.auth import Caller
from api.dashboard import exports, forms, segment_form, shown
from api.dashboard.desk import Visit
from api.dashboard.forms import Form
from api.mergent.errors import Rejected
from api.spaaza import read
from timeball.dispatch import exports as verbs
from timeball.dispatch import own, sources
from timeball.errors import InvalidField, NotFound
from timeball.export.columns import Column
from timeball.export.failures import ExportError
from timeball.export.formats import Format
from timeball.export.rules import Operator
from timeball.model.export import Repeat
from timeball.model.visitor import Role
from timeball.store import codec
from timeball.store.projects import ALL_SCOPES

FIELDS = (
    "desc",
    "target.export_format",
    "target.gzip",
    "target.csv_safe",
    "target.notify.url",
    "trigger.once",
    "trigger.repeat",
    "trigger.segment_id",
)


def new(visit: Visit) -> Response:
    """The form, for the index that the address names."""
    form = Form({**dict.fromkeys(FIELDS, ""), **segment_form.blank()})
    form.values["trigger.segment_id"] = request.args.get("segment", "")[:20]
    return exports.no_chain(visit) or _form_page(visit, form, segment_form.ROWS)


def indexes(visit: Visit) -> list[str]:
    """What may be exported: registered sources first."""
    found = sources.every(visit.house, visit.project.id)
    return [*(source.index for source in found), *own.COLUMNS]


def chosen_index(visit: Visit) -> str:
    """The index that a form is about: the one named, or else the first."""
    known = indexes(visit)
    wanted = request.values.get("index", "")
    return wanted if wanted in known else known[0]


def _form_page(
    visit: Visit, form: Form, rows: int, status: int = 200, counted: int | None = None
) -> Response:
    index = chosen_index(visit)
    known: tuple[Column, ...] = ()
    try:
        known = sources.fields(visit.house, visit.project.id, index)
    except ExportError as error:
        form.faults.setdefault("source", []).append(f"cannot be read now: {error}")
    every = sources.segments(visit.house, visit.project.id)
    saved = [one for one in every if orjson.loads(one.segment)["index"] == index]
    return visit.page(
        "export_new.html",
        status,
        form=form,
        index=index,
        indexes=indexes(visit),
        is_own=index in own.COLUMNS,
        formats=list(Format),
        repeats=["never", *Repeat],
        columns=known,
        rows=rows,
        operators=list(Operator),
        operator_words=segment_form.words_of,
        saved=saved,
        counted=counted,
        command=_command(visit, form, rows, index, known),
    )


def _data(visit: Visit, form: Form, rows: int, index: str, known: tuple[Column, ...]) -> Any:
    """The form as the API's JSON."""
    chain = exports.chain_of(visit)
    target: dict[str, Any] = {"action": "export", "export_index": index}
    target["export_format"] = form["target.export_format"] or "csv"
    for name in ("gzip", "csv_safe"):
        if form[f"target.{name}"]:
            target[name] = True
    if form["target.notify.url"].strip():
        target["notify"] = {"url": form["target.notify.url"].strip()}
    trigger: dict[str, Any] = forms.plain(Form({"once": form["trigger.once"]}), ("once",))
    if form["trigger.repeat"] not in ("", "never"):
        trigger["repeat"] = form["trigger.repeat"]
    if form["trigger.segment_id"]:
        trigger["segment_id"] = form["trigger.segment_id"]
    segment = segment_form.segment(form, rows, known, chain, index)
    if segment is not None:
        trigger["segment"] = segment
    return {"chain": chain, "desc": form["desc"].strip(), "target": target, "trigger": trigger}


def _command(visit: Visit, form: Form, rows: int, index: str, known: tuple[Column, ...]) -> str:
    return exports.asked_by_curl(visit, _data(visit, form, rows, index, known))


def _known(visit: Visit, index: str) -> tuple[Column, ...]:
    try:
        return sources.fields(visit.house, visit.project.id, index)
    except ExportError as error:
        raise InvalidField("source", f"cannot be read now: {error}") from None


def preview(visit: Visit) -> Response:
    """The command as typed so far, and what is wrong with it."""
    rows = segment_form.rows_sent()
    form, index = segment_form.typed(FIELDS, rows), chosen_index(visit)
    known: tuple[Column, ...] = ()
    try:
        known = _known(visit, index)
        _order(visit, form, rows, index, known)
    except (Rejected, InvalidField) as error:
        segment_form.reject(form, rows, error)
    command = _command(visit, form, rows, index, known)
    text = render_template("export_preview.html", form=form, shown=shown, command=command)
    return Response(text, content_type="text/html; charset=utf-8")


def _order(visit: Visit, form: Form, rows: int, index: str, known: tuple[Column, ...]) -> Any:
    """The order, checked by the API's rules. Raises Rejected, InvalidField."""
    project = visit.project
    caller = Caller(project.id, "", ALL_SCOPES, project.retries, exports.chain_of(visit), True)
    data = _data(visit, form, rows, index, known)
    try:
        order = read.order(visit.house, visit.desk.door.policy, caller, data)
    except ExportError as error:
        raise InvalidField("source", f"cannot be read now: {error}") from None
    return replace(order, key_id=None)


def save(visit: Visit) -> Response:
    """Take the export in; or count its rows, or show more rules, or what is wrong."""
    rows, index = segment_form.rows_sent(), chosen_index(visit)
    form = segment_form.typed(FIELDS, rows)
    if "more" in request.form:
        return _form_page(visit, form, rows)
    try:
        order = _order(visit, form, rows, index, _known(visit, index))
        if "count" in request.form:
            return _form_page(visit, form, rows, counted=_count(visit, order.trigger, index))
    except (Rejected, InvalidField) as error:
        segment_form.reject(form, rows, error)
        return _form_page(visit, form, rows, 422)
    made = verbs.create(visit.house, visit.project.id, order)
    visit.wrote("create export", str(made.number), after=index)
    return visit.go(url_for("dashboard.export", number=made.number), "The export is taken in.")


def _count(visit: Visit, trigger: Any, index: str) -> int:
    house, project, segment = visit.house, visit.project.id, trigger.get("segment")
    saved = trigger.get("segment_id")
    if saved:
        segment = orjson.loads(sources.segment(house, project, saved).segment)
    try:
        return sources.count(house, project, index, segment, codec.from_ms(visit.now_ms()))
    except InvalidField as error:
        if saved:  # it does not fit the table any more
            raise InvalidField("trigger.segment_id", f"{error.field} {error.message}") from None
        raise
    except NotFound:
        raise InvalidField("source", "is of Timeball itself: it is counted when it runs") from None
    except ExportError as error:
        raise InvalidField("source", f"could not be counted: {error}") from None


ROUTES = (
    ("GET", "/exports/new", "new_export", new, Role.OPERATOR),
    ("POST", "/exports/new", "create_export", save, Role.OPERATOR),
    ("POST", "/exports/preview", "preview_export", preview, Role.OPERATOR),
)

"""Saved segments: rules with a name, which exports follow at each run."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response, request, url_for

from api.dashboard import exports, segment_form
from api.dashboard.commands import curl
from api.dashboard.desk import Visit, base_url
from api.dashboard.export_form import chosen_index, indexes
from api.dashboard.forms import Form
from timeball.dispatch import sources as verbs
from timeball.errors import InvalidField, NotFound
from timeball.export.columns import Column
from timeball.export.failures import ExportError
from timeball.export.rules import Operator
from timeball.model.visitor import Role
from timeball.store import codec

FIELDS = ("name",)
NAME_LIMIT = 200


def segments(visit: Visit) -> Response:
    """The saved segments, oldest first."""
    missing = exports.no_chain(visit)
    if missing is not None:
        return missing
    rows: list[tuple[Any, str, str, Any]] = []
    for saved in verbs.segments(visit.house, visit.project.id):
        segment = orjson.loads(saved.segment)
        changed = codec.from_ms(saved.modified_ms)
        rows.append((saved, segment["index"], segment_form.in_words(segment), changed))
    recent = {
        "field_name": "created_at",
        "field_type": "date",
        "operator": "relative_less_than",
        "time_factor": "week",
        "time_amount": 1,
    }
    segment = {
        "entity": "tasks",
        "index": "tasks",
        "join": "all",
        "chain_id": visit.project.chain,
        "rules": [recent],
    }
    return visit.page(
        "segments.html",
        rows=rows,
        now=codec.from_ms(visit.now_ms()),
        command_text=curl(
            base_url(visit.desk), "segments", {"name": "Of this week", "segment": segment}
        ),
    )


def new(visit: Visit) -> Response:
    """The form for a new segment of the index that the address names."""
    form = Form({"name": "", **segment_form.blank()})
    return exports.no_chain(visit) or _form_page(visit, form, segment_form.ROWS)


def edit(visit: Visit, segment_id: str) -> Response:
    """The form of a segment that is there."""
    saved = verbs.segment(visit.house, visit.project.id, segment_id)
    segment = orjson.loads(saved.segment)
    values, rows = segment_form.filled(segment)
    form = Form({"name": saved.name, **values})
    return _form_page(visit, form, rows, segment_id, index=segment["index"])


def _form_page(
    visit: Visit,
    form: Form,
    rows: int,
    segment_id: str | None = None,
    status: int = 200,
    index: str | None = None,
) -> Response:
    index = index or chosen_index(visit)
    known: tuple[Column, ...] = ()
    try:
        known = verbs.fields(visit.house, visit.project.id, index)
    except (ExportError, NotFound) as error:
        form.faults.setdefault("source", []).append(f"cannot be read now: {error}")
    return visit.page(
        "segment_new.html",
        status,
        form=form,
        rows=rows,
        segment_id=segment_id,
        index=index,
        indexes=indexes(visit),
        columns=known,
        operators=list(Operator),
        operator_words=segment_form.words_of,
    )


def save(visit: Visit, segment_id: str | None = None) -> Response:
    """Save a segment, new or in place of the one before; or show more rules, or what is wrong."""
    rows, house, project = segment_form.rows_sent(), visit.house, visit.project.id
    form, before = segment_form.typed(FIELDS, rows), ""
    index = chosen_index(visit)
    if segment_id is not None:
        kept = orjson.loads(verbs.segment(house, project, segment_id).segment)
        index, before = kept["index"], segment_form.in_words(kept)
    if "more" in request.form:
        return _form_page(visit, form, rows, segment_id, index=index)
    try:
        name = form["name"].strip()
        if len(name) > NAME_LIMIT:
            raise InvalidField("name", f"must be a text of at most {NAME_LIMIT} characters")
        segment = _checked(visit, form, rows, index)
        saved = verbs.save_segment(
            house, project, exports.chain_of(visit), name, segment, segment_id
        )
    except InvalidField as error:
        segment_form.reject(form, rows, error)
        return _form_page(visit, form, rows, segment_id, 422, index)
    verb = "create segment" if segment_id is None else "change segment"
    visit.wrote(verb, saved.id, before, segment_form.in_words(segment))
    return visit.go(
        url_for("dashboard.segments"),
        f"Segment {saved.id} is saved, in its version {saved.version}.",
    )


def _checked(visit: Visit, form: Form, rows: int, index: str) -> dict[str, Any]:
    try:
        known = verbs.fields(visit.house, visit.project.id, index)
    except (ExportError, NotFound) as error:
        raise InvalidField("source", f"cannot be read now: {error}") from None
    segment = segment_form.segment(form, rows, known, exports.chain_of(visit), index)
    if segment is None:
        raise InvalidField("rule-0", "a segment has one rule or more")
    return segment


def remove(visit: Visit, segment_id: str) -> Response:
    """Forget a segment."""
    before = verbs.segment(visit.house, visit.project.id, segment_id)
    verbs.remove_segment(visit.house, visit.project.id, segment_id)
    visit.wrote("delete segment", segment_id, before=before.name)
    told = f"Deleted {segment_id}. Exports that name it will end in an error."
    return visit.go(url_for("dashboard.segments"), told)


ROUTES = (
    ("GET", "/exports/segments", "segments", segments, Role.VIEWER),
    ("GET", "/exports/segments/new", "new_segment", new, Role.OPERATOR),
    ("POST", "/exports/segments/new", "create_segment", save, Role.OPERATOR),
    ("GET", "/exports/segments/<segment_id>", "edit_segment", edit, Role.OPERATOR),
    ("POST", "/exports/segments/<segment_id>", "save_segment", save, Role.OPERATOR),
    ("POST", "/exports/segments/<segment_id>/delete", "remove_segment", remove, Role.OPERATOR),
)

"""The document of the Spaaza dialect: exports of a chain, and what a chain may export.

A route that is added to a table of `api.spaaza.routes` needs its entry in `OPERATIONS`; what it does is told by
the docstring of its verb.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.openapi.operation import Operation, failures, paths
from api.openapi.shapes import (
    Shape,
    flag,
    free,
    many,
    maybe,
    query,
    ref,
    some,
    text,
    thing,
    whole,
)
from api.spaaza import routes
from api.spaaza.catalog import Catalog
from api.spaaza.read import TEXT_LIMIT
from api.spaaza.tasks import Exports
from timeball import __version__
from timeball.export.columns import Kind, Times
from timeball.export.formats import Format
from timeball.export.rules import Operator
from timeball.model.export import Code, Repeat
from timeball.store.chains import MOST

_DAY = "2026-05-26T12:00:00Z"


def _at(about: str = "") -> Shape:
    return text(about, format="date-time", examples=[_DAY])


def _whole_query(name: str, about: str, most: int) -> Shape:
    return query(name, about, type="integer", minimum=0, maximum=most)


_CHAIN = whole("The chain's number.", minimum=1, maximum=MOST)
_ANY: Shape = {"description": "A text, number, or true or false, by the column's kind."}
_NOTE = text(maxLength=TEXT_LIMIT)

_SENT: dict[str, Shape] = {
    "Rule": some(
        "One condition of a segment; which parameters it needs depends on the operator.",
        ("field_name", "field_type", "operator"),
        field_name=text("A column of the index."),
        field_type=text("What the column holds, such as `date` or `keyword`."),
        operator=text(enum=[*map(str, Operator)]),
        value=_ANY,
        values=many(_ANY),
        start_date=text(),
        end_date=text(),
        min=_ANY,
        max=_ANY,
        time_factor=text(examples=["day"]),
        time_amount=whole(),
        nested=flag("Taken when false."),
        nesting_path=text(),
    ),
    "Segment": some(
        "Which rows of an index.",
        ("index", "join", "chain_id", "rules"),
        entity=text("`people` unless said.", enum=["people"]),
        index=text("The same as `export_index`."),
        join=text("Whether all rules must hold or any.", enum=["all", "any"]),
        chain_id=_CHAIN,
        rules=many(ref("Rule"), minItems=1, maxItems=100),
    ),
    "Target": some(
        "What is exported, and how.",
        ("action", "export_index"),
        action=text(enum=["export"]),
        export_index=text("The name of an index of this chain.", minLength=1),
        export_format=text("`csv` unless said.", enum=[*map(str, Format)]),
        campaign=maybe(whole(minimum=0, maximum=MOST)),
        gzip=flag("Ours: whether the file is compressed."),
        csv_safe=flag("Ours: whether cells that a spreadsheet would run are defused."),
        notify=some(
            "Ours: the endpoint that is called at the end.",
            ("url",),
            url=text(maxLength=2048),
            headers={"type": "object", "additionalProperties": {"type": "string"}},
        ),
    ),
    "Trigger": some(
        "When, and which rows. At most one of `segment` and `segment_id`; with neither all rows of the chain.",
        once=_at("The first run; absent or past is now."),
        repeat=text(enum=[*map(str, Repeat)]),
        segment=ref("Segment"),
        segment_id={"type": ["string", "integer"], "description": "A saved segment."},
    ),
    "TaskInput": some(
        "A task to create.",
        ("chain", "target", "trigger"),
        chain=_CHAIN,
        desc=_NOTE,
        target=ref("Target"),
        trigger=ref("Trigger"),
        debug=_NOTE,
    ),
    "SourceInput": some(
        "Ours: what an index of the chain is, in which database.",
        ("index", "table", "url"),
        chain=_CHAIN,
        index=text(pattern="^[a-z0-9][a-z0-9_-]{0,63}$"),
        table=text("A table or view, with its schema if need be."),
        url=text("`postgresql://`, `mysql://`, or in development mode `sqlite:///`."),
        chain_column=maybe(
            text("The column that holds the chain's number; null: the table is the chain's.")
        ),
        deleted_column=maybe(text("Rows where it is set are left out.")),
        times=text(enum=[*map(str, Times)]),
        order_by=many(text()),
        allowed=many(text(), "The columns that exist for callers; empty is all."),
        denied=many(text(), "Columns that do not exist for callers."),
        prefix=text("What the names of files begin with."),
    ),
    "SavedInput": some(
        "Ours: a segment to save.",
        ("segment",),
        name=text(maxLength=200),
        segment=ref("Segment"),
    ),
}

_ANSWERED: dict[str, Shape] = {
    "State": thing(
        "How an export stands.",
        code=text(enum=[*map(str, Code)]),
        last_run_date=_at("`0001-01-01T00:00:00Z` before the first run."),
        last_modified=_at(),
        created_date=_at(),
    ),
    "Line": {
        "type": "object",
        "description": "One line of the log; numbers about it follow its message.",
        "properties": {"time": _at(), "level": text(), "message": text()},
        "required": ["time", "level", "message"],
        "additionalProperties": {"type": ["string", "number"]},
    },
    "Task": thing(
        "A task as it stands.",
        id=whole(),
        chain=_CHAIN,
        desc=text(),
        state=ref("State"),
        trigger=free("As it was sent."),
        target=free("As it was sent."),
        logs=maybe(many(ref("Line"), "Newest first; null when there is none.")),
        debug=text(),
        version=whole(),
        result=text("The file's name once it is there."),
    ),
    "Link": thing("Where the file is, for an hour.", url=text()),
    "Column": thing(
        "A column of an index.", name=text(), kind=text(enum=[*map(str, Kind)]), type=text()
    ),
    "Source": {
        "type": "object",
        "description": "Ours: an index of the chain. One of the product's `own` has no table.",
        "properties": {
            **_SENT["SourceInput"]["properties"],
            "url": maybe(text("Shown as `hidden`.")),
            "url_env": maybe(text()),
            "own": flag(),
            "columns": many(ref("Column")),
        },
        "required": ["index"],
        "additionalProperties": False,
    },
    "Saved": thing(
        "Ours: a saved segment.",
        id=text(),
        name=text(),
        segment=ref("Segment"),
        version=whole(),
        last_modified=_at(),
    ),
    "Error": thing(
        "An error.",
        error=thing(
            "What is wrong.",
            code=whole("The status."),
            name=text(),
            description=text(),
            fields={
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "What is wrong with which field, by its dotted path.",
            },
        ),
    ),
}

_TASK, _SAVED = ref("Task"), ref("Saved")
_SEGMENT = {
    "entity": "people",
    "index": "tasks",
    "join": "all",
    "chain_id": 1764,
    "rules": [
        {
            "field_name": "created_at",
            "field_type": "date",
            "operator": "relative_less_than",
            "time_factor": "day",
            "time_amount": 1,
        }
    ],
}

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/tasks"): Operation(
        "tasks",
        many(_TASK),
        query=(
            query("status", "Only tasks in this state.", type="string", enum=[*map(str, Code)]),
            query("action", "Only tasks of this action.", type="string"),
            _whole_query("campaign_id", "Only tasks of this campaign.", MOST),
            _whole_query("limit", "Tasks a page; 100 unless said.", 1000),
            _whole_query("offset", "Tasks to leave out before.", 20_000),
            _whole_query("log_limit", "Lines of each log; 10 unless said.", 200),
        ),
        faults=(403,),
    ),
    ("POST", "/tasks"): Operation(
        "tasks",
        _TASK,
        201,
        body=ref("TaskInput"),
        examples={
            "yesterday's tasks": {
                "chain": 1764,
                "desc": "what was made in the last day",
                "target": {"action": "export", "export_index": "tasks", "export_format": "csv"},
                "trigger": {"once": _DAY, "repeat": "daily", "segment": _SEGMENT},
            }
        },
    ),
    ("GET", "/tasks/<task_id>"): Operation(
        "tasks",
        _TASK,
        query=(
            _whole_query("log_limit", "Lines of the log; 10 unless said.", 200),
            _whole_query("offset", "Lines to leave out before.", 200),
        ),
    ),
    ("DELETE", "/tasks/<task_id>"): Operation("tasks", None, 204, faults=(409,)),
    ("POST", "/tasks/<task_id>/cancel"): Operation("tasks", _TASK, faults=(409,)),
    ("POST", "/tasks/<task_id>/execute"): Operation(
        "tasks", ref("State"), also={202: ref("State")}, faults=(409,)
    ),
    ("GET", "/tasks/<task_id>/download_url"): Operation("tasks", ref("Link"), faults=(409, 410)),
    ("GET", "/sources"): Operation("catalog", many(ref("Source")), faults=(403,)),
    ("POST", "/sources"): Operation(
        "catalog",
        ref("Source"),
        201,
        body=ref("SourceInput"),
    ),
    ("DELETE", "/sources/<index>"): Operation("catalog", None, 204),
    ("GET", "/segments"): Operation("catalog", many(_SAVED)),
    ("POST", "/segments"): Operation(
        "catalog",
        _SAVED,
        201,
        body=ref("SavedInput"),
        examples={"the last day": {"name": "new ones", "segment": _SEGMENT}},
    ),
    ("GET", "/segments/<segment_id>"): Operation("catalog", _SAVED),
    ("PUT", "/segments/<segment_id>"): Operation("catalog", _SAVED, body=ref("SavedInput")),
    ("DELETE", "/segments/<segment_id>"): Operation("catalog", None, 204),
}
"""By method and path, as the tables of routes have them."""

PARAMETERS: Mapping[str, Shape] = {
    "task_id": {
        "description": "The task's number.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST},
    },
    "index": {"description": "The index.", "schema": {"type": "string", "minLength": 1}},
    "segment_id": {
        "description": "The segment's id.",
        "schema": {"type": "string", "minLength": 1},
    },
}

_ABOUT = """\
Chain-scoped tasks that export data, in the dialect of Spaaza's tasks. What that did not have says "Ours".

Every route stands under `/spaaza` and under `/v2`, and those of tasks under `/` too. There a path may be one of
both dialects: a key of the form `id:secret` speaks this one, and so does a body with `chain`, `target` or
`trigger`."""


def document() -> dict[str, Any]:
    """The whole document."""
    tasks = (*routes.SHARED, *routes.TASKS)
    every = paths(tasks, OPERATIONS, Exports, "spaaza", PARAMETERS)
    every |= paths(routes.CATALOG, OPERATIONS, Catalog, "spaaza", PARAMETERS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Timeball: the Spaaza dialect",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/spaaza"}, {"url": "/v2"}],
        "tags": [
            {"name": "tasks", "description": "Exports."},
            {"name": "catalog", "description": "Ours: what a chain may export."},
            {"name": "files", "description": "Finished files."},
        ],
        "paths": {**every, "/files/{name}": _FILES},
        "components": {
            "schemas": {**_SENT, **_ANSWERED},
            "responses": failures("Error"),
            "securitySchemes": {
                "pair": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A chain's key: `id:secret`. `x-scope` says what it must be for.",
                }
            },
        },
    }


_FILES = {
    "servers": [{"url": "/"}],
    "get": {
        "operationId": "spaaza_file",
        "tags": ["files"],
        "summary": "The file of a link",
        "description": "Whoever has the link has the file; nothing else is asked for.",
        "parameters": [
            {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},
            query("token", "What the link was given.", type="string"),
        ],
        "responses": {
            "200": {
                "description": "The file.",
                "content": {
                    kind: {"schema": {"type": "string", "format": "binary"}}
                    for kind in ("text/csv", "application/json", "application/gzip")
                },
            },
            **{str(s): {"$ref": f"#/components/responses/{s}"} for s in (404, 410, 503)},
        },
        "security": [],
    },
}

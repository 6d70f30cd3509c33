"""The routes of bulks, ours: one verb over all tasks of a filter or a list of ids, with progress and a dry run."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response
from marshmallow import post_load, validates_schema

from api import body
from api.answers import reply, request_id
from api.door import Door
from api.mergent import audit, lists
from api.mergent.dump import instant
from api.mergent.errors import Fault, Rejected
from api.mergent.routes import Call, guarded
from api.mergent.schemas import Ruled, Strict, load
from timeball import logs
from timeball.dispatch import bulk
from timeball.errors import InvalidField
from timeball.ids import id_bytes
from timeball.model.bulk import Action, Bulk
from timeball.model.project import Scope
from timeball.model.visitor import Role
from timeball.store.lists import Filter

MOST_RATE = 100_000
REQUEST_LIMIT_BYTES = 1024 * 1024

log = logs.get(__name__)


def action(value: Any) -> Action:
    """What is to be done to each task."""
    if type(value) is not str or value not in list(Action):
        raise InvalidField("action", f"must be one of {', '.join(Action)}")
    return Action(value)


def rate(value: Any) -> float | None:
    """How many tasks a second."""
    if value is None:
        return None
    if type(value) not in (int, float) or not 0.01 <= value <= MOST_RATE:
        raise InvalidField("rate", f"must be a number from 0.01 to {MOST_RATE}")
    return float(value)


def ids(value: Any) -> tuple[bytes, ...]:
    """The ids of tasks, each once."""
    if type(value) is not list or not 1 <= len(value) <= bulk.MOST_IDS:
        raise InvalidField("ids", f"must be a list of 1 to {bulk.MOST_IDS} task ids")
    found = [id_bytes(one) if type(one) is str else None for one in value]
    if None in found:
        raise InvalidField("ids", "must be task ids of 36 characters")
    return tuple(dict.fromkeys(i for i in found if i is not None))


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise InvalidField("dry_run", "must be true or false")
    return value


class BulkSchema(Strict):
    """What is to be done to which tasks. Either `filter` or `ids` is given; an empty filter means all tasks."""

    action = Ruled(
        lambda value, _: action(value),
        "What is done to each: `cancel` waiting tasks, `run` tasks now, `redrive` dead ones, `delete` any.",
        {"type": "string", "enum": list(Action)},
        required=True,
    )
    filter = Ruled(
        lambda value, _: lists.read_filter(value, "filter"),
        "Which tasks, in the words of the list's parameters. Without `status`, `cancel` and `run` mean "
        "queued tasks, `redrive` means failed ones, `delete` all.",
        {"type": "object"},
    )
    ids = Ruled(
        lambda value, _: ids(value),
        f"Up to {bulk.MOST_IDS:,} task ids, instead of a filter.",
        {"type": "array", "items": {"type": "string", "format": "uuid"}},
    )
    dry_run = Ruled(
        lambda value, _: _flag(value),
        "Only count: nothing is changed. `exact` is false where the count is an estimate.",
        {"type": "boolean"},
    )
    rate = Ruled(
        lambda value, _: rate(value),
        "Tasks a second at most; null is as fast as it goes.",
        {"type": ["number", "null"], "minimum": 0.01, "maximum": MOST_RATE},
    )

    @validates_schema
    def _one_choice(self, data: dict[str, Any], **_: Any) -> None:
        if ("filter" in data) == ("ids" in data):
            raise Rejected([Fault("filter", "or ids must be given, and not both")])

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {"filter": None, "ids": (), "dry_run": False, "rate": None, **data}


_SCHEMA = BulkSchema()


def dump_bulk(found: Bulk) -> dict[str, Any]:
    """A bulk and how far it came."""
    return {
        "id": found.id,
        "action": found.action,
        "status": found.state,
        "total": found.total.count,
        "total_exact": found.total.exact,
        "done": found.done,
        "refused": found.refused,
        "rate": found.rate,
        "created_by": found.by,
        "created_at": instant(found.created_at),
        "ended_at": instant(found.ended_at),
        "error": found.error,
    }


def _in_words(made: Bulk, wanted: Filter | None) -> str:
    """Which tasks a bulk meets, as the audit log has it."""
    if made.ids is not None:
        return "1 id" if len(made.ids) == 1 else f"{len(made.ids)} ids"
    given = {} if wanted is None else lists.dump_filter(wanted)
    return ", ".join(f"{name} {value}" for name, value in given.items()) or "all tasks"


class Bulks:
    """The verbs of bulks."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def create(self, call: Call) -> Response:
        """Count the tasks of a filter, or begin to act on them: the answer tells where to watch it."""
        asked = load(_SCHEMA, body.load_json(body.read(call.request.environ, REQUEST_LIMIT_BYTES)))
        house, caller, wanted = self.door.house, call.caller, asked["filter"]
        if asked["dry_run"]:
            meant = (
                {"count": len(asked["ids"]), "exact": True}
                if wanted is None
                else _counted(bulk.count(house, caller.project, asked["action"], wanted))
            )
            return reply({"action": asked["action"], "dry_run": True, **meant})
        made = bulk.begin(
            house,
            caller.project,
            asked["action"],
            f"key {caller.key_id}",
            wanted=wanted,
            ids=asked["ids"],
            rate=asked["rate"],
        )
        self._write_down(call, f"bulk {made.action}", made.id, _in_words(made, wanted))
        return reply(dump_bulk(made), 202, (("Location", f"/v2/bulk/{made.id}"),))

    def find(self, call: Call) -> Response:
        """The project's last bulks, newest first."""
        return reply([dump_bulk(b) for b in bulk.newest(self.door.house, call.caller.project)])

    def get(self, call: Call, bulk_id: str) -> Response:
        """One bulk, and what it was asked for."""
        house, project = self.door.house, call.caller.project
        found = bulk.get(house, project, bulk_id)
        wanted = bulk.filter_of(house, project, bulk_id)
        words = None if wanted is None else lists.dump_filter(wanted)
        return reply({**dump_bulk(found), "filter": words})

    def stop(self, call: Call, bulk_id: str) -> Response:
        """Stop a bulk; what was done stays done."""
        found = bulk.stop(self.door.house, call.caller.project, bulk_id)
        self._write_down(call, "stop bulk", bulk_id, f"{found.done} done")
        return reply(dump_bulk(found))

    def _write_down(self, call: Call, verb: str, bulk_id: str, after: str) -> None:
        """A line of the audit log: so much at once must be found again, whoever asked for it."""
        audit.write_down(self.door, call, Role.OPERATOR, verb, bulk_id, after)
        caller = call.caller
        log.info(
            verb, bulk=bulk_id, project=caller.project, key=caller.key_id, request=request_id()
        )


def _counted(found: Any) -> dict[str, Any]:
    return {"count": found.count, "exact": found.exact}


ROUTES: tuple[tuple[str, str, str, Scope], ...] = (
    ("POST", "/tasks/bulk", "create", Scope.WRITE),
    ("GET", "/bulk", "find", Scope.READ),
    ("GET", "/bulk/<bulk_id>", "get", Scope.READ),
    ("POST", "/bulk/<bulk_id>/stop", "stop", Scope.WRITE),
)
"""Method, path, verb of `Bulks`, and the scope a key needs."""


def add(made: Blueprint, door: Door) -> None:
    """Add the routes to the dialect's blueprint."""
    verbs = Bulks(door)
    for method, path, verb, scope in ROUTES:
        view = guarded(door, getattr(verbs, verb), scope)
        made.add_url_rule(path, f"bulk_{verb}", view, methods=[method])

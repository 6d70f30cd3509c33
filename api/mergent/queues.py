"""The routes of queues, ours: how each stands, what it may do, pause, resume, purge."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response
from marshmallow import post_load

from api import body
from api.answers import reply
from api.door import Door
from api.mergent import rules
from api.mergent.dump import instant, seconds
from api.mergent.routes import Call, guarded
from api.mergent.schemas import Ruled, Strict, load
from timeball import logs
from timeball.dispatch import hosts, queues
from timeball.errors import InvalidField
from timeball.model.project import Scope
from timeball.model.queue import Limits, QueueState

MOST_RATE = 100_000
MOST_BURST = 100_000
MOST_SLOTS = 100_000
PERIODS = {"second": 1, "minute": 60, "hour": 3600}

log = logs.get(__name__)


def number(field: str, most: int) -> Any:
    """A field of a schema: a whole number from 1 to `most`, or null for none."""
    return Ruled(
        lambda value, _: None if value is None else rules.whole(value, field, 1, most),
        f"1 to {most:,}; null takes the limit away.",
        {"type": ["integer", "null"], "minimum": 1, "maximum": most},
    )


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise InvalidField("paused", "must be true or false")
    return value


def _period(value: Any) -> str:
    if value not in PERIODS:
        raise InvalidField("per", f"must be one of {', '.join(PERIODS)}")
    return str(value)


class LimitsSchema(Strict):
    """What a queue or a project may do; what is absent stays as it is."""

    rate = number("rate", MOST_RATE)
    per = Ruled(
        lambda value, _: _period(value),
        "The window of `rate`: `second`, `minute` or `hour`.",
        {"type": "string", "enum": list(PERIODS)},
    )
    burst = number("burst", MOST_BURST)
    concurrency = number("concurrency", MOST_SLOTS)
    key_concurrency = number("key_concurrency", MOST_SLOTS)
    paused = Ruled(lambda value, _: _flag(value), "Whether calls wait.", {"type": "boolean"})

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if "per" in data:
            data["per"] = timedelta(seconds=PERIODS[data["per"]])
        if data.get("burst", 1) is None:
            data["burst"] = 1
        return data


class ProjectLimitsSchema(LimitsSchema):
    """What a whole project may do; what is absent stays as it is."""

    host_concurrency = number("host_concurrency", MOST_SLOTS)


_SCHEMA, _PROJECT_SCHEMA = LimitsSchema(), ProjectLimitsSchema()


def dump_limits(limits: Limits) -> dict[str, Any]:
    """The limits of a queue or a project."""
    names = {seconds: name for name, seconds in PERIODS.items()}
    return {
        "rate": limits.rate,
        "per": names.get(int(limits.per.total_seconds()), seconds(limits.per)),
        "burst": limits.burst,
        "concurrency": limits.concurrency,
        "key_concurrency": limits.key_concurrency,
        "paused": limits.paused,
    }


def dump_queue(state: QueueState) -> dict[str, Any]:
    """A queue as it stands."""
    return {
        "name": state.name,
        "waiting": state.waiting,
        "in_flight": state.in_flight,
        "oldest_due_at": instant(state.oldest_due_at),
        **dump_limits(state.limits),
    }


class Queues:
    """The verbs of queues and of a project's own limits."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def find(self, call: Call) -> Response:
        """Every queue of the project, by name."""
        states = queues.list_queues(self.door.house, call.caller.project)
        return reply([dump_queue(state) for state in states])

    def get(self, call: Call, name: str) -> Response:
        """One queue."""
        return reply(dump_queue(queues.get_queue(self.door.house, call.caller.project, name)))

    def update(self, call: Call, name: str) -> Response:
        """Change a queue's limits; a queue may be limited before it has a task."""
        rules.queue(name)
        house, project = self.door.house, call.caller.project
        now = queues.states(house, project, [name])[0]
        queues.set_limits(house, project, name, replace(now.limits, **self._changes(call)))
        self._say("a queue was changed", call, name)
        return reply(dump_queue(queues.states(house, project, [name])[0]))

    def _changes(self, call: Call, schema: LimitsSchema = _SCHEMA) -> dict[str, Any]:
        raw = body.read(call.request.environ, self.door.request_limit_bytes)
        changes: dict[str, Any] = load(schema, body.load_json(raw))
        return changes

    def pause(self, call: Call, name: str) -> Response:
        """Let the queue's tasks wait; calls in flight end."""
        return self._paused(call, name, True)

    def resume(self, call: Call, name: str) -> Response:
        """Let the queue's tasks go on."""
        return self._paused(call, name, False)

    def _paused(self, call: Call, name: str, paused: bool) -> Response:
        state = queues.pause(self.door.house, call.caller.project, name, paused)
        self._say("a queue was paused" if paused else "a queue was resumed", call, name)
        return reply(dump_queue(state))

    def purge(self, call: Call, name: str) -> Response:
        """Delete every task that waits in the queue."""
        gone = queues.purge(self.door.house, call.caller.project, name)
        self._say("a queue was purged", call, name)
        return reply({"deleted": gone})

    def limits(self, call: Call) -> Response:
        """The limits of the whole project."""
        house, project = self.door.house, call.caller.project
        told = dump_limits(queues.project_limits(house, project))
        return reply({**told, "host_concurrency": hosts.default_limit(house, project)})

    def set_project_limits(self, call: Call) -> Response:
        """Change the limits of the whole project."""
        house, project = self.door.house, call.caller.project
        changes = self._changes(call, _PROJECT_SCHEMA)
        if "host_concurrency" in changes:
            hosts.limit_host(house, project, None, changes.pop("host_concurrency"))
        if changes:
            changed = replace(queues.project_limits(house, project), **changes)
            queues.set_limits(house, project, None, changed)
        self._say("the project's limits were changed", call, "")
        return self.limits(call)

    def _say(self, event: str, call: Call, name: str) -> None:
        log.info(event, queue=name, project=call.caller.project, key=call.caller.key_id)


ROUTES: tuple[tuple[str, str, str, Scope], ...] = (
    ("GET", "/queues", "find", Scope.READ),
    ("GET", "/queues/<name>", "get", Scope.READ),
    ("PATCH", "/queues/<name>", "update", Scope.WRITE),
    ("POST", "/queues/<name>/pause", "pause", Scope.WRITE),
    ("POST", "/queues/<name>/resume", "resume", Scope.WRITE),
    ("POST", "/queues/<name>/purge", "purge", Scope.WRITE),
    ("GET", "/limits", "limits", Scope.READ),
    ("PATCH", "/limits", "set_project_limits", Scope.ADMIN),
)
"""Method, path, verb of `Queues`, and the scope a key needs."""


def add(made: Blueprint, door: Door) -> None:
    """Add the routes to the dialect's blueprint."""
    verbs = Queues(door)
    for method, path, verb, scope in ROUTES:
        view = guarded(door, getattr(verbs, verb), scope)
        made.add_url_rule(path, f"queues_{verb}", view, methods=[method])

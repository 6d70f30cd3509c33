"""The routes of the Mergent dialect for schedules, each under `/v2` and under `/`."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response

from api import body
from api.answers import reply
from api.door import Door
from api.mergent.dump import Dumper, dump_retry, instant, seconds
from api.mergent.errors import Fault, Rejected
from api.mergent.routes import REPLAYED, Call, guarded, idempotency
from api.mergent.schedule_schemas import (
    DEFAULT_LIMIT,
    PREVIEW_DEFAULT,
    CountSchema,
    PreviewSchema,
    ScheduleListSchema,
    ScheduleReader,
)
from api.mergent.schemas import Strict, Terms, load
from timeball import logs
from timeball.dispatch import schedules
from timeball.errors import NotFound
from timeball.ids import id_bytes, id_text
from timeball.model.project import Scope
from timeball.model.retry import MERGENT_SCHEDULED, NO_RETRY
from timeball.model.schedule import Occurrence, Schedule, Share
from timeball.store.schedules import Once
from timeball.timing.agenda import Preview

log = logs.get(__name__)


class Schedules:
    """The verbs of schedules."""

    def __init__(self, door: Door) -> None:
        self.door = door

    @cached_property
    def reader(self) -> ScheduleReader:
        return ScheduleReader(Terms(self.door.policy, self.door.settings.body_limit_bytes))

    @cached_property
    def dumper(self) -> Dumper:
        return Dumper(self.door.settings.secret or "", self.door.settings.call_timeout)

    def create(self, call: Call) -> Response:
        """Take a schedule in."""
        raw = self._raw(call)
        key, fingerprint = idempotency(call.request.environ, raw)
        once = Once(key, fingerprint) if key is not None and fingerprint is not None else None
        fields = self.reader.fields(body.load(raw, call.request.environ.get("CONTENT_TYPE", "")))
        fields["key_id"] = call.caller.key_id
        self.door.quotas.schedules(self.door.house, call.caller.project)
        schedule, new = schedules.create_once(self.door.house, call.caller.project, fields, once)
        if new:
            _say("a schedule was made", call, schedule.id)
        return reply(self._dump(call, schedule), 201, () if new else REPLAYED)

    def _raw(self, call: Call) -> bytes:
        return body.read(call.request.environ, self.door.request_limit_bytes)

    def _sent(self, call: Call) -> Any:
        return body.load(self._raw(call), call.request.environ.get("CONTENT_TYPE", ""))

    def _one(self, call: Call, schedule: Schedule) -> Response:
        return reply(self._dump(call, schedule))

    def find(self, call: Call) -> Response:
        """A page of schedules, newest first: a bare list; where to go on is in headers."""
        wanted = _parameters(ScheduleListSchema(), call)
        project, name = call.caller.project, wanted.get("name")
        purpose, signer, position = f"schedules {name!r}", self.door.signer, None
        if wanted.get("cursor") is not None:
            position = signer.open(wanted["cursor"], project, purpose)
        limit = wanted.get("limit", DEFAULT_LIMIT)
        page = schedules.find(self.door.house, project, name, limit, position)
        headers: tuple[tuple[str, str], ...] = ()
        if page.cursor is not None:
            cursor = signer.sign(page.cursor, project, purpose)
            query = urlencode({**call.request.args.to_dict(), "cursor": cursor})
            url = f"{self.door.settings.public_url or ''}{call.request.path}?{query}"
            headers = (("X-Next-Cursor", cursor), ("Link", f'<{url}>; rel="next"'))
        return reply([self._dump(call, one) for one in page.schedules], 200, headers)

    def get(self, call: Call, schedule_id: str) -> Response:
        """One schedule."""
        found = schedules.get(self.door.house, call.caller.project, _id(schedule_id))
        return self._one(call, found)

    def update(self, call: Call, schedule_id: str) -> Response:
        """Change a schedule: what is named, and within `request` what is named there."""
        changes = self.reader.changes(self._sent(call))
        house, project, wanted = self.door.house, call.caller.project, _id(schedule_id)
        hidden = changes.get("request", {}).get("headers", ())
        if any(value.startswith("hidden:") for _, value in hidden):
            # the caller sends back what it was shown: the true values stay
            true = schedules.get(house, project, wanted).request.headers
            changes["request"]["headers"] = self.dumper.unhide(hidden, true)
        schedule = schedules.update(house, project, wanted, changes)
        _say("a schedule was changed", call, schedule_id)
        return self._one(call, schedule)

    def pause(self, call: Call, schedule_id: str) -> Response:
        """Let it make no more tasks; those not yet called are taken back. Ours."""
        schedule = schedules.pause(self.door.house, call.caller.project, _id(schedule_id))
        _say("a schedule was paused", call, schedule_id)
        return self._one(call, schedule)

    def resume(self, call: Call, schedule_id: str) -> Response:
        """End a pause; what came to pass meanwhile is not made up for. Ours."""
        schedule = schedules.resume(self.door.house, call.caller.project, _id(schedule_id))
        _say("a schedule was resumed", call, schedule_id)
        return self._one(call, schedule)

    def delete(self, call: Call, schedule_id: str) -> Response:
        """Forget a schedule, and take back its tasks that were not yet called."""
        if not schedules.delete(self.door.house, call.caller.project, _id(schedule_id)):
            raise NotFound("there is no such schedule")
        _say("a schedule was deleted", call, schedule_id)
        return Response(status=204)

    def run(self, call: Call, schedule_id: str) -> Response:
        """Make an extra task now; answers the task. Ours."""
        task = schedules.run(self.door.house, call.caller.project, _id(schedule_id))
        _say("a schedule was run", call, schedule_id)
        return reply(self.dumper.task(task, call.caller.retries), 201)

    def history(self, call: Call, schedule_id: str) -> Response:
        """Its last 100 occurrences, newest first, and what became of each. Ours."""
        found = schedules.history(self.door.house, call.caller.project, _id(schedule_id))
        return reply([_dump_occurrence(one) for one in found])

    def preview(self, call: Call, schedule_id: str) -> Response:
        """When it will fire next, pauses without an end apart. Ours."""
        n = _parameters(CountSchema(), call).get("n", PREVIEW_DEFAULT)
        house, project = self.door.house, call.caller.project
        found = schedules.preview(house, schedules.get(house, project, _id(schedule_id)), n)
        return reply(_dump_preview(found))

    def preview_rule(self, call: Call) -> Response:
        """When a rule would fire next, for a schedule made now. Ours."""
        fields = load(PreviewSchema(), self._sent(call))
        n = fields.pop("n", PREVIEW_DEFAULT)
        found = schedules.preview_rule(self.door.house, call.caller.project, fields, n)
        return reply(_dump_preview(found))

    def _dump(self, call: Call, schedule: Schedule) -> dict[str, Any]:
        """Mergent's fields in Mergent's form, then ours."""
        paused = schedule.paused
        if schedule.paused_until is not None and not paused:
            paused = schedule.paused_until > schedules.now_of(self.door.house, schedule.project)
        retry = schedule.retry or (MERGENT_SCHEDULED if call.caller.retries else NO_RETRY)
        timeout = schedule.timeout or self.door.settings.call_timeout
        return {
            "id": schedule.id,
            "name": schedule.name,
            "description": schedule.description,
            "queue": schedule.queue,
            "request": self.dumper.request(schedule.request),
            "cron": schedule.cron,
            "rrule": schedule.rrule,
            "dtstart": instant(schedule.dtstart),
            "paused": paused,
            "scheduled_for": instant(schedule.next_at),
            "created_at": instant(schedule.created_at),
            "timezone": schedule.timezone,
            "paused_until": instant(schedule.paused_until),
            "start_at": instant(schedule.start_at),
            "end_at": instant(schedule.end_at),
            "max_runs": schedule.max_runs,
            "runs_count": schedule.runs,
            "skipped_count": schedule.skipped,
            "missed_count": schedule.missed,
            "overlap": schedule.overlap,
            "catch_up": schedule.catch_up,
            "catch_up_window": seconds(schedule.catch_up_window),
            "window": dump_window(schedule.window),
            "timeout": seconds(timeout),
            "retry": dump_retry(retry),
            "tags": schedule.tags,
            "priority": schedule.priority,
            "concurrency_key": schedule.concurrency_key,
            "ordering_key": schedule.ordering_key,
            "on_success": schedule.on_success,
            "on_failure": schedule.on_failure,
            "on_attempt": schedule.on_attempt,
            "on_failing": schedule.on_failing,
            "on_recovered": schedule.on_recovered,
            "failing_after": schedule.failing_after,
            "pause_when_failing": schedule.pause_when_failing,
        }


def dump_window(window: timedelta | Share) -> float | int | str:
    """Seconds, or a text like `25%`."""
    return str(window) if isinstance(window, Share) else seconds(window)


def _dump_occurrence(one: Occurrence) -> dict[str, Any]:
    """`outcome` is a word of Fate; `until` is there when several were left out together."""
    return {
        "occurrence": instant(one.at),
        "outcome": one.fate,
        "due_at": instant(one.due_at),
        "until": instant(one.until),
        "task_id": None if one.task_id is None else id_text(one.task_id),
    }


def _dump_preview(found: Preview) -> dict[str, Any]:
    """`gap` and `fold` flag instants that a clock change moved, or that come twice on the wall."""
    return {
        "rule": found.words,
        "timezone": found.timezone,
        "next": [
            {
                "occurrence": instant(one.utc),
                "local": one.local.isoformat(),
                "due_at": instant(due_at),
                "gap": one.gap,
                "fold": one.fold,
            }
            for one, due_at in found.instants
        ],
    }


def _parameters(schema: Strict, call: Call) -> dict[str, Any]:
    given = call.request.args
    many = [key for key, values in given.lists() if len(values) > 1]
    if many:
        raise Rejected([Fault(key[:100], "is there more than once: give it once") for key in many])
    return load(schema, given.to_dict())


def _id(text: str) -> str:
    found = id_bytes(text)
    if found is None:
        raise NotFound("there is no such schedule")
    return id_text(found)


def _say(event: str, call: Call, schedule_id: str) -> None:
    log.info(event, schedule=schedule_id, project=call.caller.project, key=call.caller.key_id)


ROUTES: tuple[tuple[str, str, str, Scope], ...] = (
    ("GET", "/schedules", "find", Scope.READ),
    ("POST", "/schedules", "create", Scope.WRITE),
    ("POST", "/schedules/preview", "preview_rule", Scope.READ),
    ("GET", "/schedules/<schedule_id>", "get", Scope.READ),
    ("PATCH", "/schedules/<schedule_id>", "update", Scope.WRITE),
    ("DELETE", "/schedules/<schedule_id>", "delete", Scope.WRITE),
    ("POST", "/schedules/<schedule_id>/run", "run", Scope.WRITE),
    ("POST", "/schedules/<schedule_id>/pause", "pause", Scope.WRITE),
    ("POST", "/schedules/<schedule_id>/resume", "resume", Scope.WRITE),
    ("GET", "/schedules/<schedule_id>/preview", "preview", Scope.READ),
    ("GET", "/schedules/<schedule_id>/history", "history", Scope.READ),
)
"""Method, path, verb of `Schedules`, and the scope a key needs."""


def add(made: Blueprint, door: Door) -> None:
    """Add the routes to the dialect's blueprint."""
    verbs = Schedules(door)
    for method, path, verb, scope in ROUTES:
        view = guarded(door, getattr(verbs, verb), scope)
        made.add_url_rule(path, f"schedules_{verb}", view, methods=[method])

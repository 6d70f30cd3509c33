"""The document of the Mergent dialect: its routes, ours among them, and what each takes and answers.

A route that is added to a table of `api.mergent` needs its entry in `OPERATIONS`; what it does is told by the
docstring of its verb.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.mergent import bulk, explain, hosts, keys, queues, routes, schedules, secrets
from api.mergent.bulk import BulkSchema
from api.mergent.hosts import HostLimitSchema
from api.mergent.keys import GraceSchema, KeySchema
from api.mergent.lists import ListSchema
from api.mergent.queues import LimitsSchema, ProjectLimitsSchema
from api.mergent.schedule_schemas import (
    CountSchema,
    PreviewSchema,
    ScheduleListSchema,
    ScheduleSchema,
)
from api.mergent.schemas import TaskSchema
from api.mergent.secrets import SecretSchema
from api.openapi.mergent_answers import SHAPES
from api.openapi.operation import Operation, failures, paths
from api.openapi.shapes import Shape, many, name_of, parameters, ref, sent
from timeball import __version__

_URL = "https://example.com/hello"
_HELLO = {"request": {"url": _URL, "body": "hello"}}
_IDEMPOTENCY: Shape = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Ours: a second request with this key and the same body makes no second one, for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
_TASK, _SCHEDULE, _QUEUE, _HOST = map(ref, ("Task", "Schedule", "Queue", "Host"))

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/tasks"): Operation(
        "tasks", many(_TASK), query=tuple(parameters(ListSchema)), paged=True
    ),
    ("POST", "/tasks"): Operation(
        "tasks",
        _TASK,
        201,
        body=ref(name_of(TaskSchema)),
        headers=(_IDEMPOTENCY,),
        examples={
            "now": _HELLO,
            "in five minutes": {**_HELLO, "delay": "5m"},
            "at an instant": {**_HELLO, "scheduled_for": "2040-05-26T12:00:00Z"},
            "everything": {
                "request": {
                    "url": _URL,
                    "method": "PUT",
                    "headers": {"Content-Type": "application/json", "Authorization": "Bearer 1"},
                    "body": {"order": 17},
                },
                "name": "order-17",
                "queue": "orders",
                "delay": "PT1H30M",
                "timeout": "20s",
                "retry": {"max_attempts": 5, "min_backoff": "2s", "max_backoff": 60},
                "tags": ["order", "shop"],
                "priority": "high",
                "ordering_key": "customer-3",
            },
        },
        faults=(409,),
    ),
    ("POST", "/tasks/batch-create"): Operation(
        "tasks",
        many({"oneOf": [_TASK, ref("Error")]}, "At the place of a wrong one stands its error."),
        201,
        body=many(ref(name_of(TaskSchema)), minItems=1, maxItems=routes.BATCH_LIMIT),
        headers=(_IDEMPOTENCY,),
        examples={"two": [_HELLO, {**_HELLO, "delay": "1h"}]},
        faults=(409,),
    ),
    ("GET", "/tasks/<task_id>"): Operation("tasks", _TASK),
    ("PATCH", "/tasks/<task_id>"): Operation(
        "tasks",
        _TASK,
        body=ref(name_of(TaskSchema, partial=True)),
        examples={
            "later": {"scheduled_for": "2041-05-26T12:00:00Z"},
            "another body": {"request": {"body": "bye"}},
        },
        faults=(409,),
    ),
    ("DELETE", "/tasks/<task_id>"): Operation("tasks", None, 204),
    ("POST", "/tasks/<task_id>/run"): Operation("tasks", _TASK, faults=(409,)),
    ("POST", "/tasks/<task_id>/cancel"): Operation("tasks", _TASK, faults=(409,)),
    ("POST", "/tasks/<task_id>/redrive"): Operation(
        "tasks",
        _TASK,
        body=ref(name_of(TaskSchema, partial=True)),
        optional=True,
        faults=(409,),
    ),
    ("GET", "/tasks/<task_id>/explain"): Operation("tasks", ref("Explanation")),
    ("GET", "/tasks/<task_id>/attempts"): Operation("tasks", many(ref("Attempt"))),
    ("GET", "/schedules"): Operation(
        "schedules", many(_SCHEDULE), query=tuple(parameters(ScheduleListSchema)), paged=True
    ),
    ("POST", "/schedules"): Operation(
        "schedules",
        _SCHEDULE,
        201,
        body=ref(name_of(ScheduleSchema)),
        headers=(_IDEMPOTENCY,),
        faults=(409,),
        examples={
            "each night": {
                "request": {"url": _URL},
                "cron": "30 2 * * *",
                "timezone": "Europe/Amsterdam",
            },
            "each other week": {"request": {"url": _URL}, "rrule": "FREQ=WEEKLY;INTERVAL=2"},
        },
    ),
    ("POST", "/schedules/preview"): Operation(
        "schedules",
        ref("Preview"),
        body=ref(name_of(PreviewSchema)),
        examples={"a clock change": {"cron": "30 2 * * *", "timezone": "America/New_York", "n": 3}},
    ),
    ("GET", "/schedules/<schedule_id>"): Operation("schedules", _SCHEDULE),
    ("PATCH", "/schedules/<schedule_id>"): Operation(
        "schedules",
        _SCHEDULE,
        body=ref(name_of(ScheduleSchema, partial=True)),
        examples={"pause": {"paused": True}, "another rule": {"cron": "0 6 * * 1-5"}},
        faults=(409,),
    ),
    ("DELETE", "/schedules/<schedule_id>"): Operation("schedules", None, 204),
    ("POST", "/schedules/<schedule_id>/run"): Operation("schedules", _TASK, 201, faults=(409,)),
    ("POST", "/schedules/<schedule_id>/pause"): Operation("schedules", _SCHEDULE, faults=(409,)),
    ("POST", "/schedules/<schedule_id>/resume"): Operation("schedules", _SCHEDULE, faults=(409,)),
    ("GET", "/schedules/<schedule_id>/preview"): Operation(
        "schedules", ref("Preview"), query=tuple(parameters(CountSchema))
    ),
    ("GET", "/schedules/<schedule_id>/history"): Operation("schedules", many(ref("Occurrence"))),
    ("GET", "/queues"): Operation("queues", many(_QUEUE)),
    ("GET", "/queues/<name>"): Operation("queues", _QUEUE, faults=(422,)),
    ("PATCH", "/queues/<name>"): Operation(
        "queues",
        _QUEUE,
        body=ref(name_of(LimitsSchema)),
        examples={"ten a second": {"rate": 10, "per": "second", "concurrency": 5}},
    ),
    ("POST", "/queues/<name>/pause"): Operation("queues", _QUEUE, faults=(422,)),
    ("POST", "/queues/<name>/resume"): Operation("queues", _QUEUE, faults=(422,)),
    ("POST", "/queues/<name>/purge"): Operation("queues", ref("Deleted"), faults=(422,)),
    ("GET", "/limits"): Operation("queues", ref("ProjectLimits")),
    ("PATCH", "/limits"): Operation(
        "queues",
        ref("ProjectLimits"),
        body=ref(name_of(ProjectLimitsSchema)),
        examples={
            "a hundred at once": {"concurrency": 100},
            "ten for each host": {"host_concurrency": 10},
        },
    ),
    ("GET", "/hosts"): Operation("hosts", many(_HOST)),
    ("GET", "/hosts/<host>"): Operation("hosts", _HOST, faults=(422,)),
    ("PATCH", "/hosts/<host>"): Operation(
        "hosts",
        _HOST,
        body=ref(name_of(HostLimitSchema)),
        examples={"five at once": {"concurrency": 5}},
    ),
    ("POST", "/hosts/<host>/close"): Operation("hosts", _HOST, faults=(422,)),
    ("POST", "/hosts/<host>/probe"): Operation("hosts", _HOST, faults=(422,)),
    ("POST", "/tasks/bulk"): Operation(
        "bulks",
        ref("Bulk"),
        202,
        body=ref(name_of(BulkSchema)),
        examples={"all of a queue": {"action": "cancel", "filter": {"queue": "orders"}}},
        faults=(409,),
        also={200: ref("Counted")},
    ),
    ("GET", "/bulk"): Operation("bulks", many(ref("Bulk"))),
    ("GET", "/bulk/<bulk_id>"): Operation("bulks", ref("Bulk")),
    ("POST", "/bulk/<bulk_id>/stop"): Operation("bulks", ref("Bulk"), faults=(409,)),
    ("GET", "/keys"): Operation("keys", many(ref("Key"))),
    ("POST", "/keys"): Operation(
        "keys",
        ref("NewKey"),
        201,
        body=ref(name_of(KeySchema)),
        optional=True,
        faults=(409,),
        examples={"to read for a month": {"scopes": ["read"], "expires_in": "30d"}},
    ),
    ("GET", "/secrets"): Operation("keys", many(ref("Secret"))),
    ("PUT", "/secrets/<secret>"): Operation(
        "keys",
        ref("Secret"),
        body=ref(name_of(SecretSchema)),
        examples={"a token": {"value": "0123456789abcdef"}},
    ),
    ("DELETE", "/secrets/<secret>"): Operation("keys", None, 204),
    ("DELETE", "/keys/<key_id>"): Operation("keys", None, 204, faults=(409,)),
    ("POST", "/keys/<key_id>/rotate"): Operation(
        "keys", ref("NewKey"), 201, body=ref(name_of(GraceSchema)), optional=True, faults=(409,)
    ),
    ("GET", "/signing-secrets"): Operation("keys", many(ref("SigningSecret"))),
    ("POST", "/signing-secrets/rotate"): Operation(
        "keys",
        ref("NewSecret"),
        201,
        body=ref(name_of(GraceSchema)),
        optional=True,
        faults=(409,),
    ),
}
"""By method and path, as the tables of routes have them."""

PARAMETERS: Mapping[str, Shape] = {
    "task_id": {"description": "The task's id.", "schema": {"type": "string", "format": "uuid"}},
    "schedule_id": {
        "description": "The schedule's id.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "secret": {
        "description": "The secret's name.",
        "schema": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]{0,63}$"},
    },
    "bulk_id": {"description": "The bulk's id.", "schema": {"type": "string"}},
    "key_id": {"description": "The key's id.", "schema": {"type": "string"}},
    "host": {
        "description": "The host, with its port where the URLs of tasks name one.",
        "schema": {"type": "string"},
    },
    "name": {
        "description": "The queue's name.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}$"},
    },
}

_ABOUT = """\
Call this URL, then: tasks and schedules of HTTP calls, in the dialect of Mergent's v2, which its client libraries
speak. What Mergent did not have says "Ours".

Every route stands under `/v2` and under `/`. Unknown fields are refused, and an error names each field that is
wrong. A body is read as JSON whatever its Content-Type says, unless that is a form's and the body is no JSON."""


def document() -> dict[str, Any]:
    """The whole document."""
    tables = (
        (routes.ROUTES, routes.Tasks, "tasks"),
        (schedules.ROUTES, schedules.Schedules, "schedules"),
        (queues.ROUTES, queues.Queues, "queues"),
        (hosts.ROUTES, hosts.Hosts, "hosts"),
        (explain.ROUTES, explain.Explainer, "tasks"),
        (bulk.ROUTES, bulk.Bulks, "bulk"),
        (keys.ROUTES, keys.Keys, "keys"),
        (secrets.ROUTES, secrets.Secrets, "secrets"),
    )
    every: dict[str, Any] = {}
    for table, verbs, prefix in tables:
        every |= paths(table, OPERATIONS, verbs, prefix, PARAMETERS)
    bodies: dict[str, Shape] = {}
    for schema, partial in (
        (TaskSchema, False),
        (TaskSchema, True),
        (ScheduleSchema, False),
        (ScheduleSchema, True),
        (PreviewSchema, False),
        (LimitsSchema, False),
        (ProjectLimitsSchema, False),
        (HostLimitSchema, False),
        (BulkSchema, False),
        (KeySchema, False),
        (SecretSchema, False),
        (GraceSchema, False),
    ):
        bodies |= sent(schema, partial=partial)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Timeball: the Mergent dialect",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/v2"}, {"url": "/"}],
        "tags": [
            {"name": "tasks", "description": "Actions to be done once, at or after an instant."},
            {"name": "schedules", "description": "Standing orders by a cron or rrule rule."},
            {"name": "queues", "description": "Ours: lines of tasks, and what they may do."},
            {
                "name": "hosts",
                "description": "Ours: hosts of endpoints, their breakers and limits.",
            },
            {"name": "bulks", "description": "Ours: one verb over many tasks."},
            {"name": "keys", "description": "Ours: the keys of the project, and what signs calls."},
            {"name": "health", "description": "Ours: whether the product works. No key needed."},
        ],
        "paths": {**every, **_HEALTH},
        "components": {
            "schemas": {**bodies, **SHAPES},
            "responses": failures("Error"),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A project's API key. `x-scope` of each operation says what it must be for.",
                },
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The API key as the user name, without a password.",
                },
            },
        },
    }


def _health(operation: str, summary: str, shape: str, *others: int) -> dict[str, Any]:
    def answer(about: str) -> dict[str, Any]:
        return {"description": about, "content": {"application/json": {"schema": ref(shape)}}}

    return {
        "servers": [{"url": "/"}],
        "get": {
            "operationId": operation,
            "tags": ["health"],
            "summary": summary,
            "responses": {"200": answer("OK"), **{str(s): answer("Not now") for s in others}},
            "security": [],
        },
    }


_HEALTH = {
    "/metrics": {
        "servers": [{"url": "/"}],
        "get": {
            "operationId": "metrics",
            "tags": ["health"],
            "summary": "How it goes, for Prometheus",
            "description": "`TIMEBALL_METRICS_TOKEN` says who may ask: it is no project's key.",
            "responses": {
                "200": {
                    "description": "OK",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                },
                **{str(s): {"$ref": f"#/components/responses/{s}"} for s in (401, 403, 503)},
            },
            "security": [{}, {"key": []}],
        },
    },
    "/livez": _health("livez", "Whether the process answers", "Alive"),
    "/readyz": _health("readyz", "Whether tasks would be taken, kept and called", "Ready", 503),
}

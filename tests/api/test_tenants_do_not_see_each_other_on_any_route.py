"""A probe over every route of the OpenAPI documents, made from them: foreign is unknown, the same 404.

A route that is added is probed without a test being written: MAKERS says how the things that paths name are made.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from werkzeug.test import Client, TestResponse

from api.door import App
from api.openapi.serve import written
from timeball.dispatch.house import House
from timeball.store import chains, projects

REQUEST = {"request": {"url": "https://example.com/probe"}}
SEGMENT = {
    "index": "tasks",
    "join": "all",
    "rules": [{"field_name": "queue", "field_type": "keyword", "operator": "is", "value": "q"}],
}
PREFIX = {"mergent": "/v2", "spaaza": "/spaaza"}


class Tenant:
    """A project with a chain, seen through a key of its own."""

    def __init__(self, app: App, house: House, chain: int) -> None:
        self.chain = chain
        project = chains.ensure(house.client, house.vault, chain)
        self.client = Client(app)
        self.keys = {
            "mergent": projects.create_key(house.client, house.vault, project.id)[1],
            "spaaza": projects.create_key(house.client, house.vault, project.id, pair=True)[1],
        }

    def __call__(
        self, dialect: str, method: str, path: str, value: Any = None, **headers: str
    ) -> TestResponse:
        return self.client.open(
            PREFIX[dialect] + path,
            method=method,
            data=None if value is None else orjson.dumps(value),
            headers={"Authorization": f"Bearer {self.keys[dialect]}", **headers},
        )

    def make(self, dialect: str, path: str, value: Any) -> str:
        """The id of something new."""
        answer = self(dialect, "POST", path, value)
        assert answer.status_code in (201, 202), answer.text
        return str(answer.json["id"])


MAKERS: dict[tuple[str, str], tuple[Callable[[Tenant], str], str]] = {
    ("mergent", "task_id"): (
        lambda t: t.make(
            "mergent", "/tasks", {**REQUEST, "delay": "1h", "name": "n", "tags": ["t"]}
        ),
        str(uuid.uuid4()),
    ),
    ("mergent", "schedule_id"): (
        lambda t: t.make("mergent", "/schedules", {**REQUEST, "rrule": "FREQ=DAILY"}),
        str(uuid.uuid4()),
    ),
    ("mergent", "bulk_id"): (
        lambda t: t.make("mergent", "/tasks/bulk", {"action": "cancel", "filter": {"queue": "q"}}),
        "0123456789abcdef",
    ),
    ("mergent", "key_id"): (
        lambda t: t.make("mergent", "/keys", {"label": "another"}),
        "ABCDEFGH",
    ),
    ("spaaza", "task_id"): (
        lambda t: t.make(
            "spaaza",
            "/tasks",
            {
                "chain": t.chain,
                "target": {"action": "export", "export_index": "tasks"},
                "trigger": {"once": "2100-01-01T00:00:00Z"},
            },
        ),
        "987654321",
    ),
    ("spaaza", "segment_id"): (
        lambda t: t.make(
            "spaaza", "/segments", {"name": "s", "segment": {**SEGMENT, "chain_id": t.chain}}
        ),
        "987654",
    ),
}
"""How a thing that a path names is made, and the name of one that is nowhere."""

SHARED_NAMES = {
    *(("mergent", name) for name in ("name", "host", "secret")),
    ("spaaza", "index"),
}
"""Names that each tenant has for itself: another's thing of the same name is not there, or is one's own."""


def operations(dialect: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in orjson.loads(written(dialect))["paths"].items():
        for method in item.keys() & {"get", "post", "put", "patch", "delete"}:
            if "servers" not in item:
                yield method.upper(), path, item[method]


def with_names(dialect: str) -> list[tuple[str, str, str]]:
    """The routes that name a thing by an id."""
    found = sorted((method, path) for method, path, _ in operations(dialect))
    return [
        (dialect, method, path)
        for method, path in found
        if (names := re.findall(r"{(\w+)}", path)) and (dialect, names[0]) not in SHARED_NAMES
    ]


@pytest.fixture
def mine(app: App, house: House) -> Tenant:
    return Tenant(app, house, 11)


@pytest.fixture
def theirs(app: App, house: House) -> Tenant:
    return Tenant(app, house, 12)


def example(operation: dict[str, Any], tenant: Tenant) -> Any:
    """A body that the route takes, if it takes one."""
    asked = operation.get("requestBody", {"required": False})
    if not asked["required"]:
        return None
    content = asked["content"]["application/json"]
    for one in content.get("examples", {}).values():
        return one["value"]
    if content.get("schema", {}).get("$ref", "").endswith("SavedInput"):
        return {"name": "s", "segment": {**SEGMENT, "chain_id": tenant.chain}}
    return {"queue": "q"}


def said(answer: TestResponse, asked: str) -> tuple[int, str, dict[str, str]]:
    """All of an answer but what names the request, and what was asked for."""
    varies = {"X-Request-Id", "Content-Length", "Date"}
    headers = {name: value for name, value in answer.headers.items() if name not in varies}
    return answer.status_code, answer.text.replace(asked, ""), headers


@pytest.mark.parametrize(
    ("dialect", "method", "path"), [*with_names("mergent"), *with_names("spaaza")]
)
def test_foreign_is_unknown(
    mine: Tenant, theirs: Tenant, dialect: str, method: str, path: str
) -> None:
    (name,) = re.findall(r"{(\w+)}", path)
    assert (dialect, name) in MAKERS, f"say in MAKERS how what {name} names is made"
    make, nowhere = MAKERS[dialect, name]
    operation = orjson.loads(written(dialect))["paths"][path][method.lower()]
    foreign = make(theirs)
    item = path[: path.index("}") + 1]
    own = item.replace(f"{{{name}}}", foreign)
    reading = any((m, p) == ("GET", item) for m, p, _ in operations(dialect))
    before = reading and theirs(dialect, "GET", own).json
    body = example(operation, mine)
    answers = [
        said(mine(dialect, method, path.replace(f"{{{name}}}", one), body), one)
        for one in (foreign, nowhere)
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404, answers[0]
    if reading:
        assert theirs(dialect, "GET", own).json == before, "another's thing was changed"


LISTS = [
    (dialect, path)
    for dialect in PREFIX
    for method, path, operation in operations(dialect)
    if method == "GET"
    and "{" not in path
    and operation["responses"]["200"]["content"]["application/json"]["schema"].get("type")
    == "array"
]


@pytest.mark.parametrize(("dialect", "path"), LISTS)
def test_a_list_holds_nothing_of_others(
    mine: Tenant, theirs: Tenant, dialect: str, path: str
) -> None:
    empty = mine(dialect, "GET", path).json
    made = {key: make(theirs) for key, (make, _) in MAKERS.items()}
    theirs("mergent", "PATCH", "/queues/limited", {"rate": 5})
    assert mine(dialect, "GET", path).json == empty
    query = {
        "id": made["mergent", "task_id"],
        "name": "n",
        "tag": "t",
        "queue": "default",
        "url": "https://example.com",
    }
    known = {
        p["name"]
        for m, q, o in operations(dialect)
        if (m, q) == ("GET", path)
        for p in o.get("parameters", ())
    }
    for name in known & query.keys():
        assert mine(dialect, "GET", f"{path}?{name}={query[name]}").json == empty


def test_names_keys_and_cursors_are_each_tenants_own(mine: Tenant, theirs: Tenant) -> None:
    body = {**REQUEST, "delay": "1h", "name": "one"}
    ids = {
        tenant("mergent", "POST", "/tasks", body, **{"Idempotency-Key": "k"}).json["id"]
        for tenant in (mine, theirs)
    }
    assert len(ids) == 2
    for tenant in (mine, theirs):
        for n in range(3):
            tenant.make("mergent", "/tasks", {**REQUEST, "delay": "1h", "name": f"n{n}"})
    cursor = theirs("mergent", "GET", "/tasks?limit=1").headers["X-Next-Cursor"]
    assert theirs("mergent", "GET", f"/tasks?limit=1&cursor={cursor}").status_code == 200
    assert mine("mergent", "GET", f"/tasks?limit=1&cursor={cursor}").status_code == 422


def test_a_queue_of_another_is_not_touched(mine: Tenant, theirs: Tenant) -> None:
    task = theirs.make("mergent", "/tasks", {**REQUEST, "delay": "1h", "queue": "q"})
    mine("mergent", "POST", "/queues/q/pause")
    mine("mergent", "PATCH", "/queues/q", {"rate": 1})
    mine("mergent", "POST", "/queues/q/purge")
    seen = theirs("mergent", "GET", "/queues/q").json
    assert (seen["paused"], seen["rate"], seen["waiting"]) == (False, None, 1)
    theirs("mergent", "PUT", "/secrets/S", {"value": "theirs"})
    assert mine("mergent", "GET", "/secrets").json == []
    assert mine("mergent", "DELETE", "/secrets/S").status_code == 404
    assert len(theirs("mergent", "GET", "/secrets").json) == 1
    assert theirs("mergent", "GET", f"/tasks/{task}").status_code == 200

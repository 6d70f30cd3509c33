"""A create that spares itself Flask has the same answer, and makes the same task, as one that does not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from api import auth
from api.app import create_app
from api.door import App
from api.mergent import dump
from api.mergent.short import ShortRoad
from tests.api.bad_inputs import corpus
from tests.api.conftest import Api
from tests.api.test_the_quick_path_agrees_with_the_schema import TASK
from tests.conftest import SECRET
from timeball.dispatch.house import House, open_house
from timeball.errors import StoreFull
from timeball.ids import id_bytes
from timeball.model.task import Task
from timeball.settings import Settings
from timeball.store import chains, codec, projects, tasks
from timeball.store.projects import Project

AT = "2040-01-01T00:00:00Z"
EPOCH = datetime.fromtimestamp(0, UTC)
FULL: dict[str, Any] = {
    "request": {
        "url": "https://example.com/a",
        "method": "PUT",
        "headers": {"Content-Type": "text/plain", "Authorization": "Bearer hidden"},
        "body": "grüße",
    },
    "queue": "q.high",
    "scheduled_for": AT,
    "timeout": 5,
    "tags": ["t", "u"],
    "priority": "high",
    "ordering_key": "k",
}


class Roads:
    """One app, with the short road and without, for one project. Counts who came to the long one."""

    def __init__(self, house: House, project: Project, app: App, key: str) -> None:
        self.house, self.project = house, project
        road = app.wsgi_app
        assert isinstance(road, ShortRoad)
        self.road, self.long, self.went_long = road, road.long, 0
        self.headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "a-test"}
        road.long = self._counted
        Client(app).get("/v2/tasks", headers=self.headers)  # now the key is known

    def _counted(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.went_long += 1
        return self.long(environ, start_response)

    def both(self, path: str, raw: bytes, **headers: str) -> tuple[TestResponse, TestResponse]:
        """The answers by the short road, if it may be taken, and by the long one."""
        sent = {**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        short, long = (
            Client(road).post(path, data=raw, headers=sent) for road in (self.road, self.long)
        )
        return short, long

    def same(self, path: str, raw: bytes, **headers: str) -> TestResponse:
        """Asserts that both agree. Answers what the short one said."""
        short, long = self.both(path, raw, **headers)
        assert (short.status, bare(short)) == (long.status, bare(long)), raw
        assert sorted(told(short)) == sorted(told(long))
        if short.status_code == 201:
            assert self.task(short) == self.task(long)
            for answer in (short, long):  # which are put together from pieces
                shown = Client(self.long).get(
                    f"/v2/tasks/{answer.json['id']}", headers=self.headers
                )
                assert shown.data == answer.data
        return short

    def task(self, answer: TestResponse) -> Task:
        """What was made, but for what differs from task to task."""
        number = id_bytes(answer.json["id"])
        assert number
        prefix = self.house.prefix(self.project.id)
        made = tasks.get(self.house.client, prefix, self.project.id, number)
        due = (
            {} if made.scheduled_for == made.due_at and not relative(answer) else {"due_at": EPOCH}
        )
        planned = {"scheduled_for": EPOCH} if relative(answer) else {}
        return replace(made, id=b"", created_at=EPOCH, **due, **planned)


def relative(answer: TestResponse) -> bool:
    """Whether a task's plan counts from the moment of its making."""
    return answer.json["scheduled_for"] is None or answer.json["scheduled_for"] < "2035"


def told(answer: TestResponse) -> list[tuple[str, str]]:
    """The headers, but for the length: bodies are compared by what they say."""
    return [header for header in answer.headers if header[0] != "Content-Length"]


def bare(answer: TestResponse) -> Any:
    """The body without what differs from task to task."""
    said = json.loads(answer.data)
    if answer.status_code == 201:
        assert int(answer.headers["Content-Length"]) == len(answer.data)
        again = "Idempotency-Replayed" in answer.headers or said["name"] is not None
        own = {} if again else {"id": "", "created_at": ""}
        moved = {"scheduled_for": "", "due_at": ""} if relative(answer) and not again else {}
        return said | own | moved
    return said


@pytest.fixture
def roads(
    house: House, project: Project, app: App, api: Api, monkeypatch: pytest.MonkeyPatch
) -> Roads:
    monkeypatch.setattr(auth, "KNOWN_FOR_SECONDS", 3600.0)
    return Roads(house, project, app, api.headers["Authorization"].removeprefix("Bearer "))


@given(st.integers(0, 7_289_654_399_999))
def test_an_instant_is_written_the_same_way(ms: int) -> None:
    assert json.loads(dump._stamp(ms)) == dump.instant(codec.from_ms(ms))


@given(st.lists(TASK, min_size=1, max_size=25))
@settings(
    max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_whatever_is_sent(roads: Roads, sent: list[Any]) -> None:
    for data in sent:
        try:
            raw = json.dumps(data, allow_nan=False).encode()
        except ValueError:
            continue
        roads.same("/v2/tasks", raw)


@pytest.mark.parametrize("path", ["/v2/tasks", "/tasks"])
def test_plain_tasks_take_it(roads: Roads, path: str) -> None:
    before = roads.went_long
    for fields in ({}, {"queue": "q"}, {"delay": "1h"}, {"name": "n", "tags": ["t"]}, FULL):
        data = {"request": {"url": "https://example.com/"}, **fields}
        for body in ("", "a", {"b": "é"}, [1], None, "c"):
            data["request"] = data["request"] | {"body": body}
            answer = roads.same(path, json.dumps(data).encode(), Content_Type="application/json")
            assert answer.status_code == 201
    assert roads.went_long == before


def test_what_is_not_plain_takes_the_long_one(roads: Roads) -> None:
    plain = json.dumps({"request": {"url": "https://example.com/"}}).encode()
    for path, headers in (
        ("/v2/tasks/", {}),
        ("/v2/tasks", {"Content_Encoding": "gzip"}),
        ("/v2/tasks", {"Content_Type": "application/x-www-form-urlencoded"}),
        ("/v2/tasks", {"Idempotency_Key": "\x01"}),
        ("/v2/tasks", {"Authorization": "Bearer another"}),
        ("/v2/tasks", {"Authorization": "Basic !"}),
    ):
        before = roads.went_long
        roads.same(path, plain, **headers)
        assert roads.went_long == before + 1, headers


def test_a_key_and_a_body_are_one_request_on_both(roads: Roads) -> None:
    raw = json.dumps(FULL).encode()
    first, second = roads.both("/v2/tasks", raw, Idempotency_Key="k1")
    assert "Idempotency-Replayed" not in first.headers
    third, _ = roads.both("/v2/tasks", raw, Idempotency_Key="k1")
    for again in (second, third):
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json == first.json
    other = json.dumps(FULL | {"queue": "r"}).encode()
    assert roads.same("/v2/tasks", other, Idempotency_Key="k1").status_code == 409


def test_a_trace_is_kept_on_both(roads: Roads) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    answer = roads.same("/v2/tasks", json.dumps(FULL).encode(), Traceparent=trace)
    assert roads.task(answer).traceparent == trace


def test_a_full_store_is_said_by_both(roads: Roads, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise StoreFull("full")

    monkeypatch.setattr(tasks, "call", full)
    answer = roads.same("/v2/tasks", json.dumps(FULL).encode())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_each_request_is_counted_once(roads: Roads, settings: Settings, house: House) -> None:
    limited = create_app(replace(settings, key_requests_per_minute=1000))
    known = Roads(house, roads.project, limited, roads.headers["Authorization"].split()[1])
    left = []
    for raw in (json.dumps(FULL).encode(), b"{}", b"[", json.dumps(FULL).encode()):
        short, long = known.both("/v2/tasks", raw)
        left += [int(answer.headers["X-RateLimit-Remaining"]) for answer in (short, long)]
    assert left == list(range(left[0], left[0] - 8, -1))


@pytest.fixture(scope="module")
def chain(redis_url: str) -> Iterator[Roads]:
    """A project that speaks both dialects, as the corpus of bad inputs needs it."""
    opened = open_house(made := Settings(redis_url=redis_url, secret=SECRET))
    opened.client.flushall()
    project = chains.ensure(opened.client, opened.vault, 1764)
    key = projects.create_key(opened.client, opened.vault, project.id)[1]
    yield Roads(opened, project, create_app(made), key)
    opened.client.close()


def test_bad_inputs_are_answered_alike(chain: Roads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "KNOWN_FOR_SECONDS", 3600.0)
    cases = [
        bad for bad in corpus() if bad.method == "POST" and bad.path in ("/v2/tasks", "/tasks")
    ]
    assert len(cases) > 100
    for bad in cases:
        assert chain.same(bad.path, bad.raw).status_code >= 400, bad.name

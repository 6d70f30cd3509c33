"""Lists are bare arrays, newest first; paging is in headers, filters in the query."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.app import create_app
from tests.api.conftest import URL, Api, Pump, params
from timeball.model.task import State
from timeball.settings import Settings
from timeball.store.projects import ApiKey


def ids(tasks: list[dict[str, Any]]) -> list[str]:
    return [task["id"] for task in tasks]


def pages(api: Api, **query: Any) -> Iterator[list[dict[str, Any]]]:
    """Every page of a list, by its cursors."""
    while True:
        answer = api("GET", "/v2/tasks", query=query)
        assert answer.status_code == 200, answer.text
        yield answer.json
        cursor = answer.headers.get("X-Next-Cursor")
        link = answer.headers.get("Link")
        assert (cursor is None) == (link is None)
        if cursor is None or link is None:
            return
        assert link.startswith("</v2/tasks?")
        assert link.endswith('>; rel="next"')
        assert (
            api("GET", link[1 : link.index(">")]).json
            == api("GET", "/v2/tasks", query={**query, "cursor": cursor}).json
        )
        query["cursor"] = cursor


def many(api: Api, count: int, **fields: Any) -> list[str]:
    made: list[str] = []
    for start in range(0, count, 1000):
        batch = [
            {
                "request": {"url": f"{URL}/{n}"},
                "queue": f"q{n % 3}",
                "tags": [f"t{n % 10}"],
                **fields,
            }
            for n in range(start, min(count, start + 1000))
        ]
        answer = api("POST", "/v2/tasks/batch-create", batch)
        assert answer.status_code == 201
        made += ids(answer.json)
    return made


def test_three_thousand_tasks_are_walked_once_each(api: Api) -> None:
    made = many(api, 3000)
    begun = time.monotonic()
    walked = [task_id for page in pages(api, limit=500) for task_id in ids(page)]
    assert walked == sorted(made, reverse=True)
    assert time.monotonic() - begun < 10
    assert ids(api("GET", "/tasks").json) == walked[:100]
    for query, expected in (
        ({"queue": "q1"}, 1000),
        ({"tag": "t7"}, 300),
        ({"tag": "t7", "queue": "q1"}, 100),
        ({"status": "queued"}, 3000),
        ({"status": "queued", "queue": "q0", "tag": "t0"}, 100),
        ({"url": f"{URL}/29"}, 111),
        ({"status": "success"}, 0),
    ):
        found = [task_id for page in pages(api, limit=1000, **query) for task_id in ids(page)]
        assert len(found) == len(set(found)) == expected, query


def test_new_tasks_do_not_disturb_a_walk(api: Api) -> None:
    made = many(api, 30)
    walk = pages(api, limit=10)
    seen = ids(next(walk))
    many(api, 10)
    for page in walk:
        seen += ids(page)
    assert seen == sorted(made, reverse=True)


def test_the_newest_come_first_and_a_fresh_task_is_there(api: Api) -> None:
    made = []
    for _ in range(3):
        made.append(api.create()["id"])
        time.sleep(0.002)
    assert ids(api("GET", "/tasks").json) == made[::-1]


def test_tasks_are_found_by_what_they_are(api: Api, pump: Pump) -> None:
    one = api.create(f"{URL}/a", name="n", queue="q", tags=["x", "y"])
    two = api.create("https://example.org/b", tags=["y"])
    for query, expected in (
        ({"name": "n"}, [one]),
        ({"name": "N"}, []),
        ({"queue": "q"}, [one]),
        ({"queue": "default"}, [two]),
        ({"queue": "unused"}, []),
        ({"tag": "x"}, [one]),
        ({"tag": "y", "url": "https://example.org/"}, [two]),
        ({"url": URL}, [one]),
        ({"id": one["id"]}, [one]),
        ({"id": f"{one['id']},{two['id']}"}, [one, two]),
        ({"id": f"{one['id']},{two['id']}", "queue": "q"}, [one]),
        ({"id": "00000000-0000-7000-8000-000000000000"}, []),
    ):
        assert sorted(ids(api("GET", "/tasks", query=query).json)) == sorted(ids(expected)), query


def test_tasks_are_found_by_status(api: Api, pump: Pump) -> None:
    made = [api.create()["id"] for _ in range(5)]
    succeeded, dead, _ = pump.take(3)
    pump.end(succeeded, State.SUCCEEDED)
    pump.end(dead, State.DEAD)
    queued = [i for i in made if api("GET", f"/tasks/{i}").json["status"] == "queued"]
    api("POST", f"/tasks/{queued[0]}/cancel")
    found = {
        status: ids(api("GET", "/tasks", query={"status": status}).json)
        for status in ("queued", "working", "success", "failure", "cancelled")
    }
    assert {status: len(i) for status, i in found.items()} == dict.fromkeys(found, 1)
    assert sorted(i for one in found.values() for i in one) == sorted(made)
    assert found["cancelled"] == [queued[0]]
    assert found["working"] == [api("GET", f"/tasks/{found['working'][0]}").json["id"]]


def test_queued_tasks_come_in_the_order_they_are_due(api: Api) -> None:
    late, soon = api.create(delay="2h"), api.create(delay="1h")
    assert ids(api("GET", "/tasks", query={"status": "queued"}).json) == ids([soon, late])


def test_tasks_are_found_by_time(api: Api) -> None:
    early = api.create(scheduled_for="2040-01-01T00:00:00Z")
    time.sleep(0.005)
    late = api.create(scheduled_for="2041-01-01T00:00:00Z")
    made = late["created_at"]
    before = (datetime.fromisoformat(made) - timedelta(milliseconds=1)).isoformat()
    for query, expected in (
        ({"created_at": made}, [late]),
        ({"created_after": made}, [late]),
        ({"created_before": made}, [early]),
        ({"created_at": f"../{made}"}, [early]),
        ({"created_at": f"{made}/"}, [late]),
        ({"created_at": f"{early['created_at']}/{made}"}, [early]),
        ({"created_after": before, "created_before": "2100-01-01T00:00:00Z"}, [late]),
        ({"scheduled_for": "2040-01-01T00:00:00Z"}, [early]),
        ({"scheduled_for": "2040-06-01T00:00:00Z/.."}, [late]),
        ({"scheduled_after": "2040-01-01T00:00:00Z"}, [early, late]),
        ({"scheduled_after": "2040-01-01T00:00:00.001Z"}, [late]),
        ({"scheduled_before": "2041-01-01T00:00:00Z"}, [early]),
    ):
        found = api("GET", "/tasks", query=query)
        assert sorted(ids(found.json)) == sorted(ids(expected)), query
    plain = api.create()
    found = api("GET", "/tasks", query={"scheduled_before": "2039-01-01T00:00:00Z"})
    assert ids(found.json) == [plain["id"]]


@pytest.mark.parametrize(
    ("param", "query"),
    [
        ("limit", {"limit": "0"}),
        ("limit", {"limit": "1001"}),
        ("limit", {"limit": "-1"}),
        ("limit", {"limit": "１"}),
        ("limit", {"limit": ""}),
        ("limit", {"limit": "9" * 5000}),
        ("status", {"status": "running"}),
        ("status", {"status": "QUEUED"}),
        ("queue", {"queue": "a b"}),
        ("name", {"name": ""}),
        ("name", {"name": "a\0"}),
        ("tag", {"tag": "a\nb"}),
        ("url", {"url": "x" * 2049}),
        ("id", {"id": "x"}),
        ("id", {"id": ",".join(["00000000-0000-7000-8000-000000000000"] * 101)}),
        ("created_at", {"created_at": "yesterday"}),
        ("created_at", {"created_at": "a/b"}),
        ("created_after", {"created_after": "2040"}),
        ("scheduled_before", {"scheduled_before": ""}),
        ("cursor", {"cursor": ""}),
        ("cursor", {"cursor": "x" * 501}),
        ("cursor", {"cursor": "AAAA"}),
        ("cursor", {"cursor": "ü"}),
        ("page", {"page": "2"}),
        ("limits", {"limits": "2"}),
    ],
)
def test_a_wrong_parameter_is_named(api: Api, param: str, query: dict[str, str]) -> None:
    answer = api("GET", "/v2/tasks", query=query)
    assert answer.status_code == 422
    assert params(answer) == [param]
    twice = api("GET", "/v2/tasks?queue=a&queue=b")
    assert (twice.status_code, params(twice)) == (422, ["queue"])


def test_a_cursor_is_good_for_its_own_list_only(api: Api, api_of: Callable[..., Api]) -> None:
    other = api_of("other")
    for one in (api, other):
        many(one, 20)
    cursor = api("GET", "/tasks", query={"limit": 5}).headers["X-Next-Cursor"]
    assert api("GET", "/tasks", query={"cursor": cursor}).status_code == 200
    assert api("GET", "/v2/tasks", query={"cursor": cursor, "limit": 7}).status_code == 200
    flipped = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for forged, query in (
        (other, {"cursor": cursor}),
        (api, {"cursor": cursor, "queue": "q1"}),
        (api, {"cursor": cursor, "status": "queued"}),
        (api, {"cursor": flipped}),
        (api, {"cursor": cursor[3:]}),
        (api, {"cursor": cursor + "AAAA"}),
    ):
        answer = forged("GET", "/tasks", query=query)
        assert (answer.status_code, params(answer)) == (422, ["cursor"])


def test_links_name_the_public_address_when_it_is_known(
    api: Api, settings: Settings, api_key: tuple[ApiKey, str]
) -> None:
    many(api, 2)
    assert api("GET", "/tasks", query={"limit": 1}).headers["Link"].startswith("</tasks?limit=1&")
    public = create_app(replace(settings, public_url="https://tasks.example.com"))
    answer = Api(public, api_key[1])("GET", "/v2/tasks", query={"limit": 1})
    assert answer.headers["Link"].startswith("<https://tasks.example.com/v2/tasks?limit=1&")

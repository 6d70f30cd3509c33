"""PATCH changes what it names, and only while the task is queued."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import URL, Api, Pump, params
from timeball.model.task import State


def change(api: Api, task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = api("PATCH", f"/v2/tasks/{task['id']}", fields)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json
    assert api.get(task) == changed
    return changed


def test_what_is_not_named_stays(api: Api) -> None:
    task = api.create(
        name="n",
        queue="q",
        tags=["a"],
        timeout=5,
        retry={"max_attempts": 2},
        delay="1h",
        request={"headers": {"X-A": "1"}, "body": "old", "method": "PUT"},
    )
    assert change(api, task, name="new") == {**task, "name": "new"}
    changed = change(api, task, request={"body": "new"})
    assert changed["request"] == {**task["request"], "body": "new"}
    assert changed["due_at"] == task["due_at"]


def test_each_field_can_be_changed(api: Api) -> None:
    task = api.create(delay="1h")
    changed = change(
        api,
        task,
        name="n",
        queue="q",
        tags=["x"],
        timeout="7s",
        retry={"max_attempts": 4},
        scheduled_for="2040-01-01T00:00:00Z",
        request={"url": URL + "/2", "method": "GET", "headers": {"A": "b"}, "body": {"n": 1}},
    )
    assert changed["request"] == {
        "url": URL + "/2",
        "method": "GET",
        "headers": {"A": "b"},
        "body": '{"n":1}',
    }
    assert (changed["name"], changed["queue"], changed["tags"]) == ("n", "q", ["x"])
    assert (changed["timeout"], changed["retry"]["max_attempts"]) == (7, 4)
    assert changed["scheduled_for"] == changed["due_at"] == "2040-01-01T00:00:00.000Z"
    for query in ({"queue": "q"}, {"name": "n"}, {"tag": "x"}):
        assert [t["id"] for t in api("GET", "/tasks", query=query).json] == [task["id"]]
    assert api("GET", "/tasks", query={"queue": "default"}).json == []


def test_null_takes_a_field_back(api: Api) -> None:
    task = api.create(
        name="n",
        queue="q",
        tags=["a"],
        timeout=5,
        retry={"max_attempts": 2},
        request={"body": "x", "headers": {"A": "b"}},
    )
    nulls: dict[str, Any] = dict.fromkeys(("name", "queue", "tags", "timeout", "retry"))
    changed = change(api, task, request={"body": None, "headers": None}, **nulls)
    plain = api.create()
    for field in ("name", "queue", "tags", "timeout", "retry", "request"):
        assert changed[field] == plain[field]


def test_a_delay_alone_counts_from_now(api: Api) -> None:
    task = api.create(scheduled_for="2040-01-01T00:00:00Z")
    changed = change(api, task, delay="1h")
    planned, made = (datetime.fromisoformat(changed[k]) for k in ("scheduled_for", "created_at"))
    assert timedelta(hours=1) <= planned - made < timedelta(hours=1, seconds=30)
    both = change(api, task, scheduled_for="2041-01-01T00:00:00Z", delay="PT1M")
    assert both["due_at"] == "2041-01-01T00:01:00.000Z"
    now = change(api, task, scheduled_for=None)
    assert now["scheduled_for"] is None
    assert datetime.fromisoformat(now["due_at"]) - made < timedelta(seconds=30)


def test_a_task_that_is_no_longer_queued_is_a_conflict(api: Api, pump: Pump) -> None:
    task = api.create()
    claimed = pump.take()[0]
    assert api("PATCH", f"/tasks/{task['id']}", {"name": "x"}).status_code == 409
    pump.end(claimed, State.SUCCEEDED)
    answer = api("PATCH", f"/tasks/{task['id']}", {"name": "x"})
    assert answer.status_code == 409
    assert "succeeded" in answer.json["message"]


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("", {}),
        ("scheduledFor", {"scheduledFor": "2040-01-01T00:00:00Z"}),
        ("status", {"status": "success"}),
        ("request", {"request": None}),
        ("request.url", {"request": {"url": "ftp://x"}}),
        ("request.url", {"request": {"url": None}}),
        ("request.headers.Host", {"request": {"headers": {"Host": "x"}}}),
        ("delay", {"delay": "-1s"}),
        ("retry.jitter", {"retry": {"jitter": 3}}),
    ],
)
def test_a_wrong_change_is_named(api: Api, param: str, fields: dict[str, Any]) -> None:
    task = api.create(delay="1h")
    answer = api("PATCH", f"/tasks/{task['id']}", fields)
    assert answer.status_code == 422
    assert params(answer) == [param]
    assert api.get(task) == task


def test_a_form_changes_a_task_too(api: Api) -> None:
    task = api.create(delay="1h")
    answer = api(
        "PATCH",
        f"/tasks/{task['id']}",
        raw=b"request[body]=new&name=n",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (answer.json["request"]["body"], answer.json["name"]) == ("new", "n")

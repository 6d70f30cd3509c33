"""A task is created and read back: Mergent's fields in Mergent's form, then ours."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import URL, Api, params


def test_a_task_is_answered_with_201_and_can_be_read(api: Api) -> None:
    task = api.create(request={"body": "hello", "headers": {"X-A": "b"}}, name="first")
    assert len(task["id"]) == 36
    assert task["name"] == "first"
    assert task["queue"] == "default"
    assert task["status"] == "queued"
    assert task["request"] == {
        "url": URL,
        "method": "POST",
        "headers": {"X-A": "b"},
        "body": "hello",
    }
    assert task["scheduled_for"] is None
    assert task["created_at"].endswith("Z")
    assert api.get(task) == task


def test_our_own_fields_are_told_as_well(api: Api) -> None:
    task = api.create()
    assert task["due_at"] == task["created_at"]
    assert (task["started_at"], task["ended_at"], task["attempts_count"]) == (None, None, 0)
    assert task["timeout"] == 30
    assert task["tags"] == []
    assert task["retry"] == {
        "max_attempts": 9,
        "waits": [0, 5, 300, 1800, 7200, 18000, 36000, 36000],
    }


def test_every_route_is_there_with_and_without_the_prefix(api: Api) -> None:
    made = api("POST", "/tasks", {"request": {"url": URL}})
    assert made.status_code == 201
    for path in (f"/tasks/{made.json['id']}", f"/v2/tasks/{made.json['id']}"):
        assert api("GET", path).json == made.json
    assert api("GET", "/tasks").json == api("GET", "/v2/tasks").json == [made.json]
    assert api("GET", "/v2/tasks/").status_code == 200


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("2040-05-26T12:00:00Z", "2040-05-26T12:00:00.000Z"),
        ("2040-05-26T12:00:00.123456Z", "2040-05-26T12:00:00.123Z"),
        ("2040-05-26T14:00:00+02:00", "2040-05-26T12:00:00.000Z"),
        ("2040-05-26T12:00:00", "2040-05-26T12:00:00.000Z"),
        ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00.000Z"),
    ],
)
def test_a_task_may_be_scheduled_for_an_instant(api: Api, asked: str, shown: str) -> None:
    task = api.create(scheduled_for=asked)
    assert task["scheduled_for"] == task["due_at"] == shown
    assert api.get(task) == task


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        ("5s", 5),
        ("1.5h", 5400),
        ("2h45m", 9900),
        ("7m3s", 423),
        ("PT5M", 300),
        ("P1DT2H", 93600),
        ("250ms", 0.25),
    ],
)
def test_a_delay_counts_from_now_and_tells_the_instant(
    api: Api, delay: str, seconds: float
) -> None:
    task = api.create(delay=delay)
    created, planned = (datetime.fromisoformat(task[k]) for k in ("created_at", "scheduled_for"))
    assert planned - created == timedelta(seconds=seconds)
    assert task["due_at"] == task["scheduled_for"]
    assert "delay" not in task
    assert api.get(task) == task


def test_a_delay_is_added_to_the_instant_when_both_are_given(api: Api) -> None:
    task = api.create(scheduled_for="2040-01-01T00:00:00Z", delay="1h")
    assert task["scheduled_for"] == "2040-01-01T01:00:00.000Z"
    assert api.get(task) == task


def test_now_is_when_the_task_is_made(api: Api) -> None:
    task = api.create()
    created = datetime.fromisoformat(task["created_at"])
    assert abs(datetime.now(UTC) - created) < timedelta(seconds=30)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("text", "text"),
        ("", None),
        (None, None),
        ("zoë 🚀 \u2028", "zoë 🚀 \u2028"),
        ({"n": 1, "s": "ü"}, '{"n":1,"s":"ü"}'),
        ([1, None, {}], "[1,null,{}]"),
        ({}, "{}"),
        ({"whole": 123456789012345678901234567890}, '{"whole":123456789012345678901234567890}'),
        ({"nul": "\0"}, '{"nul":"\\u0000"}'),
    ],
)
def test_a_body_is_a_text_or_json_that_becomes_text(api: Api, body: object, shown: str) -> None:
    task = api.create(request={"body": body})
    assert task["request"]["body"] == shown
    assert api.get(task) == task


def test_a_body_of_bytes_travels_as_base64(api: Api) -> None:
    encoded = base64.b64encode(bytes(range(256))).decode()
    task = api.create(request={"body_base64": encoded})
    assert task["request"]["body"] is None
    assert task["request"]["body_base64"] == encoded
    assert api.get(task) == task


def test_an_answer_can_be_sent_again(api: Api) -> None:
    task = api.create(
        request={"body_base64": "AAE=", "headers": {"X-A": "1"}, "method": "PUT"}, tags=["a"]
    )
    request = {k: v for k, v in task["request"].items() if k != "url"}
    again = api.create(task["request"]["url"], request=request, tags=task["tags"])
    assert again["request"] == task["request"]


def test_seven_methods_may_be_used(api: Api) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert api.create(request={"method": method})["request"]["method"] == method
    assert api.create(request={"method": None})["request"]["method"] == "POST"


def test_a_retry_policy_shows_its_effect(api: Api) -> None:
    task = api.create(retry={"max_attempts": 3, "min_backoff": "2s", "max_age": 60})
    assert task["retry"] == {
        "max_attempts": 3,
        "min_backoff": 2,
        "max_backoff": 3600,
        "max_doublings": 9,
        "jitter": 0.2,
        "max_age": 60,
    }
    assert api.get(task) == task
    long = api.create(retry={"min_backoff": "2h", "jitter": 0, "max_doublings": 0})["retry"]
    assert (long["max_backoff"], long["jitter"], long["max_doublings"]) == (7200, 0, 0)
    assert api.create(retry={})["retry"]["max_attempts"] == 10
    assert api.create(retry=None)["retry"]["max_attempts"] == 9


def test_timeout_tags_and_queue(api: Api) -> None:
    task = api.create(timeout="1m30s", tags=["b", "a", "b", "ü"], queue="emails.high")
    assert task["timeout"] == 90
    assert task["tags"] == ["b", "a", "ü"]
    assert task["queue"] == "emails.high"
    assert api.create(timeout=0.5)["timeout"] == 0.5
    assert api.get(task) == task


def test_null_is_as_good_as_absent(api: Api) -> None:
    nulls = dict.fromkeys(("name", "queue", "scheduled_for", "delay", "timeout", "retry", "tags"))
    request = dict.fromkeys(("method", "headers", "body"))
    assert {**api.create(request=request, **nulls), "id": 0} == {
        **api.create(),
        "id": 0,
        "created_at": api("GET", "/tasks").json[1]["created_at"],
        "due_at": api("GET", "/tasks").json[1]["due_at"],
    }


def test_a_url_is_shown_as_it_will_be_sent(api: Api) -> None:
    task = api.create("HTTPS://Example.COM/ä#fragment")
    assert task["request"]["url"] == "https://example.com/%C3%A4"


def test_an_unknown_task_is_a_404(api: Api) -> None:
    for task_id in ("00000000-0000-7000-8000-000000000000", "nonsense", "%00", "x" * 5000):
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/run"),
            ("POST", "/cancel"),
            ("GET", "/attempts"),
        ):
            answer = api(method, f"/v2/tasks/{task_id}{path}")
            assert answer.status_code == 404
            assert answer.json == {"message": "there is no such task"}
    answer = api("PATCH", "/v2/tasks/nonsense", {"name": "x"})
    assert answer.status_code == 404
    assert params(answer) == []

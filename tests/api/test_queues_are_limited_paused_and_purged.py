"""Queues and the project's limits over REST, and what sets tasks apart in a queue."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api, Pump


def test_a_queue_shows_how_it_stands(api: Api) -> None:
    api.create(queue="mail")
    api.create(queue="mail", priority="low")
    api.create(queue="other")
    listed = api("GET", "/v2/queues").get_json()
    assert [(q["name"], q["waiting"], q["in_flight"]) for q in listed] == [
        ("mail", 2, 0),
        ("other", 1, 0),
    ]
    one = api("GET", "/v2/queues/mail").get_json()
    assert one == listed[0]
    assert one["oldest_due_at"] is not None
    assert api("GET", "/v2/queues/none").status_code == 404


def test_limits_are_set_in_part_and_taken_away(api: Api) -> None:
    first = api("PATCH", "/v2/queues/mail", {"rate": 50, "per": "minute", "concurrency": 7})
    assert first.status_code == 200
    second = api("PATCH", "/v2/queues/mail", {"concurrency": None, "burst": 5}).get_json()
    assert {k: second[k] for k in ("rate", "per", "burst", "concurrency", "paused")} == {
        "rate": 50,
        "per": "minute",
        "burst": 5,
        "concurrency": None,
        "paused": False,
    }


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": "5"}, "rate"),
        ({"per": "day"}, "per"),
        ({"concurrency": -1}, "concurrency"),
        ({"paused": "yes"}, "paused"),
        ({"ratte": 5}, "ratte"),
    ],
)
def test_wrong_limits_are_named(api: Api, sent: dict[str, object], param: str) -> None:
    answer = api("PATCH", "/v2/queues/mail", sent)
    assert (answer.status_code, answer.get_json()["param"]) == (422, param)


def test_a_paused_queue_gives_no_task_until_it_goes_on(api: Api, pump: Pump) -> None:
    api.create(queue="mail")
    assert api("POST", "/v2/queues/mail/pause").get_json()["paused"] is True
    assert pump.take(5) == []
    assert api("POST", "/queues/mail/resume").get_json()["paused"] is False
    assert len(pump.take(5)) == 1


def test_a_purge_deletes_what_waits(api: Api) -> None:
    for _ in range(3):
        api.create(queue="mail")
    assert api("POST", "/v2/queues/mail/purge").get_json() == {"deleted": 3}
    assert api("GET", "/v2/tasks").get_json() == []


def test_the_projects_limits_are_its_own(api: Api) -> None:
    assert api("PATCH", "/v2/limits", {"rate": 500, "per": "second"}).get_json()["rate"] == 500
    assert api("GET", "/v2/limits").get_json()["concurrency"] is None


def test_priority_and_keys_are_kept_and_shown(api: Api) -> None:
    task = api.create(priority="high", ordering_key="customer 7")
    assert (task["priority"], task["ordering_key"], task["concurrency_key"]) == (
        "high",
        "customer 7",
        None,
    )
    again = api("GET", f"/v2/tasks/{task['id']}").get_json()
    assert (again["priority"], again["ordering_key"]) == ("high", "customer 7")
    assert api.create()["priority"] == "normal"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"priority": "urgent"}, "priority"),
        ({"ordering_key": ""}, "ordering_key"),
        ({"concurrency_key": "a\u001fb"}, "concurrency_key"),
        ({"ordering_key": "a", "concurrency_key": "b"}, "ordering_key"),
    ],
)
def test_wrong_priorities_and_keys_are_named(api: Api, fields: dict[str, str], param: str) -> None:
    answer = api("POST", "/v2/tasks", {"request": {"url": "https://example.com"}, **fields})
    assert (answer.status_code, answer.get_json()["param"]) == (422, param)


def test_the_cursor_has_the_name_that_a_public_client_of_mergents_uses(api: Api) -> None:
    for _ in range(3):
        api.create()
    first = api("GET", "/v2/tasks", query={"limit": 2})
    after = first.headers["X-Cursor-After"]
    second = api("GET", "/v2/tasks", query={"limit": 2, "after": after})
    assert len(first.get_json() + second.get_json()) == 3

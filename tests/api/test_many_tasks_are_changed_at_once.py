"""One request acts on all tasks of a filter: it counts first if asked, says where to watch, and beat does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import Api, Pump, params
from timeball.dispatch import bulk
from timeball.dispatch.house import House
from timeball.model.project import Scope
from timeball.model.task import State
from timeball.store import keys, logins, pumps

BULK = "/v2/tasks/bulk"


@pytest.fixture
def work(house: House) -> Callable[[], None]:
    """What beat does."""
    fence = pumps.lead(house.client, keys.prefix(0), "beat", 3_600_000).fence
    return lambda: bulk.work(house, fence)


def begin(api: Api, **asked: Any) -> dict[str, Any]:
    answer = api("POST", BULK, asked)
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json
    assert answer.headers["Location"] == f"/v2/bulk/{made['id']}"
    return made


def test_a_dry_run_counts_and_changes_nothing(api: Api, work: Callable[[], None]) -> None:
    for n in range(3):
        api.create(f"https://example.com/{n}", queue="a", delay="1h")
    asked = {"action": "cancel", "filter": {"queue": "a"}, "dry_run": True}
    answer = api("POST", BULK, asked)
    assert answer.status_code == 200
    assert answer.json == {"action": "cancel", "dry_run": True, "count": 3, "exact": True}
    asked["filter"] = {"url": "https://example.com/1"}
    assert api("POST", BULK, asked).json["count"] == 1
    work()
    assert api("GET", "/v2/bulk").json == []


def test_a_bulk_is_asked_for_watched_and_found_again(
    api: Api, house: House, work: Callable[[], None]
) -> None:
    kept = api.create(queue="b", delay="1h")
    for _ in range(3):
        api.create(queue="a", delay="1h")
    made = begin(api, action="cancel", filter={"queue": "a"})
    assert (made["status"], made["total"], made["total_exact"]) == ("running", 3, True)
    work()
    found = api("GET", f"/v2/bulk/{made['id']}").json
    assert (found["status"], found["done"], found["refused"]) == ("done", 3, 0)
    assert found["filter"]["queue"] == "a"
    assert found["filter"]["status"] == "queued"
    assert api.get(kept)["status"] == "queued"
    assert [b["id"] for b in api("GET", "/v2/bulk").json] == [made["id"]]
    [line] = logins.audit(house.client, 0, 10)
    assert (line.verb, line.subject) == ("bulk cancel", made["id"])
    assert line.name.startswith("key ")


def test_dead_tasks_are_redriven_by_filter_with_a_rate(
    api: Api, pump: Pump, work: Callable[[], None]
) -> None:
    made = [api.create(f"https://{host}/") for host in ("a.example", "b.example")]
    for claimed in pump.take(2):
        pump.end(claimed, State.DEAD)
    asked = begin(api, action="redrive", filter={"host": "a.example"}, rate=50)
    work()
    assert api("GET", f"/v2/bulk/{asked['id']}").json["done"] == 1
    assert [api.get(task)["status"] for task in made] == ["queued", "failure"]


def test_tasks_are_named_by_their_ids(api: Api, work: Callable[[], None]) -> None:
    made = [api.create(delay="1h") for _ in range(3)]
    begin(api, action="delete", ids=[task["id"] for task in made[:2]])
    work()
    assert [t["id"] for t in api("GET", "/v2/tasks").json] == [made[2]["id"]]


def test_a_bulk_is_stopped(api: Api, work: Callable[[], None]) -> None:
    task = api.create(delay="1h")
    made = begin(api, action="delete", filter={})
    answer = api("POST", f"/v2/bulk/{made['id']}/stop")
    assert (answer.status_code, answer.json["status"]) == (200, "stopped")
    work()
    assert api.get(task)["status"] == "queued"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"filter": {}}, "action"),
        ({"action": "explode", "filter": {}}, "action"),
        ({"action": "run"}, "filter"),
        ({"action": "run", "filter": {}, "ids": []}, "ids"),
        ({"action": "run", "filter": []}, "filter"),
        ({"action": "run", "filter": {"queue": 7}}, "filter.queue"),
        ({"action": "run", "filter": {"queu": "a"}}, "filter.queu"),
        ({"action": "run", "filter": {"limit": "9"}}, "filter.limit"),
        ({"action": "cancel", "filter": {"status": "failure"}}, "filter.status"),
        ({"action": "run", "ids": ["x"]}, "ids"),
        ({"action": "run", "ids": [7]}, "ids"),
        ({"action": "run", "filter": {}, "rate": 0}, "rate"),
        ({"action": "run", "filter": {}, "rate": "fast"}, "rate"),
        ({"action": "run", "filter": {}, "dry_run": 1}, "dry_run"),
    ],
)
def test_what_is_wrong_is_named(api: Api, asked: dict[str, Any], param: str) -> None:
    answer = api("POST", BULK, asked)
    assert answer.status_code == 422, answer.text
    assert param in params(answer)


def test_it_is_kept_to_the_project_and_the_scope(
    api: Api, api_of: Callable[..., Api], work: Callable[[], None]
) -> None:
    task, other = api.create(delay="1h"), api_of()
    made = begin(other, action="delete", filter={})
    work()
    assert api.get(task)["status"] == "queued"
    assert api("GET", f"/v2/bulk/{made['id']}").status_code == 404
    assert api("POST", f"/v2/bulk/{made['id']}/stop").status_code == 404
    reader = api_of("reader", (Scope.READ,))
    assert reader("POST", BULK, {"action": "run", "filter": {}}).status_code == 403


def test_a_dead_task_is_edited_and_redriven_in_one_move(api: Api, pump: Pump) -> None:
    secret = {"url": "https://example.com/typo", "headers": {"Authorization": "Bearer s3cret"}}
    task = api.create(request=secret, name="order 7", delay="0s")
    path = f"/v2/tasks/{task['id']}/redrive"
    assert api("POST", path).status_code == 409
    [claimed] = pump.take()
    pump.end(claimed, State.DEAD)
    shown = api.get(task)["request"]["headers"]
    answer = api("POST", path, {"request": {"url": "https://example.com/right", "headers": shown}})
    assert answer.status_code == 200, answer.text
    assert answer.json["status"] == "queued"
    [claimed] = pump.take()
    assert claimed.attempt == 2
    assert claimed.spec["u"] == "https://example.com/right"
    assert claimed.spec["h"] == [["Authorization", "Bearer s3cret"]]
    assert len(api("GET", f"/v2/tasks/{task['id']}/attempts").json) == 1
    pump.end(claimed, State.DEAD)
    other = api.create(name="order 7", delay="1h")  # has the name now
    assert params(api("POST", path)) == ["name"]
    api("DELETE", f"/v2/tasks/{other['id']}")
    assert api("POST", path, {}).json["status"] == "queued"

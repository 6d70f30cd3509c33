"""The routes of schedules: Mergent's shapes, our additions, errors that name the field."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from api.app import create_app
from tests.api.conftest import Api, params
from tests.schedules.conftest import NOON, World, at
from timeball.dispatch import schedules
from timeball.model.project import Scope
from timeball.settings import Settings
from timeball.store import projects
from timeball.store.projects import ApiKey

URL = {"url": "https://example.com/hello"}
MERGENT = {
    *("id", "name", "description", "queue", "request", "cron", "rrule", "dtstart", "paused"),
    *("scheduled_for", "created_at"),
}
DAILY = {"request": URL, "cron": "0 13 * * *"}


@pytest.fixture
def api(settings: Settings, world: World, api_key: tuple[ApiKey, str]) -> Api:
    """The API as the project of the world sees it."""
    return Api(create_app(settings), api_key[1])


def create(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api("POST", "/v2/schedules", {**DAILY, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    return made


@pytest.mark.parametrize("prefix", ["/v2", ""])
def test_a_schedule_lives_as_mergents_clients_have_it(api: Api, world: World, prefix: str) -> None:
    answer = api("POST", f"{prefix}/schedules", {**DAILY, "name": "report"})
    assert answer.status_code == 201
    made = answer.json
    assert set(made) >= MERGENT
    assert (made["rrule"], made["dtstart"], made["description"]) == (None, None, None)
    assert (made["paused"], made["queue"], made["name"]) == (False, "default", "report")
    assert made["scheduled_for"] == "2027-03-01T13:00:00.000Z"
    assert len(made["id"]) == 36
    path = f"{prefix}/schedules/{made['id']}"
    assert api("GET", path).json == made
    assert api("GET", f"{prefix}/schedules").json == [made]
    changed = api("PATCH", path, {"paused": True}).json
    assert (changed["paused"], changed["scheduled_for"]) == (True, None)
    changed = api("PATCH", path, {"paused": False, "cron": "*/5 * * * *"}).json
    assert (changed["paused"], changed["scheduled_for"]) == (False, "2027-03-01T12:05:00.000Z")
    assert api("DELETE", path, raw=b"{}").status_code == 204
    assert api("GET", path).status_code == 404
    assert api("DELETE", path).status_code == 404


def test_an_rrule_without_a_start_fires_at_once_and_its_task_has_three_attempts(
    api: Api, world: World
) -> None:
    create(api, cron=None, rrule="FREQ=HOURLY")
    world.beat()
    [task] = api("GET", "/v2/tasks").json
    assert task["retry"] == {"max_attempts": 3, "waits": [0, 5]}
    assert task["scheduled_for"].startswith("2027-03-01T12:00:")
    assert task["status"] == "queued"


def test_every_addition_comes_back(api: Api) -> None:
    fields = {
        "timezone": "Europe/Amsterdam",
        "description": "daily\nreport",
        "start_at": "2027-03-02T00:00:00.000Z",
        "end_at": "2028-03-02T00:00:00.000Z",
        "max_runs": 9,
        "overlap": "skip",
        "catch_up": "all",
        "catch_up_window": 600,
        "window": 90,
        "timeout": 4,
        "tags": ["a"],
        "retry": {"max_attempts": 2},
    }
    made = create(api, **fields)
    fields["retry"] = made["retry"] if made["retry"]["max_attempts"] == 2 else {}
    assert {name: made[name] for name in fields} == fields
    assert made["scheduled_for"] == "2027-03-02T12:00:00.000Z"


def test_null_puts_a_field_back(api: Api) -> None:
    made = create(api, overlap="skip", window="5m", timezone="Asia/Tokyo", max_runs=3)
    nulls = dict.fromkeys(("overlap", "window", "timezone", "max_runs", "catch_up"))
    changed = api("PATCH", f"/v2/schedules/{made['id']}", nulls).json
    assert (changed["overlap"], changed["window"], changed["timezone"]) == ("queue_one", 0, "UTC")
    assert (changed["max_runs"], changed["catch_up"]) == (None, "latest")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"crom": "x"}, ["crom"]),
        ({"scheduledFor": "x"}, ["scheduledFor"]),
        ({"cron": "99 * * * *"}, ["cron"]),
        ({"cron": 5}, ["cron"]),
        ({"cron": None}, ["cron"]),
        ({"rrule": "FREQ=DAILY"}, ["rrule"]),
        ({"cron": None, "rrule": "FREQ=SECONDLY;BYMONTHDAY=30;BYMONTH=2"}, ["rrule"]),
        ({"dtstart": "2027-03-02T00:00:00Z"}, ["dtstart"]),
        ({"timezone": "../../etc/passwd"}, ["timezone"]),
        ({"paused": "yes"}, ["paused"]),
        ({"overlap": "wait", "catch_up": "some"}, ["overlap", "catch_up"]),
        ({"max_runs": 0, "window": "-5s"}, ["max_runs", "window"]),
        ({"end_at": "2027-03-01T12:30:00Z"}, ["end_at"]),
        ({"description": "x" * 501}, ["description"]),
        ({"request": {"url": "ftp://x/"}}, ["request.url"]),
        ({"request": None}, ["request"]),
    ],
)
def test_what_is_wrong_is_named(api: Api, fields: dict[str, Any], wrong: list[str]) -> None:
    answer = api("POST", "/v2/schedules", {**DAILY, **fields})
    assert answer.status_code == 422
    assert sorted(params(answer)) == sorted(wrong)
    assert api("GET", "/v2/schedules").json == []


def test_pause_resume_and_run_are_verbs_without_a_body(api: Api) -> None:
    made = create(api)
    path = f"/v2/schedules/{made['id']}"
    assert api("POST", f"{path}/pause").json["paused"] is True
    ran = api("POST", f"{path}/run")
    assert ran.status_code == 201
    assert api("GET", f"/v2/tasks/{ran.json['id']}").json["status"] == "queued"
    assert api("POST", f"{path}/resume").json["paused"] is False
    [line] = api("GET", f"{path}/history").json
    assert (line["outcome"], line["task_id"]) == ("asked", ran.json["id"])
    until = api("PATCH", path, {"paused_until": "2027-03-05T00:00:00Z"}).json
    assert (until["paused"], until["scheduled_for"]) == (True, "2027-03-05T13:00:00.000Z")


def test_a_preview_flags_clock_changes(api: Api, world: World) -> None:
    made = create(api, cron="30 2 * * *", timezone="America/New_York")
    answer = api("GET", f"/v2/schedules/{made['id']}/preview", query={"n": 20}).json
    assert len(answer["next"]) == 20
    assert answer["timezone"] == "America/New_York"
    assert answer["rule"]
    [gap] = [one for one in answer["next"] if one["gap"]]
    assert gap["local"] == "2027-03-14T03:00:00-04:00"
    sent = {"rrule": "FREQ=DAILY", "n": 3, "window": "1h"}
    first, second, _ = api("POST", "/v2/schedules/preview", sent).json["next"]
    assert first["occurrence"].startswith("2027-03-01T12:00:")
    assert second["occurrence"] == first["occurrence"].replace("-01T", "-02T")
    assert first["due_at"] > first["occurrence"]
    assert api("POST", "/v2/schedules/preview", {"n": 3}).status_code == 422
    assert api("POST", "/v2/schedules/preview", {"cron": "* * * * *", "n": 101}).status_code == 422


def test_lists_are_paged_by_cursor_and_found_by_name(api: Api) -> None:
    made = sorted((create(api, name=f"n{n % 2}")["id"] for n in range(5)), reverse=True)
    first = api("GET", "/v2/schedules", query={"limit": 3})
    cursor = first.headers["X-Next-Cursor"]
    assert cursor in first.headers["Link"]
    second = api("GET", "/v2/schedules", query={"limit": 3, "cursor": cursor})
    assert "X-Next-Cursor" not in second.headers
    assert [one["id"] for one in first.json + second.json] == made
    assert len(api("GET", "/v2/schedules", query={"name": "n0"}).json) == 3
    assert api("GET", "/v2/schedules", query={"nome": "n0"}).status_code == 422
    assert api("GET", "/v2/schedules", query={"cursor": "x"}).status_code == 422


def test_a_secret_header_is_hidden_and_kept(api: Api, world: World) -> None:
    made = create(api, request={**URL, "headers": {"Authorization": "Bearer s3cret"}})
    shown = made["request"]["headers"]["Authorization"]
    assert shown.startswith("hidden:")
    path = f"/v2/schedules/{made['id']}"
    api("PATCH", path, {"request": {"headers": {"Authorization": shown}, "method": "PUT"}})
    run = api("POST", f"{path}/run").json
    assert (run["request"]["method"], run["request"]["url"]) == ("PUT", URL["url"])
    assert run["request"]["headers"]["Authorization"] == shown


def test_a_key_needs_the_scope_and_sees_its_project_only(
    api: Api, settings: Settings, world: World
) -> None:
    made = create(api)
    house = world.house
    other = projects.create_project(house.client, house.vault, "other")
    stranger = Api(
        create_app(settings), projects.create_key(house.client, house.vault, other.id)[1]
    )
    assert stranger("GET", f"/v2/schedules/{made['id']}").status_code == 404
    assert stranger("DELETE", f"/v2/schedules/{made['id']}").status_code == 404
    assert stranger("POST", f"/v2/schedules/{made['id']}/run").status_code == 404
    reader = Api(
        create_app(settings),
        projects.create_key(house.client, house.vault, world.project, (Scope.READ,))[1],
    )
    assert reader("POST", "/v2/schedules", DAILY).status_code == 403
    assert reader("GET", f"/v2/schedules/{made['id']}/history").json == []
    assert api("GET", "/v2/schedules/nonsense").status_code == 404


def test_an_idempotency_key_makes_one_schedule(api: Api) -> None:
    first, again = (
        api("POST", "/v2/schedules", DAILY, headers={"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == first.json
    assert api("GET", "/schedules").json == [first.json]
    other = api("POST", "/v2/schedules", {**DAILY, "name": "n"}, headers={"Idempotency-Key": "k"})
    assert other.status_code == 409
    assert "Idempotency-Key" in other.json["message"]
    task = api("POST", "/v2/tasks", {"request": URL}, headers={"Idempotency-Key": "k"})
    assert "Idempotency-Replayed" not in task.headers
    api("DELETE", f"/v2/schedules/{first.json['id']}")
    fresh = api("POST", "/v2/schedules", DAILY, headers={"Idempotency-Key": "k"}).json
    assert fresh["id"] != first.json["id"]


def test_priority_and_keys_go_to_each_task(api: Api, world: World) -> None:
    made = create(api, cron="* * * * *", priority="high", concurrency_key="shop 7")
    world.set(at(12, 1))
    world.beat()
    [task] = world.tasks()
    assert (task.priority, task.concurrency_key, task.ordering_key) == ("high", "shop 7", None)
    assert world.claim() == [task.id]
    path = f"/v2/schedules/{made['id']}"
    clash = api("PATCH", path, {"ordering_key": "o"})
    assert (clash.status_code, params(clash)) == (422, ["ordering_key"])
    changed = api("PATCH", path, {"ordering_key": "o", "concurrency_key": None, "priority": None})
    shown = {name: changed.json[name] for name in ("priority", "concurrency_key", "ordering_key")}
    assert shown == {"priority": "normal", "concurrency_key": None, "ordering_key": "o"}
    assert changed.json["queue"] == "default"


def test_a_window_may_be_a_share_of_the_step(api: Api, world: World) -> None:
    made = create(api, cron="*/10 * * * *", window="50%", overlap="allow")
    assert made["window"] == "50%"
    told = api("GET", f"/v2/schedules/{made['id']}/preview?n=20").json["next"]
    spans = [
        (datetime.fromisoformat(one["due_at"]) - datetime.fromisoformat(one["occurrence"]))
        for one in told
    ]
    assert max(spans) <= timedelta(minutes=5)
    assert len(set(spans)) > 10
    world.set(at(12, 10))
    world.beat()
    [task] = world.tasks()
    assert task.due_at - at(12, 10) == spans[0]
    path = f"/v2/schedules/{made['id']}"
    assert api("PATCH", path, {"window": "5m"}).json["window"] == 300
    for wrong in ("0%", "101%", "%", "-5%", "1.5%", "5 m%"):
        answer = api("PATCH", path, {"window": wrong})
        assert (answer.status_code, params(answer)) == (422, ["window"])


def test_the_day_ahead_counts_each_schedule_by_what_it_has(world: World) -> None:
    """Whether its text alone says when, or its bounds, its window or its pause as well."""
    world.make(cron="30 14 * * *")
    world.make(cron="30 14 * * *", name="again", timezone="Europe/Amsterdam")
    world.make(cron="30 13,14 * * *", end_at=at(14))
    world.make(cron="30 14 * * *", window=timedelta(milliseconds=1))
    world.make(cron="30 14 * * *", paused=True)
    world.make(cron="@every 12h", name="twice")
    world.make(rrule="FREQ=DAILY", dtstart=at(14, 30))
    world.make(rrule="FREQ=DAILY;BYHOUR=15,16;BYMINUTE=0;BYSECOND=0", dtstart=at(14, 30))
    world.make(rrule="FREQ=DAILY", dtstart=at(14, 40), timezone="Europe/Amsterdam")
    world.make(rrule="FREQ=YEARLY", dtstart=NOON + timedelta(days=2))
    found, count = schedules.load(world.house, world.project, 60)
    assert (found.schedules, count) == (10, 10)
    assert (found.calls[14 * 60 + 30], found.calls[13 * 60 + 30]) == (3, 2)
    assert [found.calls[hour * 60] for hour in (15, 16, 0, 12)] == [1] * 4
    assert found.calls.total() == 10

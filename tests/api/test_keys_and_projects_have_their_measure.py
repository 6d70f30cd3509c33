"""A key's requests are counted where they are limited, and a project gets no more than its quota."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from api import allowance
from api.app import create_app
from tests.api.conftest import URL, Api
from timeball.dispatch.house import House
from timeball.settings import Settings
from timeball.store.projects import ApiKey

TASK = {"request": {"url": URL}, "delay": "1h"}
SCHEDULE = {"request": {"url": URL}, "rrule": "FREQ=DAILY"}

Limited = Callable[..., Api]
At = Callable[[float], None]


@pytest.fixture
def limited(settings: Settings, house: House, api_key: tuple[ApiKey, str]) -> Limited:
    """The API with limits of some settings, as the test's project sees it."""
    return lambda **limits: Api(create_app(replace(settings, **limits)), api_key[1])


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the wall clock by which minutes are told."""

    def at(seconds: float) -> None:
        monkeypatch.setattr(allowance.time, "time", lambda: seconds)

    at(600.0)
    return at


def test_without_a_setting_nothing_is_counted(api: Api) -> None:
    for _ in range(50):
        answer = api("GET", "/v2/tasks")
    assert not [name for name, _ in answer.headers if name.startswith("X-RateLimit")]


def test_a_key_is_told_what_is_left_and_then_to_wait(
    limited: Limited, api_of: Callable[..., Api], at: Callable[[float], None]
) -> None:
    api = limited(key_requests_per_minute=3)
    for left in ("2", "1", "0"):
        answer = api("GET", "/v2/tasks")
        assert answer.status_code == 200
        assert answer.headers["X-RateLimit-Limit"] == "3"
        assert answer.headers["X-RateLimit-Remaining"] == left
        assert answer.headers["X-RateLimit-Reset"] == "660"
    at(615.0)
    for method, path in (("GET", "/v2/tasks"), ("POST", "/v2/tasks"), ("GET", "/v2/segments")):
        answer = api(method, path, headers={"Content-Length": "5"} if method == "POST" else None)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "45"
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        assert "3 requests a minute" in answer.json["message"]
    api.headers = api_of("other").headers
    assert api("GET", "/v2/tasks").status_code == 200, "another key has its own measure"
    at(660.0)
    assert api("GET", "/v2/tasks").headers["X-RateLimit-Remaining"] == "2"


def test_the_measure_of_a_key_holds_over_all_processes(limited: Limited, at: At) -> None:
    processes = [limited(key_requests_per_minute=100) for _ in range(3)]
    well = [0, 0, 0]
    for turn in range(120):
        for n, api in enumerate(processes):
            if turn % (n + 1) == 0:  # some are asked more often than others
                well[n] += api("GET", "/v2/tasks").status_code == 200
    assert sum(well) == 100, well
    assert min(well) > 10, well
    at(660.0)
    assert [api("GET", "/v2/tasks").status_code for api in processes] == [200] * 3


def test_few_requests_ask_the_store_for_a_share(house: House, at: At) -> None:
    rate, refused, asked = allowance.Rate(1000), 0, 0
    before = house.client.info("commandstats")
    for _ in range(1100):
        try:
            rate.count(house, "a-key", {})
        except allowance.TooMany:
            refused += 1
    for name, told in house.client.info("commandstats").items():
        if name.startswith("cmdstat_eval"):
            asked += told["calls"] - before.get(name, {"calls": 0})["calls"]
    assert refused == 100
    assert 0 < asked < 90


def test_a_project_takes_no_more_waiting_tasks_than_its_quota(
    limited: Limited, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = limited(quota_waiting_tasks=3)
    ids = [api("POST", "/v2/tasks", TASK).json["id"] for _ in range(2)]
    assert api("POST", "/v2/tasks/batch-create", [TASK, TASK]).status_code == 429
    assert api("POST", "/v2/tasks", TASK).status_code == 201
    answer = api("POST", "/v2/tasks", TASK)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "10"
    assert "quota of 3 waiting tasks" in answer.json["message"]
    api("DELETE", f"/v2/tasks/{ids[0]}")
    later = time.monotonic() + allowance.LOOK_SECONDS
    monkeypatch.setattr(allowance.time, "monotonic", lambda: later)
    assert api("POST", "/v2/tasks", TASK).status_code == 201


def test_the_quota_of_a_project_holds_over_all_processes(limited: Limited) -> None:
    processes = [limited(quota_waiting_tasks=40) for _ in range(4)]
    well = [api("POST", "/v2/tasks", TASK).status_code for _ in range(15) for api in processes]
    assert 40 <= well.count(201) <= 43, "each of the others may hold one that it has not used"
    assert well.count(429) == len(well) - well.count(201)


def test_a_project_has_no_more_schedules_than_its_quota(limited: Limited) -> None:
    api = limited(quota_schedules=2)
    ids = [api("POST", "/v2/schedules", SCHEDULE).json["id"] for _ in range(2)]
    answer = api("POST", "/v2/schedules", SCHEDULE)
    assert answer.status_code == 429
    assert "quota of 2 schedules" in answer.json["message"]
    assert api("DELETE", f"/v2/schedules/{ids[0]}").status_code == 204
    assert api("POST", "/v2/schedules", SCHEDULE).status_code == 201

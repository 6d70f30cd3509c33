"""Why a task waits, and what holds hosts, over REST: in words for people, in fields for programs."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from tests.api.conftest import URL, Api, Pump


@pytest.mark.parametrize("prefix", ["", "/v2"])
def test_a_task_that_is_not_due_says_when_it_will_be(api: Api, prefix: str) -> None:
    task = api.create(delay="90s")
    answer = api("GET", f"{prefix}/tasks/{task['id']}/explain")
    assert answer.status_code == 200
    told = answer.json
    assert (told["id"], told["status"], told["certainty"]) == (task["id"], "queued", "unknown")
    first = told["reasons"][0]
    assert (first["reason"], first["until"]) == ("not_due", task["scheduled_for"])
    assert first["words"] in told["words"]
    assert [reason["reason"] for reason in told["reasons"][1:]] == ["no_worker", "beat_silent"]


def test_facts_are_fields_and_what_does_not_belong_is_left_out(api: Api, pump: Pump) -> None:
    api("PATCH", "/v2/queues/mail", {"concurrency": 1})
    api.create(queue="mail")
    pump.take()
    task = api.create(queue="mail")
    [reason, *_] = api("GET", f"/v2/tasks/{task['id']}/explain").json["reasons"]
    words = reason.pop("words")
    assert "1 of 1 calls in flight" in words
    assert reason == {
        "reason": "concurrency",
        "scope": "queue",
        "limit": 1,
        "in_flight": 1,
        "ahead": 0,
    }


def test_an_unknown_task_and_one_of_others_are_not_explained(
    api: Api, api_of: Callable[..., Api]
) -> None:
    other = api_of("other").create()
    for one in (other["id"], str(uuid.uuid4()), "nonsense"):
        assert api("GET", f"/v2/tasks/{one}/explain").status_code == 404


def test_a_host_is_limited_and_shown(api: Api, pump: Pump) -> None:
    limited = api("PATCH", "/v2/hosts/Example.com", {"concurrency": 1})
    assert (limited.status_code, limited.json["host"]) == (200, "example.com")
    api.create()
    api.create()
    assert len(pump.take(5)) == 1
    assert pump.take(5) == []
    [shown] = api("GET", "/hosts").json
    assert shown == api("GET", "/v2/hosts/example.com").json
    assert (shown["concurrency"], shown["own_concurrency"]) == (1, True)
    assert (shown["in_flight"], shown["waiting"], shown["breaker"]) == (1, 1, "closed")
    freed = api("PATCH", "/v2/hosts/example.com", {"concurrency": None}).json
    assert (freed["concurrency"], freed["in_flight"]) == (None, None)
    assert len(pump.take(5)) == 1


def test_the_projects_limit_for_every_host(api: Api, pump: Pump) -> None:
    told = api("PATCH", "/v2/limits", {"host_concurrency": 2, "concurrency": 10}).json
    assert (told["host_concurrency"], told["concurrency"]) == (2, 10)
    assert api("GET", "/v2/limits").json == told
    for n in range(5):
        api.create(f"{URL}/{n}")
    assert len(pump.take(5)) == 2
    shown = api("GET", "/v2/hosts/example.com").json
    assert (shown["concurrency"], shown["own_concurrency"]) == (2, False)
    assert api("PATCH", "/v2/limits", {"host_concurrency": None}).json["host_concurrency"] is None


@pytest.mark.parametrize("path", ["", "/close", "/probe"])
@pytest.mark.parametrize("host", ["no host", "a@b", "999.1.1.1", "example.com:port"])
def test_what_is_no_host_is_refused(api: Api, path: str, host: str) -> None:
    method, sent = ("POST", None) if path else ("PATCH", {"concurrency": 1})
    answer = api(method, f"/v2/hosts/{host}{path}", sent)
    assert (answer.status_code, answer.json["param"]) == (422, "host")


@pytest.mark.parametrize("verb", ["close", "probe"])
def test_a_host_that_nothing_holds_cannot_be_let_go(api: Api, verb: str) -> None:
    assert api("POST", f"/v2/hosts/example.com/{verb}").status_code == 404


@pytest.mark.parametrize("sent", [{"concurrency": 0}, {"concurrency": "5"}, {"limit": 5}])
def test_wrong_limits_of_a_host_are_named(api: Api, sent: dict[str, object]) -> None:
    answer = api("PATCH", "/v2/hosts/example.com", sent)
    assert (answer.status_code, answer.json["param"]) == (422, next(iter(sent)))

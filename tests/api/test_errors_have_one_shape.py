"""Every error, on every route and none, is JSON with a message; none shows what is within."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest

from api.app import create_app
from tests.api.conftest import URL, Api
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.errors import StoreError, StoreFull
from timeball.settings import Settings
from timeball.store.projects import ApiKey

SECRET = "a-master-secret-that-only-tests-use-0123456789"


@pytest.mark.parametrize(
    "path",
    [
        "/v2",
        "/v2/",
        "/nothing",
        "/v2/task",
        "/v3/tasks",
        "/v2//tasks",
        "/tasks/a/b",
        "/tasks/../tasks",
        "/%00",
        "/\u2603",
        "/" + "x" * 5000,
        "/static/x",
        "/<script>",
    ],
)
def test_an_unknown_route_is_a_404_in_json(nobody: Api, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = nobody(method, path)
        assert answer.status_code == 404
        assert "route" in answer.json["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v2/tasks", {"GET", "HEAD", "POST"}),
        ("DELETE", "/tasks", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "/tasks", {"GET", "HEAD", "POST"}),
        ("POST", "/v2/tasks/00000000-0000-7000-8000-000000000000", None),
        ("GET", "/v2/tasks/00000000-0000-7000-8000-000000000000/run", {"POST"}),
        ("POST", "/livez", {"GET", "HEAD"}),
        ("TRACE", "/tasks", None),
        ("BREW", "/tasks", None),
    ],
)
def test_a_method_that_is_not_there_is_a_405(
    api: Api, method: str, path: str, allowed: set[str] | None
) -> None:
    answer = api(method, path)
    assert answer.status_code == 405
    assert method in answer.json["message"]
    if allowed:
        assert set(answer.headers["Allow"].split(", ")) == allowed


def test_every_answer_is_safe_to_show(api: Api) -> None:
    for answer in (api("GET", "/tasks"), api("GET", "/nothing"), api("GET", "/livez")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_request_has_an_id(api: Api) -> None:
    first, second = (api("GET", "/tasks").headers["X-Request-Id"] for _ in range(2))
    assert first != second
    own = api("GET", "/tasks", headers={"X-Request-Id": "trace-1"})
    assert own.headers["X-Request-Id"] == "trace-1"
    for odd in ("a b", "x" * 101, "<script>", ""):
        answer = api("GET", "/tasks", headers={"X-Request-Id": odd})
        assert answer.headers["X-Request-Id"] != odd


def test_a_fault_of_ours_is_a_500_that_tells_nothing_but_its_name(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for error in (RuntimeError("s3cret"), StoreError("s3cret"), KeyError("s3cret")):

        def broken(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(intake, "get", broken)
        with caplog.at_level(logging.ERROR):
            answer = api.client.get(
                "/tasks/00000000-0000-7000-8000-000000000000", headers=api.headers
            )
        assert answer.status_code == 500
        assert answer.mimetype == "application/json"
        assert "s3cret" not in answer.text
        assert answer.headers["X-Request-Id"] in answer.json["message"]


def test_a_full_store_is_a_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreFull("the store has no memory left")

    monkeypatch.setattr(intake, "submit", full)
    answer = api("POST", "/tasks", {"request": {"url": URL}})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "full" in answer.json["message"]


def test_a_store_without_memory_takes_nothing_and_loses_nothing(api: Api, house: House) -> None:
    task = api.create()
    house.client.config_set("maxmemory", "1mb")
    try:
        answer = api("POST", "/tasks", {"request": {"url": URL, "body": "x" * 100_000}})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert api.get(task) == task
    finally:
        house.client.config_set("maxmemory", "0")
    assert len(api("GET", "/tasks").json) == 1


def test_while_the_store_is_away_every_answer_is_a_503(tmp_path: Path) -> None:
    settings = Settings(redis_url=f"unix://{tmp_path}/away.sock", secret=SECRET, dev=True)
    api = Api(create_app(settings), "tb_AAAAAAAA_" + "A" * 32)
    for method, path in (
        ("GET", "/tasks"),
        ("POST", "/v2/tasks"),
        ("DELETE", "/tasks/00000000-0000-7000-8000-000000000000"),
    ):
        answer = api(method, path, {"request": {"url": URL}})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert api("GET", "/livez").status_code == 200


def test_a_broker_that_is_away_delays_no_answer(
    settings: Settings, api_key: tuple[ApiKey, str]
) -> None:
    away = replace(settings, broker_url="redis://127.0.0.1:1/0")
    api = Api(create_app(away), api_key[1])
    begun = time.monotonic()
    assert api.create()["status"] == "queued"
    assert time.monotonic() - begun < 2


def test_a_connection_that_breaks_is_made_anew_without_a_word(api: Api, house: House) -> None:
    task = api.create()
    for ask in (lambda: api.get(task), lambda: api.create(name="n")):
        for client_id in (c["id"] for c in house.client.client_list()):
            house.client.client_kill_filter(_id=client_id, skipme=True)
        assert ask()["status"] == "queued"


def test_the_key_is_in_no_log(
    api: Api, api_key: tuple[ApiKey, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        task = api.create(delay="1h", request={"body": "s3cret", "headers": {"Cookie": "s3cret"}})
        api("POST", f"/tasks/{task['id']}/run")
        api("DELETE", f"/tasks/{task['id']}")
    assert api_key[1] not in caplog.text
    assert "s3cret" not in caplog.text

"""What belongs to another project looks exactly like what does not exist."""

from __future__ import annotations

from collections.abc import Callable

from tests.api.conftest import Api


def test_a_foreign_task_is_an_unknown_task(api: Api, api_of: Callable[..., Api]) -> None:
    task = api.create(name="mine", tags=["t"], queue="q", delay="1h")
    other = api_of("other")
    unknown = "00000000-0000-7000-8000-000000000000"
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "theirs"}),
        ("PATCH", "", {"request": {"headers": {"Authorization": "hidden:000000000000"}}}),
        ("DELETE", "", None),
        ("POST", "/run", None),
        ("POST", "/cancel", None),
        ("GET", "/attempts", None),
    ):
        foreign = other(method, f"/v2/tasks/{task['id']}{path}", body)
        nothing = other(method, f"/v2/tasks/{unknown}{path}", body)
        assert (foreign.status_code, foreign.json) == (404, {"message": "there is no such task"})
        assert (nothing.status_code, nothing.json) == (foreign.status_code, foreign.json)
    assert api.get(task) == task


def test_a_foreign_task_is_in_no_list(api: Api, api_of: Callable[..., Api]) -> None:
    task = api.create(name="mine", tags=["t"], queue="q")
    other = api_of("other")
    for query in (
        {},
        {"id": task["id"]},
        {"name": "mine"},
        {"queue": "q"},
        {"tag": "t"},
        {"status": "queued"},
        {"status": "working"},
        {"url": "https://"},
        {"created_at": task["created_at"]},
    ):
        assert other("GET", "/tasks", query=query).json == []
        if query.get("status") != "working":
            assert len(api("GET", "/tasks", query=query).json) == 1


def test_a_foreign_running_task_is_in_no_list(
    api: Api, api_of: Callable[..., Api], pump: object
) -> None:
    api.create()
    pump.take()
    assert len(api("GET", "/tasks", query={"status": "working"}).json) == 1
    assert api_of("other")("GET", "/tasks", query={"status": "working"}).json == []

"""A task is created and read back, in Mergent's fields and ours."""

from __future__ import annotations

from tests.api.conftest import Api


def test_a_task_is_answered_with_201_and_can_be_read(api: Api) -> None:
    task = api.create(request={"body": '{"hello": "world"}', "headers": {"X-A": "b"}}, name="first")
    assert task["status"] == "queued"
    assert task["queue"] == "default"
    assert task["name"] == "first"
    assert task["request"] == {
        "url": "https://example.com/hello",
        "method": "POST",
        "headers": {"X-A": "b"},
        "body": '{"hello": "world"}',
    }
    assert len(task["id"]) == 36
    assert api.get(task) == task

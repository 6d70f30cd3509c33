"""The same Idempotency-Key with the same body is the same task; with another body it is a conflict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.api.conftest import URL, Api, params

TASK = {"request": {"url": URL, "body": "1"}}


def send(api: Api, key: str, what: Any = TASK, path: str = "/v2/tasks") -> TestResponse:
    return api("POST", path, what, headers={"Idempotency-Key": key})


def test_a_repeated_create_answers_the_first_task_and_says_so(api: Api) -> None:
    first = send(api, "a key")
    again = send(api, "a key")
    assert (first.status_code, again.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == first.json
    assert len(api("GET", "/tasks").json) == 1


def test_another_body_is_a_conflict(api: Api) -> None:
    send(api, "a key")
    other = send(api, "a key", {"request": {"url": URL, "body": "2"}})
    assert other.status_code == 409
    assert "Idempotency-Key" in other.json["message"]
    assert len(api("GET", "/tasks").json) == 1


def test_another_key_is_another_task(api: Api) -> None:
    assert send(api, "a").json["id"] != send(api, "b").json["id"]


def test_the_key_is_free_again_once_the_task_is_deleted(api: Api) -> None:
    first = send(api, "a key").json
    api("DELETE", f"/tasks/{first['id']}")
    second = send(api, "a key")
    assert second.status_code == 201
    assert second.json["id"] != first["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "a\tb"])
def test_a_key_that_cannot_be_one_is_refused(api: Api, key: str) -> None:
    answer = send(api, key)
    assert answer.status_code == 422
    assert params(answer) == ["Idempotency-Key"]


def test_projects_have_keys_of_their_own(api: Api, api_of: Callable[..., Api]) -> None:
    assert send(api, "k").json["id"] != send(api_of("other"), "k").json["id"]
    assert send(api_of("other"), "k", {"request": {"url": URL}}).status_code == 409


def test_a_repeated_batch_is_the_same_tasks(api: Api) -> None:
    batch = [{"request": {"url": URL, "body": str(n)}} for n in range(5)]
    first = send(api, "b", batch, "/v2/tasks/batch-create")
    again = send(api, "b", batch, "/v2/tasks/batch-create")
    assert again.status_code == 201
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == first.json
    assert len(api("GET", "/tasks").json) == 5


def test_another_batch_with_its_key_takes_nothing(api: Api) -> None:
    batch: list[dict[str, Any]] = [{"request": {"url": URL, "body": str(n)}} for n in range(3)]
    send(api, "b", batch, "/v2/tasks/batch-create")
    for other in (batch[:2], [*batch, batch[0]], [{"request": {}}, *batch]):
        assert send(api, "b", other, "/v2/tasks/batch-create").status_code == 409
    assert send(api, "b").status_code == 409
    assert len(api("GET", "/tasks").json) == 3


def test_a_batch_that_broke_off_is_finished_by_its_repetition(api: Api) -> None:
    batch = [{"request": {"url": URL, "body": str(n)}} for n in range(4)]
    first = send(api, "b", batch, "/v2/tasks/batch-create").json
    api("DELETE", f"/tasks/{first[2]['id']}")  # as if the third had never been taken
    again = send(api, "b", batch, "/v2/tasks/batch-create")
    assert "Idempotency-Replayed" not in again.headers
    ids = [task["id"] for task in again.json]
    assert [ids[0], ids[1], ids[3]] == [first[0]["id"], first[1]["id"], first[3]["id"]]
    assert len(api("GET", "/tasks").json) == 4

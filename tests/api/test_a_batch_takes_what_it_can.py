"""A batch is not atomic: what is right is taken, and at the place of what is wrong stands its error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import URL, Api, error_shape, params

PATH = "/v2/tasks/batch-create"


def batch(n: int) -> list[dict[str, Any]]:
    return [{"request": {"url": f"{URL}/{i}"}, "tags": ["t"]} for i in range(n)]


def test_a_batch_answers_its_tasks_in_order(api: Api) -> None:
    answer = api("POST", PATH, batch(3))
    assert answer.status_code == 201
    assert [t["request"]["url"] for t in answer.json] == [f"{URL}/{i}" for i in range(3)]
    by_id = {task["id"]: task for task in api("GET", "/tasks").json}
    assert by_id == {task["id"]: task for task in answer.json}


def test_a_thousand_tasks_are_taken_and_no_more(api: Api) -> None:
    answer = api("POST", "/tasks/batch-create", batch(1000))
    assert answer.status_code == 201
    assert len({t["id"] for t in answer.json}) == 1000
    for wrong in (batch(1001), []):
        answer = api("POST", PATH, wrong)
        assert answer.status_code == 422
        assert "1 to 1000" in answer.json["message"]


def test_an_object_with_tasks_is_taken_as_well(api: Api) -> None:
    assert len(api("POST", PATH, {"tasks": batch(2)}).json) == 2


def test_a_wrong_task_has_its_error_at_its_place(api: Api) -> None:
    mixed: list[Any] = [
        *batch(1),
        {"request": {}},
        5,
        {**batch(1)[0], "scheduledFor": "x"},
        *batch(1),
    ]
    answer = api("POST", PATH, mixed)
    assert answer.status_code == 201
    assert ["id" in one for one in answer.json] == [True, False, False, False, True]
    for error in answer.json[1:4]:
        error_shape(error)
    assert [e.get("param") for e in answer.json[1:4]] == ["request.url", None, "scheduledFor"]
    assert len(api("GET", "/tasks").json) == 2


def test_when_all_are_wrong_nothing_is_taken(api: Api) -> None:
    answer = api("POST", PATH, [{"request": {}}, 5, {"request": {"url": URL}, "queue": ""}])
    assert answer.status_code == 422
    assert params(answer) == ["0.request.url", "1", "2.queue"]
    assert api("GET", "/tasks").json == []


@pytest.mark.parametrize("sent", [{}, {"request": {"url": URL}}, {"tasks": {}}, "x", 5, None])
def test_a_batch_is_a_list(api: Api, sent: Any) -> None:
    raw = b"null" if sent is None else None
    answer = api("POST", PATH, sent, raw=raw)
    assert answer.status_code == 422


def test_a_name_is_one_task_within_a_batch(api: Api) -> None:
    named = [{**one, "name": "same"} for one in batch(3)]
    answer = api("POST", PATH, named)
    assert answer.status_code == 201
    assert len({t["id"] for t in answer.json}) == 1
    assert len(api("GET", "/tasks").json) == 1


def test_a_body_too_large_is_one_item_s_error(api: Api) -> None:
    large = {"request": {"url": URL, "body": "x" * (1024 * 1024 + 1)}}
    answer = api("POST", PATH, [*batch(1), large])
    assert answer.status_code == 201
    assert answer.json[1]["param"] == "request.body"
    huge = [{"request": {"url": URL, "body": "x" * 1_000_000}}] * 9
    assert api("POST", PATH, huge).status_code == 413

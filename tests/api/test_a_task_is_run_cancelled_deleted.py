"""What a person may do with a task: run it now, cancel it, delete it; each may be said twice."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.api.conftest import Api, Pump
from timeball.model.task import State


def test_run_makes_a_task_due_now(api: Api) -> None:
    task = api.create(scheduled_for="2040-01-01T00:00:00Z")
    answer = api("POST", f"/v2/tasks/{task['id']}/run")
    assert answer.status_code == 200
    assert answer.json["status"] == "queued"
    due, made = (datetime.fromisoformat(answer.json[k]) for k in ("due_at", "created_at"))
    assert due - made < timedelta(seconds=30)
    assert api("POST", f"/v2/tasks/{task['id']}/run").json == answer.json


def test_run_of_a_running_task_changes_nothing(api: Api, pump: Pump) -> None:
    task = api.create()
    pump.take()
    answer = api("POST", f"/tasks/{task['id']}/run")
    assert (answer.status_code, answer.json["status"]) == (200, "working")


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD])
def test_an_ended_task_runs_again(api: Api, pump: Pump, state: State) -> None:
    task = api.create()
    pump.end(pump.take()[0], state)
    answer = api("POST", f"/tasks/{task['id']}/run")
    assert (answer.status_code, answer.json["status"]) == (200, "queued")
    assert answer.json["ended_at"] is None
    assert pump.take()[0].attempt == 2


def test_a_task_can_be_deleted_right_after_a_run(api: Api) -> None:
    task = api.create(delay="1h")
    assert api("POST", f"/tasks/{task['id']}/run").status_code == 200
    assert api("DELETE", f"/tasks/{task['id']}").status_code == 204
    assert api("GET", f"/tasks/{task['id']}").status_code == 404
    assert api("DELETE", f"/tasks/{task['id']}").status_code == 404


@pytest.mark.parametrize("body", [b"{}", b"", b"not json", b"[" * 100_000])
def test_whatever_body_comes_with_run_and_delete_is_not_read(api: Api, body: bytes) -> None:
    task = api.create(delay="1h")
    json = {"Content-Type": "application/json"}
    assert api("POST", f"/tasks/{task['id']}/run", raw=body, headers=json).status_code == 200
    assert api("DELETE", f"/tasks/{task['id']}", raw=body, headers=json).status_code == 204


def test_cancel_takes_a_queued_task_back(api: Api, pump: Pump) -> None:
    task = api.create(delay="1h")
    answer = api("POST", f"/v2/tasks/{task['id']}/cancel")
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert answer.json["due_at"] is None
    assert answer.json["ended_at"] is not None
    assert api("POST", f"/v2/tasks/{task['id']}/cancel").json == answer.json
    assert pump.take() == []
    again = api("POST", f"/v2/tasks/{task['id']}/run")
    assert again.json["status"] == "queued"


def test_a_task_that_is_not_queued_cannot_be_cancelled(api: Api, pump: Pump) -> None:
    task = api.create()
    claimed = pump.take()[0]
    assert api("POST", f"/tasks/{task['id']}/cancel").status_code == 409
    pump.end(claimed, State.DEAD)
    assert api("POST", f"/tasks/{task['id']}/cancel").status_code == 409


def test_the_statuses_are_mergents_words(api: Api, pump: Pump) -> None:
    task = api.create()
    assert api.get(task)["status"] == "queued"
    claimed = pump.take()[0]
    working = api.get(task)
    assert (working["status"], working["attempts_count"]) == ("working", 1)
    assert working["started_at"] is not None
    pump.end(claimed, State.SCHEDULED, due_ms=2**42)
    assert api.get(task)["status"] == "queued"
    api("POST", f"/tasks/{task['id']}/run")
    pump.end(pump.take()[0], State.DEAD)
    ended = api.get(task)
    assert (ended["status"], ended["attempts_count"], ended["due_at"]) == ("failure", 2, None)
    api("POST", f"/tasks/{task['id']}/run")
    pump.end(pump.take()[0], State.SUCCEEDED)
    assert api.get(task)["status"] == "success"

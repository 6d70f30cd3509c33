"""A name belongs to one live task of its project; afterwards it is free again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api.conftest import URL, Api, Pump, params
from timeball.model.task import State


def test_a_second_create_answers_the_first_task(api: Api) -> None:
    first = api.create(name="once", request={"body": "1"})
    second = api("POST", "/v2/tasks", {"name": "once", "request": {"url": URL, "body": "2"}})
    assert second.status_code == 201
    assert second.json == first
    assert api("GET", "/tasks").json == [first]


def test_it_does_so_while_the_first_runs(api: Api, pump: Pump) -> None:
    first = api.create(name="once")
    pump.take()
    second = api.create(name="once")
    assert (second["id"], second["status"]) == (first["id"], "working")


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD])
def test_the_end_of_a_task_frees_its_name(api: Api, pump: Pump, state: State) -> None:
    first = api.create(name="once")
    pump.end(pump.take()[0], state)
    second = api.create(name="once")
    assert second["id"] != first["id"]
    again = api("POST", f"/tasks/{first['id']}/run")
    assert again.status_code == 409


def test_cancel_and_delete_free_a_name(api: Api) -> None:
    first = api.create(name="once")
    assert api("POST", f"/tasks/{first['id']}/cancel").status_code == 200
    second = api.create(name="once")
    assert second["id"] != first["id"]
    assert api("DELETE", f"/tasks/{second['id']}").status_code == 204
    assert api.create(name="once")["id"] not in (first["id"], second["id"])


def test_projects_have_names_of_their_own(api: Api, api_of: Callable[..., Api]) -> None:
    assert api.create(name="once")["id"] != api_of("other").create(name="once")["id"]


def test_a_task_may_not_be_renamed_to_a_live_one(api: Api) -> None:
    api.create(name="taken")
    other = api.create(name="mine")
    answer = api("PATCH", f"/tasks/{other['id']}", {"name": "taken"})
    assert answer.status_code == 422
    assert params(answer) == ["name"]
    assert api("PATCH", f"/tasks/{other['id']}", {"name": "mine"}).status_code == 200

"""`on_success`, `on_failure`, `on_attempt`: calls of ours, made once, of what ended in the store."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.api.conftest import Api, Pump, params
from timeball.dispatch import callbacks, intake
from timeball.dispatch.house import House
from timeball.ids import id_text
from timeball.model.attempt import Attempt, Outcome
from timeball.model.project import Project
from timeball.model.task import State, Task
from timeball.store import codec, keys, outbox, pumps
from timeball.store.lists import Filter

TOLD = {f"on_{end}": f"https://example.com/{end}" for end in ("success", "failure", "attempt")}


@pytest.fixture
def fence(house: House) -> int:
    return pumps.lead(house.client, keys.prefix(0), "beat", 60_000).fence


def made(house: House, project: Project) -> list[tuple[str, dict[str, Any]]]:
    """(path, message) of each callback that waits, in the order of making."""
    found = intake.find(house, project.id, Filter(queue=callbacks.QUEUE), 100, None).tasks
    calls = [(t.request.url.rpartition("/")[2], orjson.loads(t.request.body)) for t in found]
    return sorted(calls, key=lambda call: (call[1]["attempt"]["number"], call[0]))


def all_of(house: House, project: Project) -> list[Task]:
    return intake.find(house, project.id, Filter(queue=callbacks.QUEUE), 100, None).tasks


def test_fields_are_shown_changed_and_checked(api: Api) -> None:
    task = api.create(**TOLD)
    assert {name: task[name] for name in TOLD} == TOLD
    answer = api("PATCH", f"/v2/tasks/{task['id']}", {"on_failure": None})
    assert answer.status_code == 200
    assert api.get(task)["on_failure"] is None
    assert api.get(task)["on_success"] == TOLD["on_success"]
    for wrong in ("ftp://example.com/", "http://10.0.0.1:1/", 7):
        answer = api(
            "POST", "/v2/tasks", {"request": {"url": "https://a.example/"}, "on_failure": wrong}
        )
        assert (answer.status_code, params(answer)) == (422, ["on_failure"])


def test_each_end_is_told_to_whom_it_concerns(
    api: Api, pump: Pump, house: House, project: Project, fence: int
) -> None:
    task = api.create(**TOLD, name="order 7", tags=["a"])
    failed = Attempt(1, Outcome.ANSWERED, codec.from_ms(1.7e12), 503, body=b"busy")
    pump.end(pump.take()[0], State.SCHEDULED, failed, due_ms=1)
    pump.end(pump.take()[0], State.SUCCEEDED)
    assert callbacks.deliver(house, fence) is False
    told = made(house, project)
    assert [(path, said["event"], said["task"]["status"]) for path, said in told] == [
        ("attempt", "attempt.ended", "queued"),
        ("attempt", "attempt.ended", "success"),
        ("success", "task.succeeded", "success"),
    ]
    first = told[0][1]
    assert (first["task"]["id"], first["task"]["name"]) == (task["id"], "order 7")
    assert first["task"]["tags"] == ["a"]
    assert (first["attempt"]["status"], first["attempt"]["body"]) == (503, "busy")


def test_death_is_told_also_that_of_being_lost(
    api: Api, pump: Pump, house: House, project: Project, fence: int
) -> None:
    api.create(on_failure=TOLD["on_failure"])
    pump.end(pump.take()[0], State.DEAD)
    lost = api.create(on_failure=TOLD["on_failure"])
    pump.take()
    pumps.give_back(house.client, house.prefix(project.id), "pump", [], max_lost=1)
    callbacks.deliver(house, fence)
    told = made(house, project)
    assert [path for path, _ in told] == ["failure"] * 2
    [of_lost] = [said for _, said in told if said["task"]["id"] == lost["id"]]
    assert of_lost["attempt"]["outcome"] == "lost"


def test_a_callback_is_a_task_without_callbacks_in_a_queue_of_its_own(
    api: Api, pump: Pump, house: House, project: Project, fence: int
) -> None:
    api.create(**TOLD)
    pump.end(pump.take()[0], State.SUCCEEDED)
    callbacks.deliver(house, fence)
    for call in all_of(house, project):
        assert (call.on_success, call.on_failure, call.on_attempt) == (None, None, None)
        assert call.key_id == api.headers["Authorization"].split("_")[1]
    for claimed in pump.take(10):
        pump.end(claimed, State.DEAD)
    assert outbox.read(house.client, house.prefix(project.id), 10) == []


def test_they_are_made_once_though_beat_died_before_it_could_note_that(
    api: Api,
    pump: Pump,
    house: House,
    project: Project,
    fence: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api.create(**TOLD)
    pump.end(pump.take()[0], State.SUCCEEDED)
    with monkeypatch.context() as dying:
        dying.setattr(outbox, "told", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            callbacks.deliver(house, fence)
    first = {task.id for task in all_of(house, project)}
    assert len(first) == 2
    callbacks.deliver(house, fence)
    assert {task.id for task in all_of(house, project)} == first
    assert house.client.llen("tb:{0}:outbox") == 0


def test_a_beat_that_leads_no_more_forgets_nothing(
    api: Api, pump: Pump, house: House, fence: int
) -> None:
    api.create(**TOLD)
    pump.end(pump.take()[0], State.SUCCEEDED)
    callbacks.deliver(house, fence - 1)
    assert house.client.llen("tb:{0}:outbox") == 1


def test_a_task_without_callbacks_writes_nothing(api: Api, pump: Pump, house: House) -> None:
    api.create()
    pump.end(pump.take()[0], State.SUCCEEDED)
    assert house.client.exists("tb:{0}:outbox", "tb:{0}:wake:s") == 0


def test_a_result_that_is_written_twice_is_told_once(
    api: Api, pump: Pump, house: House, project: Project
) -> None:
    api.create(**TOLD)
    claimed = pump.take()[0]
    entry = Attempt(1, Outcome.ANSWERED, codec.from_ms(1.7e12), 200)
    pump.end(claimed, State.SUCCEEDED, entry)
    pump.end(claimed, State.SUCCEEDED, entry)
    assert house.client.llen("tb:{0}:outbox") == 1


def test_tasks_of_a_schedule_tell_as_it_says(
    api: Api, pump: Pump, house: House, project: Project, fence: int
) -> None:
    answer = api(
        "POST",
        "/v2/schedules",
        {"request": {"url": "https://example.com/"}, "cron": "0 0 1 1 *", **TOLD},
    )
    assert answer.status_code == 201, answer.text
    schedule = answer.json
    assert {name: schedule[name] for name in TOLD} == TOLD
    ran = api("POST", f"/v2/schedules/{schedule['id']}/run").json
    [claimed] = pump.take()
    assert id_text(claimed.id) == ran["id"]
    pump.end(claimed, State.SUCCEEDED)
    callbacks.deliver(house, fence)
    assert {said["task"]["schedule"] for _, said in made(house, project)} == {schedule["id"]}


def test_what_follows_when_a_schedule_fails_is_shown_changed_and_checked(api: Api) -> None:
    hooks = {
        "on_failing": "https://example.com/failing",
        "on_recovered": "https://example.com/recovered",
        "failing_after": 5,
        "pause_when_failing": True,
    }
    sent = {"request": {"url": "https://example.com/"}, "cron": "0 0 1 1 *"}
    made = api("POST", "/v2/schedules", {**sent, **hooks}).json
    assert {name: made[name] for name in hooks} == hooks
    path = f"/v2/schedules/{made['id']}"
    changed = api("PATCH", path, dict.fromkeys(hooks)).json
    assert [changed[name] for name in hooks] == [None, None, 3, False]
    for name, wrong in (
        ("on_failing", "http://10.0.0.1:1/"),
        ("on_recovered", 7),
        ("failing_after", 0),
        ("failing_after", 101),
        ("pause_when_failing", "yes"),
    ):
        answer = api("PATCH", path, {name: wrong})
        assert (answer.status_code, params(answer)) == (422, [name])


def test_many_are_made_in_steps(
    api: Api,
    pump: Pump,
    house: House,
    project: Project,
    fence: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callbacks, "AT_ONCE", 2)
    for _ in range(5):
        api.create(on_success=TOLD["on_success"])
    for claimed in pump.take(5):
        pump.end(claimed, State.SUCCEEDED)
    callbacks.deliver(house, fence)
    assert len(all_of(house, project)) == 5

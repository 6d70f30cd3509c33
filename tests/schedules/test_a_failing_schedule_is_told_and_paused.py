"""`on_failing`, `on_recovered`, `failing_after`, `pause_when_failing`: what follows from deaths in a row."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.schedules.conftest import World, at
from timeball.dispatch import callbacks, intake, schedules
from timeball.model.schedule import Overlap, Schedule
from timeball.model.task import State
from timeball.store import outbox
from timeball.store.lists import Filter

FAILING, RECOVERED = "https://example.com/failing", "https://example.com/recovered"
HOOKS: dict[str, Any] = {"on_failing": FAILING, "on_recovered": RECOVERED}


def told(world: World) -> list[tuple[str, dict[str, Any]]]:
    """(URL, message) of each callback, in the order of making."""
    found = intake.find(world.house, world.project, Filter(queue=callbacks.QUEUE), 100, None).tasks
    said = [(task.request.url, orjson.loads(task.request.body)) for task in found]
    return sorted(said, key=lambda one: str(one[1]["at"]))


def end(world: World, made: Schedule, *ends: State) -> None:
    """Make an extra task of the schedule for each end, let it end so, and let beat tell."""
    for state in ends:
        world.pass_by(seconds=1)
        task = schedules.run(world.house, world.project, made.id)
        assert world.claim() == [task.id]
        world.finish(task.id, state=state)
        callbacks.deliver(world.house, world.fence)
        for call in world.claim():
            world.finish(call)


DEAD, WELL = State.DEAD, State.SUCCEEDED


def test_it_is_told_after_three_in_a_row_and_when_one_succeeds(world: World) -> None:
    made = world.make(name="nightly", cron="0 3 1 1 *", **HOOKS)
    end(world, made, DEAD, DEAD)
    assert told(world) == []
    end(world, made, DEAD, DEAD)
    [(url, said)] = told(world)
    assert (url, said["event"], said["task"]["schedule"]) == (FAILING, "schedule.failing", made.id)
    assert said["schedule"] == {"id": made.id, "name": "nightly", "failures": 3, "pauses": False}
    end(world, made, WELL, WELL)
    assert [url for url, _ in told(world)] == [FAILING, RECOVERED]
    assert told(world)[1][1]["schedule"]["failures"] == 4
    assert not world.get(made).paused


def test_deaths_that_are_not_in_a_row_say_nothing(world: World) -> None:
    made = world.make(cron="0 3 1 1 *", failing_after=2, **HOOKS)
    end(world, made, DEAD, WELL, DEAD, WELL)
    assert told(world) == []
    end(world, made, DEAD, DEAD)
    assert [url for url, _ in told(world)] == [FAILING]


def test_occurrences_count_and_the_schedule_pauses(world: World) -> None:
    made = world.make(failing_after=2, pause_when_failing=True, overlap=Overlap.ALLOW)
    for minute in (1, 2):
        world.set(at(12, minute))
        world.beat()
        world.finish(*world.claim(), state=DEAD)
        assert not world.get(made).paused
        callbacks.deliver(world.house, world.fence)
    paused = world.get(made)
    assert (paused.paused, paused.next_at) == (True, None)
    assert told(world) == [], "nobody is to be told"
    schedules.resume(world.house, world.project, made.id)
    end(world, made, DEAD)
    assert world.get(made).paused, "it still fails"
    schedules.resume(world.house, world.project, made.id)
    end(world, made, WELL, DEAD)
    assert not world.get(made).paused


def test_what_is_noted_again_counts_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat that died before it could forget what it told begins again."""
    made = world.make(cron="0 3 1 1 *", failing_after=3, **HOOKS)
    with monkeypatch.context() as dying:
        dying.setattr(outbox, "told", lambda *_: 0)
        end(world, made, DEAD, DEAD)
    callbacks.deliver(world.house, world.fence)
    assert told(world) == []
    with monkeypatch.context() as dying:
        dying.setattr(outbox, "told", lambda *_: 0)
        end(world, made, DEAD, WELL)
    callbacks.deliver(world.house, world.fence)
    assert [url for url, _ in told(world)] == [FAILING, RECOVERED]


def test_retries_and_cancelled_tasks_count_for_nothing(world: World) -> None:
    made = world.make(cron="0 3 1 1 *", failing_after=1, **HOOKS)
    task = schedules.run(world.house, world.project, made.id)
    world.claim()
    world.finish(task.id, state=State.SCHEDULED, due_ms=int(at(12, 30).timestamp() * 1000))
    callbacks.deliver(world.house, world.fence)
    intake.cancel(world.house, world.project, task.id)
    callbacks.deliver(world.house, world.fence)
    assert told(world) == []


def test_a_task_that_was_changed_still_counts(world: World) -> None:
    made = world.make(cron="0 3 1 1 *", failing_after=1, **HOOKS)
    task = schedules.run(world.house, world.project, made.id)
    intake.update(world.house, world.project, task.id, {"tags": ("by-hand",)})
    world.claim()
    world.finish(task.id, state=DEAD)
    callbacks.deliver(world.house, world.fence)
    assert [url for url, _ in told(world)] == [FAILING]


def test_a_schedule_that_is_gone_leaves_nothing(world: World) -> None:
    made = world.make(cron="0 3 1 1 *", failing_after=2, **HOOKS)
    end(world, made, DEAD)
    assert world.client.exists(f"{world.prefix}sf:{made.id}")
    task = schedules.run(world.house, world.project, made.id)
    world.claim()
    schedules.delete(world.house, world.project, made.id)
    world.finish(task.id, state=DEAD)
    callbacks.deliver(world.house, world.fence)
    assert told(world) == []
    assert not world.client.exists(f"{world.prefix}sf:{made.id}")


def test_a_schedule_without_hooks_writes_nothing(world: World) -> None:
    made = world.make(cron="0 3 1 1 *", failing_after=1)
    task = schedules.run(world.house, world.project, made.id)
    world.claim()
    world.finish(task.id, state=DEAD)
    assert outbox.read(world.client, world.prefix, 10) == []

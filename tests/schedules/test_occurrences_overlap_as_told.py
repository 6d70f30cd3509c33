"""An occurrence that comes while the task before is not over waits, runs beside, is left out, or cancels it."""

from __future__ import annotations

from tests.schedules.conftest import World, at
from timeball.dispatch import intake, schedules
from timeball.model.schedule import Fate, Overlap
from timeball.model.task import State
from timeball.store import codec, keys, tasks


def fates(world: World, schedule: object) -> list[tuple[int, Fate]]:
    return [(line.at.minute, line.fate) for line in world.history(schedule)]


def test_one_waits_until_the_task_before_has_ended_and_later_ones_are_skipped(world: World) -> None:
    made = world.make()
    world.set(at(12, 1))
    world.beat()
    [first] = world.claim()
    world.run(at(12, 3))
    assert world.instants(made) == [at(12, 1)]
    assert fates(world, made) == [(1, Fate.MADE), (2, Fate.WAITING), (3, Fate.SKIPPED)]
    world.client.delete(f"{world.prefix}wake:{keys.SCHEDULES}")
    world.finish(first)
    assert world.client.llen(f"{world.prefix}wake:{keys.SCHEDULES}") == 1
    assert world.client.smembers(f"{world.prefix}ended") == {made.id.encode()}
    world.beat()
    assert world.instants(made) == [at(12, 1), at(12, 2)]
    assert world.tasks(made)[1].due_at >= at(12, 3)
    assert fates(world, made) == [(1, Fate.MADE), (2, Fate.WAITED), (3, Fate.SKIPPED)]
    assert world.client.exists(f"{world.prefix}sw:{made.id}", f"{world.prefix}ended") == 0
    assert world.get(made).runs == 2
    counted = schedules.fates(world.house, world.project, made.id)
    assert counted == {Fate.WAITED: 1, Fate.SKIPPED: 1}
    schedules.delete(world.house, world.project, made.id)
    assert world.client.keys(f"{world.prefix}s?:{made.id}") == []


def test_a_retry_is_not_yet_the_end(world: World) -> None:
    made = world.make()
    world.set(at(12, 1))
    world.beat()
    [first] = world.claim()
    world.finish(first, state=State.SCHEDULED, due_ms=codec.to_ms(at(12, 30)))
    world.run(at(12, 2))
    assert fates(world, made) == [(1, Fate.MADE), (2, Fate.WAITING)]
    world.set(at(12, 30))
    world.claim()
    world.finish(first, state=State.DEAD)
    world.beat()
    assert (2, Fate.WAITED) in fates(world, made)


def test_whatever_ends_a_task_lets_the_next_begin(world: World) -> None:
    for end in ("cancel", "delete", "lost"):
        made = world.make()
        start = world.get(made).next_at
        assert start is not None
        world.set(start)
        world.beat()
        [first] = world.tasks(made)
        if end == "lost":
            world.claim()
        world.set(start.replace(minute=start.minute + 1))
        world.beat()
        assert len(world.tasks(made)) == 1
        if end == "cancel":
            intake.cancel(world.house, world.project, first.id)
        elif end == "delete":
            intake.delete(world.house, world.project, first.id)
        else:
            world.finish(first.id, state=State.DEAD)
        world.beat()
        assert [line.fate for line in world.history(made)][-1] is Fate.WAITED
        schedules.delete(world.house, world.project, made.id)


def test_an_end_that_nobody_heard_of_is_found_at_the_next_occurrence(world: World) -> None:
    made = world.make()
    world.set(at(12, 1))
    world.beat()
    [first] = world.claim()
    world.run(at(12, 2))
    world.finish(first)
    world.client.delete(f"{world.prefix}ended")
    world.set(at(12, 3))
    world.beat()
    assert fates(world, made) == [(1, Fate.MADE), (2, Fate.WAITED), (3, Fate.WAITING)]


def test_a_schedule_that_may_overlap_never_waits(world: World) -> None:
    made = world.make(overlap=Overlap.ALLOW)
    world.run(at(12, 3))
    assert world.instants(made) == [at(12, 1), at(12, 2), at(12, 3)]


def test_skip_leaves_out_and_says_so(world: World) -> None:
    made = world.make(overlap=Overlap.SKIP)
    world.set(at(12, 1))
    world.beat()
    [first] = world.claim()
    world.run(at(12, 2))
    world.finish(first)
    world.beat()
    world.run(at(12, 3))
    assert world.instants(made) == [at(12, 1), at(12, 3)]
    assert fates(world, made) == [(1, Fate.MADE), (2, Fate.SKIPPED), (3, Fate.MADE)]


def test_cancel_other_takes_back_what_waits_but_cuts_no_call(world: World) -> None:
    made = world.make(overlap=Overlap.CANCEL_OTHER)
    world.run(at(12, 2))
    one, two = world.tasks(made)
    assert (one.state, two.state) == (State.CANCELLED, State.SCHEDULED)
    assert world.claim() == [two.id]
    world.run(at(12, 3))
    states = [task.state for task in world.tasks(made)]
    assert states == [State.CANCELLED, State.RUNNING, State.SCHEDULED]


def test_tasks_that_no_schedule_made_tell_nobody(world: World) -> None:
    made = world.make()
    world.set(at(12, 1))
    world.beat()
    task = world.tasks(made)[0]
    world.call()
    assert world.client.exists(f"{world.prefix}ended") == 0
    assert tasks.get(world.client, world.prefix, world.project, task.id).state is State.SUCCEEDED

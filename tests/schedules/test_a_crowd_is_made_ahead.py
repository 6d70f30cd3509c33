"""A crowd that is due at one instant is made shortly before it; nobody sees a difference but in time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.schedules.conftest import NOON, World, at
from timeball.dispatch import schedules
from timeball.model.schedule import CatchUp, Fate, Overlap, Schedule
from timeball.model.task import Request, State
from timeball.store import schedules as store

BEFORE = at(12, 0, 59)
THEN = at(12, 1)


@pytest.fixture
def crowd(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Schedule]]:
    """Makes three schedules and lets a beat look one second before they are due; three are a crowd."""
    monkeypatch.setattr(store, "CROWD", 3)

    def make(**fields: Any) -> list[Schedule]:
        made = [world.make(**fields) for _ in range(3)]
        world.set(BEFORE)
        wait = world.beat()
        assert wait is not None
        assert wait > 0
        return made

    return make


def test_a_crowd_waits_in_its_lane_and_is_called_at_its_instant(
    world: World, crowd: Callable[..., list[Schedule]]
) -> None:
    made = crowd(cron="* * * * *", window=timedelta(milliseconds=200))
    assert [(t.occurrence, t.state) for t in world.tasks()] == [(THEN, State.SCHEDULED)] * 3
    assert all(t.created_at < THEN <= t.due_at for t in world.tasks())
    assert [world.get(one).next_at for one in made] == [at(12, 2)] * 3
    assert world.claim() == []
    world.set(THEN + timedelta(seconds=0.2))
    world.beat()
    assert len(world.call()) == 3
    assert all([line.fate for line in world.history(one)] == [Fate.MADE] for one in made)


def test_fewer_are_made_at_their_instant(world: World) -> None:
    world.make()
    world.set(BEFORE)
    assert world.beat() == pytest.approx(1, abs=0.2)
    assert world.tasks() == []


def test_many_that_are_due_one_after_the_other_are_no_crowd(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CROWD", 3)
    for second in (1, 2, 3, 4, 5):
        world.make(cron=f"{second} 1 12 * * *")
    world.set(THEN)
    world.beat()
    assert world.tasks() == []


def test_beat_looks_often_enough_to_see_a_crowd_before_its_instant() -> None:
    from beat.scheduler import LOOK_SECONDS

    assert LOOK_SECONDS * 1000 < store.AHEAD_MS


def test_no_more_than_that_is_made_ahead(
    world: World, crowd: Callable[..., list[Schedule]]
) -> None:
    crowd(cron="*/30 * * * * *", dtstart=None, overlap=Overlap.ALLOW)
    assert set(world.instants()) == {at(12, 0, 30), THEN}, "of which the first was caught up"
    while world.beat() == 0.0:
        pass
    assert len(world.instants()) == 6


@pytest.mark.parametrize(
    "overlap", [Overlap.QUEUE_ONE, Overlap.SKIP, Overlap.CANCEL_OTHER, Overlap.ALLOW]
)
def test_the_task_before_has_until_the_instant_to_end(
    world: World, crowd: Callable[..., list[Schedule]], overlap: Overlap
) -> None:
    """What comes of an occurrence while it runs is asked at the instant, unless they run side by side."""
    for _ in range(3):
        world.make(overlap=overlap)
    world.set(THEN)
    world.beat()
    running = world.claim()
    world.set(at(12, 1, 59))
    world.beat()
    side_by_side = overlap is Overlap.ALLOW
    assert len(world.tasks()) == (6 if side_by_side else 3)
    world.finish(*running)
    world.set(at(12, 2))
    world.beat()
    assert len(world.call()) == 3
    assert set(world.instants()) == {THEN, at(12, 2)}


def test_what_runs_at_the_instant_counts_as_ever(
    world: World, crowd: Callable[..., list[Schedule]]
) -> None:
    made = [world.make(overlap=Overlap.SKIP) for _ in range(3)]
    world.set(THEN)
    world.beat()
    world.claim()
    world.set(at(12, 1, 59))
    world.beat()
    world.set(at(12, 2))
    world.beat()
    assert [[line.fate for line in world.history(one)] for one in made] == [
        [Fate.MADE, Fate.SKIPPED]
    ] * 3


def test_an_ordered_lane_is_not_held_up_by_what_is_to_come(
    world: World, crowd: Callable[..., list[Schedule]]
) -> None:
    crowd(ordering_key="one")
    assert world.tasks() == []
    world.set(THEN)
    world.beat()
    assert len(world.tasks()) == 3


Edit = Callable[[World, Schedule], object]


def pause(world: World, made: Schedule) -> None:
    schedules.pause(world.house, world.project, made.id)


def pause_and_resume(world: World, made: Schedule) -> None:
    pause(world, made)
    schedules.resume(world.house, world.project, made.id)


def edit(**changes: Any) -> Edit:
    return lambda world, made: schedules.update(world.house, world.project, made.id, changes)


def delete(world: World, made: Schedule) -> None:
    schedules.delete(world.house, world.project, made.id)


@pytest.mark.parametrize(
    ("change", "instants"),
    [
        (pause, []),
        (delete, []),
        (pause_and_resume, [THEN]),
        (edit(cron="* * * * *", end_at=at(13)), [THEN]),
        (edit(cron="59 12 * * *"), []),
        (edit(start_at=at(12, 30)), []),
        (edit(max_runs=1), [THEN]),
        (edit(request=Request("http://localhost/new")), [THEN]),
        (edit(overlap=Overlap.SKIP, catch_up=CatchUp.NONE), [THEN]),
        (edit(rrule="FREQ=SECONDLY", dtstart=NOON, end_at=THEN), [THEN]),
    ],
)
def test_a_change_takes_effect_on_what_was_made_ahead(
    world: World, crowd: Callable[..., list[Schedule]], change: Edit, instants: list[datetime]
) -> None:
    made = crowd()[0]
    change(world, made)
    world.run(THEN + timedelta(seconds=0.5))
    assert world.instants(made) == instants
    if change is delete:
        return
    kept = world.get(made)
    assert kept.runs == len(instants)
    fates = [line.fate for line in world.history(made) if line.at == THEN]
    assert len(fates) == 1
    assert (fates[0] in (Fate.MADE, Fate.REMADE)) == bool(instants)
    urls = {task.request.url for task in world.tasks(made)}
    assert urls <= {kept.request.url}, "what waits follows the change"


def test_a_crowd_larger_than_a_look_is_made_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CROWD", 3)
    from timeball.dispatch import expand

    monkeypatch.setattr(expand, "LOOK_AT_ONCE", 4)
    made = {world.make().id for _ in range(10)}
    world.set(BEFORE)
    world.beat()
    assert len(world.tasks()) == 8, "the last two are no crowd"
    world.set(THEN)
    world.beat()
    assert {task.schedule for task in world.tasks()} == made
    assert len(world.tasks()) == 10

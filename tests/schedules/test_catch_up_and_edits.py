"""After an outage exactly what `catch_up` says is made up for; an edit or a pause takes effect at once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.schedules.conftest import NOON, World, at
from timeball.dispatch import intake, schedules
from timeball.errors import InvalidField
from timeball.model.schedule import CatchUp, Fate, Overlap, Share
from timeball.model.task import Priority, Request, State

ALLOW = Overlap.ALLOW


def minutes(world: World, schedule: object) -> list[int]:
    return [instant.minute for instant in world.instants(schedule)]


@pytest.mark.parametrize(
    ("catch_up", "made_up"),
    [(CatchUp.LATEST, [10]), (CatchUp.NONE, []), (CatchUp.ALL, [2, 3, 4, 5, 6, 7, 8, 9, 10])],
)
def test_an_outage_is_made_up_for_as_told(
    world: World, catch_up: CatchUp, made_up: list[int]
) -> None:
    made = world.make(catch_up=catch_up, overlap=ALLOW)
    world.run(at(12, 1))
    world.pass_by(minutes=9, seconds=30)
    world.run(at(12, 12))
    assert minutes(world, made) == [1, *made_up, 11, 12]
    late = [task for task in world.tasks(made) if task.occurrence.minute in made_up]
    assert all(task.due_at == task.occurrence for task in late)


def test_two_hours_of_a_minute_cron_yield_one_run(world: World) -> None:
    made = world.make()
    world.pass_by(hours=2, seconds=30)
    world.beat()
    assert world.instants(made) == [at(14, 0)]
    missed, caught = world.history(made)
    assert (missed.fate, missed.at, missed.until) == (Fate.MISSED, at(12, 1), at(13, 59))
    assert (caught.fate, caught.at) == (Fate.CAUGHT_UP, at(14, 0))


def test_what_is_older_than_the_window_is_left_out(world: World) -> None:
    latest = world.make(cron="0 13 * * *", catch_up_window=timedelta(minutes=10))
    every = world.make(
        cron="*/5 * * * *", catch_up=CatchUp.ALL, catch_up_window=timedelta(minutes=10)
    )
    world.pass_by(minutes=72)
    for _ in range(5):
        world.beat()
        world.call()
    assert world.instants(latest) == []
    assert [line.fate for line in world.history(latest)] == [Fate.MISSED]
    assert world.instants(every) == [at(13, 5), at(13, 10)]


def test_all_that_was_missed_comes_one_after_the_other_where_one_must_wait(world: World) -> None:
    made = world.make(catch_up=CatchUp.ALL)
    world.pass_by(minutes=5, seconds=30)
    world.beat()
    called = []
    for _ in range(6):
        called += [len(world.call())]
        world.beat()
    assert called == [1, 1, 1, 1, 1, 0]
    assert minutes(world, made) == [1, 2, 3, 4, 5]


def test_all_is_a_hundred_at_most_the_newest(world: World) -> None:
    made = world.make(cron="* * * * * *", catch_up=CatchUp.ALL, overlap=ALLOW)
    world.pass_by(minutes=10)
    world.beat()
    found = world.instants(made)
    assert len(found) == 100
    assert found[-1] - found[0] == timedelta(seconds=99)


def test_a_change_of_leaders_is_no_outage(world: World) -> None:
    """Nothing is missed by a beat that comes a few seconds late, whatever catch-up says."""
    made = world.make(cron="*/2 * * * * *", catch_up=CatchUp.NONE)
    world.pass_by(seconds=6.5)
    world.beat()
    while world.call():
        world.beat()
    assert world.instants(made) == [at(12, 0, s) for s in (2, 4, 6)]


def test_catching_up_heeds_max_runs_and_end_at(world: World) -> None:
    everything = {"catch_up": CatchUp.ALL, "overlap": ALLOW}
    two = world.make(max_runs=2, **everything)
    until = world.make(end_at=at(12, 3), **everything)
    world.pass_by(minutes=20)
    world.beat()
    assert len(world.instants(two)) == 2
    assert minutes(world, until) == [1, 2, 3]
    assert world.get(two).next_at is world.get(until).next_at is None


def test_a_window_spreads_calls_and_shows_both_instants(world: World) -> None:
    window = timedelta(minutes=5)
    many = [world.make(cron="0 13 * * *", window=window) for _ in range(60)]
    world.set(at(13))
    world.beat()
    spread = [task.due_at - at(13) for task in world.tasks()]
    assert {task.occurrence for task in world.tasks()} == {at(13)}
    assert all(timedelta() <= late < window for late in spread)
    assert len({late // timedelta(minutes=1) for late in spread}) == 5
    [line] = world.history(many[0])
    assert (line.at, line.due_at) == (at(13), world.tasks(many[0])[0].due_at)
    assert world.claim(1000) == [] or min(spread) < timedelta(seconds=1)


def test_a_pause_takes_back_what_nobody_has_claimed(world: World) -> None:
    made = world.make(window=timedelta(hours=1), cron="0 * * * *", overlap=ALLOW)
    kept = world.make(cron="0 13 * * *")
    world.set(at(13))
    world.beat()
    assert len(world.tasks()) == 2
    paused = schedules.pause(world.house, world.project, made.id)
    assert (paused.paused, paused.next_at, paused.runs) == (True, None, 0)
    assert [task.schedule for task in world.tasks()] == [kept.id]
    assert [line.fate for line in world.history(made)] == [Fate.DROPPED]
    world.run(at(15, 30))
    assert world.tasks(made) == []
    resumed = schedules.resume(world.house, world.project, made.id)
    assert resumed.next_at == at(16)
    world.run(at(16))
    assert world.instants(made) == [at(16)]


def test_a_claimed_task_is_left_alone_by_an_edit(world: World) -> None:
    made = world.make()
    world.set(at(12, 1))
    world.beat()
    [claimed] = world.claim()
    world.run(at(12, 2))
    schedules.pause(world.house, world.project, made.id)
    assert [(t.id, t.state) for t in world.tasks(made)] == [(claimed, State.RUNNING)]
    assert [line.fate for line in world.history(made)] == [Fate.MADE, Fate.DROPPED]
    world.finish(claimed)
    world.beat()
    assert len(world.tasks(made)) == 1


def test_an_edit_never_repeats_what_was_claimed(world: World) -> None:
    """Not even when the task has been forgotten since."""
    for overlap in (Overlap.QUEUE_ONE, ALLOW):
        made = world.make(overlap=overlap)
        start = made.next_at
        assert start is not None
        world.set(start)
        world.beat()
        [done] = world.call()
        intake.delete(world.house, world.project, done)
        changed = schedules.update(
            world.house, world.project, made.id, {"request": Request("http://localhost/new")}
        )
        assert world.tasks(made) == []
        assert changed.runs == 1
        schedules.delete(world.house, world.project, made.id)


def test_a_pause_may_end_by_itself(world: World) -> None:
    made = world.make(paused_until=at(12, 10))
    assert made.next_at == at(12, 10)
    changed = schedules.update(world.house, world.project, made.id, {"paused": False})
    assert (changed.paused_until, changed.next_at) == (None, at(12, 1))


def test_an_edit_of_the_request_changes_what_waits_too(world: World) -> None:
    made = world.make(cron="0 13 * * *", window=timedelta(hours=1))
    world.set(at(13))
    world.beat()
    before = world.tasks(made)[0]
    schedules.update(
        world.house, world.project, made.id, {"request": {"url": "http://localhost/new"}}
    )
    [after] = world.tasks(made)
    assert (after.id, after.due_at, after.occurrence) == (before.id, before.due_at, at(13))
    assert after.request.url == "http://localhost/new"
    assert world.get(made).runs == 1
    assert [line.fate for line in world.history(made)] == [Fate.REMADE]


def test_an_edit_of_the_rule_takes_back_what_it_names_no_more(world: World) -> None:
    made = world.make(cron="0 13 * * *", window=timedelta(hours=1))
    world.set(at(13))
    world.beat()
    changed = schedules.update(world.house, world.project, made.id, {"cron": "30 14 * * *"})
    assert world.tasks(made) == []
    assert (changed.next_at, changed.runs) == (at(14, 30), 0)
    ruled = schedules.update(world.house, world.project, made.id, {"rrule": "FREQ=MINUTELY"})
    assert (ruled.cron, ruled.rrule) == (None, "FREQ=MINUTELY")
    with pytest.raises(InvalidField):
        schedules.update(world.house, world.project, made.id, {"rrule": None})


def test_an_edit_that_comes_between_look_and_expand_wins(world: World) -> None:
    made = world.make()
    world.set(at(12, 1))
    from timeball.dispatch import expand
    from timeball.store import schedules as store

    look = store.look(world.client, world.prefix, 10)
    schedules.pause(world.house, world.project, made.id)
    expansion = store.Expansion()
    (due,) = look.due()
    expansion.add(due, expand._agenda(due, at(12, 1)))
    written = store.Expanding(world.client, world.prefix, expansion, 1000, world.fence)
    assert written.bells() == []
    assert world.tasks(made) == []


def test_edits_that_change_no_rule_leave_the_next_occurrence_where_it_is(world: World) -> None:
    made = world.make(rrule="FREQ=MINUTELY;INTERVAL=7", dtstart=NOON + timedelta(minutes=3))
    world.pass_by(minutes=4)  # overdue, for no beat has looked
    changed = schedules.update(
        world.house, world.project, made.id, {"request": Request("http://h/")}
    )
    assert changed.next_at == made.next_at == at(12, 3)
    assert changed.rev == 1


def test_all_fields_come_back_as_they_went_in(world: World) -> None:
    from timeball.model.retry import RetryPolicy

    fields = {
        "request": Request("http://localhost/", headers=(("X-A", "b"),), body=b"\x00\xff"),
        "name": "näme",
        "description": "d" * 500,
        "rrule": "FREQ=DAILY;COUNT=5",
        "dtstart": at(13),
        "timezone": "Europe/Amsterdam",
        "start_at": at(12, 30),
        "end_at": at(23),
        "max_runs": 3,
        "overlap": Overlap.SKIP,
        "catch_up": CatchUp.ALL,
        "catch_up_window": timedelta(minutes=7),
        "window": Share(25),
        "priority": Priority.LOW,
        "ordering_key": "o/1",
        "timeout": timedelta(seconds=4),
        "retry": RetryPolicy(max_attempts=4, max_age=timedelta(hours=2)),
        "tags": ("a", "b"),
        "key_id": "k1",
        "queue": "q",
        "on_failing": "https://example.com/f",
        "on_recovered": "https://example.com/r",
        "failing_after": 7,
        "pause_when_failing": True,
    }
    kept = world.get(world.make(**fields))
    assert {name: getattr(kept, name) for name in fields} == fields
    assert kept.last == at(13) + timedelta(days=4)

"""However many beats look, and however often, an occurrence becomes exactly one task."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.schedules.conftest import NOON, World, at
from timeball.dispatch import schedules
from timeball.errors import InvalidField, NotFound
from timeball.ids import occurrence_id
from timeball.model.schedule import CatchUp, Fate, Overlap
from timeball.model.task import Request, State
from timeball.store import keys, pumps
from timeball.store import schedules as store
from timeball.store.schedules import Expansion
from timeball.timing.agenda import agenda, rule_of


def test_a_cron_schedule_makes_its_tasks_on_the_minute(world: World) -> None:
    made = world.make(request=Request("http://localhost/a", body=b"hello"), tags=("x",))
    assert made.next_at == at(12, 1)
    world.beat()
    assert world.tasks() == []
    world.set(at(12, 1))
    world.beat()
    [task] = world.tasks()
    assert (task.schedule, task.occurrence, task.due_at) == (made.id, at(12, 1), at(12, 1))
    assert (task.request.body, task.tags, task.state) == (b"hello", ("x",), State.SCHEDULED)
    assert task.id == occurrence_id(made.id, int(at(12, 1).timestamp() * 1000))
    assert world.get(made).next_at == at(12, 2)
    assert world.get(made).runs == 1


def test_an_rrule_without_a_start_begins_at_once(world: World) -> None:
    made = world.make(rrule="FREQ=SECONDLY;INTERVAL=5", overlap=Overlap.ALLOW)
    world.beat()
    assert world.instants() == [NOON]
    world.run(at(12, 0, 17))
    assert world.instants() == [at(12, 0, s) for s in (0, 5, 10, 15)]
    assert world.get(made).next_at == at(12, 0, 20)


def test_an_rrule_with_a_start_in_the_past_makes_up_for_nothing(world: World) -> None:
    made = world.make(rrule="FREQ=HOURLY", dtstart=NOON - timedelta(days=900, minutes=30))
    assert made.next_at == at(12, 30)


def test_beat_is_told_when_to_come_again(world: World) -> None:
    world.make(cron="30 12 * * *")
    wait = world.beat()
    assert wait is not None
    assert 1790 < wait <= 1800
    world.client.delete(f"{world.prefix}next")
    assert world.beat() is None


def test_a_new_schedule_wakes_beat_if_it_is_the_first(world: World) -> None:
    wake = f"{world.prefix}wake:{keys.SCHEDULES}"
    world.make(cron="30 12 * * *")
    assert world.client.lpop(wake) is not None
    world.make(cron="40 12 * * *")
    assert world.client.lpop(wake) is None
    world.make(cron="20 12 * * *")
    assert world.client.lpop(wake) is not None


def test_two_beats_that_saw_the_same_make_one_task(world: World) -> None:
    """The moves of a beat that was killed are made again by the next, or by itself when it was only slow."""
    made = world.make()
    world.set(at(12, 1))
    look = store.look(world.client, world.prefix, 10)
    expansion = Expansion()
    for schedule in look.due():
        expansion.add(schedule, agenda(schedule, rule_of(schedule), at(12, 1)))
    for _ in range(2):
        written = store.Expanding(world.client, world.prefix, expansion, 1000, world.fence)
        assert written.bells() is not None
    assert world.instants() == [at(12, 1)]
    assert world.get(made).runs == 1


def test_a_beat_that_was_overtaken_does_nothing(world: World) -> None:
    world.make()
    world.client.delete(f"{keys.prefix(0)}leader")
    newer = pumps.lead(world.client, keys.prefix(0), "other", 60_000).fence
    world.set(at(12, 1))
    assert world.beat() is None
    assert world.tasks() == []
    world.beat(newer)
    assert world.instants() == [at(12, 1)]


def test_a_clock_that_jumps_back_repeats_nothing(world: World) -> None:
    world.make(overlap=Overlap.ALLOW)
    world.run(at(12, 3))
    world.set(at(12, 0))
    world.beat()
    world.run(at(12, 5))
    assert world.instants() == [at(12, m) for m in (1, 2, 3, 4, 5)]


def test_even_a_lost_cursor_repeats_nothing(world: World) -> None:
    """An occurrence's id is made from the schedule and the instant, so the store knows it."""
    made = world.make()
    record = world.client.get(f"{world.prefix}s:{made.id}")
    world.set(at(12, 1))
    world.beat()
    world.client.set(f"{world.prefix}s:{made.id}", record)
    world.client.zadd(f"{world.prefix}next", {made.id: int(at(12, 1).timestamp() * 1000)})
    world.beat()
    assert world.instants() == [at(12, 1)]
    assert len(world.history(made)) == 1


def test_runs_end_with_count_max_runs_and_end_at(world: World) -> None:
    allow = {"overlap": Overlap.ALLOW}
    counted = world.make(rrule="FREQ=MINUTELY;COUNT=3", **allow)
    capped = world.make(max_runs=2, **allow)
    ended = world.make(end_at=at(12, 4), start_at=at(12, 3), **allow)
    world.run(at(12, 10))
    assert world.instants(counted) == [at(12, 0), at(12, 1), at(12, 2)]
    assert world.instants(capped) == [at(12, 1), at(12, 2)]
    assert world.instants(ended) == [at(12, 3), at(12, 4)]
    assert {world.get(s).next_at for s in (counted, capped, ended)} == {None}
    assert world.client.zcard(f"{world.prefix}next") == 0


def test_an_old_rule_is_never_walked_from_its_start(world: World) -> None:
    made = world.make(
        rrule="FREQ=SECONDLY", dtstart=NOON - timedelta(days=20_000), overlap=Overlap.ALLOW
    )
    assert made.next_at == at(12, 0, 1)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"rrule": "FREQ=DAILY;UNTIL=20200101T000000Z"}, "rrule"),
        ({"cron": "* * * * *", "timezone": "Nope/Zone"}, "timezone"),
        ({"start_at": at(14), "end_at": at(13)}, "end_at"),
        ({"cron": "0 18 * * *", "end_at": at(17)}, "end_at"),
    ],
)
def test_a_schedule_that_would_never_fire_is_refused(
    world: World, fields: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidField) as wrong:
        world.make(**fields)
    assert wrong.value.field == field


def test_nothing_is_left_of_a_deleted_schedule(world: World) -> None:
    made = world.make(name="gone", overlap=Overlap.ALLOW)
    world.run(at(12, 2))
    assert schedules.delete(world.house, world.project, made.id)
    assert not schedules.delete(world.house, world.project, made.id)
    assert world.tasks() == []
    left = list(world.client.scan_iter(f"*{made.id}*"))
    assert left == []
    for index in ("next", f"schedules:{world.project}", f"snames:{world.project}"):
        assert world.client.zcard(f"{world.prefix}{index}") == 0
    with pytest.raises(NotFound):
        world.get(made)


def test_one_project_sees_nothing_of_another(world: World) -> None:
    made = world.make()
    with pytest.raises(NotFound):
        schedules.get(world.house, "another", made.id)
    assert not schedules.delete(world.house, "another", made.id)
    assert schedules.find(world.house, "another", None, 10, None).schedules == []


def test_lists_page_newest_first_and_find_by_name(world: World) -> None:
    made = [world.make(name=f"n{n % 2}") for n in range(5)]
    ids = sorted(
        (schedule.id for schedule in made), reverse=True
    )  # those of one millisecond: any order
    first = schedules.find(world.house, world.project, None, 3, None)
    second = schedules.find(world.house, world.project, None, 3, first.cursor)
    assert [s.id for s in first.schedules + second.schedules] == ids
    assert (first.cursor is None, second.cursor) == (False, None)
    named = schedules.find(world.house, world.project, "n0", 2, None)
    rest = schedules.find(world.house, world.project, "n0", 2, named.cursor)
    wanted = sorted((s.id for s in made if s.name == "n0"), reverse=True)
    assert [s.id for s in named.schedules + rest.schedules] == wanted


def test_a_run_by_hand_is_one_task_more(world: World) -> None:
    made = world.make(paused=True, max_runs=1)
    task = schedules.run(world.house, world.project, made.id)
    assert (task.state, task.schedule, task.due_at) == (
        State.SCHEDULED,
        made.id,
        task.occurrence,
    )
    assert world.get(made).runs == 0
    assert [line.fate for line in world.history(made)] == [Fate.ASKED]
    with pytest.raises(NotFound):
        schedules.run(world.house, world.project, "00000000-0000-0000-0000-000000000000")


def test_a_crowd_of_schedules_becomes_tasks_in_portions(world: World) -> None:
    """More than one look and many moves: none is left out, none twice, each beside its neighbours."""
    overlaps = (Overlap.QUEUE_ONE, Overlap.ALLOW, Overlap.SKIP, Overlap.CANCEL_OTHER)
    ruled = {"rrule": "FREQ=MINUTELY", "dtstart": at(12, 1)}
    made = {
        world.make(overlap=overlaps[n % 4], **(ruled if n % 3 else {})).id
        for n in range(store.LOOK_AT_ONCE + 50)
    }
    world.set(at(12, 1))
    world.beat()
    world.beat()
    tasks = world.tasks()
    assert len(tasks) == len(made)
    assert {task.schedule for task in tasks} == made
    assert {task.occurrence for task in tasks} == {at(12, 1)}


def test_one_is_cancelled_that_was_made_in_the_same_move(world: World) -> None:
    made = world.make(overlap=Overlap.CANCEL_OTHER, catch_up=CatchUp.ALL)
    world.pass_by(minutes=3, seconds=30)
    world.beat()
    states = [(task.occurrence, task.state) for task in world.tasks(made)]
    assert states == [
        (at(12, 1), State.CANCELLED),
        (at(12, 2), State.CANCELLED),
        (at(12, 3), State.SCHEDULED),
    ]
    assert len(world.claim()) == 1


def test_a_lost_script_is_loaded_again_while_moves_are_under_way(world: World) -> None:
    world.make()
    world.set(at(12, 1))
    world.client.script_flush()
    world.beat()
    assert world.instants() == [at(12, 1)]

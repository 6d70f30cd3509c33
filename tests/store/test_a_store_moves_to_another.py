"""Backup and restore: between two real stores, quiet and under load; nothing waiting is lost or called by both."""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from api.mergent.reader import Reader, Sender
from api.mergent.schemas import Terms
from tests.api.conftest import Pump as Hand
from tests.conftest import SECRET, eventually
from tests.conftest import redis_url as _another
from tests.receiver import Answer, Receiver
from tests.workers.test_pump import pumping
from timeball.dispatch import backup, callbacks, intake, leaving, schedules
from timeball.dispatch.expand import expand
from timeball.dispatch.house import House, open_house
from timeball.errors import ConfigError, Conflict
from timeball.ids import id_text
from timeball.model.project import Project
from timeball.model.task import Draft, Priority, Request, State
from timeball.settings import Settings
from timeball.store import keys, projects, pumps, snapshot
from timeball.store.lists import Filter

another_url = pytest.fixture(scope="module")(_another.__wrapped__)
HOUR = timedelta(hours=1)


@pytest.fixture
def other(settings: Settings, another_url: str) -> Iterator[House]:
    """A house on an empty store of its own."""
    opened = open_house(replace(settings, redis_url=another_url))
    opened.client.flushall()
    yield opened
    opened.client.close()


def draft(project: Project, url: str = "https://example.com/", **fields: object) -> Draft:
    return Draft(project.id, Request(url, body=b"\x00\xff"), **fields)


def carry(house: House, other: House) -> Counter[str]:
    written = io.BytesIO()
    backup.back_up(house, written)
    return backup.restore(other, io.BytesIO(written.getvalue()))


def told(house: House, project: Project) -> list[object]:
    """Every list that a caller may see, in its order."""
    wanted = [Filter(), Filter(name="n"), Filter(tag="g"), Filter(queue="slow")]
    wanted += [Filter(state=state) for state in State if state is not State.RUNNING]
    found: list[object] = [
        intake.find(house, project.id, each, 1000, None).tasks for each in wanted
    ]
    found.append(schedules.find(house, project.id, None, 1000, None).schedules)
    return found


def test_everything_is_there_and_in_its_place(house: House, project: Project, other: House) -> None:
    hand = Hand(house, project)
    intake.submit(
        house,
        project.id,
        [
            draft(project, name="n", tags=("g", "h")),
            draft(project, queue="slow", delay=HOUR, priority=Priority.HIGH),
            *(draft(project, ordering_key="k") for _ in range(5)),
            draft(project, concurrency_key="c", delay=HOUR),
            draft(project, delay=HOUR, on_success="https://example.com/told"),
        ],
    )
    [cancelled, *_] = intake.find(house, project.id, Filter(queue="slow"), 1, None).tasks
    intake.cancel(house, project.id, cancelled.id)
    hand.end(hand.take()[0], State.SCHEDULED, due_ms=4_000_000_000_000)
    hand.end(hand.take()[0], State.DEAD)
    fields = {"request": Request("https://example.com/"), "cron": "0 0 1 1 *", "name": "yearly"}
    made = schedules.create(house, project.id, fields)
    schedules.run(house, project.id, made.id)
    key, text = projects.create_key(house.client, house.vault, project.id)

    counts = carry(house, other)
    assert (counts["tasks"], counts["schedules"]) == (10, 1)
    assert told(other, project) == told(house, project)
    assert schedules.history(other, project.id, made.id) == schedules.history(
        house, project.id, made.id
    )
    assert projects.authenticate(other.client, text) == key
    assert projects.get_project(other.client, other.vault, project.id) == project
    prefix = house.prefix(project.id)
    for lane in house.client.scan_iter(f"{prefix}lane:*"):
        scores = house.client.zrange(lane, 0, -1, withscores=True)
        assert other.client.zrange(lane, 0, -1, withscores=True) == scores


def test_a_running_task_is_called_again_and_an_old_result_of_it_comes_late(
    house: House, project: Project, other: House
) -> None:
    intake.submit(house, project.id, [draft(project)])
    [claimed] = Hand(house, project).take()
    carry(house, other)
    task = intake.get(other, project.id, claimed.id)
    assert (task.state, task.attempt) == (State.SCHEDULED, 1)
    [again] = Hand(other, project).take()
    assert (again.id, again.attempt) == (claimed.id, 2)
    assert [a.outcome for a in intake.attempts(other, project.id, claimed.id)] == ["lost"]


def test_an_end_that_nobody_was_told_of_is_told_by_the_new_store(
    house: House, project: Project, other: House
) -> None:
    intake.submit(house, project.id, [draft(project, on_success="https://example.com/told")])
    hand = Hand(house, project)
    hand.end(hand.take()[0], State.SUCCEEDED)
    carry(house, other)
    fence = pumps.lead(other.client, keys.prefix(0), "beat", 60_000).fence
    callbacks.deliver(other, fence)
    found = intake.find(other, project.id, Filter(queue=callbacks.QUEUE), 10, None).tasks
    assert [task.request.url for task in found] == ["https://example.com/told"]


def test_under_load_all_that_waited_is_there(house: House, project: Project, other: House) -> None:
    """While tasks are made, called and ended, and schedules made, as fast as they go."""
    before = [
        task.id
        for at in range(0, 3000, 500)
        for task in intake.submit(
            house, project.id, [draft(project, delay=HOUR, queue=f"q{at}") for _ in range(500)]
        )
    ]
    request = Request("https://example.com/")
    standing = [
        schedules.create(house, project.id, {"request": request, "cron": "* * * * *"}).id
        for _ in range(20)
    ]
    stop, hand = threading.Event(), Hand(house, project)
    ends: list[int] = []

    def load() -> None:
        while not stop.is_set():
            intake.submit(house, project.id, [draft(project) for _ in range(50)])
            for claimed in hand.take(50):
                hand.end(claimed, State.SUCCEEDED)
                ends.append(1)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        eventually(lambda: len(ends) > 50)
        begun = len(ends)
        counts = carry(house, other)
        assert len(ends) > begun, "the load went on meanwhile"
    finally:
        stop.set()
        thread.join()
    assert counts["tasks"] >= 3000
    there = {t.id for t in intake.get_many(other, project.id, before) if t.state is State.SCHEDULED}
    assert there == set(before)
    assert {s.id for s in schedules.get_many(other, project.id, standing)} == set(standing)
    claimable = pumps.claim(other.client, other.prefix(project.id), "p", 1, 1000, 1000)
    assert claimable.next_ms > 0


def test_an_occurrence_is_one_task_in_both(house: House, project: Project, other: House) -> None:
    """The cursor was read, then the occurrence became a task and was read too: it is made once."""
    request = Request("https://example.com/")
    schedules.create(house, project.id, {"request": request, "cron": "* * * * *"})
    parts = []
    reading = snapshot.read(house.client, house.prefix(project.id), [project.id])
    parts.append(next(reading))
    assert isinstance(parts[0], snapshot.SchedulePart)
    fence = pumps.lead(house.client, keys.prefix(0), "beat", 60_000).fence
    house.client.set(f"{keys.prefix(0)}clock", 61_000)
    expand(house, fence)
    parts += reading
    snapshot.write(other.client, other.prefix(project.id), parts)
    other.client.set(f"{keys.prefix(0)}clock", 61_000)
    expand(other, pumps.lead(other.client, keys.prefix(0), "beat", 60_000).fence)
    ids = {t.id for t in intake.find(house, project.id, Filter(), 100, None).tasks}
    assert {t.id for t in intake.find(other, project.id, Filter(), 100, None).tasks} == ids
    assert len(ids) == 1


def test_none_is_called_by_both_when_the_page_is_followed(
    house: House, project: Project, other: House
) -> None:
    """The old workers are at work and stop; then comes the last backup; then the new ones begin."""
    with Receiver(lambda _: Answer(delay=0.02)) as receiver:
        ids = [
            task.id
            for _ in range(4)
            for task in intake.submit(
                house, project.id, [draft(project, receiver.url) for _ in range(75)]
            )
        ]
        house_few = replace(house, settings=replace(house.settings, pump_calls=2))
        with pumping(house_few):
            eventually(lambda: len(receiver.received) >= 20)
        assert backup.who_works(house) == []
        by_old = Counter(receiver.tasks())
        assert len(by_old) < len(ids)
        carry(house, other)
        with pumping(other):
            eventually(lambda: len(set(receiver.tasks())) == len(ids), within=30)
            prefix = other.prefix(project.id)
            eventually(lambda: other.client.zcard(f"{prefix}end:{project.id}:2") == len(ids))
    every = Counter(receiver.tasks())
    assert set(every) == {id_text(task_id) for task_id in ids}
    assert max(every.values()) == 1


def test_who_is_at_work_is_known(house: House, project: Project) -> None:
    assert backup.who_works(house) == []
    Hand(house, project).take()
    assert backup.who_works(house) == ["worker"]


def test_only_an_empty_store_with_the_same_secret_takes_it(
    house: House, project: Project, other: House, another_url: str, settings: Settings
) -> None:
    written = io.BytesIO()
    backup.back_up(house, written)
    with pytest.raises(Conflict, match="not empty"):
        backup.restore(house, io.BytesIO(written.getvalue()))
    stranger = open_house(replace(settings, redis_url=another_url, secret=SECRET[::-1]))
    with pytest.raises(ConfigError, match="TIMEBALL_SECRET"):
        backup.restore(stranger, io.BytesIO(written.getvalue()))
    sharded = open_house(replace(settings, redis_url=another_url, shards=2))
    with pytest.raises(backup.DamagedBackup, match="TIMEBALL_SHARDS=1"):
        backup.restore(sharded, io.BytesIO(written.getvalue()))
    assert snapshot.is_empty(other.client)


@pytest.mark.parametrize("cut", [0, 10, 0.5, -20])
def test_half_a_backup_is_known_as_such(
    house: House, project: Project, other: House, cut: float
) -> None:
    intake.submit(house, project.id, [draft(project) for _ in range(20)])
    written = io.BytesIO()
    backup.back_up(house, written)
    whole = written.getvalue()
    part = whole[: int(len(whole) * cut) if isinstance(cut, float) else cut]
    with pytest.raises(backup.DamagedBackup):
        backup.restore(other, io.BytesIO(part))


def test_lines_may_be_posted_again(house: House, project: Project) -> None:
    intake.submit(
        house,
        project.id,
        [
            Draft(
                project.id,
                Request("https://a.example/", headers=(("X-Api-Key", "k"),)),
                tags=("g",),
            )
        ],
    )
    fields = {"request": Request("https://example.com/"), "cron": "0 0 1 1 *"}
    schedules.create(house, project.id, fields)
    schedule, task = leaving.lines(house, project.id)
    assert (schedule["kind"], schedule["cron"]) == ("schedule", "0 0 1 1 *")
    assert (task["kind"], task["state"]) == ("task", "scheduled")
    described = {"kind", "id", "state", "attempts_count", "created_at", "ended_at", "schedule"}
    sent = {name: value for name, value in task.items() if name not in described}
    again = Reader(Terms()).draft(json.loads(json.dumps(sent)), Sender(project.id, "k"))
    assert again.request.headers == (("X-Api-Key", "k"),)
    assert again.tags == ("g",)

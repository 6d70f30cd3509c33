"""An idle pump may take tasks a little before they are due, where nothing limits them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from timeball.dispatch import hosts, intake, queues
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.queue import Limits
from timeball.model.task import Draft, Request, State
from timeball.store import pumps

HOUR = timedelta(hours=1)


class Store:
    """A project's tasks, and a clock that stands still but for what it is moved."""

    def __init__(self, house: House, project: Project) -> None:
        self.house, self.project, self.prefix = house, project.id, house.prefix(project.id)

    def submit(self, n: int = 1, **fields: Any) -> list[bytes]:
        drafts = [
            Draft(project=self.project, request=Request("http://h/"), **{"delay": HOUR, **fields})
            for _ in range(n)
        ]
        return [one.id for one in intake.submit(self.house, self.project, drafts)]

    def claim(self, before: timedelta, want: int = 100) -> pumps.Claim:
        """What an idle pump takes so long before an hour has passed."""
        ahead = before + timedelta(seconds=5)  # so long a test may take
        self.house.client.set(f"{self.prefix}clock", (HOUR - ahead) / timedelta(milliseconds=1))
        span_ms = round(ahead / timedelta(milliseconds=1))
        return pumps.claim(self.house.client, self.prefix, "p", want, 1000, 1000, ahead_ms=span_ms)


@pytest.fixture
def store(house: House, project: Project) -> Store:
    return Store(house, project)


def test_tasks_are_taken_before_they_are_due_and_start_when_they_are(store: Store) -> None:
    ids = store.submit(3)
    claim = store.claim(timedelta(seconds=10))
    assert sorted(c.id for c in claim.tasks) == sorted(ids)
    assert all(c.due_ms > claim.now_ms for c in claim.tasks)
    for one in ids:
        task = intake.get(store.house, store.project, one)
        assert (task.state, task.attempt, task.started_at) == (State.RUNNING, 1, task.due_at)


def test_without_leave_nothing_is_taken_before_it_is_due(store: Store) -> None:
    store.submit(3)
    claim = pumps.claim(store.house.client, store.prefix, "p", 10, 1000, 1000)
    assert claim.tasks == []
    assert claim.next_ms > claim.now_ms


def test_what_is_due_goes_first_and_alone(store: Store) -> None:
    store.submit(3)
    [now] = store.submit(delay=timedelta(0), queue="other")
    assert [c.id for c in store.claim(timedelta(seconds=10)).tasks] == [now]
    assert len(store.claim(timedelta(seconds=10)).tasks) == 3


def test_what_is_further_off_stays(store: Store) -> None:
    near = store.submit(2)
    store.submit(2, delay=2 * HOUR)
    claim = store.claim(timedelta(seconds=10))
    assert sorted(c.id for c in claim.tasks) == sorted(near)
    assert claim.next_ms - claim.now_ms > HOUR / timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(concurrency=50),
        Limits(rate=50, per=timedelta(seconds=1)),
        Limits(paused=True),
    ],
    ids=["concurrency", "rate", "paused"],
)
@pytest.mark.parametrize("queue", ["default", None], ids=["queue", "project"])
def test_limited_tasks_wait_until_they_are_due(
    store: Store, limits: Limits, queue: str | None
) -> None:
    queues.set_limits(store.house, store.project, queue, limits)
    store.submit(3)
    claim = store.claim(timedelta(seconds=10))
    assert claim.tasks == []
    assert claim.next_ms > claim.now_ms


@pytest.mark.parametrize("key", ["ordering_key", "concurrency_key"])
def test_tasks_with_a_key_wait_until_they_are_due(store: Store, key: str) -> None:
    store.submit(3, **{key: "k"})
    claim = store.claim(timedelta(seconds=10))
    assert claim.tasks == []
    assert claim.next_ms > claim.now_ms


def test_tasks_of_a_project_with_limited_hosts_wait_until_they_are_due(store: Store) -> None:
    hosts.limit_host(store.house, store.project, None, 5)
    store.submit(3)
    assert store.claim(timedelta(seconds=10)).tasks == []


def test_free_tasks_are_taken_beside_limited_ones(store: Store) -> None:
    queues.set_limits(store.house, store.project, "slow", Limits(concurrency=1))
    store.submit(3, queue="slow")
    free = store.submit(3)
    assert sorted(c.id for c in store.claim(timedelta(seconds=10)).tasks) == sorted(free)
    store.house.client.set(f"{store.prefix}clock", HOUR / timedelta(milliseconds=1))
    late = pumps.claim(store.house.client, store.prefix, "p", 10, 1000, 1000)
    assert len(late.tasks) == 1


def test_what_a_lost_pump_held_ready_waits_for_its_instant(store: Store) -> None:
    """It was not called, so it is neither called early now nor has it used an attempt."""
    ids = store.submit(3)
    claim = store.claim(timedelta(seconds=10))
    assert len(claim.tasks) == 3
    back = pumps.give_back(store.house.client, store.prefix, "p", [], 3)
    assert back == 3
    for one, claimed in zip(sorted(ids), sorted(claim.tasks, key=lambda c: c.id), strict=True):
        task = intake.get(store.house, store.project, one)
        assert (task.state, task.attempt, task.started_at) == (State.SCHEDULED, 0, None)
        assert task.due_at.timestamp() * 1000 == pytest.approx(claimed.due_ms)
        assert intake.attempts(store.house, store.project, one) == []
    assert pumps.claim(store.house.client, store.prefix, "q", 10, 1000, 1000).tasks == []
    assert len(store.claim(timedelta(seconds=10)).tasks) == 3

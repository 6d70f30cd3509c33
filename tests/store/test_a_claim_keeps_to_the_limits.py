"""Rates, slots, pauses, keys, priorities and order hold in the claim, so they hold over all pumps."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from timeball.dispatch import intake, queues
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.queue import Limits
from timeball.model.task import Draft, Priority, Request, State
from timeball.store import codec, gauges, pumps
from timeball.store.codec import Claimed

SECOND = 1000


class Line:
    """A project's tasks, its pumps, and a clock that moves only when told."""

    def __init__(self, house: House, project: Project) -> None:
        self.house, self.project, self.prefix = house, project.id, house.prefix(project.id)
        self.ahead = 0.0
        self.in_flight: dict[str, int] = {}

    def submit(self, n: int = 1, **fields: Any) -> list[bytes]:
        drafts = [
            Draft(project=self.project, request=Request("http://h/"), **fields) for _ in range(n)
        ]
        return [s.id for s in intake.submit(self.house, self.project, drafts)]

    def claim(self, want: int = 100, pump: str = "p") -> list[Claimed]:
        claim = pumps.claim(
            self.house.client, self.prefix, pump, want, 200, 500, in_flight=self.in_flight
        )
        self.now_ms = claim.now_ms
        self.next_ms = claim.next_ms - claim.now_ms if claim.next_ms >= 0 else None
        return claim.tasks

    def finish(
        self,
        claimed: list[Claimed],
        state: State = State.SUCCEEDED,
        pump: str = "p",
        wait_ms: int = 0,
    ) -> None:
        now, _ = pumps.clock(self.house.client, self.prefix)
        pumps.finish(
            self.house.client,
            self.prefix,
            pump,
            [
                pumps.Finished(
                    c.id,
                    c.attempt,
                    codec.STATE_CODES[state],
                    int(now + wait_ms),
                    b'{"n":1,"o":"answered","at":1}',
                )
                for c in claimed
            ],
            {},
        )

    def advance(self, ms: float) -> None:
        self.ahead += ms
        self.house.client.set(f"{self.prefix}clock", self.ahead)

    def limit(self, queue: str | None = "default", **fields: Any) -> None:
        queues.set_limits(self.house, self.project, queue, Limits(**fields))


@pytest.fixture
def line(house: House, project: Project) -> Line:
    return Line(house, project)


def test_never_more_calls_in_flight_than_the_queue_allows(line: Line) -> None:
    line.limit(concurrency=7)
    line.submit(20)
    first = line.claim(pump="p")
    assert len(first) == 7
    assert line.claim(pump="q") == []
    assert line.next_ms is None
    line.finish(first[:3])
    assert len(line.claim(pump="q")) == 3


def test_a_projects_slots_are_shared_by_its_queues(line: Line) -> None:
    line.limit(None, concurrency=4)
    line.submit(5, queue="a")
    line.submit(5, queue="b")
    held = line.claim()
    assert Counter(c.lane.partition("/")[2] for c in held) == {"a": 2, "b": 2}
    line.finish(held[:1])
    assert len(line.claim()) == 1


def begun(line: Line, count: int, late_ms: int = 0) -> list[float]:
    """The instants at which so many calls began: each when the line had said, or so much later."""
    found: list[float] = []
    while len(found) < count:
        got = line.claim()
        found += [line.now_ms] * len(got)
        line.finish(got)
        line.advance(max(1, line.next_ms or 1) + late_ms)
    return found


def test_a_rate_gives_one_call_each_step_and_says_when_the_next_is(line: Line) -> None:
    line.limit(rate=50, per=timedelta(seconds=1))
    line.submit(120)
    began = begun(line, 101)
    for n in range(50, len(began)):
        assert began[n] - began[n - 50] >= SECOND
    assert began[100] - began[0] <= 2.1 * SECOND


def test_a_burst_may_begin_at_once_after_a_rest(line: Line) -> None:
    line.limit(rate=10, per=timedelta(minutes=1), burst=4)
    line.submit(10)
    assert len(line.claim()) == 4
    assert line.claim() == []
    assert line.next_ms is not None
    assert 5000 < line.next_ms <= 6003
    line.advance(6003)
    assert len(line.claim()) == 1


def test_a_paused_queue_waits_and_goes_on(line: Line) -> None:
    line.submit(3)
    line.limit(paused=True)
    assert line.claim() == []
    assert line.next_ms is None
    queues.pause(line.house, line.project, "default", paused=False)
    assert len(line.claim()) == 3


def test_a_higher_limit_lets_go_what_the_lower_one_held(line: Line) -> None:
    line.limit(concurrency=1)
    line.submit(5)
    assert len(line.claim()) == 1
    assert line.claim() == []
    line.limit(concurrency=3)
    assert len(line.claim()) == 2


@pytest.mark.parametrize("queue", ["default", None])
def test_a_higher_rate_lets_go_what_the_lower_one_held(line: Line, queue: str | None) -> None:
    line.limit(queue, rate=1, per=timedelta(hours=1))
    line.submit(1, priority=Priority.HIGH)
    line.submit(1, concurrency_key="a")
    line.submit(1)
    assert len(line.claim()) == 1
    assert line.claim() == []
    line.limit(queue, rate=100, per=timedelta(hours=1), burst=10)
    assert len(line.claim()) == 2


def test_tasks_of_one_concurrency_key_share_its_slots_and_keys_take_turns(line: Line) -> None:
    line.limit(key_concurrency=2)
    line.submit(10, concurrency_key="a")
    line.submit(10, concurrency_key="b")
    held = line.claim()
    assert Counter(c.lane[-1] for c in held) == {"a": 2, "b": 2}
    line.finish([c for c in held if c.lane[-1] == "a"])
    assert [c.lane[-1] for c in line.claim()] == ["a", "a"]


def test_tasks_of_one_ordering_key_go_one_after_the_other_also_over_a_retry(line: Line) -> None:
    ids = line.submit(3, ordering_key="k") + line.submit(2, ordering_key="k")
    others = line.submit(2)
    seen = line.claim()
    assert {c.id for c in seen} == {ids[0], *others}
    line.finish([c for c in seen if c.id != ids[0]])
    first = [c for c in seen if c.id == ids[0]]
    line.finish(first, State.SCHEDULED, wait_ms=5000)
    assert line.claim() == []
    line.advance(5001)
    for expected in ids:
        [claimed] = line.claim()
        assert claimed.id == expected
        assert line.claim() == []
        line.finish([claimed])
    assert line.claim() == []


def test_an_ordered_lane_in_backoff_is_not_overdue(line: Line) -> None:
    line.submit(3, ordering_key="k")
    [first] = line.claim()
    line.finish([first], State.SCHEDULED, wait_ms=60_000)
    line.advance(30_000)
    state = queues.get_queue(line.house, line.project, "default")
    assert state.oldest_due_at is not None
    ahead_ms = (
        state.oldest_due_at.timestamp() * 1000 - pumps.clock(line.house.client, line.prefix)[0]
    )
    assert 29_000 < ahead_ms <= 30_000
    [gauge] = gauges.gauges(line.house.client, line.prefix, [line.project]).projects
    assert (gauge.waiting, gauge.due, gauge.oldest_due_ms) == (3, 0, 0)
    line.advance(30_000)
    [gauge] = gauges.gauges(line.house.client, line.prefix, [line.project]).projects
    assert (gauge.waiting, gauge.due) == (3, 3)
    assert gauge.oldest_due_ms == round(state.oldest_due_at.timestamp() * 1000)


def test_a_key_has_its_slots_over_all_priorities(line: Line) -> None:
    line.submit(2, concurrency_key="a", priority=Priority.HIGH)
    line.submit(2, concurrency_key="a")
    line.submit(2, ordering_key="a", priority=Priority.LOW)
    line.submit(2, ordering_key="a")
    held = line.claim()
    assert sorted(c.lane.split("\x1f")[-1] for c in held) == ["ca", "oa"]
    while held:
        line.finish(held)
        held = line.claim()
        assert len({c.lane.split("\x1f")[-1] for c in held}) == len(held)
    assert not line.house.client.exists(f"{line.prefix}inflight")


def test_a_free_slot_goes_on_to_whom_it_helps(line: Line) -> None:
    """The lane that waited longest may have been paused meanwhile, or emptied."""
    line.limit(None, concurrency=1)
    line.submit(1, queue="first")
    held = line.claim()
    for queue in ("paused", "emptied", "last"):
        line.submit(1, queue=queue)
        assert line.claim() == []
    line.limit("paused", paused=True)
    queues.purge(line.house, line.project, "emptied")
    line.finish(held)
    while not (held := line.claim()):
        assert line.next_ms is not None, "everybody waits, and nobody would wake them"
    assert [c.lane.partition("/")[2] for c in held] == ["last"]


def test_a_free_slot_goes_to_the_higher_priority_until_the_lower_has_aged(line: Line) -> None:
    line.limit(concurrency=1)
    line.submit(10, priority=Priority.LOW)
    line.submit(10, priority=Priority.HIGH)
    held = line.claim()
    turns = []
    for _ in range(5):
        line.finish(held)
        [claimed] = held = line.claim()
        turns.append(claimed.lane[-1])
    assert turns == ["h"] * 5
    line.advance(61 * SECOND)
    for _ in range(3):
        line.finish(held)
        [claimed] = held = line.claim()
        turns.append(claimed.lane[-1])
    assert "l" in turns


def test_an_ordered_task_that_is_cancelled_lets_the_next_pass(line: Line) -> None:
    late, soon = line.submit(1, ordering_key="k", delay=timedelta(hours=1)) + line.submit(
        1, ordering_key="k"
    )
    assert line.claim() == []
    intake.cancel(line.house, line.project, late)
    assert [c.id for c in line.claim()] == [soon]


def test_high_goes_before_normal_before_low_until_they_have_aged(line: Line) -> None:
    low, normal = line.submit(5, priority=Priority.LOW), line.submit(5)
    high = line.submit(5, priority=Priority.HIGH)
    assert {c.id for c in line.claim(5)} == set(high)
    line.submit(5, priority=Priority.HIGH)
    line.advance(61 * SECOND)
    aged = {c.id for c in line.claim(12)}
    assert aged & set(low)
    assert aged & set(normal)


def test_a_queue_with_many_tasks_does_not_keep_a_single_one_waiting(line: Line) -> None:
    line.submit(1000, queue="big")
    line.claim(50)
    [single] = line.submit(1, queue="small")
    assert single in {c.id for c in line.claim(50)}


def test_one_queue_cannot_take_every_slot_of_a_pump(line: Line) -> None:
    line.submit(1000, queue="hangs")
    assert len(line.claim(1000)) == 200
    line.in_flight = {f"{line.project}/hangs": 200, line.project: 200}
    assert line.claim(1000) == []
    [single] = line.submit(1, queue="small")
    assert [c.id for c in line.claim(1000)] == [single]
    line.in_flight = {}
    assert len(line.claim(1000, pump="q")) == 200  # another pump has room of its own


def test_a_purged_queue_is_empty_and_its_state_is_told(line: Line) -> None:
    line.submit(700)
    line.submit(3, priority=Priority.LOW)
    held = line.claim(2)
    state = queues.get_queue(line.house, line.project, "default")
    assert (state.waiting, state.in_flight) == (701, 2)
    assert state.oldest_due_at is not None
    assert queues.purge(line.house, line.project, "default") == 701
    line.finish(held)
    state = queues.get_queue(line.house, line.project, "default")
    assert (state.waiting, state.in_flight, state.oldest_due_at) == (0, 0, None)


def test_no_window_has_more_than_the_rate_whatever_the_burst(line: Line) -> None:
    line.limit(rate=20, per=timedelta(seconds=1), burst=20)
    line.submit(150)
    began: list[float] = []
    while len(began) < 100:
        got = line.claim()
        began += [line.now_ms] * len(got)
        line.finish(got)
        if line.next_ms and line.next_ms > 0:
            line.advance(line.next_ms)
        if len(began) == 50:
            line.advance(5 * SECOND)  # a rest: the burst is there again
    for n in range(20, len(began)):
        assert began[n] - began[n - 20] >= SECOND
    assert began[19] - began[0] < 200, "twenty at once"
    assert began[-1] - began[0] <= (4.2 + 5) * SECOND


def test_a_late_claim_is_made_up_for(line: Line) -> None:
    line.limit(rate=50, per=timedelta(seconds=1))
    line.submit(120)
    began = begun(line, 101, late_ms=10)
    assert began[100] - began[0] <= 2.8 * SECOND, "each ten late would be three seconds"
    for n in range(50, len(began)):
        assert began[n] - began[n - 50] >= SECOND


def test_what_was_put_back_uses_no_attempt_no_slot_and_no_turn(line: Line) -> None:
    line.limit(rate=10, per=timedelta(hours=1), burst=10, concurrency=8)
    [ordered] = line.submit(1, ordering_key="k")
    sent = [ordered, *line.submit(9)]
    held = line.claim()
    assert len(held) == 8
    assert pumps.put_back(line.house.client, line.prefix, "p", held) == 8
    assert pumps.put_back(line.house.client, line.prefix, "p", held) == 0, "only once"
    assert pumps.put_back(line.house.client, line.prefix, "another", held) == 0
    task = intake.get(line.house, line.project, ordered)
    assert (task.state, task.attempt, task.started_at) == (State.SCHEDULED, 0, None)
    seen: list[bytes] = []
    while held := line.claim():
        assert {c.attempt for c in held} == {1}
        seen += [c.id for c in held]
        line.finish(held)
    assert sorted(seen) == sorted(sent)
    assert line.submit(1)
    assert line.claim() == [], "ten of the hour have begun"
    assert not line.house.client.exists(f"{line.prefix}inflight")


def test_a_high_rate_is_used(line: Line) -> None:
    line.limit(rate=100_000, per=timedelta(seconds=1))
    line.submit(300)
    got = 0
    for _ in range(100):
        got += len(line.claim())
        line.advance(max(1, line.next_ms or 1))
    assert got == 300


def test_a_clock_that_is_put_back_does_not_stop_a_rate(line: Line) -> None:
    line.advance(3600 * SECOND)
    line.limit(rate=2, per=timedelta(minutes=1), burst=2)
    line.submit(4)
    assert len(line.claim()) == 2
    line.house.client.delete(f"{line.prefix}clock")
    line.submit(2)
    assert len(line.claim()) == 2

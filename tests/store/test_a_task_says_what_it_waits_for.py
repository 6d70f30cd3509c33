"""Every reason for which a task is not called, told from the store as it is, with when it ends."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from timeball.dispatch import explain, hosts, intake, queues
from timeball.dispatch.house import House
from timeball.errors import NotFound
from timeball.ids import new_task_id
from timeball.model.explanation import Certainty, Explanation, Reason, Scope
from timeball.model.project import Project
from timeball.model.queue import Limits
from timeball.model.task import Draft, Priority, Request, State
from timeball.store import codec, keys, pumps, roll
from timeball.store.codec import Claimed

HOST = "h.example"


class Line:
    """A project's tasks, a pump, and a clock that moves only when told."""

    def __init__(self, house: House, project: Project) -> None:
        self.house, self.project, self.prefix = house, project.id, house.prefix(project.id)

    def submit(self, n: int = 1, host: str = HOST, **fields: Any) -> list[bytes]:
        request = Request(f"http://{host}/")
        ids = [new_task_id() for _ in range(n)]  # in the order of their ids, as in their lane
        drafts = [
            Draft(project=self.project, request=request, id=one, **fields) for one in sorted(ids)
        ]
        return [s.id for s in intake.submit(self.house, self.project, drafts)]

    def claim(self, want: int = 100) -> list[Claimed]:
        return pumps.claim(self.house.client, self.prefix, "w:1#p", want, 200, 500).tasks

    def finish(
        self,
        claimed: list[Claimed],
        state: State = State.SUCCEEDED,
        wait_ms: int = 0,
        trouble: tuple[int, int, int] | None = None,
    ) -> None:
        now, _ = pumps.clock(self.house.client, self.prefix)
        entry, code = b'{"n":1,"o":"answered","at":1}', codec.STATE_CODES[state]
        results = [
            pumps.Finished(c.id, c.attempt, code, int(now + wait_ms), entry) for c in claimed
        ]
        told = {self.project: {HOST: trouble}} if trouble else None
        pumps.finish(self.house.client, self.prefix, "w:1#p", results, {}, told)

    def limit(self, queue: str | None = "default", **fields: Any) -> None:
        queues.set_limits(self.house, self.project, queue, Limits(**fields))

    def advance(self, ms: float) -> None:
        self.house.client.incrbyfloat(f"{self.prefix}clock", ms)

    def why(self, task_id: bytes) -> Explanation:
        return explain.explain(self.house, self.project, task_id)


@pytest.fixture
def line(house: House, project: Project) -> Line:
    roll.sign_in(house.client, "worker", "w:1", {})
    pumps.lead(house.client, keys.prefix(0), "beat", 60_000)
    return Line(house, project)


def seconds(found: Explanation) -> float:
    assert found.starts_at is not None
    return (found.starts_at - found.now).total_seconds()


def reasons(found: Explanation) -> list[Reason]:
    assert found.words
    return [ground.reason for ground in found.grounds]


def test_nothing_holds_a_task_that_is_due(line: Line) -> None:
    [task] = line.submit()
    found = line.why(task)
    assert reasons(found) == [Reason.NEXT]
    assert (seconds(found), found.certainty) == (pytest.approx(0, abs=0.01), Certainty.EXPECTED)


def test_a_task_of_another_project_is_unknown(line: Line) -> None:
    [task] = line.submit()
    with pytest.raises(NotFound):
        explain.explain(line.house, "another", task)


def test_a_task_that_is_not_due(line: Line) -> None:
    [task] = line.submit(delay=timedelta(seconds=40))
    found = line.why(task)
    assert reasons(found) == [Reason.NOT_DUE]
    assert 39 < seconds(found) <= 40.01
    assert found.certainty is Certainty.EXPECTED
    assert "40 s" in found.words


def test_a_task_that_waits_for_its_next_attempt(line: Line) -> None:
    [task] = line.submit()
    line.finish(line.claim(), State.SCHEDULED, wait_ms=15_000)
    found = line.why(task)
    assert reasons(found) == [Reason.RETRY]
    assert "attempt 1 failed" in found.words
    assert 14 < seconds(found) <= 15.01


@pytest.mark.parametrize(("queue", "scope"), [("default", Scope.QUEUE), (None, Scope.PROJECT)])
def test_a_pause(line: Line, queue: str | None, scope: Scope) -> None:
    [task] = line.submit()
    line.limit(queue, paused=True)
    line.claim()
    found = line.why(task)
    assert [(g.reason, g.scope) for g in found.grounds] == [(Reason.PAUSED, scope)]
    assert (found.starts_at, found.certainty) == (None, Certainty.UNKNOWN)


def test_a_rate_says_when_the_turn_comes_and_how_many_go_before(line: Line) -> None:
    line.limit(rate=60, per=timedelta(minutes=1))
    sent = line.submit(12)
    line.claim()
    waits = [one for one in sent if line.why(one).grounds[0].reason is not Reason.RUNNING]
    found = line.why(waits[-1])
    [ground] = found.grounds
    assert (ground.reason, ground.scope, ground.ahead, ground.rate) == (
        Reason.RATE,
        Scope.QUEUE,
        10,
        60,
    )
    assert found.certainty is Certainty.EXPECTED
    assert 10.5 < seconds(found) < 11.2
    line.advance(seconds(found) * 1000 - 10_000)
    for _ in range(10):
        line.finish(line.claim(1))
        assert line.why(waits[-1]).state is State.SCHEDULED
        line.advance(1001)
    assert [c.id for c in line.claim()] == [waits[-1]]


def test_a_projects_rate(line: Line) -> None:
    line.limit(None, rate=1, per=timedelta(hours=1))
    line.submit(1, queue="a")
    line.claim()
    [task] = line.submit(1, queue="b")
    found = line.why(task)
    assert [(g.reason, g.scope) for g in found.grounds] == [(Reason.RATE, Scope.PROJECT)]
    assert found.certainty is Certainty.EARLIEST
    assert "59 min" in found.words or "1 h" in found.words or "60 min" in found.words


@pytest.mark.parametrize(("queue", "scope"), [("default", Scope.QUEUE), (None, Scope.PROJECT)])
def test_full_slots(line: Line, queue: str | None, scope: Scope) -> None:
    line.limit(queue, concurrency=2)
    sent = line.submit(5)
    held = {c.id for c in line.claim()}
    last = [one for one in sent if one not in held][-1]
    [ground] = line.why(last).grounds
    assert (ground.reason, ground.scope, ground.limit, ground.in_flight, ground.ahead) == (
        Reason.CONCURRENCY,
        scope,
        2,
        2,
        2,
    )
    assert "2 of 2" in ground.words


def test_a_concurrency_key_that_is_busy(line: Line) -> None:
    line.submit(3, concurrency_key="customer 7")
    [held] = line.claim()
    [task] = line.submit(1, concurrency_key="customer 7")
    [ground] = line.why(task).grounds
    assert (ground.reason, ground.scope, ground.name) == (
        Reason.CONCURRENCY,
        Scope.KEY,
        "customer 7",
    )
    assert line.why(held.id).grounds[0].reason is Reason.RUNNING


def test_a_host_that_has_no_room(line: Line) -> None:
    hosts.limit_host(line.house, line.project, HOST, 1)
    sent = line.submit(3)
    [held] = line.claim()
    last = [one for one in sent if one != held.id][-1]
    [ground] = line.why(last).grounds
    assert (ground.reason, ground.scope, ground.name, ground.ahead) == (
        Reason.CONCURRENCY,
        Scope.HOST,
        HOST,
        1,
    )


def test_an_ordering_key_with_others_before(line: Line) -> None:
    sent = line.submit(4, ordering_key="k")
    line.claim()
    found = line.why(sent[3])
    [ground] = found.grounds
    assert (ground.reason, ground.name, ground.ahead) == (Reason.ORDER, "k", 3)
    assert "in flight" in ground.words
    assert found.certainty is Certainty.UNKNOWN


def open_breaker(line: Line) -> bytes:
    line.submit()
    line.finish(line.claim(), trouble=(0, 10, 0))
    [task] = line.submit()
    return task


def test_a_breaker_that_is_open_half_open_and_closed_again(line: Line) -> None:
    task = open_breaker(line)
    for _ in range(2):  # before a claim saw it, and when it was set aside
        found = line.why(task)
        [ground] = found.grounds
        assert (ground.reason, ground.scope, ground.name) == (Reason.BREAKER, Scope.HOST, HOST)
        assert 29 < seconds(found) <= 30.01
        assert found.certainty is Certainty.EARLIEST
        assert line.claim() == []
    line.advance(31_000)
    assert "its time is up" in line.why(task).words
    line.submit(1)
    [probe] = line.claim()
    [other] = [t for t in (task, *_waiting(line)) if t != probe.id][:1]
    found = line.why(other)
    assert reasons(found) == [Reason.PROBING]
    assert found.certainty is Certainty.UNKNOWN
    line.finish([probe], trouble=(1, 0, 0))
    assert reasons(line.why(other)) == [Reason.NEXT]


def _waiting(line: Line) -> list[bytes]:
    page = intake.find(line.house, line.project, intake_filter(), 10, None)
    return [task.id for task in page.tasks]


def intake_filter() -> Any:
    from timeball.store.lists import Filter

    return Filter(state=State.SCHEDULED)


def test_a_host_that_asked_for_quiet(line: Line) -> None:
    line.submit()
    now, _ = pumps.clock(line.house.client, line.prefix)
    line.finish(line.claim(), trouble=(0, 1, int(now + 20_000)))
    [task] = line.submit()
    found = line.why(task)
    assert reasons(found) == [Reason.QUIET]
    assert 19 < seconds(found) <= 20.01
    assert "Retry-After" in found.words


def test_others_of_the_queue_are_due_before(line: Line) -> None:
    sent = line.submit(5)
    line.submit(3, priority=Priority.HIGH)
    line.submit(2, priority=Priority.LOW)
    [ground] = line.why(sent[4]).grounds
    assert (ground.reason, ground.ahead) == (Reason.BEHIND, 4 + 3)


def test_a_task_in_flight_and_one_whose_worker_is_silent(line: Line) -> None:
    [task] = line.submit()
    line.claim()
    found = line.why(task)
    assert reasons(found) == [Reason.RUNNING]
    assert (found.starts_at, found.certainty) == (None, None)
    assert "by w:1 since" in found.words
    line.house.client.zincrby(f"{line.prefix}pumps:c", -3000, "w:1#p")
    assert reasons(line.why(task)) == [Reason.RUNNING, Reason.WORKER_SILENT]


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD, State.CANCELLED])
def test_a_task_that_has_ended(line: Line, state: State) -> None:
    [task] = line.submit()
    if state is State.CANCELLED:
        intake.cancel(line.house, line.project, task)
    else:
        line.finish(line.claim(), state)
    found = line.why(task)
    assert reasons(found) == [Reason.ENDED]
    assert (found.state, found.starts_at) == (state, None)


def test_nobody_is_there(line: Line) -> None:
    line.house.client.delete(roll.KEY, f"{keys.prefix(0)}leader")
    [task] = line.submit()
    found = line.why(task)
    assert reasons(found) == [Reason.NO_WORKER, Reason.BEAT_SILENT]
    assert found.certainty is Certainty.UNKNOWN


def test_all_that_holds_is_told_at_once(line: Line) -> None:
    line.limit(None, paused=True)
    line.limit(concurrency=1)
    line.submit()
    task = open_breaker_paused(line)
    assert set(reasons(line.why(task))) == {Reason.NOT_DUE, Reason.PAUSED}


def open_breaker_paused(line: Line) -> bytes:
    [task] = line.submit(delay=timedelta(minutes=1))
    return task


def test_it_costs_the_same_with_many_waiting(line: Line) -> None:
    """A hundred thousand waiting, of them a thousand keys: no list is read whole."""
    [last] = line.submit(delay=timedelta(milliseconds=1))
    pipe = line.house.client.pipeline(transaction=False)
    base = keys.base_of(line.project, "default")
    for start in range(0, 100_000, 5000):
        many = {b"%016d" % n: n for n in range(start, start + 5000)}
        pipe.zadd(f"{line.prefix}lane:{base}", many)
    pipe.sadd(f"{line.prefix}apart:{base}", *(f"{base}\x1fck{n}" for n in range(1000)))
    pipe.execute()
    line.house.client.config_resetstat()
    found = line.why(last)
    assert found.grounds[0].ahead == 100_000
    assert "not counted" in found.words
    took = line.house.client.info("commandstats")["cmdstat_evalsha"]
    assert took["usec"] < 20_000
    begun = time.monotonic()
    line.why(last)
    assert time.monotonic() - begun < 1

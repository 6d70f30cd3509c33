"""A pump with nothing to do prepares the calls of the next instant, and begins none before it."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.conftest import eventually
from tests.receiver import Answer, Receiver
from tests.workers.test_pump import pumping
from timeball import queue
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.errors import Conflict
from timeball.ids import id_text
from timeball.model.project import Project
from timeball.model.task import Draft, Request, State
from timeball.store import pumps
from timeball.store.codec import Claimed
from workers import pump as pump_module
from workers.ahead import Ahead
from workers.call import Prepared


def submit(
    house: House, project: Project, url: str, n: int, after: float
) -> tuple[datetime, list[bytes]]:
    """So many tasks that are due at one instant, and that instant."""
    due = datetime.fromtimestamp(round(time.time() + after, 3), UTC)
    draft = Draft(project=project.id, request=Request(url), scheduled_for=due)
    return due, [one.id for one in intake.submit(house, project.id, [draft] * n)]


def test_many_tasks_of_one_instant_are_held_ready_and_none_is_called_early(
    house: House, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "AHEAD_MS", 1500)
    with Receiver() as receiver, pumping(house) as pump:
        due, ids = submit(house, project, receiver.url, 300, 3.0)
        eventually(lambda: pump.ahead.count == 300)
        assert not receiver.received
        assert time.time() < due.timestamp()
        eventually(lambda: len(receiver.received) == 300)
        eventually(lambda: intake.get(house, project.id, ids[0]).ended_at)
        [attempt] = intake.attempts(house, project.id, ids[0])
    assert min(one.at for one in receiver.received) >= due.timestamp()
    assert min(int(one.headers["webhook-timestamp"]) for one in receiver.received) >= int(
        due.timestamp()
    )
    assert set(Counter(receiver.tasks()).values()) == {1}
    assert attempt.number == 1
    assert attempt.started_at >= due


def test_a_task_that_is_held_ready_counts_as_running(
    house: House, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "AHEAD_MS", 1500)
    with Receiver() as receiver, pumping(house) as pump:
        _, [one] = submit(house, project, receiver.url, 1, 2.0)
        eventually(lambda: pump.ahead.count == 1)
        assert intake.get(house, project.id, one).state is State.RUNNING
        with pytest.raises(Conflict):
            intake.cancel(house, project.id, one)
        eventually(lambda: intake.get(house, project.id, one).state is State.SUCCEEDED)


def test_a_pump_that_stops_puts_back_what_it_held_ready(
    house: House, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "AHEAD_MS", 60_000)
    with Receiver() as receiver, pumping(house) as pump:
        due, ids = submit(house, project, receiver.url, 20, 30.0)
        eventually(lambda: pump.ahead.count == 20)
    assert not receiver.received
    for one in ids:
        task = intake.get(house, project.id, one)
        assert (task.state, task.attempt, task.due_at) == (State.SCHEDULED, 0, due)
        intake.cancel(house, project.id, one)


def test_what_finds_no_slot_is_put_back_and_called_later(
    house: House, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "AHEAD_MS", 1500)
    few = replace(house, settings=replace(house.settings, pump_calls=3))
    bells: list[object] = []
    monkeypatch.setattr(queue, "send_help", lambda *given: bells.append(given))
    with Receiver(lambda _: Answer(delay=0.6)) as receiver, pumping(few) as pump:
        _, ids = submit(house, project, receiver.url, 10, 2.0)
        eventually(lambda: pump.ahead.count == 10)
        eventually(lambda: all(intake.get(house, project.id, one).ended_at for one in ids))
    assert {intake.get(house, project.id, one).attempt for one in ids} == {1}
    assert len(receiver.received) == 10
    assert bells, "another pump might have had slots for them"


def test_one_after_the_other_is_called_when_it_is_due(house: House, project: Project) -> None:
    """A pump that has begun all it held ready must wake for the next one too, not at its next heartbeat."""
    with Receiver() as receiver, pumping(house):
        dues = [submit(house, project, receiver.url, 1, 1.0 + 0.45 * n)[0] for n in range(5)]
        eventually(lambda: len(receiver.received) == 5)
    late = sorted(
        one.at - due.timestamp() for one, due in zip(receiver.received, dues, strict=True)
    )
    assert late[0] >= 0
    assert late[2] < 0.05, late


def test_a_pump_that_was_frozen_asks_before_it_begins_what_it_held(
    house: House, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tasks may have been given to another pump meanwhile, and been called."""
    monkeypatch.setattr(pump_module, "AHEAD_MS", 1500)
    with Receiver() as receiver, pumping(house) as pump:
        due, [one] = submit(house, project, receiver.url, 1, 2.0)
        eventually(lambda: pump.ahead.count == 1)
        [held] = pump.ahead.ids()
        pumps.give_back(house.client, pump.prefix, pump.name, [], 9)  # as beat does
        pumps.claim(house.client, pump.prefix, "another", 9, 9, 9, ahead_ms=2000)
        pump.ahead.rushed = True
        pump.heard -= 30
        eventually(lambda: pump.ahead.count == 0)
        assert not pump.ahead.rushed, "results would wait for calls that it no longer has"
        assert time.time() < due.timestamp() + 0.5
        left = due.timestamp() - time.time()
        _, [later] = submit(house, project, receiver.url, 1, max(0.0, left) + 0.3)
        eventually(lambda: intake.get(house, project.id, later).ended_at)
    assert receiver.tasks() == [id_text(later)], "the one it held went by without a call"
    assert intake.get(house, project.id, one).state is State.RUNNING
    assert held == one


def prepared(lane: str, due_ms: float) -> Prepared:
    claimed = Claimed(b"%d" % due_ms, lane, 1, 0, due_ms, 0.0, b"{}", b"")
    return Prepared(claimed, due_ms, "http://h/", "h", "POST", [], b"", 1000)


def test_calls_are_taken_by_lane_in_the_order_of_their_instants() -> None:
    ahead = Ahead(patience_ms=100)
    for due in (10, 30, 20):
        ahead.put(prepared("a", due))
    ahead.put(prepared("b", 15))

    def ready(now_ms: float, room: int = 9) -> list[float]:
        return [one.started_ms for one in ahead.ready(now_ms, lambda _: room)]

    assert (ready(9), ahead.look_ms, ahead.rushed) == ([], 10, False)
    assert (ready(25, room=1), ahead.look_ms, ahead.rushed) == ([10, 15], 120, True)
    assert (ready(25), ahead.look_ms, ahead.rushed) == ([20], 30, False)
    assert (ready(40, room=0), ahead.look_ms, ahead.rushed) == ([], 130, True)
    assert (ahead.count, ahead.ids()) == (1, [b"30"])
    assert ahead.late(129) == []
    assert [claimed.due_ms for claimed in ahead.late(130)] == [30]
    assert (ahead.count, ahead.rushed, ahead.look_ms) == (0, False, math.inf)


def test_what_is_cleared_leaves_nothing_to_hurry_for() -> None:
    ahead = Ahead(patience_ms=100)
    for due in (10, 20):
        ahead.put(prepared("a", due))
    assert [one.started_ms for one in ahead.ready(10, lambda _: 0)] == []
    assert ahead.rushed
    assert [claimed.due_ms for claimed in ahead.clear()] == [10, 20]
    assert (ahead.count, ahead.rushed, ahead.look_ms) == (0, False, math.inf)

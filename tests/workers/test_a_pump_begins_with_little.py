"""A pump that begins before a backlog risks few calls at first: what it has not written, others call again."""

from __future__ import annotations

import time

import pytest

from tests.conftest import eventually
from tests.receiver import Answer, Receiver
from tests.workers.test_pump import pumping
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.task import Draft, Request
from workers import pump as pump_module


def backlog(house: House, project: Project, url: str, n: int) -> None:
    """So many tasks that are due, and no pump to call them."""
    draft = Draft(project=project.id, request=Request(url))
    intake.submit(house, project.id, [draft] * n)


def at_risk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many calls had no written end, each time before some were written."""
    found: list[int] = []
    flush = pump_module.Pump._flush

    def counting(pump: pump_module.Pump, now: float) -> None:
        found.append(len(pump.results) + pump.caller.busy)
        flush(pump, now)

    monkeypatch.setattr(pump_module.Pump, "_flush", counting)
    return found


def test_what_is_at_risk_doubles_with_every_end_that_is_written(
    house: House, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "YOUNG_SECONDS", 60)
    found = at_risk(monkeypatch)
    with Receiver() as receiver:
        backlog(house, project, receiver.url, 400)
        with pumping(house):
            eventually(lambda: len(receiver.received) == 400)
    assert found[0] <= pump_module.FIRST_CALLS
    assert all(n <= pump_module.FIRST_CALLS * 2**place for place, n in enumerate(found))
    assert max(found) > 4 * pump_module.FIRST_CALLS


def test_a_pump_is_not_held_back_by_slow_endpoints(house: House, project: Project) -> None:
    with Receiver(lambda _: Answer(delay=2.0)) as receiver:
        backlog(house, project, receiver.url, 100)
        began = time.time()
        with pumping(house):
            eventually(lambda: len(receiver.received) == 100)
    assert max(one.at for one in receiver.received) - began < 1.5

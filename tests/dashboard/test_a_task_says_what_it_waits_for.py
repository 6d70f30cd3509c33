"""The task's page says why its call is not made at this moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from tests.api.conftest import Pump
from tests.dashboard.conftest import Browser, page_of
from timeball.dispatch import queues
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.queue import Limits
from timeball.model.task import State, Task

PANEL = 'aria-label="Why not now"'


def test_a_waiting_task_says_what_holds_it(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    task = make(delay=timedelta(hours=1), queue="mail")
    page = browser.get(page_of(task)).text
    assert PANEL in page
    assert 'data-reason="not_due"' in page
    queues.set_limits(house, project.id, "mail", Limits(paused=True))
    live = browser.get(f"{page_of(task)}/live").text
    assert 'data-reason="paused"' in live
    assert "When it starts nobody can say." in live


def test_an_ended_task_says_nothing(
    browser: Browser, make: Callable[..., Task], pump: Pump
) -> None:
    task = make()
    [claimed] = pump.take()
    assert 'data-reason="running"' in browser.get(page_of(task)).text
    pump.end(claimed, State.SUCCEEDED)
    assert "data-reason" not in browser.get(page_of(task)).text

"""Past runs of a schedule are coloured by how their tasks ended, and counted by what became of them."""

from __future__ import annotations

import re

from tests.dashboard.conftest import Browser
from tests.schedules.conftest import World, at
from tests.schedules.conftest import world as world
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.schedule import Overlap
from timeball.model.task import State


def test_a_schedule_page_counts_what_was_left_out(
    browser: Browser, house: House, project: Project, world: World
) -> None:
    made = world.make(overlap=Overlap.SKIP)
    world.set(at(12, 1))
    world.beat()
    [first] = world.claim()
    world.run(at(12, 3))
    world.finish(first, state=State.DEAD)
    world.run(at(12, 4))
    page = browser.get(f"/dashboard/schedules/{made.id}").text
    kinds = re.findall('<li class="([a-z-]+)" title="([a-z, ]+):', page)
    assert kinds == [
        ("dead", "made, dead"),
        ("left-out", "skipped"),
        ("left-out", "skipped"),
        ("scheduled", "made, waiting"),
    ]
    assert "<b>2</b> became tasks" in page
    assert '<li class="warn"><b>2</b> skipped, as the task before was not over' in page
    intake.delete(house, project.id, first)
    assert (
        '<li class="forgotten" title="made, forgotten:' in browser.get("/dashboard/schedules").text
    )

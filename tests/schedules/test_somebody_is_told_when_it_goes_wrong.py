"""Alerts of our own: told once when something begins, once when it is over; not again while it hovers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.schedules.conftest import World
from timeball.dispatch import alerts, intake
from timeball.dispatch.alerts import Kind
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.task import Draft, Request
from timeball.store import keys, projects, pumps
from timeball.store.lists import Filter

URL = "https://chat.example.com/hook"


@pytest.fixture
def told(house: House, project: Project) -> Callable[[], list[tuple[str, str, str]]]:
    """Looks as beat does; (event, kind, project) of all that was told so far, oldest first."""
    watched = replace(house, settings=replace(house.settings, alert_url=URL))

    def look() -> list[tuple[str, str, str]]:
        alerts.watch(watched, 1)
        if not house.client.exists(f"{keys.prefix(0)}pid:{alerts.OWNER}"):
            return []
        owner = projects.find_project(house.client, house.vault, alerts.OWNER)
        found = intake.find(house, owner.id, Filter(queue=alerts.QUEUE), 100, None).tasks
        said: list[dict[str, Any]] = [orjson.loads(task.request.body) for task in found]
        assert all(task.request.url == URL for task in found)
        return [(one["event"], one["kind"], one["project"]) for one in reversed(said)]

    return look


Told = Callable[[], list[tuple[str, str, str]]]


def count(world: World, **counters: int) -> None:
    """What a pump counts at this moment."""
    pumps.finish(
        world.client,
        world.prefix,
        "pump",
        [pumps.Finished(bytes(16), 1, 2, 0, b"{}")],
        {world.project: counters},
    )
    minute = int(world.now().timestamp() // 60)
    for name, n in counters.items():
        world.client.hincrby(f"{world.prefix}m:{world.project}:{minute}", name, n)


def test_a_death_is_told_once_and_its_end(world: World, told: Told) -> None:
    assert told() == []
    count(world, dead=1)
    begun = ("alert.begun", Kind.DEAD, "test")
    assert told() == [begun]
    world.pass_by(minutes=8)
    assert told() == told() == [begun]
    count(world, dead=1)
    assert told() == [begun]
    world.pass_by(minutes=17)
    assert told() == [begun, ("alert.ended", Kind.DEAD, "test")]


def test_a_share_of_failures_ends_below_the_mark_at_which_it_began(
    world: World, told: Told
) -> None:
    count(world, succeeded=9, retried=9)
    assert told() == [], "18 attempts say nothing"
    count(world, succeeded=1, retried=2)
    begun = ("alert.begun", Kind.FAILURES, "test")
    assert told() == [begun]
    count(world, succeeded=15)
    assert told() == [begun], "a third still fails"
    count(world, succeeded=30)
    assert told() == [begun, ("alert.ended", Kind.FAILURES, "test")]


def test_lateness_is_told(world: World, told: Told) -> None:
    task = Draft(world.project, Request("https://example.com/"))
    intake.submit(world.house, world.project, [task])
    world.pass_by(minutes=4)
    assert told() == []
    world.pass_by(minutes=2)
    begun = ("alert.begun", Kind.LATE, "test")
    assert told() == [begun]
    world.claim()
    assert told() == [begun, ("alert.ended", Kind.LATE, "test")]


def test_missed_occurrences_are_told(world: World, told: Told) -> None:
    world.make()
    world.pass_by(minutes=10)
    world.beat()
    assert ("alert.begun", Kind.MISSED, "test") in told()


def test_nobody_is_told_without_a_url(world: World, house: House) -> None:
    count(world, dead=1)
    alerts.watch(house, 1)
    assert not house.client.exists(alerts.KEY)

"""Who is told of due work: a pump that is awake, or else a worker, by a bell."""

from __future__ import annotations

from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.task import Draft, Request
from timeball.store import keys, pumps, tasks
from timeball.store.tasks import Bell


def bells(house: House, project: Project) -> list[Bell]:
    """The bells that one more task asks for."""
    draft = Draft(project=project.id, request=Request("http://h/"))
    return tasks.submit(house.client, house.prefix(project.id), [draft], 60_000)[1]


def silence(house: House, project: Project, pump: str, ms: float) -> None:
    """Let a pump's last heartbeat lie so far back."""
    prefix = house.prefix(project.id)
    now, ahead = pumps.clock(house.client, prefix)
    house.client.zadd(f"{prefix}pumps:{keys.CALL}", {pump: now - ahead - ms})


def test_one_bell_is_rung_where_no_pump_is_awake(house: House, project: Project) -> None:
    assert bells(house, project) == [Bell(keys.CALL, 0.0)]
    assert bells(house, project) == []


def test_a_pump_that_is_awake_needs_no_bell(house: House, project: Project) -> None:
    prefix = house.prefix(project.id)
    pumps.claim(house.client, prefix, "p", 1, 200, 500)
    assert bells(house, project) == []
    assert house.client.llen(f"{prefix}wake:{keys.CALL}") == 1


def test_a_pump_that_has_gone_silent_holds_nothing_up(house: House, project: Project) -> None:
    """It may be dead. Its leases are given back later; what is due now goes to another."""
    prefix = house.prefix(project.id)
    pumps.claim(house.client, prefix, "p", 1, 200, 500)
    silence(house, project, "p", 1000)
    assert bells(house, project) == []
    silence(house, project, "p", 2000)
    assert bells(house, project) == [Bell(keys.CALL, 0.0)]

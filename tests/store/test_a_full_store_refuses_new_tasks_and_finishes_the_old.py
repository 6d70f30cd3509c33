"""When Redis has no memory left, callers are told so, and the tasks it holds go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.errors import StoreFull
from timeball.model.project import Project
from timeball.model.task import Draft, Request, State
from timeball.store import pumps


@pytest.fixture
def full(house: House, project: Project) -> Iterator[bytes]:
    """A store without room, and the id of the one task in it."""
    draft = Draft(project=project.id, request=Request("http://h/"))
    [taken] = intake.submit(house, project.id, [draft])
    house.client.config_set("maxmemory", 1)
    yield taken.id
    house.client.config_set("maxmemory", 0)


def test_a_new_task_is_refused(house: House, project: Project, full: bytes) -> None:
    with pytest.raises(StoreFull):
        intake.submit(house, project.id, [Draft(project=project.id, request=Request("http://h/"))])


def test_a_kept_task_is_claimed_and_finished_and_deleted(
    house: House, project: Project, full: bytes
) -> None:
    prefix = house.prefix(project.id)
    [claimed] = pumps.claim(house.client, prefix, "p", 10, 200, 500).tasks
    result = pumps.Finished(claimed.id, 1, 2, 0, b'{"n":1,"o":"answered","at":1}')
    assert pumps.finish(house.client, prefix, "p", [result], {project.id: {"succeeded": 1}}) == [1]
    assert intake.get(house, project.id, full).state is State.SUCCEEDED
    assert intake.delete(house, project.id, full)
    assert pumps.release(house.client, prefix, "p", 60_000) is None

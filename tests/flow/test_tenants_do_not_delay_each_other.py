"""A tenant with very many tasks waiting, its endpoints hanging or not, hardly delays another's single task."""

from __future__ import annotations

import time

import pytest

from tests.conftest import eventually
from tests.flow.crew import crew
from tests.flow.receiver import Receiver
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.task import Draft, Request, State
from timeball.store import projects, pumps

SHAPES = ("quick", "hangs", "keys", "queues")


def crowd(house: House, project: Project, url: str, n: int, shape: str) -> None:
    """Very many tasks of one tenant: in one queue, each with a key of its own, or in a thousand queues."""
    path = "/hang" if shape == "hangs" else "/0"
    for start in range(0, n, 200):
        drafts = [
            Draft(
                project=project.id,
                request=Request(url + path),
                concurrency_key=f"key {number}" if shape == "keys" else None,
                queue=f"q{number % 1000}" if shape == "queues" else "default",
            )
            for number in range(start, start + 200)
        ]
        intake.submit(house, project.id, drafts)


def slowest(house: House, n: int, shape: str) -> float:
    """How many seconds after it was taken in the slowest of ten single tasks was answered."""
    many = projects.create_project(house.client, house.vault, "many")
    single = projects.create_project(house.client, house.vault, "single")
    took = []
    with Receiver() as receiver, crew(house, 2):
        crowd(house, many, receiver.url, n, shape)
        time.sleep(0.5)
        for _ in range(10):
            draft = Draft(project=single.id, request=Request(receiver.url + "/0"))
            begun = time.monotonic()
            [taken] = intake.submit(house, single.id, [draft])

            def done(task_id: bytes = taken.id) -> bool:
                return intake.get(house, single.id, task_id).state is State.SUCCEEDED

            eventually(done, within=20, every=0.005)
            took.append(time.monotonic() - begun)
        left = house.client.hget(f"{house.prefix(many.id)}inflight", many.id)
    assert left is None or int(left) <= 2 * house.settings.pump_calls_total // 2
    return max(took)


def test_a_tenant_whose_endpoints_hang_does_not_delay_another(house: House) -> None:
    assert slowest(house, 3000, "hangs") < 1 + _strain()


def _strain() -> float:
    """What a busy machine may add."""
    return 2.0


@pytest.mark.soak
@pytest.mark.parametrize("shape", SHAPES)
def test_a_hundred_thousand_tasks_of_one_do_not_delay_another(house: House, shape: str) -> None:
    took = slowest(house, 100_000, shape)
    print(f"\n{shape}: {took * 1000:.0f} ms at most")
    assert took < 1


def claims_until_called(house: House, project: Project, shape: str, n: int) -> int:
    """How many claims another tenant's single task waits for behind so many of one tenant."""
    prefix = house.prefix(project.id)
    crowd(house, project, "http://crowd.example", n, shape)
    single = projects.create_project(house.client, house.vault, "single")
    draft = Draft(project=single.id, request=Request("http://single.example/"))
    [taken] = intake.submit(house, single.id, [draft])
    for number in range(1, 1000):
        claim = pumps.claim(house.client, prefix, f"p{number}", 100, 200, 500)
        if taken.id in {task.id for task in claim.tasks}:
            return number
    raise AssertionError("not called in a thousand claims")


@pytest.mark.parametrize("shape", ["quick", "keys", "queues"])
def test_a_single_task_waits_for_two_claims_at_most(
    house: House, project: Project, shape: str
) -> None:
    assert claims_until_called(house, project, shape, 4000) <= 2

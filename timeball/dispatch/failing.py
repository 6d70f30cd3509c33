"""Failure hooks of schedules: told, and paused if they ask for it, when their tasks die one after the other.

The tasks of a schedule that asks for this write their ends into the outbox. Beat counts there, in the order of
ending; what it notes and makes is the same when it must begin again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from timeball import logs
from timeball.dispatch import schedules as verbs
from timeball.dispatch.house import House
from timeball.errors import Conflict, NotFound
from timeball.model.schedule import Schedule
from timeball.model.task import State, Task
from timeball.store import schedules

FAILING, RECOVERED = "schedule.failing", "schedule.recovered"

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """A schedule's tasks began to fail for good, or one succeeded after that; who is to be told."""

    event: str
    schedule: Schedule
    row: int
    url: str | None


def turns(house: House, prefix: str, ended: list[tuple[Task, State]]) -> Iterator[tuple[int, Turn]]:
    """What follows from ends of tasks, in their order: the place of the end, and the turn that it is.

    Schedules that are to pause are paused. Raises StoreError; then the same may be asked again.
    """
    over = (State.SUCCEEDED, State.DEAD)
    wanted = {task.schedule for task, state in ended if task.schedule and state in over}
    known = {one.id: one for one in schedules.get_many(house.client, prefix, sorted(wanted))}
    for place, (task, state) in enumerate(ended):
        schedule = known.get(task.schedule or "")
        if schedule is None or state not in over or not schedule.watches:
            continue
        died = state is State.DEAD
        row = schedules.row(house.client, prefix, schedule.id, task.id, died=died)
        if row < schedule.failing_after:
            continue
        if not died:
            yield place, Turn(RECOVERED, schedule, row, schedule.on_recovered)
            continue
        if schedule.pause_when_failing and not schedule.paused:
            _pause(house, schedule, row)
        if row == schedule.failing_after:
            yield place, Turn(FAILING, schedule, row, schedule.on_failing)


def _pause(house: House, schedule: Schedule, row: int) -> None:
    try:
        verbs.pause(house, schedule.project, schedule.id)
    except (NotFound, Conflict) as error:
        log.warning("a failing schedule was not paused", schedule=schedule.id, error=str(error))
        return
    log.warning("a schedule was paused: its tasks die", schedule=schedule.id, in_a_row=row)

"""Taking tasks in, and what callers may do with them afterwards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from timeball.dispatch.house import House
from timeball.model.attempt import Attempt
from timeball.model.task import Draft, Sibling, Task
from timeball.store import lists, tasks
from timeball.store.lists import Filter, Page
from timeball.store.tasks import Submitted, Taken


def submit(house: House, project: str, drafts: Sequence[Draft | Sibling]) -> list[Submitted]:
    """Take drafts of one project, or of others of its shard, in, in order, each with the task that stands for it.

    `task` is None only for `Taken.KEY_REUSED`, or when the task it points to was deleted meanwhile.
    Raises StoreUnavailable, after which nothing was promised: the same call may be made again.
    """
    prefix, traces = house.prefix(project), house.traces
    began_ns = 0 if traces is None else time.time_ns()
    taken, bells = tasks.submit(house.client, prefix, drafts, house.horizon_ms)
    house.ring(project, bells)
    if traces is not None:
        traces.created(began_ns, drafts, taken)
    known = [s.id for s in taken if s.taken in (Taken.REPEATED, Taken.NAMED, Taken.KNOWN)]
    if not known:
        return taken
    found = {t.id: t for t in tasks.get_many(house.client, prefix, known)}
    return [s if s.fresh is not None else Submitted(s.taken, s.id, found.get(s.id)) for s in taken]


def submit_one(house: House, draft: Draft | Sibling) -> Submitted:
    """Take one draft in, by one move with others that come at the same time. As `submit`."""
    project = draft.project
    return house.gate.take(
        house.shard(project), draft, lambda drafts: submit(house, project, drafts)
    )


def get(house: House, project: str, task_id: bytes) -> Task:
    """One task. Raises NotFound."""
    return tasks.get(house.client, house.prefix(project), project, task_id)


def get_many(house: House, project: str, ids: Sequence[bytes]) -> list[Task]:
    """Those of a project's tasks that are there, in the order of their ids."""
    found = tasks.get_many(house.client, house.prefix(project), ids)
    return [task for task in found if task.project == project]


def attempts(house: House, project: str, task_id: bytes) -> list[Attempt]:
    """A task's attempts that ended, oldest first. Raises NotFound."""
    return tasks.attempts(house.client, house.prefix(project), project, task_id)


def find(house: House, project: str, wanted: Filter, limit: int, cursor: str | None) -> Page:
    """One page of a project's tasks."""
    return lists.find(house.client, house.prefix(project), project, wanted, limit, cursor)


def update(house: House, project: str, task_id: bytes, changes: dict[str, Any]) -> Task:
    """Change a waiting task. Raises NotFound, Conflict, InvalidField."""
    task, bells = tasks.update(
        house.client, house.prefix(project), project, task_id, changes, house.horizon_ms
    )
    house.ring(project, bells)
    return task


def redrive(house: House, project: str, task_id: bytes, changes: dict[str, Any]) -> Task:
    """Send a dead task again, changed or not; due now unless `changes` say when. Raises as `update`."""
    task, bells = tasks.redrive(
        house.client, house.prefix(project), project, task_id, changes, house.horizon_ms
    )
    house.ring(project, bells)
    return task


def run(house: House, project: str, task_id: bytes) -> Task:
    """Make a task due now, whatever its state. Raises NotFound, Conflict."""
    task, bells = tasks.run(house.client, house.prefix(project), project, task_id, house.horizon_ms)
    house.ring(project, bells)
    return task


def cancel(house: House, project: str, task_id: bytes) -> Task:
    """Take a waiting task back. Raises NotFound, Conflict."""
    return tasks.cancel(house.client, house.prefix(project), project, task_id)


def delete(house: House, project: str, task_id: bytes) -> bool:
    """Forget a task; False when there was none."""
    return tasks.delete(house.client, house.prefix(project), project, [task_id]) == 1

"""What callers may do with queues and with the limits of their project."""

from __future__ import annotations

from dataclasses import replace

from timeball.dispatch.house import House
from timeball.errors import NotFound
from timeball.model.queue import Limits, QueueState
from timeball.store import keys, queues, tasks
from timeball.store.tasks import Bell


def list_queues(house: House, project: str) -> list[QueueState]:
    """Every queue of a project, by name."""
    prefix = house.prefix(project)
    return queues.states(house.client, prefix, project, queues.names(house.client, prefix, project))


def states(house: House, project: str, names: list[str]) -> list[QueueState]:
    """How queues stand, in the order asked for, known or not."""
    return queues.states(house.client, house.prefix(project), project, names)


def get_queue(house: House, project: str, name: str) -> QueueState:
    """One queue. Raises NotFound when it has neither tasks nor limits and never had."""
    prefix = house.prefix(project)
    [state] = queues.states(house.client, prefix, project, [name])
    unknown = name not in queues.names(house.client, prefix, project)
    if unknown and state.limits == Limits():
        raise NotFound(f"there is no queue {name!r}")
    return state


def set_limits(house: House, project: str, name: str | None, limits: Limits) -> None:
    """Replace the limits of a queue, or with None of the whole project; they hold at once."""
    owner = project if name is None else keys.base_of(project, name)
    if queues.set_limits(house.client, house.prefix(project), owner, limits, house.horizon_ms):
        house.ring(project, [Bell(keys.CALL, 0.0)])


def project_limits(house: House, project: str) -> Limits:
    """The limits of a whole project."""
    return queues.limits(house.client, house.prefix(project), project)


def pause(house: House, project: str, name: str, paused: bool = True) -> QueueState:
    """Stop a queue's calls, or let them go on; calls in flight end as they would."""
    state = get_queue(house, project, name)
    set_limits(house, project, name, replace(state.limits, paused=paused))
    return get_queue(house, project, name)


def purge(house: House, project: str, name: str) -> int:
    """Delete every task that waits in a queue; answers how many."""
    get_queue(house, project, name)
    prefix, gone = house.prefix(project), 0
    while ids := queues.waiting_ids(house.client, prefix, project, name, queues.PURGE_AT_ONCE):
        found = tasks.delete(house.client, prefix, project, ids)
        if not found:
            break
        gone += found
    return gone

"""A bulk: one verb over many tasks, done step by step beside everything else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """What a bulk does to each of its tasks."""

    CANCEL = "cancel"
    """Take waiting tasks back."""
    RUN = "run"
    """Make tasks due now, whatever their state but running."""
    REDRIVE = "redrive"
    """Make dead tasks due now."""
    DELETE = "delete"
    """Forget tasks, whatever their state."""


class BulkState(StrEnum):
    """Where a bulk stands."""

    RUNNING = "running"
    """Beat takes its next step as soon as its rate allows."""
    DONE = "done"
    """Every task that it means was looked at."""
    STOPPED = "stopped"
    """A person stopped it; what was done stays done."""
    FAILED = "failed"
    """A step broke; `error` names what the log tells more of."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many tasks are meant. Not `exact`: drawn from those that were looked at, as a share of all."""

    count: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk and how far it came.

    `total` was counted when it was asked for. Of the tasks that it met `done` were changed and `refused` were not,
    because their state, their name's holder or an attempt since then forbids it. `rate` is tasks a second, None
    without limit; `cursor` is where the next step goes on.
    """

    id: str
    project: str
    action: Action
    by: str
    total: Count
    rate: float | None
    state: BulkState
    done: int
    refused: int
    created_at: datetime
    ended_at: datetime | None
    cursor: str | None = None
    ids: tuple[bytes, ...] | None = None
    next_ms: float = 0.0
    error: str | None = None

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1, as far as its total is known."""
        if self.state is BulkState.DONE:
            return 1.0
        return min(1.0, (self.done + self.refused) / max(1, self.total.count))

"""A standing order: a rule whose every occurrence becomes exactly one task."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from timeball.model.retry import Retry
from timeball.model.task import Priority, Request


class Overlap(StrEnum):
    """What happens to an occurrence that comes while the task of the one before is not over."""

    QUEUE_ONE = "queue_one"
    """It waits until that task has ended for good; while one waits, later ones are skipped."""
    ALLOW = "allow"
    """It runs beside."""
    SKIP = "skip"
    """It is left out."""
    CANCEL_OTHER = "cancel_other"
    """That task is cancelled if it waits for its call or for a retry. A call in flight cannot be cut: the
    new task then runs beside it."""


class CatchUp(StrEnum):
    """What happens to occurrences that nobody saw to, because no beat ran or it had no store."""

    LATEST = "latest"
    """The newest is made up for, if it is not older than the catch-up window."""
    NONE = "none"
    """They are left out."""
    ALL = "all"
    """Those within the catch-up window are made up for, the newest 100 of them."""


class Fate(StrEnum):
    """What became of an occurrence."""

    MADE = "made"
    """A task was made at its instant."""
    CAUGHT_UP = "caught_up"
    """A task was made later, after an outage."""
    WAITED = "waited"
    """A task was made once the one before had ended."""
    ASKED = "asked"
    """A person asked for a run; no occurrence of the rule."""
    SKIPPED = "skipped"
    """Left out: the task before was not over."""
    MISSED = "missed"
    """Left out by the catch-up rule; `until` is the last one left out with it."""
    DROPPED = "dropped"
    """Taken back before its call: the schedule was changed or paused."""
    REMADE = "remade"
    """Taken back and made anew, as the schedule says since it was changed."""
    WAITING = "waiting"
    """Waits until the task before has ended."""


@dataclass(frozen=True, slots=True)
class Share:
    """A window as a share of the time until the occurrence after, 1 to 100 per cent."""

    percent: int

    def __str__(self) -> str:
        return f"{self.percent}%"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as the store keeps it. `id` is a UUID as text; one of `cron` and `rrule` is set.

    `next_at` is the first occurrence that has not been seen to, None when there is none or it is paused;
    `runs` counts those that became tasks or wait to, `skipped` those that its overlap rule left out, `missed` how
    often the catch-up rule left some out, as the store counts it; `rev` grows with every change. `last` is the end
    that the rule's own COUNT or UNTIL gives, kept so that it is counted once. When `failing_after` tasks in a row
    have died the schedule is failing, until one succeeds.
    """

    id: str
    project: str
    request: Request
    created_at: datetime
    queue: str = "default"
    name: str | None = None
    description: str | None = None
    cron: str | None = None
    rrule: str | None = None
    dtstart: datetime | None = None
    timezone: str = "UTC"
    paused: bool = False
    paused_until: datetime | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    max_runs: int | None = None
    overlap: Overlap = Overlap.QUEUE_ONE
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window: timedelta = timedelta(hours=1)
    window: timedelta | Share = timedelta()
    timeout: timedelta | None = None
    retry: Retry | None = None
    tags: tuple[str, ...] = ()
    on_success: str | None = None
    on_failure: str | None = None
    on_attempt: str | None = None
    on_failing: str | None = None
    on_recovered: str | None = None
    failing_after: int = 3
    pause_when_failing: bool = False
    priority: Priority = Priority.NORMAL
    concurrency_key: str | None = None
    ordering_key: str | None = None
    key_id: str | None = None
    last: datetime | None = None
    next_at: datetime | None = None
    runs: int = 0
    skipped: int = 0
    missed: int = 0
    rev: int = 0

    @property
    def watches(self) -> bool:
        """Whether something follows when its tasks die one after the other."""
        told = self.on_failing is not None or self.on_recovered is not None
        return told or self.pause_when_failing


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One line of a schedule's history.

    `at` is the instant that the rule names, `due_at` when its task was due (None for one left out), `until`
    the last of several left out together.
    """

    fate: Fate
    at: datetime
    due_at: datetime | None = None
    until: datetime | None = None
    task_id: bytes | None = None

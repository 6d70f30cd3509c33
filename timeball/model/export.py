"""An export: a task that writes rows of an index into a file, as the Spaaza dialect describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from dateutil.relativedelta import relativedelta


class Code(StrEnum):
    """How an export stands, in the dialect's words."""

    READY = "READY"
    """Waits for its instant; a repeating one between its runs, too."""
    INPROGRESS = "INPROGRESS"
    """A worker writes it, or it waits to be tried again."""
    DONE = "DONE"
    """The file is there."""
    ERROR = "ERROR"
    """It ended without a file, or was cancelled: the log says why."""


class Repeat(StrEnum):
    """How often an export recurs, counted from its first instant, in UTC."""

    DAILY = "daily"
    """Each day."""
    WEEKLY = "weekly"
    """Each seventh day."""
    MONTHLY = "monthly"
    """The same day of each month; its last day where a month is too short."""

    def after(self, first: datetime, at: datetime) -> datetime:
        """The earliest occurrence after `at` of those that begin with `first`."""
        if at < first:
            return first
        if self is Repeat.MONTHLY:
            n = max(0, (at.year - first.year) * 12 + at.month - first.month - 1)
            while (found := first + relativedelta(months=n)) <= at:
                n += 1
            return found
        step = timedelta(days=1 if self is Repeat.DAILY else 7)
        return first + ((at - first) // step + 1) * step


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. `target` and `trigger` are kept as they were sent, for they are shown so."""

    chain: int
    desc: str
    target: Mapping[str, Any]
    trigger: Mapping[str, Any]
    debug: str = ""
    key_id: str | None = None
    once: datetime | None = None

    @property
    def index(self) -> str:
        return str(self.target["export_index"])

    @property
    def format(self) -> str:
        return str(self.target.get("export_format") or "csv")

    @property
    def repeat(self) -> Repeat | None:
        word = self.trigger.get("repeat")
        return Repeat(word) if word else None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of an export's log: what happened, and numbers about it."""

    at: datetime
    level: str
    message: str
    facts: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """A finished file. `key` is where the store has it: chain/number/run/name."""

    key: str
    rows: int
    size_bytes: int
    sha256: str
    at: datetime

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it stands. `attempt` counts the claims so far; `logs` is a part of the log, newest first."""

    number: int
    id: bytes
    project: str
    order: Order
    code: Code
    created_at: datetime
    modified_at: datetime
    last_run_at: datetime | None
    attempt: int
    logs: tuple[LogLine, ...]
    result: Result | None

"""What the API answers, as values. `raw` holds all of an answer, also what is not named here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


def instant(text: str | None) -> datetime | None:
    """An aware instant of an answer."""
    return None if text is None else datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class Task:
    """A task. `status` is queued, working, success, failure or cancelled."""

    id: str
    status: str
    url: str
    method: str
    name: str | None
    queue: str
    tags: tuple[str, ...]
    attempts: int
    created_at: datetime
    scheduled_for: datetime | None
    due_at: datetime | None
    ended_at: datetime | None
    raw: dict[str, Any] = field(repr=False, compare=False)

    @property
    def ended(self) -> bool:
        """Whether nothing will happen by itself any more."""
        return self.status in ("success", "failure", "cancelled")

    @classmethod
    def of(cls, told: dict[str, Any]) -> Task:
        """The task of an answer."""
        return cls(
            id=told["id"],
            status=told["status"],
            url=told["request"]["url"],
            method=told["request"]["method"],
            name=told["name"],
            queue=told["queue"],
            tags=tuple(told["tags"]),
            attempts=told["attempts_count"],
            created_at=datetime.fromisoformat(told["created_at"]),
            scheduled_for=instant(told["scheduled_for"]),
            due_at=instant(told["due_at"]),
            ended_at=instant(told["ended_at"]),
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a task. `status` and `body` are of the endpoint's answer, if there was one.

    `hint` says what to do about an outcome that may surprise, such as a redirect.
    """

    number: int
    outcome: str
    status: int | None
    body: str | None
    error: str | None
    started_at: datetime
    duration: timedelta
    next_attempt_at: datetime | None
    hint: str | None
    raw: dict[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Attempt:
        """The attempt of an answer."""
        response = told["response"] or {}
        return cls(
            number=told["number"],
            outcome=told["outcome"],
            status=response.get("status"),
            body=response.get("body"),
            error=told["error"],
            started_at=datetime.fromisoformat(told["started_at"]),
            duration=timedelta(milliseconds=told["timing"]["total"]),
            next_attempt_at=instant(told["next_attempt_at"]),
            hint=told.get("hint"),  # which an older API does not tell
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """A standing order. `next_at` is None when it is paused or has ended."""

    id: str
    name: str | None
    cron: str | None
    rrule: str | None
    timezone: str
    url: str
    paused: bool
    next_at: datetime | None
    raw: dict[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Schedule:
        """The schedule of an answer."""
        return cls(
            id=told["id"],
            name=told["name"],
            cron=told["cron"],
            rrule=told["rrule"],
            timezone=told["timezone"],
            url=told["request"]["url"],
            paused=told["paused"],
            next_at=instant(told["scheduled_for"]),
            raw=told,
        )

"""One try at a task: what was seen, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """How an attempt ended. Only `answered` can be a success, and only with a 2xx status."""

    ANSWERED = "answered"
    """The endpoint sent a whole status line and headers; `status` says which."""
    REFUSED = "refused"
    """The endpoint's host refused the connection, or its TLS could not be trusted."""
    UNREACHABLE = "unreachable"
    """No such name, no route, or the connection broke before the answer was whole; or it was no answer of HTTP."""
    TIMED_OUT = "timed_out"
    """The total or connect deadline passed."""
    BLOCKED = "blocked"
    """The address is not one that this installation may call; never retried."""
    TOO_LARGE = "too_large"
    """The response was larger than we read; the rest was cut."""
    LOST = "lost"
    """The worker died with the call in flight; what the endpoint saw is unknown."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of a call went, in microseconds from its start; 0 where a step did not happen."""

    dns_us: int = 0
    connect_us: int = 0
    tls_us: int = 0
    first_byte_us: int = 0
    total_us: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished attempt, as the log keeps it.

    `number` counts claims of the task from 1. `body` is the first kilobytes of the response;
    `body_cut` says that there was more. `next_at` is set when the verdict was a retry.
    """

    number: int
    outcome: Outcome
    started_at: datetime
    status: int | None = None
    timing: Timing = Timing()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    body_cut: bool = False
    error: str | None = None
    worker: str | None = None
    next_at: datetime | None = None

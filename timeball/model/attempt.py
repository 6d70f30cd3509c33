"""One try at a task: what was seen, and how it ended."""

from __future__ import annotations

import re
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

    @property
    def hint(self) -> str | None:
        """What to do about an outcome that may surprise, in words; None where the outcome says it."""
        if self.outcome is not Outcome.ANSWERED or not 300 <= (self.status or 0) < 400:
            return None
        place = next((v for n, v in reversed(self.headers) if n.lower() == "location"), "")
        if not place:
            return f"redirects are not followed, and a {self.status} is no success"
        return (
            f"the endpoint redirects to {_harmless(place)}; redirects are not followed: "
            "call where it leads, if that is where the task should go"
        )


_PLACE_SHOWN = 200
_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}[^/\\?#]*@")


def _harmless(location: str) -> str:
    """A Location in quotes and plain ASCII, without what may be secret in it: user, password, query, fragment."""
    place = _USER.sub(lambda found: f"{found[1] or ''}//", location)
    shown = re.split("[?#]", place, maxsplit=1)[0]
    more = "..." if len(shown) > _PLACE_SHOWN else "?..." if len(shown) < len(place) else ""
    return ascii(shown[:_PLACE_SHOWN] + more)

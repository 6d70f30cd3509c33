"""How the hosts of endpoints do, and which of them may not be called now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Breaker(StrEnum):
    """Whether calls to a host go through."""

    CLOSED = "closed"
    """They do."""
    OPEN = "open"
    """They wait: most of them failed lately. One goes through when the time is up."""
    PROBING = "probing"
    """One is under way; how it ends decides for the others."""
    QUIET = "quiet"
    """They wait: the host asked for it with Retry-After."""


@dataclass(frozen=True, slots=True)
class HostState:
    """A host that is limited, or was in trouble within the hour, as its project sees it.

    `well` and `failed` count calls since its first failure; `how` splits the failed ones by status or
    outcome. `opened` is how often in a row the breaker has opened; `waiting` how many due tasks were set aside.
    `limit` is how many calls it may have in flight: its `own`, or the project's for every host; None for no
    limit, and then `in_flight` is None too, for calls are counted by host only where they are limited.
    """

    host: str
    breaker: Breaker
    until: datetime | None
    opened: int
    well: int
    failed: int
    waiting: int
    how: dict[str, int] = field(default_factory=dict)
    last_failed_at: datetime | None = None
    failed_in_row: int = 0
    limit: int | None = None
    own: bool = False
    in_flight: int | None = None

"""Who owns keys, queues and tasks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    """Look: tasks, attempts, schedules, queues."""
    WRITE = "write"
    """Read, and create or change tasks, schedules and queues."""
    ADMIN = "admin"
    """Write, and manage keys, secrets and the project itself."""


@dataclass(frozen=True, slots=True)
class Project:
    """A tenant. `signing_secrets` are the live Standard Webhooks secrets (`whsec_...`), newest first.

    `chain` is its number in the Spaaza dialect; None where it has none.
    """

    id: str
    name: str
    created_at: datetime
    retries: bool = True
    signing_secrets: tuple[str, ...] = ()
    chain: int | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret part, as it may be shown. `last_used_at` is right to a minute."""

    id: str
    project: str
    scopes: frozenset[Scope]
    created_at: datetime
    label: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def lives(self, now: datetime) -> bool:
        """Whether it opens the door."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

"""Who looks at the dashboard, and what of it is written down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What a visitor of the dashboard may do; each may also do what those above it may."""

    VIEWER = "viewer"
    """Look at everything but keys, names of secrets, settings and the audit log."""
    OPERATOR = "operator"
    """Also make, change, run and delete tasks, schedules and queues."""
    ADMIN = "admin"
    """Also make and revoke keys, change secrets and limits of projects, and see settings and the audit log."""

    def may(self, needed: Role) -> bool:
        """Whether this role includes another."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a link to sign in by, or with a session. `name` is what the audit log calls him."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Written:
    """One line of the audit log: who did what to what. `before` and `after` are short texts, or empty."""

    at: datetime
    name: str
    role: Role
    address: str
    project: str
    verb: str
    subject: str
    before: str = ""
    after: str = ""

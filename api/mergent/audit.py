"""Lines of the audit log about what a key did: whatever opens doors or meets many tasks is found again."""

from __future__ import annotations

from api.door import Door
from api.mergent.routes import Call
from timeball.model.visitor import Role, Written
from timeball.store import logins, projects


def write_down(
    door: Door, call: Call, role: Role, verb: str, subject: str, after: str = ""
) -> None:
    """Add a line. `role` is the one that may do the same on the dashboard; no subject is the project."""
    client, caller = door.house.client, call.caller
    name = projects.name_of(client, caller.project)
    line = Written(
        logins.real_now(),
        f"key {caller.key_id}",
        role,
        call.request.remote_addr or "",
        name,
        verb,
        subject or name,
        after=after,
    )
    logins.write_down(client, line)

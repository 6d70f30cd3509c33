"""Changing a secret without an hour when somebody is locked out: the old one lives on for its grace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from timeball.errors import Conflict, InvalidField, NotFound
from timeball.model.project import ApiKey
from timeball.signing import new_secret
from timeball.store import codec, projects
from timeball.store.projects import PREFIX, Vault
from timeball.store.scripts import Client, store_errors

GRACE = timedelta(hours=24)
LONGEST_GRACE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A live secret that calls are signed with; `until` when it was replaced, and its grace ends then."""

    secret: str
    until: datetime | None = None


def signing_secrets(client: Client, vault: Vault, project_id: str) -> list[SigningSecret]:
    """The live signing secrets of a project, newest first: one, or two within a grace. Raises NotFound."""
    with store_errors():
        raw = client.hget(f"{PREFIX}projects", project_id)
    if raw is None:
        raise NotFound("there is no such project")
    return _signing(vault, orjson.loads(raw))


def _signing(vault: Vault, record: dict[str, Any]) -> list[SigningSecret]:
    live = set(projects.live_signing(record))
    found = []
    for entry in record["signing"]:
        sealed = entry if isinstance(entry, str) else entry["sealed"]
        if sealed in live:
            until = None if isinstance(entry, str) else codec.from_ms(entry["until"])
            found.append(SigningSecret(vault.open(sealed), until))
    return found


def rotate_signing(
    client: Client, vault: Vault, project_id: str, grace: timedelta = GRACE
) -> list[SigningSecret]:
    """Give a project a new signing secret; calls carry signatures by the old one too until the grace is over.

    With no grace every older secret ends at once, as after a leak. Answers the live ones, newest first.
    Raises NotFound, InvalidField, and Conflict while an earlier rotation is in its grace.
    """
    _check(grace)
    fresh = vault.seal(new_secret())

    def rotate(record: dict[str, Any]) -> dict[str, Any]:
        live = projects.live_signing(record)
        if not grace or not live:
            return record | {"signing": [fresh]}
        if len(live) > 1:
            until = codec.from_ms(max(e["until"] for e in record["signing"] if isinstance(e, dict)))
            raise Conflict(
                f"the secret before is good until {until:%Y-%m-%d %H:%M} UTC: wait, "
                "or rotate without grace, which ends all older ones at once"
            )
        old = {"sealed": live[0], "until": codec.to_ms(datetime.now(UTC) + grace)}
        return record | {"signing": [fresh, old]}

    return _signing(vault, projects.change(client, project_id, rotate))


def rotate_key(
    client: Client, vault: Vault, project_id: str, key_id: str, grace: timedelta = GRACE
) -> tuple[ApiKey, str]:
    """A new key with the rights, label and length of life of an old one, which ends after the grace.

    Answers the new key and its text, which is never shown again. Raises NotFound for a key that is not the
    project's, InvalidField, and Conflict for one that has ended.
    """
    _check(grace)
    old = next((k for k in projects.list_keys(client, project_id) if k.id == key_id), None)
    if old is None:
        raise NotFound(f"there is no key {key_id!r}")
    now = datetime.now(UTC)
    if not old.lives(now):
        raise Conflict(f"the key {key_id} has ended: make a new one instead")
    expires_at = now + (old.expires_at - old.created_at) if old.expires_at else None
    made = projects.create_key(
        client, vault, project_id, old.scopes, old.label, expires_at, pair="-" in old.id
    )
    end_ms = codec.to_ms(now + grace)

    def end(record: dict[str, Any]) -> dict[str, Any]:
        return record | {"expires": min(end_ms, record.get("expires", end_ms))}

    projects.change_key(client, key_id, end)
    return made


def _check(grace: timedelta) -> None:
    if not timedelta(0) <= grace <= LONGEST_GRACE:
        raise InvalidField("grace", f"must be from 0 s to {LONGEST_GRACE.days} days")

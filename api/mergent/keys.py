"""The routes of keys and signing secrets, ours: a secret is answered when it is made, and never again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Response
from marshmallow import post_load

from api import body
from api.answers import nothing, reply
from api.door import Door
from api.mergent import audit, rules
from api.mergent.dump import instant
from api.mergent.routes import Call, guarded
from api.mergent.schemas import Ruled, Strict, load
from timeball import logs
from timeball.errors import InvalidField, NotFound
from timeball.model.project import ApiKey, Scope
from timeball.model.visitor import Role
from timeball.store import logins, projects, rotation

SHORTEST_LIFE, LONGEST_LIFE = timedelta(seconds=1), timedelta(days=36500)

log = logs.get(__name__)


def _scopes(value: Any) -> frozenset[Scope]:
    known = [scope.value for scope in Scope]
    if not isinstance(value, list) or not value or any(one not in known for one in value):
        raise InvalidField("scopes", f"must be an array of one or more of {', '.join(known)}")
    return frozenset(map(Scope, value))


_GRACE_SHAPE = {"oneOf": [{"type": "string"}, {"type": "number"}], "default": "24h"}


class KeySchema(Strict):
    """A key to be made."""

    scopes = Ruled(
        lambda value, _: _scopes(value),
        "What the key may do; all when absent.",
        {
            "type": "array",
            "items": {"type": "string", "enum": [scope.value for scope in Scope]},
            "minItems": 1,
        },
    )
    label = Ruled(
        lambda value, _: None if value is None else rules.text(value, "label", 100),
        "A word to know the key by.",
        {"type": ["string", "null"], "maxLength": 100},
    )
    expires_in = Ruled(
        lambda value, _: (
            None if value is None else rules.span(value, "expires_in", SHORTEST_LIFE, LONGEST_LIFE)
        ),
        "How long the key is good, such as `90d` or a number of seconds; for ever when absent.",
        {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
    )

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return data


class GraceSchema(Strict):
    """How long what is replaced stays good."""

    grace = Ruled(
        lambda value, _: (
            rotation.GRACE
            if value is None
            else rules.span(value, "grace", timedelta(0), rotation.LONGEST_GRACE)
        ),
        "How long the old one stays good beside the new one; `0s` ends it at once. A day when absent.",
        _GRACE_SHAPE,
    )

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> timedelta:
        grace: timedelta = data.get("grace", rotation.GRACE)
        return grace


_KEY, _GRACE = KeySchema(), GraceSchema()


def dump_key(key: ApiKey, text: str | None = None) -> dict[str, Any]:
    """A key; with its text only when it was made just now."""
    shown = {
        "id": key.id,
        "scopes": sorted(key.scopes),
        "label": key.label,
        "created_at": instant(key.created_at),
        "expires_at": instant(key.expires_at),
        "revoked_at": instant(key.revoked_at),
        "last_used_at": instant(key.last_used_at),
    }
    return shown if text is None else {**shown, "key": text}


class Keys:
    """The verbs of the keys and signing secrets of one's own project."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def find(self, call: Call) -> Response:
        """Every key of the project, oldest first."""
        found = projects.list_keys(self.door.house.client, call.caller.project)
        return reply([dump_key(key) for key in found])

    def create(self, call: Call) -> Response:
        """Make a key; its text is in this answer and never again."""
        wanted = self._sent(call, _KEY)
        house, life = self.door.house, wanted.get("expires_in")
        key, text = projects.create_key(
            house.client,
            house.vault,
            call.caller.project,
            wanted.get("scopes", projects.ALL_SCOPES),
            wanted.get("label"),
            logins.real_now() + life if life else None,
        )
        self._wrote(call, "create key", key.id, ", ".join(sorted(key.scopes)))
        return reply(dump_key(key, text), 201)

    def revoke(self, call: Call, key_id: str) -> Response:
        """End a key at once. Its tasks are still called."""
        house = self.door.house
        if projects.owner_of(house.client, key_id) != call.caller.project:
            raise NotFound("there is no such key")
        projects.revoke_key(house.client, key_id)
        self._wrote(call, "revoke key", key_id, "revoked")
        return nothing()

    def rotate(self, call: Call, key_id: str) -> Response:
        """Make a key in the place of another, which ends after the grace."""
        grace: timedelta = self._sent(call, _GRACE)
        house = self.door.house
        key, text = rotation.rotate_key(
            house.client, house.vault, call.caller.project, key_id, grace
        )
        self._wrote(call, "rotate key", key_id, f"{key.id}, grace {grace}")
        return reply(dump_key(key, text), 201)

    def signing(self, call: Call) -> Response:
        """The live signing secrets, newest first, and when each ends; not their texts."""
        house = self.door.house
        live = rotation.signing_secrets(house.client, house.vault, call.caller.project)
        return reply([{"expires_at": instant(one.until)} for one in live])

    def rotate_signing(self, call: Call) -> Response:
        """Make a new signing secret; calls carry the signatures of both until the grace is over."""
        grace: timedelta = self._sent(call, _GRACE)
        house, project = self.door.house, call.caller.project
        fresh, *old = rotation.rotate_signing(house.client, house.vault, project, grace)
        self._wrote(call, "rotate signing secret", "", f"grace {grace}")
        ends = instant(old[0].until) if old else None
        return reply({"secret": fresh.secret, "previous_expires_at": ends}, 201)

    def _sent(self, call: Call, schema: Strict) -> Any:
        raw = body.read(call.request.environ, self.door.request_limit_bytes)
        return load(schema, body.load_json(raw or b"{}"))

    def _wrote(self, call: Call, verb: str, subject: str, after: str) -> None:
        audit.write_down(self.door, call, Role.ADMIN, verb, subject, after)
        caller = call.caller
        log.info(verb, subject=subject, project=caller.project, key=caller.key_id)


ROUTES: tuple[tuple[str, str, str, Scope], ...] = (
    ("GET", "/keys", "find", Scope.ADMIN),
    ("POST", "/keys", "create", Scope.ADMIN),
    ("DELETE", "/keys/<key_id>", "revoke", Scope.ADMIN),
    ("POST", "/keys/<key_id>/rotate", "rotate", Scope.ADMIN),
    ("GET", "/signing-secrets", "signing", Scope.ADMIN),
    ("POST", "/signing-secrets/rotate", "rotate_signing", Scope.ADMIN),
)
"""Method, path, verb of `Keys`, and the scope a key needs."""


def add(made: Blueprint, door: Door) -> None:
    """Add the routes to the dialect's blueprint."""
    verbs = Keys(door)
    for method, path, verb, scope in ROUTES:
        view = guarded(door, getattr(verbs, verb), scope)
        made.add_url_rule(path, f"keys_{verb}", view, methods=[method])

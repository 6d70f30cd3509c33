"""The routes of a project's secrets, ours: they are written and named, and never answered."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from api import body
from api.answers import nothing, reply
from api.door import Door
from api.mergent import audit, rules
from api.mergent.dump import instant
from api.mergent.routes import Call, guarded
from api.mergent.schemas import Ruled, Strict, load
from timeball import logs
from timeball.model.project import Scope
from timeball.model.visitor import Role
from timeball.store import secrets
from timeball.store.secrets import VALUE_LIMIT, Secret

log = logs.get(__name__)


class SecretSchema(Strict):
    """A secret to be kept."""

    value = Ruled(
        lambda value, _: rules.text(value, "value", VALUE_LIMIT),
        "What headers carry in place of `{{secret.NAME}}`: Latin-1, on one line.",
        {"type": "string", "minLength": 1, "maxLength": VALUE_LIMIT},
        required=True,
    )


_SCHEMA = SecretSchema()


def dump_secret(secret: Secret) -> dict[str, Any]:
    """A secret without its value."""
    return {"name": secret.name, "changed_at": instant(secret.changed_at)}


class Secrets:
    """The verbs of the secrets of one's own project."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def find(self, call: Call) -> Response:
        """Every secret of the project by its name; values are never answered."""
        found = secrets.every(self.door.house.client, call.caller.project)
        return reply([dump_secret(secret) for secret in found])

    def put(self, call: Call, secret: str) -> Response:
        """Keep a secret for headers that say `{{secret.NAME}}`; calls use it within seconds."""
        raw = body.read(call.request.environ, self.door.request_limit_bytes)
        value = load(_SCHEMA, body.load_json(raw))["value"]
        house, project = self.door.house, call.caller.project
        kept = secrets.put(house.client, house.vault, project, secret, value)
        audit.write_down(self.door, call, Role.ADMIN, "set secret", secret)
        log.info("a secret was set", secret=secret, project=project, key=call.caller.key_id)
        return reply(dump_secret(kept))

    def remove(self, call: Call, secret: str) -> Response:
        """Forget a secret; calls that name it end as blocked."""
        secrets.remove(self.door.house.client, call.caller.project, secret)
        audit.write_down(self.door, call, Role.ADMIN, "remove secret", secret)
        log.info(
            "a secret was removed",
            secret=secret,
            project=call.caller.project,
            key=call.caller.key_id,
        )
        return nothing()


ROUTES: tuple[tuple[str, str, str, Scope], ...] = (
    ("GET", "/secrets", "find", Scope.READ),
    ("PUT", "/secrets/<secret>", "put", Scope.ADMIN),
    ("DELETE", "/secrets/<secret>", "remove", Scope.ADMIN),
)
"""Method, path, verb of `Secrets`, and the scope a key needs."""


def add(made: Blueprint, door: Door) -> None:
    """Add the routes to the dialect's blueprint."""
    verbs = Secrets(door)
    for method, path, verb, scope in ROUTES:
        view = guarded(door, getattr(verbs, verb), scope)
        made.add_url_rule(path, f"secrets_{verb}", view, methods=[method])

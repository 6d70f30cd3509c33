"""Keys of the API and the secrets that sign calls: made, rotated, ended, each shown when it is made."""

from __future__ import annotations

from datetime import timedelta

from flask import Response, request, url_for

from api.dashboard.desk import Visit, see
from api.mergent import rules
from timeball.errors import InvalidField, NotFound
from timeball.model.project import ApiKey, Scope
from timeball.model.visitor import Role
from timeball.store import logins, projects, rotation

MOST_DAYS = 36500
GRACES = {
    "0": (timedelta(0), "at once"),
    "1h": (timedelta(hours=1), "in an hour"),
    "24h": (timedelta(hours=24), "in a day"),
    "7d": (timedelta(days=7), "in a week"),
}
"""How long what is replaced stays good: as forms say it, the span, and in words."""


def keys(visit: Visit) -> Response:
    """The keys of the project."""
    return _page(visit)


def _page(
    visit: Visit,
    status: int = 200,
    *,
    fresh: str | None = None,
    replaced: str | None = None,
    reveal: bool = False,
) -> Response:
    return visit.page(
        "keys.html",
        status,
        rows=projects.list_keys(visit.house.client, visit.project.id)[::-1],
        signing=rotation.signing_secrets(visit.house.client, visit.house.vault, visit.project.id),
        scopes=list(Scope),
        graces=GRACES,
        fresh=fresh,
        replaced=replaced,
        reveal=reveal,
        now=logins.real_now(),
    )


def key_create(visit: Visit) -> Response:
    """Make a key and show it, this once: so no redirect follows."""
    scopes = [Scope(s) for s in request.form.getlist("scope") if s in list(Scope)]
    label = request.form.get("label", "").strip()
    days = request.form.get("days", "").strip()
    if not scopes:
        raise InvalidField("scope", "choose at least one scope")
    if days and not (days.isascii() and days.isdigit() and 1 <= int(days[:6]) <= MOST_DAYS):
        raise InvalidField("days", f"days must be a whole number from 1 to {MOST_DAYS}, or empty")
    key, text = projects.create_key(
        visit.house.client,
        visit.house.vault,
        visit.project.id,
        scopes,
        rules.text(label, "label", 100) if label else None,
        logins.real_now() + timedelta(days=int(days)) if days else None,
    )
    ends = f", for {days} days" if days else ""
    visit.wrote("create key", key.id, after=", ".join(sorted(scopes)) + ends)
    return _page(visit, 201, fresh=text)


def key_verb(visit: Visit, key_id: str, verb: str) -> Response:
    """End a key of the project, or make one that takes its place."""
    old = _own(visit, key_id)
    if verb == "revoke":
        projects.revoke_key(visit.house.client, key_id)
        visit.wrote("revoke key", key_id, before=_words(old), after="revoked")
        return visit.go(url_for("dashboard.keys"), f"Revoked {key_id}. Its tasks are still called.")
    if verb == "rotate":
        house, grace = visit.house, _grace()
        key, text = rotation.rotate_key(
            house.client, house.vault, visit.project.id, key_id, GRACES[grace][0]
        )
        visit.wrote("rotate key", key_id, before=_words(old), after=f"{key.id}, grace {grace}")
        return _page(visit, 201, fresh=text, replaced=key_id)
    raise NotFound("there is no such verb")


def _own(visit: Visit, key_id: str) -> ApiKey:
    for key in projects.list_keys(visit.house.client, visit.project.id):
        if key.id == key_id:
            return key
    raise NotFound("there is no such key")


def _words(key: ApiKey) -> str:
    return ", ".join(sorted(key.scopes))


def _grace() -> str:
    grace = request.form.get("grace", "24h")
    if grace not in GRACES:
        raise InvalidField("grace", f"must be one of {', '.join(GRACES)}")
    return grace


def signing_verb(visit: Visit, verb: str) -> Response:
    """Show the project's signing secrets, or make a new one and show it."""
    if verb == "show":
        visit.wrote("show signing secret", visit.project.name)
    elif verb == "rotate":
        grace = _grace()
        rotation.rotate_signing(
            visit.house.client, visit.house.vault, visit.project.id, GRACES[grace][0]
        )
        visit.wrote("rotate signing secret", visit.project.name, after=f"grace {grace}")
    else:
        raise NotFound("there is no such verb")
    return _page(visit, reveal=True)


def keys_again(visit: Visit, rest: str) -> Response:
    """What was shown in answer to a form is not shown again, whoever loads its address anew."""
    return see(url_for("dashboard.keys"))


ROUTES = (
    ("GET", "/keys", "keys", keys, Role.ADMIN),
    ("GET", "/keys/<path:rest>", "keys_again", keys_again, Role.ADMIN),
    ("POST", "/keys", "key_create", key_create, Role.ADMIN),
    ("POST", "/keys/signing/<verb>", "signing_verb", signing_verb, Role.ADMIN),
    ("POST", "/keys/<key_id>/<verb>", "key_verb", key_verb, Role.ADMIN),
)

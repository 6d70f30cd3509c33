"""Who may enter: a project's API key, as a Bearer token or as the user name of HTTP Basic."""

from __future__ import annotations

import hashlib
import time
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from timeball.dispatch.house import House
from timeball.errors import StoreError
from timeball.model.project import Scope
from timeball.store import projects

KNOWN_FOR_SECONDS = 2.0
"""How long a key that was looked up is trusted without asking again: so late may a revocation be."""
KNOWN_LIMIT = 4096
USE_NOTED_SECONDS = 60.0
"""How often a process writes down that a key was used."""

_GRANTS = {
    Scope.READ: frozenset(Scope),
    Scope.WRITE: frozenset({Scope.WRITE, Scope.ADMIN}),
    Scope.ADMIN: frozenset({Scope.ADMIN}),
}
"""For each scope those that include it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a request is served. `retries` is the project's switch, `chain` its number if it has one.

    A `pair`, which is a key of the form `id:secret`, speaks the Spaaza dialect where the body does not decide.
    """

    project: str
    key_id: str
    scopes: frozenset[Scope]
    retries: bool
    chain: int | None = None
    pair: bool = False


class Doorman:
    """Knows the keys of the last moments, found by their digest: a comparison in time tells nothing of a key."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._noted: dict[str, float] = {}

    def admit(self, house: House, authorization: str | None, scope: Scope) -> Caller:
        """The caller of a request. Raises Unauthorized, Forbidden, StoreUnavailable."""
        text = credential(authorization)
        digest = hashlib.sha256(text.encode()).digest()
        known = self._known.get(digest)
        if known is None or known[1] < time.monotonic():
            known = self._look_up(house, text, digest)
        caller = known[0]
        if not _GRANTS[scope] & caller.scopes:
            raise Forbidden(
                f"this API key may not do that: it lacks the scope {scope.value}; "
                "make another with: timeball keys create --scope"
            )
        return caller

    def known(self, authorization: str, scope: Scope) -> Caller | None:
        """The caller of a request with a Bearer key that may be trusted without asking again, if so."""
        scheme, _, text = authorization.partition(" ")
        if scheme != "Bearer":
            return None
        known = self._known.get(hashlib.sha256(text.encode()).digest())
        if known is None or known[1] < time.monotonic() or not _GRANTS[scope] & known[0].scopes:
            return None
        return known[0]

    def _look_up(self, house: House, text: str, digest: bytes) -> tuple[Caller, float]:
        self._known.pop(digest, None)
        key = projects.authenticate(house.client, text)
        if key is None:
            _refuse("this API key is unknown, revoked or expired")
        project = projects.get_project(house.client, house.vault, key.project)
        self._note_use(house, key.id)
        if len(self._known) >= KNOWN_LIMIT:
            self._known.clear()
        caller = Caller(
            project.id, key.id, key.scopes, project.retries, project.chain, pair=":" in text
        )
        entry = (caller, time.monotonic() + KNOWN_FOR_SECONDS)
        self._known[digest] = entry
        return entry

    def _note_use(self, house: House, key_id: str) -> None:
        now = time.monotonic()
        if self._noted.get(key_id, 0.0) > now:
            return
        if len(self._noted) >= KNOWN_LIMIT:
            self._noted.clear()
        self._noted[key_id] = now + USE_NOTED_SECONDS
        with suppress(StoreError):  # a full store still answers those who only read
            projects.note_use(house.client, key_id)


def credential(authorization: str | None) -> str:
    """The key in an Authorization header. Raises Unauthorized when there is none."""
    if not authorization:
        _refuse("no API key: send the header Authorization: Bearer <API key>")
    scheme, _, rest = authorization.partition(" ")
    scheme, rest = scheme.lower(), rest.strip()
    if scheme == "bearer":
        return rest
    if scheme == "basic":
        try:
            user, _, password = b64decode(rest, validate=True).decode().partition(":")
        except ValueError:
            _refuse("the Basic credentials cannot be read")
        if password:
            _refuse("with HTTP Basic the API key is the user name, and the password is empty")
        return user
    _refuse("send the API key as a Bearer token, or as the user name of HTTP Basic")


def _refuse(message: str) -> NoReturn:
    raise Unauthorized(message, www_authenticate=WWWAuthenticate("bearer", {"realm": "Timeball"}))

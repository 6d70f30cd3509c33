"""Who is signed in: a signed cookie, and the token that each form of his carries."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from timeball.dispatch.house import House
from timeball.ids import token
from timeball.model.visitor import Role, Visitor
from timeball.store import codec, logins

COOKIE = "timeball_session"
TOLD = "timeball_told"
PROJECT = "timeball_project"
LIFE = timedelta(hours=12)
TOLD_LIFE = timedelta(minutes=2)
KNOWN_FOR_SECONDS = 3.0
"""How long a session that was looked up counts as not ended."""
KNOWN_LIMIT = 1000
TOLD_LIMIT = 600


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor who came in. `csrf` is what his forms must carry."""

    id: str
    visitor: Visitor
    csrf: str


class Sessions:
    """Makes, reads and ends sessions, all signed under the master secret."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"timeball dashboard\0" + secret.encode()).digest()
        self._cookies = URLSafeTimedSerializer(self._key, salt="session")
        self._told = URLSafeTimedSerializer(self._key, salt="told")
        self._alive: dict[str, float] = {}

    def begin(self, visitor: Visitor, answer: Response, request: Request) -> Session:
        """Give the visitor a session of his own."""
        session = self._session(token(20), visitor)
        began_ms = codec.to_ms(logins.real_now())
        text = self._cookies.dumps([session.id, visitor.name, visitor.role, began_ms])
        self._set(answer, request, COOKIE, text, LIFE)
        return session

    def find(self, house: House, request: Request) -> Session | None:
        """The session of a request; None without one that is alive. Raises StoreUnavailable."""
        found = _load(self._cookies, request.cookies.get(COOKIE), LIFE)
        if not isinstance(found, list) or len(found) != 4:
            return None
        session_id, name, role, began_ms = found
        now = time.monotonic()
        if self._alive.get(session_id, 0.0) < now:
            if logins.has_ended(house.client, session_id, name, began_ms):
                return None
            if len(self._alive) >= KNOWN_LIMIT:
                self._alive.clear()
            self._alive[session_id] = now + KNOWN_FOR_SECONDS
        return self._session(session_id, Visitor(name, Role(role)))

    def end(self, house: House, session: Session, answer: Response) -> None:
        """Sign out: the cookie is taken back, and believed no more where it was copied."""
        logins.end_session(house.client, session.id, LIFE)
        self._alive.pop(session.id, None)
        answer.delete_cookie(COOKIE, path="/dashboard")

    def right(self, session: Session, sent: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest(session.csrf.encode(), sent.encode())

    def tell(self, answer: Response, request: Request, text: str, good: bool) -> None:
        """Have a line shown on the next page."""
        line = self._told.dumps([text[:TOLD_LIMIT], good])
        self._set(answer, request, TOLD, line, TOLD_LIFE)

    def told(self, request: Request) -> tuple[str, bool] | None:
        """The line that the page before left, and whether it is good news."""
        found = _load(self._told, request.cookies.get(TOLD), TOLD_LIFE)
        return None if found is None else (found[0], found[1])

    def _session(self, session_id: str, visitor: Visitor) -> Session:
        csrf = hmac.digest(self._key, b"csrf\0" + session_id.encode(), "sha256").hex()[:40]
        return Session(session_id, visitor, csrf)

    def _set(
        self, answer: Response, request: Request, name: str, value: str, life: timedelta
    ) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=life,
            path="/dashboard",
            httponly=True,
            samesite="Lax",
            secure=request.is_secure or request.headers.get("X-Forwarded-Proto") == "https",
        )


def _load(serializer: URLSafeTimedSerializer, text: str | None, life: timedelta) -> Any:
    if not text or len(text) > 4096:
        return None
    try:
        return serializer.loads(text, max_age=int(life.total_seconds()))
    except BadSignature:
        return None

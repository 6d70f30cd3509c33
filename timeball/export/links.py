"""Links to finished exports: signed, expiring tokens that name one file of one attempt.

A token needs no look-up to be checked, and cannot be widened: whoever changes a character has a forged one.
Rotation: sign with the newest secret, accept all that are still listed; dropping a secret revokes its links.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer

LINK_TTL = timedelta(seconds=3600)
"""How long a link works; the documented download_url is good for about an hour."""
_SALT = "timeball.export.links"


@dataclass(frozen=True, slots=True)
class Link:
    """The file that a token gives: the result `name` of an attempt of a task of a chain."""

    chain: int
    task: str
    attempt: int
    name: str

    @property
    def key(self) -> str:
        """The key under which a store keeps the file."""
        return f"{self.chain}/{self.task}/{self.attempt}/{self.name}"


class Refusal(StrEnum):
    """Why a token gives nothing."""

    EXPIRED = "expired"
    """It was genuine, but its time is over: ask for a new link."""
    FORGED = "forged"
    """No listed secret signed it."""


class _Signer(TimestampSigner):
    """Signs and checks at the instant it is given, so that the virtual clock holds here too."""

    def __init__(self, *args: Any, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now = now

    def get_timestamp(self) -> int:
        return int(self._now.timestamp())


def sign(link: Link, secrets: Sequence[str], now: datetime) -> str:
    """A token for the link, good from `now` (aware); `secrets` are newest first, and not empty."""
    payload = [link.chain, link.task, link.attempt, link.name]
    token = _serializer(secrets, now).dumps(payload)
    return token if isinstance(token, str) else token.decode()


def read(
    token: str, secrets: Sequence[str], now: datetime, ttl: timedelta = LINK_TTL
) -> Link | Refusal:
    """The link of a token, or why there is none. `secrets` are newest first."""
    if not secrets:
        return Refusal.FORGED
    try:
        payload = _serializer(secrets, now).loads(token, max_age=int(ttl.total_seconds()))
        chain, task, attempt, name = payload
    except SignatureExpired:
        return Refusal.EXPIRED
    except (BadData, ValueError, TypeError):
        return Refusal.FORGED
    return Link(chain, task, attempt, name)


def _serializer(secrets: Sequence[str], now: datetime) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        list(reversed(secrets)),  # itsdangerous signs with the last
        salt=_SALT,
        signer=_Signer,
        signer_kwargs={"digest_method": hashlib.sha256, "now": now},
    )

"""Checks the signatures of what arrives, with the secrets that the store has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

from timeball.errors import TimeballError
from timeball.settings import Settings
from timeball.signing import Verification, verify_mergent, verify_webhook

if (
    TYPE_CHECKING
):  # with the libraries of the store and of the seals, 15 MB, once something comes in
    from timeball.store.projects import Vault
    from timeball.store.scripts import Client

UNKNOWN = "unknown"
"""The secrets could not be read, so nothing can be said."""

KEPT_SECONDS = 10.0
AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What became of the two signatures: a word of `Verification`, or `unknown`."""

    mergent: str
    webhook: str


class Checker:
    """Knows every project's secrets, since a call does not say whose it is. Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self._lock = Lock()
        self._settings = settings
        self._open: tuple[Client, Vault] | None = None
        self._secrets: tuple[str, ...] = ()
        self._keys: tuple[str, ...] = ()
        self._read_at = float("-inf")
        self._read_well = False

    def check(self, headers: Mapping[str, str], body: bytes) -> Verdicts:
        """Judge a request by the secrets of now; a secret made a moment ago is looked up."""
        if not any(name.lower() in _SIGNED for name in headers):
            return Verdicts(Verification.MISSING, Verification.MISSING)
        found = self._judge(headers, body, KEPT_SECONDS)
        if Verification.WRONG in (found.mergent, found.webhook):
            found = self._judge(headers, body, AGAIN_SECONDS)
        return found

    def _judge(self, headers: Mapping[str, str], body: bytes, age_seconds: float) -> Verdicts:
        known, secrets, keys = self._read(age_seconds)
        webhook = verify_webhook(secrets, headers, body, datetime.now(UTC))
        # Most likely the newest: a key is made, and then it is used.
        mergent = verify_mergent("", headers, body)
        for key in reversed(keys):
            mergent = verify_mergent(key, headers, body)
            if mergent != Verification.WRONG:
                break
        return Verdicts(
            UNKNOWN if mergent == Verification.WRONG and not known else mergent,
            UNKNOWN if webhook == Verification.WRONG and not known else webhook,
        )

    def _read(self, age_seconds: float) -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
        with self._lock:
            if self._settings.secret and time.monotonic() - self._read_at >= age_seconds:
                from timeball.store import projects

                client, vault = self._opened(self._settings.secret)
                try:
                    signing = [
                        projects.signing_keys(client, vault, project)
                        for project in projects.project_ids(client)
                    ]
                    self._secrets = tuple(s for each in signing for s in each.secrets)
                    self._keys = tuple(t for each in signing for t in each.texts.values())
                    self._read_well = True
                except TimeballError:
                    self._read_well = False
                self._read_at = time.monotonic()
            return self._read_well, self._secrets, self._keys

    def _opened(self, secret: str) -> tuple[Client, Vault]:
        if self._open is None:
            from timeball.store.projects import Vault
            from timeball.store.scripts import connect

            client = connect(self._settings.redis_url, timeout=1.0, connect_timeout=0.5)
            self._open = client, Vault(secret)
        return self._open


_SIGNED = frozenset({"x-mergent-signature", "webhook-signature"})

"""Cursors of lists: where to go on, readable by nobody else and for no other list."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from timeball.errors import InvalidField

_TAG_BYTES = 12


class Signer:
    """Signs positions under the master secret, each for one list: a project with its filters."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"timeball cursor\0" + secret.encode()).digest()

    def sign(self, position: str, *purpose: str) -> str:
        """A cursor for a position of the list that `purpose` names."""
        raw = position.encode()
        return urlsafe_b64encode(self._tag(raw, purpose) + raw).decode().rstrip("=")

    def open(self, cursor: str, *purpose: str) -> str:
        """The position of a cursor. Raises InvalidField when it was made for another list, or not by us."""
        try:
            both = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except ValueError:
            both = b""
        tag, raw = both[:_TAG_BYTES], both[_TAG_BYTES:]
        if not raw or not hmac.compare_digest(tag, self._tag(raw, purpose)):
            raise InvalidField(
                "cursor",
                "is not one that this list gave: begin without one, and keep the other parameters",
            )
        return raw.decode()

    def _tag(self, raw: bytes, purpose: tuple[str, ...]) -> bytes:
        text = "\0".join(purpose).encode() + b"\0\0" + raw
        return hmac.digest(self._key, text, "sha256")[:_TAG_BYTES]

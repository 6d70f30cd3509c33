"""What the inbox keeps: the last requests, in memory."""

from __future__ import annotations

import base64
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any

KEPT = 1000
BODY_BYTES = 64 * 1024
COUNTERS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came, and what was answered. `body` is cut at 64 kB of `body_bytes`."""

    number: int
    at: datetime
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    body_bytes: int
    task: str | None
    attempt: str | None
    mergent: str
    webhook: str
    status: int
    told: str
    """What the query of the URL asked for, in words; empty for a plain 200."""

    @property
    def text(self) -> str | None:
        """The body as text, None when it is not UTF-8. A character cut in two at the limit is left out."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            if len(self.body) < self.body_bytes and error.start >= len(self.body) - 3:
                return self.body[: error.start].decode()
            return None

    def as_json(self) -> dict[str, Any]:
        """The form in which scripts read it."""
        text = self.text
        return {
            "number": self.number,
            "received_at": self.at.isoformat(timespec="microseconds"),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": dict(self.headers),
            "body": text,
            "body_base64": None if text is not None else base64.b64encode(self.body).decode(),
            "body_bytes": self.body_bytes,
            "body_cut": len(self.body) < self.body_bytes,
            "task": self.task,
            "attempt": self.attempt,
            "signatures": {"mergent": self.mergent, "webhook": self.webhook},
            "status": self.status,
        }


class Ring:
    """The last `KEPT` requests, newest first. Safe for any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: deque[Received] = deque(maxlen=KEPT)
        self._number = 0
        self._cleared = 0

    def next_number(self) -> int:
        """The number of a new request, counted from 1 since the inbox began."""
        with self._lock:
            self._number += 1
            return self._number

    def add(self, received: Received) -> None:
        with self._lock:
            self._kept.appendleft(received)

    def list(self, path: str | None, limit: int) -> list[Received]:
        """Those on a path, or all."""
        with self._lock:
            kept: Iterable[Received] = list(self._kept)
        return [r for r in kept if path is None or r.path == path][:limit]

    def clear(self) -> int:
        """Forget them all; answers how many."""
        with self._lock:
            count = len(self._kept)
            self._kept.clear()
            self._cleared += 1
            return count

    def state(self) -> str:
        """A word that changes whenever the list does."""
        with self._lock:
            newest = self._kept[0].number if self._kept else 0
            return f"{self._cleared}-{newest}-{self._number}"


class Counters:
    """How often each task came to each URL; the least lately seen are forgotten. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    def count(self, task: str, path: str, query: str) -> int:
        """Which time this is: 1 for the first."""
        key = (task, path, query)
        with self._lock:
            number = self._counts.pop(key, 0) + 1
            self._counts[key] = number
            if len(self._counts) > COUNTERS:
                self._counts.popitem(last=False)
        return number

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._counts.clear()

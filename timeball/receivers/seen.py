"""Which tasks were handled before. A task is called at least once: a second call after a crash has the same id."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from enum import StrEnum
from typing import Any, Protocol

KEEP_SECONDS = 3600.0
BUSY_SECONDS = 900.0
"""So long a handler may take: no call of Timeball's lasts longer."""


class Standing(StrEnum):
    """What is known of a task when its call comes."""

    NEW = "new"
    """Never handled: whoever asked has it now, until `done` or `failed`."""
    BUSY = "busy"
    """Somebody handles it at this moment."""
    DONE = "done"
    """It was handled."""


class Seen(Protocol):
    """What remembers tasks."""

    def begin(self, task_id: str) -> Standing:
        """What is known of a task; a new one is busy from now on."""

    def done(self, task_id: str) -> None:
        """It was handled."""

    def failed(self, task_id: str) -> None:
        """It was not handled: the next call is new."""


class Memory:
    """Remembers in this process alone: enough for a receiver of one process."""

    def __init__(self, keep_seconds: float = KEEP_SECONDS, most: int = 100_000) -> None:
        self._keep, self._most = keep_seconds, most
        self._known: OrderedDict[str, tuple[Standing, float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, task_id: str) -> Standing:
        now = time.monotonic()
        with self._lock:
            known = self._known.get(task_id)
            if known is not None and known[1] > now:
                return known[0]
            self._put(task_id, Standing.BUSY, now + BUSY_SECONDS)
            return Standing.NEW

    def done(self, task_id: str) -> None:
        with self._lock:
            self._put(task_id, Standing.DONE, time.monotonic() + self._keep)

    def failed(self, task_id: str) -> None:
        with self._lock:
            self._known.pop(task_id, None)

    def _put(self, task_id: str, standing: Standing, until: float) -> None:
        self._known[task_id] = (standing, until)
        self._known.move_to_end(task_id)
        while len(self._known) > self._most:
            self._known.popitem(last=False)


class RedisSeen:
    """Remembers in a Redis of the receiver's own, for any number of its processes."""

    def __init__(
        self, client: Any, keep_seconds: float = KEEP_SECONDS, prefix: str = "timeball:seen:"
    ) -> None:
        self._client, self._keep_ms, self._prefix = client, int(keep_seconds * 1000), prefix

    def begin(self, task_id: str) -> Standing:
        key = self._prefix + task_id
        if self._client.set(key, "busy", nx=True, px=int(BUSY_SECONDS * 1000)):
            return Standing.NEW
        return Standing.DONE if self._client.get(key) in (b"done", "done") else Standing.BUSY

    def done(self, task_id: str) -> None:
        self._client.set(self._prefix + task_id, "done", px=self._keep_ms)

    def failed(self, task_id: str) -> None:
        self._client.delete(self._prefix + task_id)

"""Waiting on wake lists without holding the loop: a BLPOP whose answer the loop's poll announces."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from redis.exceptions import RedisError

from timeball.store.scripts import Client

RETRY_SECONDS = 0.5


class Watcher(Protocol):
    """A loop that waits for descriptors."""

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """Call `ready` whenever `fd` can be read."""

    def unwatch(self, fd: int) -> None:
        """End a watch; a closed descriptor is no error."""


class WakeUp:
    """A connection of its own on which one BLPOP waits. `arm` sends it, unless it waits already."""

    def __init__(
        self, client: Client, keys: list[str], watcher: Watcher, woken: Callable[[], None]
    ) -> None:
        self._pool = client.connection_pool
        self._keys, self._watcher, self._woken = keys, watcher, woken
        self._connection: Any = None
        self._fd = -1
        self._waits = False
        self._retry_at = 0.0

    def arm(self) -> None:
        """Wait for a wake. A store that is away is tried again half a second later."""
        if self._waits or time.monotonic() < self._retry_at:
            return
        try:
            if self._connection is None:
                self._connection = self._pool.make_connection()
                self._connection.connect()
                self._fd = self._connection._sock.fileno()
                self._watcher.watch(self._fd, self._ready)
            self._connection.send_command("BLPOP", *self._keys, 0)
            self._waits = True
        except (RedisError, OSError):
            self._drop()

    def _ready(self) -> None:
        self._waits = False
        try:
            self._connection.read_response()
        except (RedisError, OSError):
            self._drop()
        self._woken()

    def _drop(self) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self.close()

    def close(self) -> None:
        """End the wait; a wake that comes then goes to another process."""
        if self._fd >= 0:
            self._watcher.unwatch(self._fd)
        self._fd, self._waits = -1, False
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.disconnect()

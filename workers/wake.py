"""Waiting on the store's wake list without holding the loop: a BLPOP whose answer the epoll announces."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from timeball.store.scripts import Client
from workers.call import Caller

RETRY_SECONDS = 0.5


class WakeUp:
    """A connection of its own on which one BLPOP waits. `arm` sends it, unless it waits already."""

    def __init__(self, client: Client, key: str, caller: Caller, woken: Callable[[], None]) -> None:
        self._pool = client.connection_pool
        self._key, self._caller, self._woken = key, caller, woken
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
                self._caller.watch(self._fd, self._ready)
            self._connection.send_command("BLPOP", self._key, 0)
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
        """End the wait; a wake that comes then goes to another pump."""
        if self._fd >= 0:
            self._caller.unwatch(self._fd)
        self._fd, self._waits = -1, False
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.disconnect()

"""Sleeping until an instant or until something comes in, whichever is first."""

from __future__ import annotations

import contextlib
import math
import select
from collections.abc import Callable


class Nap:
    """What beat sleeps in. It is a `Watcher`: a descriptor that it watches ends the sleep."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """End the sleep and call `ready` when `fd` can be read."""
        self._watched[fd] = ready
        self._poll.register(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        """End a watch; a closed descriptor is no error."""
        if self._watched.pop(fd, None) is not None:
            with contextlib.suppress(KeyError, OSError):
                self._poll.unregister(fd)

    def sleep(self, seconds: float) -> None:
        """Sleep, a millisecond too long at most."""
        for fd, _ in self._poll.poll(max(0, math.ceil(seconds * 1000))):
            ready = self._watched.get(fd)
            if ready is not None:
                ready()

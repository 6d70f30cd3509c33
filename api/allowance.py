"""How much a key may ask and a project may have: a rate of requests, and quotas. Off unless set.

Both hold over all API processes of all hosts, and cost a request well under a microsecond most of the time. Of the
requests that a key may make in a minute a process takes shares, each a sixteenth of what is left; so there are
never more than the limit, and when shares lie with several processes a key may be refused by one that has none
left while another still holds a few: at most a sixteenth of the limit for each other process, and one by one
towards the end. The waiting tasks of a project are counted by the store; a process takes in a sixteenth of the
room that it saw before it looks again, after two seconds at the latest, and asks for each of the last sixteen.
With up to sixteen processes no more than the quota comes in, but for what two seconds change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.exceptions import TooManyRequests

from timeball.dispatch import queues, schedules
from timeball.dispatch.house import House
from timeball.settings import Settings
from timeball.store import shares

MINUTE = 60
LOOK_SECONDS = 2.0
FULL_RETRY_SECONDS = 10
SHARES = 16
RATE = "timeball.rate"
"""Where a request's environ has the headers that tell of its key's rate."""


class TooMany(TooManyRequests):
    """429, with the headers that say when it may be tried again."""

    def __init__(self, message: str, headers: Sequence[tuple[str, str]]) -> None:
        super().__init__(message)
        self.told = tuple(headers)

    def get_headers(self, *args: Any, **options: Any) -> list[tuple[str, str]]:
        """As werkzeug asks for them."""
        return [*Headers(super().get_headers(*args, **options)), *self.told]


class Rate:
    """Requests of each key in the running minute."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._minute = 0
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def count(self, house: House, key_id: str, environ: dict[str, Any]) -> None:
        """Count a request, and let its answer tell how many are left. Raises TooMany, StoreUnavailable.

        Again for the same request it does nothing: the short road counts, and may yet lead to the long one.
        """
        if RATE in environ:
            return
        now = int(time.time())
        minute = now // MINUTE
        reset = (minute + 1) * MINUTE
        left = self._take(house, key_id, minute)
        told = (
            ("X-RateLimit-Limit", str(self.limit)),
            ("X-RateLimit-Remaining", str(max(0, left))),
            ("X-RateLimit-Reset", str(reset)),
        )
        if left < 0:
            raise TooMany(
                f"this API key may make {self.limit} requests a minute: wait until the next one",
                (*told, ("Retry-After", str(max(1, reset - now)))),
            )
        environ[RATE] = told

    def _take(self, house: House, key_id: str, minute: int) -> int:
        """Use one request of a key; how many are left as far as this process knows, -1 when there was none."""
        with self._lock:
            if minute != self._minute:
                self._minute, self._held = minute, {}
            held = self._held.get(key_id)
            if held is None:
                held = self._held[key_id] = _Held(0, self.limit)
            elif held.mine:
                held.mine -= 1
                return held.mine + held.left
        if not held.left:  # all are taken: nobody asks again in this minute
            return -1
        # not under the lock: a store that is away would let all wait for one after the other
        share, left = shares.take(house.client, key_id, minute, self.limit)
        with self._lock:
            held.mine, held.left = held.mine + share - (share > 0), left
            return held.mine + left if share else -1


@dataclass(slots=True)
class _Held:
    """Of a key's requests in a minute: those that this process has taken, and those that nobody has."""

    mine: int
    left: int


class Quotas:
    """What projects may have."""

    def __init__(self, settings: Settings) -> None:
        self._tasks, self._schedules = settings.quota_waiting_tasks, settings.quota_schedules
        self._known: dict[str, _Room] = {}

    def tasks(self, house: House, project: str, more: int) -> None:
        """Raises TooMany when a project has too many waiting tasks to take more in."""
        if not self._tasks:
            return
        room, now = self._known.get(project), time.monotonic()
        stale = room is None or now - room.at >= LOOK_SECONDS
        if room is None or stale or (room.share < more and room.left > 0):
            waiting = sum(queue.waiting for queue in queues.list_queues(house, project))
            left = max(0, self._tasks - waiting)
            room = self._known[project] = _Room(now, left, left // SHARES)
            may = left
        else:
            may = room.share
        if more > may:
            raise _full(f"{self._tasks} waiting tasks")
        room.share, room.left = room.share - more, room.left - more

    def schedules(self, house: House, project: str) -> None:
        """Raises TooMany when a project has all the schedules that it may have."""
        if self._schedules and schedules.count(house, project) >= self._schedules:
            raise _full(f"{self._schedules} schedules")


@dataclass(slots=True)
class _Room:
    """How many more waiting tasks a project may have, and how many of them this process may take in."""

    at: float
    left: int
    share: int


def _full(what: str) -> TooMany:
    return TooMany(
        f"the project has its quota of {what}: try again when there are fewer",
        (("Retry-After", str(FULL_RETRY_SECONDS)),),
    )

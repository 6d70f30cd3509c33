"""How much a key may ask and a project may have: a rate of requests, and quotas. Off unless set.

All is counted by this process alone, so that it costs a request well under a microsecond: with n processes a key
may make up to n times its requests. The waiting tasks of a project are looked up every two seconds at most, so a
quota may be overrun by what two seconds bring.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.exceptions import TooManyRequests

from timeball.dispatch import queues, schedules
from timeball.dispatch.house import House
from timeball.settings import Settings

MINUTE = 60
LOOK_SECONDS = 2.0
FULL_RETRY_SECONDS = 10
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
        self._counts: dict[str, int] = {}

    def count(self, key_id: str, environ: dict[str, Any]) -> None:
        """Count a request, and let its answer tell how many are left. Raises TooMany."""
        now = int(time.time())
        minute = now // MINUTE
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        counts = self._counts
        used = counts[key_id] = counts.get(key_id, 0) + 1
        reset = (minute + 1) * MINUTE
        told = (
            ("X-RateLimit-Limit", str(self.limit)),
            ("X-RateLimit-Remaining", str(max(0, self.limit - used))),
            ("X-RateLimit-Reset", str(reset)),
        )
        if used > self.limit:
            raise TooMany(
                f"this API key may make {self.limit} requests a minute: wait until the next one",
                (*told, ("Retry-After", str(max(1, reset - now)))),
            )
        environ[RATE] = told


class Quotas:
    """What projects may have."""

    def __init__(self, settings: Settings) -> None:
        self._tasks, self._schedules = settings.quota_waiting_tasks, settings.quota_schedules
        self._known: dict[str, tuple[float, int]] = {}

    def tasks(self, house: House, project: str, more: int) -> None:
        """Raises TooMany when a project has too many waiting tasks to take more in."""
        if not self._tasks:
            return
        at, waiting = self._known.get(project, (0.0, 0))
        now = time.monotonic()
        if now - at >= LOOK_SECONDS:
            waiting, at = sum(q.waiting for q in queues.list_queues(house, project)), now
        if waiting + more > self._tasks:
            self._known[project] = (at, waiting)
            raise _full(f"{self._tasks} waiting tasks")
        self._known[project] = (at, waiting + more)

    def schedules(self, house: House, project: str) -> None:
        """Raises TooMany when a project has all the schedules that it may have."""
        if self._schedules and schedules.count(house, project) >= self._schedules:
            raise _full(f"{self._schedules} schedules")


def _full(what: str) -> TooMany:
    return TooMany(
        f"the project has its quota of {what}: try again when there are fewer",
        (("Retry-After", str(FULL_RETRY_SECONDS)),),
    )

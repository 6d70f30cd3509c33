"""Which queues have calls that hang."""

from __future__ import annotations

from collections import Counter

from timeball.store import keys
from workers.call import Caller

HANGS_MS = 250
"""A call that has been in flight for so long takes a slot, and next to no work."""
LOOK_SECONDS = 0.05


class Hanging:
    """Counts the calls of each queue that hang, 20 times a second at most: it goes through all in flight."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._due = 0.0
        self._counts: Counter[str] = Counter()

    def count(self, now: float, now_ms: float) -> Counter[str]:
        """By `project/queue`. `now` is monotonic, `now_ms` the store's clock."""
        if now >= self._due:
            self._due = now + LOOK_SECONDS
            self._counts = Counter(
                prepared.claimed.lane.partition(keys.APART)[0]
                for prepared in self._caller.in_flight()
                if prepared.started_ms < now_ms - HANGS_MS
            )
        return self._counts

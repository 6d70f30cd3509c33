"""Calls that are prepared before they are due."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from timeball.store.codec import Claimed
from workers.call import Prepared


class Ahead:
    """The calls of a pump that wait for their instant, by lane.

    `count` is how many there are. `rushed` says that some are due and found no slot: they begin when a call ends.
    `look_ms` is the instant, by the store's clock, at which to look again; infinite while there are none.
    """

    def __init__(self, patience_ms: float) -> None:
        self._patience_ms = patience_ms
        self._lanes: dict[str, deque[Prepared]] = {}
        self.count = 0
        self.rushed = False
        self.look_ms = math.inf

    def put(self, prepared: Prepared) -> None:
        """Keep a call until its task is due."""
        due_ms = prepared.claimed.due_ms
        line = self._lanes.setdefault(prepared.claimed.lane, deque())
        if line and line[-1].claimed.due_ms > due_ms:  # it came in later
            line = deque(sorted((*line, prepared), key=lambda one: one.claimed.due_ms))
            self._lanes[prepared.claimed.lane] = line
        else:
            line.append(prepared)
        self.count += 1
        self.look_ms = min(self.look_ms, due_ms)

    def ready(self, now_ms: float, room: Callable[[str], int]) -> Iterator[Prepared]:
        """The calls that are due, as many of each lane as there is room for when its turn comes."""
        for lane in self._due(now_ms):
            yield from self._take(lane, now_ms, room(lane))
        self._look(now_ms)

    def late(self, now_ms: float) -> list[Claimed]:
        """Take out the tasks that have waited for a slot longer than the patience goes."""
        found = self._out(now_ms - self._patience_ms)
        self._look(now_ms)
        return found

    def clear(self) -> list[Claimed]:
        """Take out all of them."""
        found = self._out(math.inf)
        self._look(math.inf)
        return found

    def counts(self) -> Iterable[tuple[str, int]]:
        """How many there are by lane."""
        return [(lane, len(line)) for lane, line in self._lanes.items()]

    def ids(self) -> list[bytes]:
        """The ids of their tasks."""
        return [one.claimed.id for line in self._lanes.values() for one in line]

    def _due(self, now_ms: float) -> list[str]:
        return [lane for lane, line in self._lanes.items() if line[0].claimed.due_ms <= now_ms]

    def _take(self, lane: str, now_ms: float, most: int) -> Iterator[Prepared]:
        line = self._lanes[lane]
        while line and most > 0 and line[0].claimed.due_ms <= now_ms:
            most -= 1
            self.count -= 1
            yield line.popleft()
        if not line:
            del self._lanes[lane]

    def _out(self, before_ms: float) -> list[Claimed]:
        lanes = self._due(before_ms)
        return [one.claimed for lane in lanes for one in self._take(lane, before_ms, self.count)]

    def _look(self, now_ms: float) -> None:
        firsts = [line[0].claimed.due_ms for line in self._lanes.values()]
        self.rushed = any(at <= now_ms for at in firsts)
        waits = (at if at > now_ms else at + self._patience_ms for at in firsts)
        self.look_ms = min(waits, default=math.inf)

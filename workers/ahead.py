"""Calls that are prepared before they are due."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator

from timeball.store.codec import Claimed
from workers.call import Prepared


class Ahead:
    """The calls of a pump that wait for their instant, by lane; `count` is how many."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Prepared]] = {}
        self.count = 0

    def put(self, prepared: Prepared) -> None:
        """Keep a call until its task is due."""
        line = self._lanes.setdefault(prepared.claimed.lane, deque())
        if line and line[-1].claimed.due_ms > prepared.claimed.due_ms:  # it came in later
            line = deque(sorted((*line, prepared), key=lambda one: one.claimed.due_ms))
            self._lanes[prepared.claimed.lane] = line
        else:
            line.append(prepared)
        self.count += 1

    def due(self, now_ms: float) -> list[str]:
        """The lanes whose first call is due."""
        return [lane for lane, line in self._lanes.items() if line[0].claimed.due_ms <= now_ms]

    def take(self, lane: str, now_ms: float, most: int) -> Iterator[Prepared]:
        """Up to so many calls of a lane that are due."""
        line = self._lanes[lane]
        while line and most > 0 and line[0].claimed.due_ms <= now_ms:
            most -= 1
            self.count -= 1
            yield line.popleft()
        if not line:
            del self._lanes[lane]

    def take_late(self, before_ms: float) -> list[Claimed]:
        """All whose tasks were due before an instant."""
        late = []
        for lane in self.due(before_ms):
            late += [one.claimed for one in self.take(lane, before_ms, self.count)]
        return late

    def take_all(self) -> list[Claimed]:
        """All of them."""
        return self.take_late(math.inf)

    def next_ms(self, now_ms: float, patience_ms: float) -> float:
        """When to look again: the next falls due, or one that is due has waited so long; never if empty."""
        firsts = [line[0].claimed.due_ms for line in self._lanes.values()]
        return min((at if at > now_ms else at + patience_ms for at in firsts), default=math.inf)

    def counts(self) -> Iterable[tuple[str, int]]:
        """How many there are by lane."""
        return [(lane, len(line)) for lane, line in self._lanes.items()]

    def ids(self) -> list[bytes]:
        """The ids of their tasks."""
        return [one.claimed.id for line in self._lanes.values() for one in line]

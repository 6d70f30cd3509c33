"""Drafts of many requests, taken in by one move.

A move costs the store six times as much for one draft as for each of many, and its sender a write and a read. So
who comes while a move is under way waits, and all who wait are taken in by the next one, which the first of them
makes. Nobody waits for company: who finds the gate free goes at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from timeball.errors import StoreError
from timeball.model.task import Draft, Sibling
from timeball.store.tasks import Submitted

MOST = 100
"""Drafts in one move, more than an API has threads: so nobody waits for two moves of others."""
MOST_BYTES = 64 * 1024
"""A draft with a larger body goes alone, or it would hold up those beside it."""


class _Comer:
    """One who waits: until his draft was taken, or until he is the first and makes the next move."""

    __slots__ = ("draft", "error", "first", "taken", "turn")

    def __init__(self, draft: Draft | Sibling) -> None:
        self.draft = draft
        self.first = False
        self.taken: Submitted | None = None
        self.error: Exception | None = None
        self.turn = threading.Lock()
        self.turn.acquire()


class Gate:
    """Where requests of one process meet. A move takes drafts of one shard, so each shard has its own line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[int, deque[_Comer]] = {}  # a shard is here while a move is under way

    def take(
        self,
        shard: int,
        draft: Draft | Sibling,
        move: Callable[[list[Draft | Sibling]], list[Submitted]],
    ) -> Submitted:
        """What `move` says of a draft; it may be given those of others with it. Raises what it raises."""
        if len(draft.body) > MOST_BYTES:
            return move([draft])[0]
        comer = None
        with self._lock:
            line = self._lines.get(shard)
            if line is None:
                self._lines[shard] = deque()
            else:
                comer = _Comer(draft)
                line.append(comer)
        if comer is None:
            return self._lead(shard, draft, [], move)
        comer.turn.acquire()
        if comer.first:
            return self._lead(shard, draft, self._others(shard), move)
        if comer.taken is None:
            raise _again(comer.error)
        return comer.taken

    def _others(self, shard: int) -> list[_Comer]:
        """Those who wait behind the first."""
        with self._lock:
            line = self._lines[shard]
            return [line.popleft() for _ in range(min(len(line), MOST - 1))]

    def _lead(
        self,
        shard: int,
        draft: Draft | Sibling,
        others: list[_Comer],
        move: Callable[[list[Draft | Sibling]], list[Submitted]],
    ) -> Submitted:
        error: Exception | None = RuntimeError("the move was broken off")
        try:
            first, *rest = move([draft, *[other.draft for other in others]])
            for other, taken in zip(others, rest, strict=True):
                other.taken = taken
            return first
        except Exception as raised:
            error = raised
            raise
        finally:
            self._pass_on(shard)
            for other in others:
                other.error = error
                other.turn.release()

    def _pass_on(self, shard: int) -> None:
        """Let the first of those who came meanwhile make the next move."""
        with self._lock:
            line = self._lines[shard]
            if not line:
                del self._lines[shard]
                return
            following = line.popleft()
        following.first = True
        following.turn.release()


def _again(error: Exception | None) -> Exception:
    """An error for another thread: raised twice, one would gather the traces of both."""
    made = type(error) if isinstance(error, StoreError) else RuntimeError
    again = made(str(error))
    again.__cause__ = error
    return again

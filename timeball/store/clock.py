"""The virtual clock: how far the store's now is ahead of Redis's. Development only; the caller checks that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from timeball.store import keys
from timeball.store.scripts import Client, store_errors

_KINDS = (keys.CALL, keys.EXPORT)
NO_INSTANT = 9e15
"""Scores from here on say that a lane waits for something else than an instant."""


def advance(client: Client, shards: int, by: timedelta) -> None:
    """Move the clock of every shard ahead, and wake pumps and beat: what they nap for may be due now."""
    milliseconds = round(by.total_seconds() * 1000)
    with store_errors():
        for shard in range(shards):
            prefix = keys.prefix(shard)
            with client.pipeline(transaction=True) as moves:
                moves.incrby(f"{prefix}clock", milliseconds)
                _wake(moves, prefix)
                moves.execute()


def reset(client: Client, shards: int) -> None:
    """Put the clock of every shard back to Redis's own. What was done ahead of time stays done."""
    with store_errors():
        for shard in range(shards):
            prefix = keys.prefix(shard)
            with client.pipeline(transaction=True) as moves:
                moves.delete(f"{prefix}clock")
                _wake(moves, prefix)
                moves.execute()


def _wake(moves: Client, prefix: str) -> None:
    _push(moves, f"{prefix}wake:{keys.SCHEDULES}")
    for kind in _KINDS:
        # Bells on their way were set by the old clock: the next one must not be held back for them.
        moves.delete(f"{prefix}bell:{kind}")
        _push(moves, f"{prefix}wake:{kind}")


def _push(moves: Client, key: str) -> None:
    moves.lpush(key, 1)
    moves.ltrim(key, 0, 0)


def fence(client: Client) -> int:
    """The fence of the beat that leads, or led last."""
    with store_errors():
        return int(client.get(f"{keys.prefix(0)}fence") or 0)


@dataclass(frozen=True, slots=True)
class Stand:
    """How a shard stands at one moment: its now; when the next occurrence and the next waiting task are due
    (None for never); whether calls are in flight; whether a schedule waits to be told of a task's end."""

    now_ms: float
    occurrence_ms: float | None
    task_ms: float | None
    calling: bool
    ended: bool

    @property
    def wait_ms(self) -> float | None:
        """How long until something is due: not above 0 when it is, None when nothing waits."""
        due = [ms for ms in (self.occurrence_ms, self.task_ms) if ms is not None]
        return min(due) - self.now_ms if due else None

    @property
    def quiet(self) -> bool:
        """Whether no task is due and none is on its way."""
        due = self.task_ms is not None and self.task_ms <= self.now_ms
        return not (due or self.calling or self.ended)


def stand(client: Client, prefix: str) -> Stand:
    """How a shard stands, all seen at once."""
    lanes = [f"{prefix}lanes:{kind}{rank}" for kind in _KINDS for rank in ("", ":h", ":l")]
    with store_errors():
        look = client.pipeline(transaction=True)
        look.time()
        look.get(f"{prefix}clock")
        look.exists(f"{prefix}inflight")
        look.exists(f"{prefix}ended")
        for name in (f"{prefix}next", *lanes):
            look.zrangebyscore(name, "-inf", f"({NO_INSTANT}", start=0, num=1, withscores=True)
        (seconds, micros), ahead, calling, ended, *heads = look.execute()
    occurrence, *tasks = (float(head[0][1]) if head else None for head in heads)
    return Stand(
        seconds * 1000 + micros / 1000 + float(ahead or 0),
        occurrence,
        min((due for due in tasks if due is not None), default=None),
        bool(calling),
        bool(ended),
    )

"""The virtual clock: how far the store's now is ahead of Redis's. Development only; the caller checks that."""

from __future__ import annotations

from datetime import timedelta

from timeball.store import keys
from timeball.store.scripts import Client, store_errors


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
    for kind in (keys.CALL, keys.EXPORT):
        # Bells on their way were set by the old clock: the next one must not be held back for them.
        moves.delete(f"{prefix}bell:{kind}")
        _push(moves, f"{prefix}wake:{kind}")


def _push(moves: Client, key: str) -> None:
    moves.lpush(key, 1)
    moves.ltrim(key, 0, 0)

"""The outbox: ends of attempts of which somebody is to be told, written by the move that ended them.

One list a shard, `outbox`. An entry is the state that followed (a code of codec.STATES), the instant in Unix
milliseconds and the task's id, 25 bytes little-endian; behind them the attempt as the log keeps it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime

from timeball.model.attempt import Attempt
from timeball.model.task import State
from timeball.store import codec
from timeball.store.scripts import Client, call, store_errors

_HEAD = struct.Struct("<Bd16s")


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that ended: of which task, when, and what followed."""

    task_id: bytes
    at: datetime
    state: State
    attempt: Attempt


def read(client: Client, prefix: str, most: int) -> list[Ended]:
    """The oldest entries; they stay until `told`."""
    with store_errors():
        raw = client.lrange(f"{prefix}outbox", 0, most - 1)
    out = []
    for entry in raw:
        state, at_ms, task_id = _HEAD.unpack_from(entry)
        attempt = codec.decode_attempt(entry[_HEAD.size :])
        out.append(Ended(task_id, codec.from_ms(at_ms), codec.STATES[state], attempt))
    return out


def told(client: Client, prefix: str, fence: int, count: int) -> int:
    """Forget the oldest `count` entries. Answers how many are left, -1 for an old fence."""
    return int(call(client, "told", prefix, [fence, count]))

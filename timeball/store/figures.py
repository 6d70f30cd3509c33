"""How a project stands and how it went: what pages show of it, each number read in bounded time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from timeball.model.attempt import Attempt
from timeball.model.task import State, Task
from timeball.store import codec
from timeball.store.scripts import Client, store_errors

MOST_LANES = 2000
"""Lanes that are counted at most: each concurrency or ordering key has one while its tasks wait."""


class Unit(StrEnum):
    """How long one count of a series is."""

    MINUTE = "m"
    """Kept for 25 hours."""
    HOUR = "h"
    """Kept for 8 days."""

    @property
    def milliseconds(self) -> int:
        return 60_000 if self is Unit.MINUTE else 3_600_000


def series(
    client: Client, prefix: str, project: str, unit: Unit, now_ms: float, count: int
) -> list[Counter[str]]:
    """What was counted in the last `count` units, oldest first; the last one is still going on.

    Names are `submitted`, `succeeded`, `retried` and `dead`; `d<k>` and `l<k>` are calls whose duration and
    lateness in whole milliseconds have k binary digits; `o:<outcome>` are attempts that did not succeed, with
    `answered` followed by the hundreds of the status. Of exports: `exports_ended`, `exports_failed`,
    `export_rows`, `export_bytes`.
    """
    last = int(now_ms // unit.milliseconds)
    with store_errors():
        pipe = client.pipeline(transaction=False)
        for number in range(last - count + 1, last + 1):
            pipe.hgetall(f"{prefix}{unit}:{project}:{number}")
        found = pipe.execute()
    return [Counter({name.decode(): int(n) for name, n in raw.items()}) for raw in found]


@dataclass(frozen=True, slots=True)
class Standing:
    """A project at one instant. `due` of the `waiting` could be called now; `capped` says that lanes were
    left out, so that both are too low."""

    now: datetime
    waiting: int
    due: int
    in_flight: int
    next_due_at: datetime | None
    ended: dict[State, int] = field(default_factory=dict)
    schedules: int = 0
    queues: int = 0
    capped: bool = False


def standing(client: Client, prefix: str, project: str, now_ms: float) -> Standing:
    """How a project stands: three round trips, whatever it holds."""
    with store_errors():
        queues = sorted(m.decode() for m in client.smembers(f"{prefix}queues:{project}"))
        pipe = client.pipeline(transaction=False)
        for queue in queues[:MOST_LANES]:
            pipe.smembers(f"{prefix}apart:{queue}")
        apart = [lane.decode() for lanes in pipe.execute() for lane in lanes] if queues else []
        lanes = [*queues, *apart]
        for lane in lanes[:MOST_LANES]:
            pipe.zcard(f"{prefix}lane:{lane}")
            pipe.zcount(f"{prefix}lane:{lane}", "-inf", now_ms)
            pipe.zrange(f"{prefix}lane:{lane}", 0, 0, withscores=True)
        final = (State.SUCCEEDED, State.DEAD, State.CANCELLED)
        for state in final:
            pipe.zcard(f"{prefix}end:{project}:{codec.STATE_CODES[state]}")
        pipe.zcard(f"{prefix}schedules:{project}")
        pipe.hget(f"{prefix}inflight", project)
        *counts, succeeded, dead, cancelled, schedules, in_flight = pipe.execute()
    heads = [head[0][1] for head in counts[2::3] if head]
    return Standing(
        now=codec.from_ms(now_ms),
        waiting=sum(counts[0::3]),
        due=sum(counts[1::3]),
        in_flight=int(in_flight or 0),
        next_due_at=codec.from_ms(min(heads)) if heads else None,
        ended=dict(zip(final, (succeeded, dead, cancelled), strict=True)),
        schedules=schedules,
        queues=len(queues),
        capped=len(lanes) > MOST_LANES,
    )


def ended_with_last(
    client: Client, prefix: str, project: str, state: State, most: int
) -> list[tuple[Task, Attempt | None]]:
    """The tasks that ended last in a state, each with its last attempt; newest first."""
    with store_errors():
        ids = client.zrevrange(
            f"{prefix}end:{project}:{codec.STATE_CODES[state]}", 0, max(0, most - 1)
        )
        records = client.mget([prefix.encode() + b"t:" + i for i in ids]) if ids else []
    out = []
    for task_id, record in zip(ids, records, strict=True):
        if record is not None:
            last = codec.split(record)[4]
            attempt = codec.decode_attempt(last) if last else None
            out.append((codec.decode_task(task_id, record), attempt))
    return out


def steps_done(client: Client, prefix: str, project: str, now_done: Iterable[str]) -> set[str]:
    """The first steps that a project has ever done, those of now included."""
    key = f"{prefix}steps:{project}"
    with store_errors():
        known = {m.decode() for m in client.smembers(key)}
        fresh = set(now_done) - known
        if fresh:
            client.sadd(key, *sorted(fresh))
    return known | fresh


def memory_and_persistence(client: Client) -> dict[str, str]:
    """What the store says of itself, by the names of its INFO."""
    with store_errors():
        found = client.info()
    return {str(name): str(value) for name, value in found.items()}

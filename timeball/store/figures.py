"""How a project stands and how it went: what pages show of it, each number read in bounded time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from timeball.model.attempt import Attempt
from timeball.model.task import State, Task
from timeball.store import codec
from timeball.store.scripts import Client, call, store_errors

MOST_LANES = 2000
"""Lanes that are counted at most: each concurrency or ordering key has one while its tasks wait."""
MOST_COUNTS = 6000
"""Counts that an outlook takes, a microsecond each in the store."""


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
    `export_rows`, `export_bytes`. Of schedules: `missed`, how often an outage left occurrences out, and `skipped`,
    how many the task before them did.
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
    """A project at one instant. `due` of the `waiting` could be called now, were it not for limits and pauses;
    `next_due_at` is the first due instant of all; `capped` says that lanes were left out, so that both counts
    are too low."""

    now: datetime
    waiting: int
    due: int
    in_flight: int
    next_due_at: datetime | None
    ended: dict[State, int] = field(default_factory=dict)
    schedules: int = 0
    queues: int = 0
    capped: bool = False

    @property
    def overdue(self) -> timedelta:
        """How long ago the first due task came due; nothing when none is due."""
        if self.next_due_at is None:
            return timedelta()
        return max(timedelta(), self.now - self.next_due_at)


def standing(client: Client, prefix: str, project: str) -> Standing:
    """How a project stands, by the store's now: one move, whatever it holds."""
    now, waiting, due, first, in_flight, succeeded, dead, cancelled, *rest = call(
        client, "standing", prefix, [project, MOST_LANES]
    )
    return Standing(
        now=codec.from_ms(now),
        waiting=waiting,
        due=due,
        in_flight=in_flight,
        next_due_at=None if first < 0 else codec.from_ms(first),
        ended={State.SUCCEEDED: succeeded, State.DEAD: dead, State.CANCELLED: cancelled},
        schedules=rest[0],
        queues=rest[1],
        capped=rest[2] > 0,
    )


@dataclass(frozen=True, slots=True)
class Outlook:
    """How many waiting tasks come due in each part of the time from `begin` on; `capped` as of Standing."""

    begin: datetime
    step: timedelta
    counts: list[int]
    capped: bool


def outlook(client: Client, prefix: str, project: str, step: timedelta, parts: int) -> Outlook:
    """What comes due within `parts` steps from now; with many lanes in fewer, longer parts."""
    step_ms = round(step.total_seconds() * 1000)
    (now, joined, left_out), *counts = call(
        client, "outlook", prefix, [project, MOST_LANES, step_ms, parts, MOST_COUNTS]
    )
    return Outlook(codec.from_ms(now), step * joined, counts, left_out > 0)


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

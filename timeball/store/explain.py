"""What a task waits for, as the store sees it: facts, no judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from timeball.errors import NotFound
from timeball.model.explanation import Scope
from timeball.model.task import State
from timeball.store import keys, roll
from timeball.store.codec import STATES
from timeball.store.scripts import Client, call, store_errors

MOST_LANES = 200
"""Lanes of a queue that are counted; with more, each being a key, only the task's own and the queue's main one."""
SIGNED_SECONDS = 8.0
"""A process that has not signed the roll for so long is not there."""


@dataclass(frozen=True, slots=True)
class Owner:
    """What a project, queue, key or host allows: `room` for calls in flight and `tokens` for calls in time are
    None where nothing limits them; `again_ms` is when the next token comes."""

    scope: Scope
    paused: bool
    limit: int | None
    in_flight: int
    room: int | None
    rate: int | None
    per_ms: float | None
    step_ms: float
    tokens: int | None
    again_ms: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """A task and all that bears on it. Instants are in ms of the store's clock.

    `before` tasks stand before it in its lane; `higher` are due in its queue's lanes of a higher priority,
    `beside` in others of its own, which take turns. `lanes_left_out` says that there were too many to count.
    """

    state: State
    export: bool
    now_ms: float
    due_ms: float
    started_ms: float
    ended_ms: float
    attempt: int
    before: int
    higher: int
    beside: int
    lanes_left_out: bool
    aside: bool
    ordered: bool
    first_runs: bool
    key: str | None
    owners: tuple[Owner, ...]
    host: str | None
    closed_ms: float | None
    opened: int
    probe: bool
    failed_in_row: int
    pump: str | None
    heard_ms: float | None
    workers: int
    beats: int


def facts(client: Client, prefix: str, project: str, task_id: bytes) -> Facts:
    """The facts of a task, at a cost that does not grow with what waits. Raises NotFound."""
    answer = call(client, "explain", prefix, [project, task_id, MOST_LANES])
    if answer is None:
        raise NotFound("there is no such task")
    raw: dict[str, Any] = orjson.loads(answer)
    export = raw["kind"] == keys.EXPORT
    signed = [e.role for e in roll.roll(client) if e.age_seconds < SIGNED_SECONDS]
    with store_errors():
        leader = client.exists(f"{keys.prefix(0)}leader")
    return Facts(
        state=STATES[raw["state"]],
        export=export,
        now_ms=raw["now"],
        due_ms=raw["due"],
        started_ms=raw["started"],
        ended_ms=raw["ended"],
        attempt=raw["attempt"],
        before=raw.get("before", 0),
        higher=raw.get("higher", 0),
        beside=raw.get("beside", 0),
        lanes_left_out=raw.get("capped", False),
        aside=raw.get("aside", False),
        ordered=raw.get("ordered", False),
        first_runs=raw.get("first_runs", False),
        key=raw.get("key"),
        owners=tuple(_owner(one) for one in raw.get("owners") or ()),
        host=raw.get("host"),
        closed_ms=raw.get("closed"),
        opened=raw.get("opened") or 0,
        probe=raw.get("probe", False),
        failed_in_row=raw.get("row") or 0,
        pump=raw.get("pump"),
        heard_ms=raw.get("heard"),
        workers=signed.count("exporter" if export else "worker") + int(raw["pumps"]),
        beats=int(leader),
    )


def _owner(raw: dict[str, Any]) -> Owner:
    return Owner(
        scope=Scope(raw["scope"]),
        paused=raw["paused"],
        limit=raw.get("limit"),
        in_flight=raw["inflight"],
        room=raw.get("room"),
        rate=raw.get("rate"),
        per_ms=raw.get("per"),
        step_ms=raw.get("step", 0),
        tokens=raw.get("tokens"),
        again_ms=raw.get("again"),
    )

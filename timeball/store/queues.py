"""Queues in the store: their limits, their depth, their end."""

from __future__ import annotations

from datetime import datetime, timedelta

from timeball.model.queue import Limits, QueueState
from timeball.store import codec, keys
from timeball.store.scripts import Arg, Client, call, store_errors

PURGE_AT_ONCE = 500


def limits(client: Client, prefix: str, owner: str) -> Limits:
    """The limits of an owner: a project's id, or `project/queue`."""
    with store_errors():
        return _limits(client.hgetall(f"{prefix}q:{owner}"))


def _limits(raw: dict[bytes, bytes]) -> Limits:
    def number(field: bytes) -> int | None:
        return int(raw[field]) if field in raw else None

    return Limits(
        rate=number(b"rate"),
        per=timedelta(milliseconds=number(b"per") or 1000),
        burst=number(b"burst") or 1,
        concurrency=number(b"concurrency"),
        key_concurrency=number(b"keys"),
        paused=raw.get(b"paused") == b"1",
    )


def set_limits(client: Client, prefix: str, owner: str, new: Limits, horizon_ms: int) -> bool:
    """Replace the limits of an owner, at once for all workers. Answers whether a bell must be rung."""
    fields: dict[str, Arg | None] = {
        "rate": new.rate,
        "per": round(new.per.total_seconds() * 1000) if new.rate is not None else None,
        "burst": new.burst if new.rate is not None else None,
        "concurrency": new.concurrency,
        "keys": new.key_concurrency,
        "paused": "1" if new.paused else None,
    }
    args: list[Arg] = [owner, horizon_ms]
    for name, value in fields.items():
        args += (name, "" if value is None else value)
    return int(call(client, "limit", prefix, args)) >= 0


def names(client: Client, prefix: str, project: str) -> list[str]:
    """The queues that a project has used or limited, by name."""
    with store_errors():
        found = client.smembers(f"{prefix}queues:{project}")
    return sorted(keys.split_lane(lane.decode())[1] for lane in found)


def states(client: Client, prefix: str, project: str, queues: list[str]) -> list[QueueState]:
    """How queues stand, in the order asked for."""
    with store_errors():
        pipe = client.pipeline(transaction=False)
        for queue in queues:
            pipe.smembers(f"{prefix}apart:{keys.base_of(project, queue)}")
        apart = pipe.execute() if queues else []
        for queue, lanes in zip(queues, apart, strict=True):
            base = keys.base_of(project, queue)
            pipe.hget(f"{prefix}inflight", base)
            pipe.hgetall(f"{prefix}q:{base}")
            for lane in (base.encode(), *lanes):
                pipe.zcard(prefix.encode() + b"lane:" + lane)
                pipe.zrange(prefix.encode() + b"lane:" + lane, 0, 0, withscores=True)
        told = iter(pipe.execute() if queues else ())
    found = []
    for queue, lanes in zip(queues, apart, strict=True):
        in_flight, raw = int(next(told) or 0), next(told)
        depth, heads = 0, []
        for lane in (b"", *lanes):
            depth += next(told)
            heads += [(lane, task_id, score) for task_id, score in next(told)]
        found.append((queue, depth, in_flight, heads, _limits(raw)))
    dues = _dues(client, prefix, [head for *_, heads, _ in found for head in heads])
    return [
        QueueState(
            queue,
            depth,
            in_flight,
            min((dues[task_id] for _, task_id, _ in heads if task_id in dues), default=None),
            limits,
        )
        for queue, depth, in_flight, heads, limits in found
    ]


def _dues(
    client: Client, prefix: str, heads: list[tuple[bytes, bytes, float]]
) -> dict[bytes, datetime]:
    """When the first tasks of lanes are due, each given as lane, id and score, by id.

    In an ordered lane the score is a place, not an instant.
    """
    dues = {task_id: codec.from_ms(score) for _, task_id, score in heads}
    ordered = [task_id for lane, task_id, _ in heads if keys.is_ordered(lane)]
    with store_errors():
        pipe = client.pipeline(transaction=False)
        for task_id in ordered:
            pipe.getrange(prefix.encode() + b"t:" + task_id, *codec.DUE_BYTES)
        read = pipe.execute() if ordered else []
    for task_id, raw in zip(ordered, read, strict=True):
        del dues[task_id]
        if raw:  # else it was deleted just now
            dues[task_id] = codec.from_ms(codec.decode_due(raw))
    return dues


def waiting_ids(client: Client, prefix: str, project: str, queue: str, most: int) -> list[bytes]:
    """Some of the tasks that wait in a queue."""
    base = keys.base_of(project, queue)
    with store_errors():
        apart = sorted(lane.decode() for lane in client.smembers(f"{prefix}apart:{base}"))
        for lane in (base, *apart):
            ids: list[bytes] = client.zrange(f"{prefix}lane:{lane}", 0, most - 1)
            if ids:
                return ids
    return []

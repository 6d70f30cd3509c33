"""Bulks in the store: how many tasks are meant, what was asked for, one step after another."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from timeball.errors import NotFound
from timeball.ids import token
from timeball.model.bulk import Action, Bulk, BulkState, Count
from timeball.model.task import FINAL, State
from timeball.store import codec, lists, tasks
from timeball.store.lists import Filter
from timeball.store.scripts import Client, call, store_errors
from timeball.store.tasks import Bell

LISTED = 100
"""The newest bulks that a project's list keeps."""
LIFE_SECONDS = 30 * 86400
"""How long a bulk can be read after its last step."""
COUNTED_AT_ONCE = 500
COUNT_SECONDS = 0.5
"""How long tasks are looked at for a count that no index gives; beyond that it is an estimate."""


def count(
    client: Client, prefix: str, project: str, wanted: Filter, seconds: float = COUNT_SECONDS
) -> Count:
    """How many tasks fit a filter: exact where an index tells or `seconds` are enough to look at each."""
    walk = lists.walk_of(client, prefix, project, wanted, None)
    size = walk.size()
    if size == 0 or _is_index(wanted):
        return Count(size, True)
    end, fits, looked_at = time.monotonic() + seconds, 0, 0
    while batch := walk.take(COUNTED_AT_ONCE):
        ids = [entry[0] for entry in batch]
        records = tasks.read_many(client, prefix, ids)
        fits += sum(
            lists.fitting(wanted, project, task_id, record) is not None
            for task_id, record in zip(ids, records, strict=True)
        )
        looked_at += len(batch)
        if time.monotonic() > end and looked_at < size:
            return Count(round(fits * size / looked_at), False)
    return Count(fits, True)


def _is_index(wanted: Filter) -> bool:
    """Whether a list of one index is just what a filter means."""
    if wanted.name is not None or wanted.tag is not None:
        return wanted in (Filter(tag=wanted.tag), Filter(name=wanted.name))
    if wanted.state in FINAL or wanted.state is State.RUNNING:
        return wanted == Filter(state=wanted.state)
    return wanted == Filter(state=wanted.state, queue=wanted.queue)


def begin(
    client: Client,
    prefix: str,
    project: str,
    action: Action,
    by: str,
    total: Count,
    rate: float | None,
    wanted: Filter | None,
    ids: Sequence[bytes],
    now_ms: float,
) -> Bulk:
    """Write a bulk down, for beat to take its steps: over the tasks of a filter, or with None those of `ids`."""
    bulk_id = token(12)
    key = f"{prefix}bulk:{bulk_id}"
    with store_errors(), client.pipeline(transaction=True) as pipe:
        pipe.hset(
            key,
            mapping={
                "project": project,
                "action": action,
                "by": by,
                "total": total.count,
                "exact": int(total.exact),
                "rate": rate or 0,
                "filter": b"" if wanted is None else _encode(wanted),
                "ids": b"".join(ids),
                "created": math.ceil(now_ms),
                "state": BulkState.RUNNING,
                "cursor": "",
                "done": 0,
                "refused": 0,
                "next": 0,
            },
        )
        pipe.expire(key, LIFE_SECONDS)
        pipe.zadd(f"{prefix}bulks:{project}", {bulk_id: now_ms})
        pipe.zremrangebyrank(f"{prefix}bulks:{project}", 0, -LISTED - 1)
        pipe.sadd(f"{prefix}bulking", bulk_id)
        pipe.execute()
    return get(client, prefix, project, bulk_id)


def get(client: Client, prefix: str, project: str, bulk_id: str) -> Bulk:
    """One bulk. Raises NotFound when it is unknown or another project's."""
    return _found(client, prefix, project, bulk_id)[0]


def filter_of(client: Client, prefix: str, project: str, bulk_id: str) -> Filter | None:
    """What a bulk was asked for; None when it was a list of ids. Raises NotFound."""
    return _found(client, prefix, project, bulk_id)[1]


def _found(client: Client, prefix: str, project: str, bulk_id: str) -> tuple[Bulk, Filter | None]:
    with store_errors():
        raw = client.hgetall(f"{prefix}bulk:{bulk_id}")
    if not raw or raw[b"project"] != project.encode():
        raise NotFound("there is no such bulk")
    return _decode(bulk_id, raw)


def newest(client: Client, prefix: str, project: str) -> list[Bulk]:
    """The last bulks of a project, newest first."""
    with store_errors():
        ids = client.zrevrange(f"{prefix}bulks:{project}", 0, LISTED - 1)
        pipe = client.pipeline(transaction=False)
        for bulk_id in ids:
            pipe.hgetall(f"{prefix}bulk:{bulk_id.decode()}")
        found = pipe.execute() if ids else []
    return [_decode(i.decode(), raw)[0] for i, raw in zip(ids, found, strict=True) if raw]


def running(client: Client, prefix: str) -> list[tuple[Bulk, Filter | None]]:
    """The bulks of a shard that go on, with what they were asked for."""
    with store_errors():
        ids = sorted(client.smembers(f"{prefix}bulking"))
        out = []
        for bulk_id in ids:
            raw = client.hgetall(f"{prefix}bulk:{bulk_id.decode()}")
            if raw:
                out.append(_decode(bulk_id.decode(), raw))
            else:  # its record has run out
                client.srem(f"{prefix}bulking", bulk_id)
    return out


def step(
    client: Client,
    prefix: str,
    fence: int,
    bulk: Bulk,
    ids: Sequence[bytes],
    cursor: str,
    *,
    last: bool,
    wanted: State | None,
    horizon_ms: int,
) -> list[Bell] | None:
    """Take one step: the bulk's verb over `ids`. Answers the bells to send; None when another beat leads now.

    A step that was taken before, or a bulk that has ended, changes nothing.
    """
    code, *rung = call(
        client,
        "bulk",
        prefix,
        [
            fence,
            bulk.id,
            bulk.cursor or "",
            cursor,
            BulkState.DONE if last else BulkState.RUNNING,
            -1 if wanted is None else codec.STATE_CODES[wanted],
            bulk.rate or 0,
            horizon_ms,
            LIFE_SECONDS,
            *ids,
        ],
    )
    if code == -1:
        return None
    return [Bell(kind, 0.0) for kind, due in zip("ce", rung, strict=True) if due >= 0]


def halt(
    client: Client, prefix: str, project: str, bulk_id: str, state: BulkState, why: str = ""
) -> bool:
    """End a bulk before its end; False when it had ended. Raises NotFound."""
    answer = call(client, "halt", prefix, [project, bulk_id, state, why])
    if answer is None:
        raise NotFound("there is no such bulk")
    return bool(answer)


def _encode(wanted: Filter) -> bytes:
    given: dict[str, Any] = {}
    for name in Filter.__slots__:
        value = getattr(wanted, name)
        if value is not None:
            given[name] = value.isoformat() if isinstance(value, datetime) else value
    return orjson.dumps(given)


_INSTANTS = ("since", "until", "planned_since", "planned_until")


def _filter(raw: bytes) -> Filter | None:
    if not raw:
        return None
    given = orjson.loads(raw)
    for name in _INSTANTS:
        if name in given:
            given[name] = datetime.fromisoformat(given[name])
    if "state" in given:
        given["state"] = State(given["state"])
    return Filter(**given)


def _decode(bulk_id: str, raw: dict[bytes, bytes]) -> tuple[Bulk, Filter | None]:
    text = {name.decode(): value for name, value in raw.items()}
    ids = text["ids"]
    bulk = Bulk(
        id=bulk_id,
        project=text["project"].decode(),
        action=Action(text["action"].decode()),
        by=text["by"].decode(),
        total=Count(int(text["total"]), text["exact"] == b"1"),
        rate=float(text["rate"]) or None,
        state=BulkState(text["state"].decode()),
        done=int(text["done"]),
        refused=int(text["refused"]),
        created_at=codec.from_ms(float(text["created"])),
        ended_at=codec.from_ms(float(text["ended"])) if "ended" in text else None,
        cursor=text["cursor"].decode() or None,
        ids=None if text["filter"] else tuple(ids[i : i + 16] for i in range(0, len(ids), 16)),
        next_ms=float(text["next"]),
        error=text["error"].decode() or None if "error" in text else None,
    )
    return bulk, _filter(text["filter"])

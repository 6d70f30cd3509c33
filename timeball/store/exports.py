"""Exports in the store: what is kept of one beside its task's record, which says how it stands.

| key | type | holds | life |
| --- | --- | --- | --- |
| `export_number` | string | the last number given, on shard 0 | for ever |
| `exports:<project>` | zset | ids of exports by their numbers | as `x:` |
| `x:<id>` | hash | what was asked for, the phase, results (see Kept) | until deleted, or past retention |
| `xl:<id>` | list | its log, newest first, bounded | as `x:` |
| `sources:<project>` | hash | index to its sealed source | until removed |
| `segments:<project>` | hash | id to a saved segment | until removed |
| `segment_number:<project>` | string | the last id given to a segment | for ever |

A result is written as `r:<attempt>` before its attempt is finished: it counts once the record says that this
very attempt has succeeded, so the finish, which is fenced, is what publishes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from timeball.errors import NotFound
from timeball.model.export import LogLine, Order, Result
from timeball.model.task import State, Task
from timeball.store import codec, keys
from timeball.store.scripts import Client, store_errors

LOG_LINES = 200
"""Lines of a log that are kept, the newest."""
LOG_SHOWN = 10

Field = str | int | bytes
"""What a field of `x:` may hold."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of an export, with its task as long as there is one.

    `phase` is `retry` while it waits to be tried again, `failed` after a run that ended badly, `done` after a good
    one, else empty. `planned_ms` is the occurrence that is next, or runs; `now_ms` what relative rules of the
    current run count from. `owed` says that a call about the end of the last run may not have been submitted.
    """

    number: int
    id: bytes
    order: Order
    created_ms: int
    modified_ms: int
    planned_ms: int
    phase: str
    now_ms: int | None
    last_run_ms: int | None
    runs: int
    result: Result | None
    expired: bool
    owed: bool
    logs: tuple[LogLine, ...]
    task: Task | None


def next_number(client: Client) -> int:
    """A number for a new export: one for the whole installation."""
    with store_errors():
        return int(client.incr(f"{keys.prefix(0)}export_number"))


def write(
    client: Client,
    prefix: str,
    project: str,
    export_id: bytes,
    number: int,
    order: Order,
    now_ms: int,
    planned_ms: int,
) -> None:
    """Keep a new export; its task is submitted next."""
    key = _key(prefix, "x", export_id)
    with store_errors(), client.pipeline(transaction=True) as pipe:
        pipe.hset(
            key,
            mapping={
                "order": encode_order(order),
                "created": now_ms,
                "modified": now_ms,
                "planned": planned_ms,
            },
        )
        pipe.zadd(f"{prefix}exports:{project}", {export_id: number})
        pipe.execute()


def encode_order(order: Order) -> bytes:
    """An order as JSON."""
    return orjson.dumps(
        {
            "chain": order.chain,
            "desc": order.desc,
            "target": order.target,
            "trigger": order.trigger,
            "debug": order.debug,
            "key": order.key_id,
            "once": None if order.once is None else codec.to_ms(order.once),
        }
    )


def decode_order(raw: bytes) -> Order:
    """The order that `encode_order` wrote."""
    kept = orjson.loads(raw)
    once = kept["once"]
    return Order(
        kept["chain"],
        kept["desc"],
        kept["target"],
        kept["trigger"],
        kept["debug"],
        kept["key"],
        None if once is None else codec.from_ms(once),
    )


def _key(prefix: str, kind: str, export_id: bytes) -> bytes:
    return f"{prefix}{kind}:".encode() + export_id


def id_of(client: Client, prefix: str, project: str, number: int) -> bytes:
    """The id behind a number of a project. Raises NotFound."""
    with store_errors():
        found = client.zrangebyscore(f"{prefix}exports:{project}", number, number)
    if not found:
        raise NotFound("task not found")
    return bytes(found[0])


def number_of(client: Client, prefix: str, project: str, export_id: bytes) -> int | None:
    """The number of an id; None when the export was deleted."""
    with store_errors():
        found = client.zscore(f"{prefix}exports:{project}", export_id)
    return None if found is None else int(found)


def page(
    client: Client, prefix: str, project: str, start: int, count: int
) -> list[tuple[bytes, int]]:
    """Ids and numbers of a project's exports, newest first."""
    with store_errors():
        found = client.zrevrange(
            f"{prefix}exports:{project}", start, start + count - 1, withscores=True
        )
    return [(bytes(i), int(n)) for i, n in found]


def read(
    client: Client,
    prefix: str,
    wanted: Sequence[tuple[bytes, int]],
    log_limit: int = LOG_SHOWN,
    log_offset: int = 0,
) -> list[Kept]:
    """What is kept of exports, by id and number; those that are gone are left out."""
    if not wanted:
        return []
    with store_errors(), client.pipeline(transaction=False) as pipe:
        for export_id, _ in wanted:
            pipe.hgetall(_key(prefix, "x", export_id))
            pipe.get(_key(prefix, "t", export_id))
            if log_limit > 0:
                last = log_offset + log_limit - 1
                pipe.lrange(_key(prefix, "xl", export_id), log_offset, last)
            else:
                pipe.echo("")
        answers = pipe.execute()
    found = []
    for place, (export_id, number) in enumerate(wanted):
        fields, record, lines = answers[3 * place : 3 * place + 3]
        if fields.get(b"order"):
            task = codec.decode_task(export_id, record) if record else None
            found.append(_kept(export_id, number, fields, task, lines or ()))
    return found


def _kept(
    export_id: bytes,
    number: int,
    fields: dict[bytes, bytes],
    task: Task | None,
    lines: Sequence[bytes],
) -> Kept:
    def ms(name: bytes) -> int | None:
        return int(fields[name]) if name in fields else None

    result = fields.get(b"result")
    if task is not None and task.state is State.SUCCEEDED:
        result = fields.get(b"r:%d" % task.attempt, result)
    return Kept(
        number=number,
        id=export_id,
        order=decode_order(fields[b"order"]),
        created_ms=int(fields[b"created"]),
        modified_ms=int(fields[b"modified"]),
        planned_ms=int(fields[b"planned"]),
        phase=fields.get(b"phase", b"").decode(),
        now_ms=ms(b"now"),
        last_run_ms=ms(b"last_run"),
        runs=int(fields.get(b"runs", 0)),
        result=_result(result) if result else None,
        expired=b"expired" in fields,
        owed=b"owed" in fields,
        logs=tuple(_line(line) for line in lines),
        task=task,
    )


def encode_result(result: Result) -> bytes:
    return orjson.dumps(
        [result.key, result.rows, result.size_bytes, result.sha256, codec.to_ms(result.at)]
    )


def _result(raw: bytes) -> Result:
    key, rows, size_bytes, sha256, at = orjson.loads(raw)
    return Result(key, rows, size_bytes, sha256, codec.from_ms(at))


def _line(raw: bytes) -> LogLine:
    kept = orjson.loads(raw)
    return LogLine(codec.from_ms(kept["at"]), kept["level"], kept["message"], kept.get("facts", {}))


def note(
    client: Client,
    prefix: str,
    export_id: bytes,
    at: datetime,
    line: LogLine | None = None,
    *,
    drop: Sequence[str] = (),
    fields: Mapping[str, Field] | None = None,
) -> None:
    """Write fields of `x:`, drop others, and add a line to the log, unless the export was deleted meanwhile."""
    key = _key(prefix, "x", export_id)
    with store_errors():
        if not client.exists(key):
            return
        with client.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping={"modified": codec.to_ms(at), **(fields or {})})
            if drop:
                pipe.hdel(key, *drop)
            if line is not None:
                entry: dict[str, Any] = {
                    "at": codec.to_ms(line.at),
                    "level": line.level,
                    "message": line.message,
                }
                if line.facts:
                    entry["facts"] = line.facts
                log_key = _key(prefix, "xl", export_id)
                pipe.lpush(log_key, orjson.dumps(entry))
                pipe.ltrim(log_key, 0, LOG_LINES - 1)
            pipe.execute()


def begin_run(client: Client, prefix: str, export_id: bytes, now_ms: int) -> tuple[int, int]:
    """(number of this run, the now that its relative rules count from, which retries share)."""
    key = _key(prefix, "x", export_id)
    with store_errors(), client.pipeline(transaction=True) as pipe:
        pipe.hincrby(key, "runs", 1)
        pipe.hsetnx(key, "now", now_ms)
        pipe.hget(key, "now")
        run, _, now = pipe.execute()
    return int(run), int(now)


def held(client: Client, prefix: str, pump: str, export_id: bytes) -> tuple[bool, bool]:
    """(whether the pump still holds the export, whether somebody asked to cancel it)."""
    with store_errors(), client.pipeline(transaction=False) as pipe:
        pipe.hexists(f"{prefix}lease:{pump}", export_id)
        pipe.hexists(_key(prefix, "x", export_id), "cancel")
        mine, cancel = pipe.execute()
    return bool(mine), bool(cancel)


def ask_cancel(client: Client, prefix: str, export_id: bytes) -> None:
    """Have the worker that writes an export stop."""
    with store_errors():
        client.hset(_key(prefix, "x", export_id), "cancel", 1)


def forget(client: Client, prefix: str, project: str, export_id: bytes) -> None:
    """Forget what is kept beside the record."""
    with store_errors(), client.pipeline(transaction=True) as pipe:
        pipe.delete(_key(prefix, "x", export_id), _key(prefix, "xl", export_id))
        pipe.zrem(f"{prefix}exports:{project}", export_id)
        pipe.execute()


def files_of(client: Client, prefix: str, export_id: bytes) -> tuple[set[str], int | None]:
    """(keys of all files that an export points at or is about to, the number of the run that has its lease).

    Both of one instant: whoever ends a run has written what it points at before.
    """
    with store_errors(), client.pipeline(transaction=True) as pipe:
        pipe.hgetall(_key(prefix, "x", export_id))
        pipe.get(_key(prefix, "t", export_id))
        fields, record = pipe.execute()
    results = {
        _result(raw).key
        for name, raw in fields.items()
        if name == b"result" or name.startswith(b"r:")
    }
    running = bool(record) and codec.decode_task(export_id, record).state is State.RUNNING
    return results, int(fields.get(b"runs", 0)) if running else None


def fence(client: Client) -> int:
    """The fence of the beat that leads."""
    with store_errors():
        return int(client.get(f"{keys.prefix(0)}fence") or 0)

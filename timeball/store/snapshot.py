"""All that a store holds, read piece by piece while it goes on, and put into an empty one.

Each task and each schedule is read in one step; what only helps to find them (lanes, lists, names) is left out and
made anew. The order makes the whole right although the store changes meanwhile: schedules first, so that an
occurrence that becomes a task later is made again from the cursor, with the same id; then everything; then the
outbox; then the tasks that were made since the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from timeball.ids import stamp_id
from timeball.store import codec, keys, schedule_codec
from timeball.store.scripts import Arg, Client, script, store_errors

AT_ONCE = 500
CLOCK_ERROR_MS = 60_000
"""So far the clock of whoever makes ids may be off."""

LEFT_OUT = frozenset(
    (
        *(
            "t",
            "a",
            "lane",
            "lanes",
            "idx",
            "end",
            "apart",
            "name",
            "names",
            "tag",
            "inflight",
            "held",
            "hosts",
            "host",
            "troubled",
            "parked",
            "aside",
        ),
        *(
            "began",
            "pumps",
            "lease",
            "suspects",
            "wake",
            "bell",
            "s",
            "sp",
            "sw",
            "sh",
            "next",
            "ended",
            "schedules",
            "snames",
            "leader",
            "fence",
            "roll",
            "login",
            "logins",
            "out",
            "outbox",
            "format",
        ),
    )
)
"""Families of keys that are read in their own way, made anew, or true for the old installation alone."""


@dataclass(frozen=True, slots=True)
class TaskPart:
    """A task: its record, its earlier attempts, and its place in an ordered lane."""

    id: bytes
    record: bytes
    earlier: tuple[bytes, ...] = ()
    place: float | None = None


@dataclass(frozen=True, slots=True)
class SchedulePart:
    """A schedule: its record, ids of its unclaimed tasks, waiting occurrences, history."""

    id: str
    record: bytes
    pending: tuple[bytes, ...]
    waiting: tuple[bytes, ...]
    history: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class KeyPart:
    """Any other key: its name behind the prefix, its Redis type, what it holds, its remaining life in ms."""

    name: bytes
    type: str
    value: Any
    life_ms: int | None = None


Part = TaskPart | SchedulePart | KeyPart


def read(client: Client, prefix: str, projects: Sequence[str]) -> Iterator[Part]:
    """Everything of a shard; what comes twice counts the first time. Raises StoreError."""
    with store_errors():
        seconds, _ = client.time()
        since_ms = seconds * 1000 + int(float(client.get(f"{prefix}clock") or 0)) - CLOCK_ERROR_MS
        for project in projects:
            yield from _schedules(client, prefix, project)
        since = stamp_id(max(0, since_ms), bytes(10))[:6]
        known: set[bytes] = set()
        for part in _everything(client, prefix):
            if isinstance(part, TaskPart) and part.id >= since:
                known.add(part.id)
            yield part
        outbox = client.lrange(f"{prefix}outbox", 0, -1)
        if outbox:
            yield KeyPart(b"outbox", "list", outbox)
        for project in projects:
            for queue in client.smembers(f"{prefix}queues:{project}"):
                name = prefix.encode() + b"idx:" + queue
                ids = [i for i in client.zrangebylex(name, b"[" + since, b"+") if i not in known]
                for at in range(0, len(ids), AT_ONCE):
                    yield from _tasks(client, prefix, ids[at : at + AT_ONCE])


def _schedules(client: Client, prefix: str, project: str) -> Iterator[SchedulePart]:
    ids = client.zrange(f"{prefix}schedules:{project}", 0, -1)
    for at in range(0, len(ids), AT_ONCE):
        some = [i.decode() for i in ids[at : at + AT_ONCE]]
        with client.pipeline(transaction=True) as pipe:
            for schedule_id in some:
                pipe.get(f"{prefix}s:{schedule_id}")
                for kind in ("sp", "sw", "sh"):
                    pipe.lrange(f"{prefix}{kind}:{schedule_id}", 0, -1)
            found = pipe.execute()
        for n, schedule_id in enumerate(some):
            record, pending, waiting, history = found[4 * n : 4 * n + 4]
            if record is not None:
                yield SchedulePart(
                    schedule_id, record, tuple(pending), tuple(waiting), tuple(history)
                )


def _everything(client: Client, prefix: str) -> Iterator[Part]:
    cursor, start = 0, len(prefix)
    while True:
        cursor, found = client.scan(cursor, match=prefix.replace("{", "\\{") + "*", count=AT_ONCE)
        names = [name[start:] for name in found]
        tasks = [name[2:] for name in names if name.startswith(b"t:") and len(name) == 18]
        yield from _tasks(client, prefix, tasks)
        others = [n for n in names if n.partition(b":")[0].decode(errors="replace") not in LEFT_OUT]
        yield from _keys(client, prefix.encode(), others)
        if cursor == 0:
            return


def _tasks(client: Client, prefix: str, ids: Sequence[bytes]) -> Iterator[TaskPart]:
    if not ids:
        return
    place = prefix.encode()
    with client.pipeline(transaction=True) as pipe:
        for task_id in ids:
            pipe.get(place + b"t:" + task_id)
            pipe.lrange(place + b"a:" + task_id, 0, -1)
        found = pipe.execute()
    parts = {}
    for n, task_id in enumerate(ids):
        record, earlier = found[2 * n : 2 * n + 2]
        if record is not None:
            parts[task_id] = TaskPart(task_id, record, tuple(earlier))
    lanes = {i: codec.split(part.record)[1] for i, part in parts.items()}
    ordered = [i for i, lane in lanes.items() if f"{keys.APART}o" in lane]
    if ordered:
        with client.pipeline(transaction=False) as pipe:
            for task_id in ordered:
                pipe.zscore(f"{prefix}lane:{lanes[task_id]}", task_id)
            for task_id, score in zip(ordered, pipe.execute(), strict=True):
                part = parts[task_id]
                parts[task_id] = TaskPart(task_id, part.record, part.earlier, score)
    yield from parts.values()


_READERS = {
    "string": ("get", ()),
    "hash": ("hgetall", ()),
    "list": ("lrange", (0, -1)),
    "set": ("smembers", ()),
    "zset": ("zrange", (0, -1, False, True)),
}


def _keys(client: Client, prefix: bytes, names: Sequence[bytes]) -> Iterator[KeyPart]:
    if not names:
        return
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.type(prefix + name)
        types = [kind.decode() for kind in pipe.execute()]
    there = [(n, kind) for n, kind in zip(names, types, strict=True) if kind in _READERS]
    with client.pipeline(transaction=True) as pipe:
        for name, kind in there:
            verb, args = _READERS[kind]
            getattr(pipe, verb)(prefix + name, *args)
            pipe.pttl(prefix + name)
        found = pipe.execute()
    for n, (name, kind) in enumerate(there):
        value, life = found[2 * n : 2 * n + 2]
        if value:
            if kind in ("hash", "zset"):
                value = [
                    word for pair in (value.items() if kind == "hash" else value) for word in pair
                ]
            elif kind == "set":
                value = sorted(value)
            yield KeyPart(name, kind, value, life if life > 0 else None)


def is_empty(client: Client) -> bool:
    """Whether a store holds nothing of ours."""
    with store_errors():
        cursor = 0
        while True:
            cursor, found = client.scan(cursor, match="tb:*", count=1000)
            if found:
                return False
            if cursor == 0:
                return True


def write(client: Client, prefix: str, parts: Sequence[Part]) -> None:
    """Put parts into a store; the same task or schedule twice is put once. Raises StoreError."""
    move = script("restore")
    with store_errors():
        client.script_load(move.text)
        with client.pipeline(transaction=False) as pipe:
            for part in parts:
                if isinstance(part, KeyPart):
                    _write_key(pipe, prefix.encode() + part.name, part)
                else:
                    pipe.evalsha(move.digest, 1, prefix, *_words(part))
            pipe.execute()


def _words(part: TaskPart | SchedulePart) -> list[Arg]:
    if isinstance(part, TaskPart):
        place = "" if part.place is None else repr(part.place)
        return ["t", part.id, part.record, place, *part.earlier]
    schedule = schedule_codec.decode_rule(part.id, part.record)
    return [
        "s",
        part.id,
        part.record,
        schedule.project,
        schedule.name or "",
        codec.to_ms(schedule.next_at) if schedule.next_at else 0,
        len(part.pending),
        len(part.waiting),
        *part.pending,
        *part.waiting,
        *part.history,
    ]


def _write_key(pipe: Any, name: bytes, part: KeyPart) -> None:
    value = part.value
    pipe.delete(name)
    match part.type:
        case "string":
            pipe.set(name, value)
        case "hash":
            pipe.hset(name, items=value)
        case "list":
            pipe.rpush(name, *value)
        case "set":
            pipe.sadd(name, *value)
        case _:
            pairs = zip(value[::2], value[1::2], strict=True)
            pipe.execute_command(
                "ZADD", name, *[word for member, score in pairs for word in (score, member)]
            )
    if part.life_ms is not None:
        pipe.pexpire(name, part.life_ms)

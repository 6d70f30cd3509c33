"""Tasks in the store: the verbs that callers use, and the lists."""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from timeball.errors import Conflict, InvalidField, NotFound
from timeball.ids import new_task_id
from timeball.model.attempt import Attempt
from timeball.model.task import FINAL, Draft, State, Task
from timeball.store import codec, keys
from timeball.store.scripts import Arg, Client, call, store_errors

IDEMPOTENCY_LIFE_MS = 24 * 3600 * 1000
SCAN_LIMIT = 5000
"""How many records a list reads at most for one page when a filter has no index of its own."""


class Taken(IntEnum):
    """What a submit did with one draft."""

    NEW = 0
    REPEATED = 1
    """The same request with the same idempotency key came before; its task is answered."""
    KEY_REUSED = 2
    """The idempotency key came before with another request."""
    NAMED = 3
    """A live task has the name; it is answered."""
    KNOWN = 4
    """The given id is in the store already."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """One draft's fate: the code, the id of the task that stands for it, and that task when it is new."""

    taken: Taken
    id: bytes
    task: Task | None


class Bell(NamedTuple):
    """A Celery message to send: which kind of job, and in how many seconds."""

    kind: str
    delay: float


def submit(
    client: Client, prefix: str, drafts: Sequence[Draft], horizon_ms: int, kind: str = keys.CALL
) -> tuple[list[Submitted], list[Bell]]:
    """Take drafts of one shard in, all in one move. Answers one `Submitted` a draft, in order."""
    args: list[Arg] = [horizon_ms, IDEMPOTENCY_LIFE_MS]
    code = 1 if kind == keys.EXPORT else 0
    for draft in drafts:
        args += (
            draft.id or new_task_id(),
            code,
            0,
            codec.flags_of(draft),
            keys.lane_of(draft, kind),
            "" if draft.scheduled_for is None else codec.to_ms(draft.scheduled_for),
            0 if draft.delay is None else round(draft.delay.total_seconds() * 1000),
            draft.name or "",
            draft.idempotency_key or "",
            draft.fingerprint or "",
            "\n".join(draft.tags),
            codec.encode_spec(draft),
            draft.request.body,
        )
    answer = call(client, "submit", prefix, args)
    now_ms = answer[0]
    bells = [
        Bell(kind, max(0.0, (due - now_ms) / 1000))
        for kind, due in ((keys.CALL, answer[1]), (keys.EXPORT, answer[2]))
        if due >= 0
    ]
    created = codec.from_ms(now_ms)
    out = []
    for draft, (taken, task_id, due) in zip(drafts, answer[3:], strict=True):
        out.append(
            Submitted(
                Taken(taken), task_id, _fresh(draft, task_id, due, created) if taken == 0 else None
            )
        )
    return out, bells


def _fresh(draft: Draft, task_id: bytes, due_ms: int, created: datetime) -> Task:
    return Task(
        id=task_id,
        project=draft.project,
        queue=draft.queue,
        state=State.SCHEDULED,
        request=draft.request,
        attempt=0,
        attempt_base=0,
        lost=0,
        due_at=codec.from_ms(due_ms),
        created_at=created,
        started_at=None,
        ended_at=None,
        scheduled_for=codec.from_ms(due_ms) if draft.delay else draft.scheduled_for,
        name=draft.name,
        tags=draft.tags,
        timeout=draft.timeout,
        retry=draft.retry,
        key_id=draft.key_id,
        schedule=draft.schedule,
        occurrence=draft.occurrence,
        priority=draft.priority,
        concurrency_key=draft.concurrency_key,
        ordering_key=draft.ordering_key,
        on_success=draft.on_success,
        on_failure=draft.on_failure,
        on_attempt=draft.on_attempt,
        traceparent=draft.traceparent,
    )


def get(client: Client, prefix: str, project: str, task_id: bytes) -> Task:
    """One task. Raises NotFound when it is unknown or another project's."""
    return codec.decode_task(task_id, read(client, prefix, project, task_id))


def read(client: Client, prefix: str, project: str, task_id: bytes) -> bytes:
    """The record of a task of a project. Raises NotFound."""
    with store_errors():
        record = client.get(prefix.encode() + b"t:" + task_id)
    if record is None or not _owned(record, project):
        raise NotFound("there is no such task")
    return bytes(record)


def _owned(record: bytes, project: str) -> bool:
    owner = project.encode() + b"/"
    return record[codec.HEAD.size : codec.HEAD.size + len(owner)] == owner


def read_many(client: Client, prefix: str, ids: Sequence[bytes]) -> list[bytes | None]:
    """The records of ids, in order; None for those that are gone."""
    if not ids:
        return []
    with store_errors():
        records: list[bytes | None] = client.mget([prefix.encode() + b"t:" + i for i in ids])
    return records


def get_many(client: Client, prefix: str, ids: Sequence[bytes]) -> list[Task]:
    """The tasks of ids, in order; those that are gone are left out."""
    records = read_many(client, prefix, ids)
    return [codec.decode_task(i, r) for i, r in zip(ids, records, strict=True) if r is not None]


def attempts(client: Client, prefix: str, project: str, task_id: bytes) -> list[Attempt]:
    """Every attempt of a task that ended, oldest first. Raises NotFound."""
    record = read(client, prefix, project, task_id)
    last = codec.split(record)[4]
    with store_errors():
        earlier = client.lrange(prefix.encode() + b"a:" + task_id, 0, -1)
    log = [codec.decode_attempt(raw) for raw in (*earlier, *((last,) if last else ()))]
    return sorted(log, key=lambda attempt: (attempt.number, attempt.started_at))


def cancel(client: Client, prefix: str, project: str, task_id: bytes) -> Task:
    """Take a waiting task back; once cancelled, again is no error. Raises NotFound, Conflict."""
    answer = call(client, "cancel", prefix, [project, task_id])
    if answer is None:
        raise NotFound("there is no such task")
    task = codec.decode_task(task_id, answer[1])
    if answer[0] == 1:
        raise Conflict(f"the task is {task.state.value}: only a scheduled task can be cancelled")
    return task


def run(
    client: Client, prefix: str, project: str, task_id: bytes, horizon_ms: int
) -> tuple[Task, list[Bell]]:
    """Make a task due now. Raises NotFound, and Conflict when its name has another holder now."""
    answer = call(client, "run", prefix, [project, task_id, horizon_ms])
    if answer is None:
        raise NotFound("there is no such task")
    code, bell, kind, record = answer
    if code == 1:
        raise Conflict("another live task has this task's name: it cannot run beside it")
    return codec.decode_task(task_id, record), [Bell(kind.decode(), 0.0)] if bell >= 0 else []


def delete(client: Client, prefix: str, project: str, ids: Sequence[bytes]) -> int:
    """Forget tasks of a project, whatever their state. Answers how many there were."""
    return int(call(client, "delete", prefix, [project, *ids]))


def update(
    client: Client,
    prefix: str,
    project: str,
    task_id: bytes,
    changes: dict[str, Any],
    horizon_ms: int,
) -> tuple[Task, list[Bell]]:
    """Change a waiting task.

    `changes` holds fields of Draft by name; `request` may be a dict of a Request's fields that change.
    When `scheduled_for` or `delay` is among them the task's due instant is set anew. Raises NotFound,
    Conflict, and InvalidField when the new name is taken.
    """
    return _write(client, prefix, project, task_id, changes, horizon_ms, State.SCHEDULED)


def redrive(
    client: Client,
    prefix: str,
    project: str,
    task_id: bytes,
    changes: dict[str, Any],
    horizon_ms: int,
) -> tuple[Task, list[Bell]]:
    """Send a dead task again, changed or not, in one move: due now unless `changes` say when.

    Its retry policy begins afresh. Raises what `update` does.
    """
    return _write(client, prefix, project, task_id, changes, horizon_ms, State.DEAD)


_ONLY = {
    State.SCHEDULED: "only a queued task can be changed",
    State.DEAD: "only a dead task can be redriven",
}


def _write(
    client: Client,
    prefix: str,
    project: str,
    task_id: bytes,
    changes: dict[str, Any],
    horizon_ms: int,
    source: State,
) -> tuple[Task, list[Bell]]:
    for _ in range(5):
        record = read(client, prefix, project, task_id)
        task = codec.decode_task(task_id, record)
        if task.state is not source:
            raise Conflict(f"the task is {task.state.value}: {_ONLY[source]}")
        if codec.split(record)[0][4] != 0:
            raise Conflict("an export cannot be changed: cancel it and make another")
        timed = "scheduled_for" in changes or "delay" in changes
        delay = changes.get("delay")
        fields = {k: v for k, v in changes.items() if k != "delay"}
        if isinstance(changes.get("request"), dict):
            fields["request"] = replace(task.request, **changes["request"])
        new = replace(task, **fields)
        if timed and "scheduled_for" not in changes:
            new = replace(new, scheduled_for=None)
        due: Arg = "" if source is State.DEAD else codec.to_ms(task.due_at)
        if timed:
            due = "" if new.scheduled_for is None else codec.to_ms(new.scheduled_for)
        answer = call(
            client,
            "update",
            prefix,
            [
                task_id,
                hashlib.sha1(record, usedforsecurity=False).hexdigest(),
                horizon_ms,
                keys.lane_of(new),
                due,
                0 if delay is None else round(delay.total_seconds() * 1000),
                new.name or "",
                "\n".join(new.tags),
                codec.encode_spec(new),
                new.request.body,
                codec.flags_of(new),
                codec.STATE_CODES[source],
            ],
        )
        if answer is None:
            raise NotFound("there is no such task")
        code, bell, kind, after = answer
        if code == 1:
            raise Conflict(f"the task has just moved on: {_ONLY[source]}")
        if code == 3:
            raise InvalidField("name", f"another live task has the name {new.name!r}")
        if code == 0:
            bells = [Bell(kind.decode(), 0.0)] if bell >= 0 else []
            return codec.decode_task(task_id, after), bells
    raise Conflict("the task was changed by others at the same time; read it and try again")


def host_of(url: str) -> str:
    """The host of a URL, with its port where one is written, in small letters."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list shows. Every given field must fit.

    `since` and `until` bound the instant of making, `planned_since` and `planned_until` that of
    `scheduled_for`, for which making stands in where there is none; `url` is a prefix, `host` the host
    of the URL in small letters, with its port where one is written.
    """

    state: State | None = None
    queue: str | None = None
    name: str | None = None
    tag: str | None = None
    url: str | None = None
    host: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    planned_since: datetime | None = None
    planned_until: datetime | None = None

    def may_fit(self, record: bytes) -> bool:
        """False where the bytes of a record alone show that it does not fit: a fiftieth of the cost of `fits`."""
        return (
            (self.state is None or record[1] == codec.STATE_CODES[self.state])
            and (self.host is None or self.host.encode() in record.lower())
            and (
                self.url is None
                or '"' in self.url
                or "\\" in self.url
                or self.url.encode() in record
            )
        )

    def fits(self, task: Task) -> bool:
        planned = task.scheduled_for or task.created_at
        return (
            (self.state is None or task.state is self.state)
            and (self.queue is None or task.queue == self.queue)
            and (self.name is None or task.name == self.name)
            and (self.tag is None or self.tag in task.tags)
            and (self.url is None or task.request.url.startswith(self.url))
            and (self.host is None or host_of(task.request.url) == self.host)
            and (self.since is None or task.created_at >= self.since)
            and (self.until is None or task.created_at < self.until)
            and (self.planned_since is None or planned >= self.planned_since)
            and (self.planned_until is None or planned < self.planned_until)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some tasks, and where to go on: None when there is no more."""

    tasks: list[Task]
    cursor: str | None


def find(
    client: Client, prefix: str, project: str, wanted: Filter, limit: int, cursor: str | None
) -> Page:
    """One page of a project's tasks, newest first.

    Ended states are in the order of their end, waiting ones in the order they are due. At most
    SCAN_LIMIT records are read: a page may be shorter than `limit` and still have a cursor.
    """
    walk = walk_of(client, prefix, project, wanted, cursor)
    found: list[Task] = []
    read_so_far = 0
    while True:
        batch = walk.take(min(1000, max(50, limit * 2 - len(found))))
        if not batch:
            return Page(found, None)
        records = read_many(client, prefix, [b[0] for b in batch])
        for (task_id, position), record in zip(batch, records, strict=True):
            read_so_far += 1
            task = fitting(wanted, project, task_id, record)
            if task is not None:
                found.append(task)
            if len(found) == limit or read_so_far >= SCAN_LIMIT:
                return Page(found, position)


def fitting(wanted: Filter, project: str, task_id: bytes, record: bytes | None) -> Task | None:
    """The task of a record when it fits and is the project's. Most that do not are never decoded."""
    if record is None or not wanted.may_fit(record):
        return None
    task = codec.decode_task(task_id, record)
    return task if wanted.fits(task) and task.project == project else None


class Walk:
    """Ids of one or more sorted sets merged in order, from a position on.

    The sets are in order of score and member, ascending or descending; with all scores 0 that is the order
    of the members, which for ids is the order of making. `low` and `high` then bound the members.
    """

    def __init__(
        self,
        client: Client,
        prefix: str,
        names: list[str],
        start: str | None,
        *,
        descending: bool = True,
        scored: bool = False,
    ) -> None:
        self.client, self.prefix, self.names = client, prefix, names
        self.descending, self.scored = descending, scored
        self.position = _parse(start) if start else None
        self.low: bytes | None = None
        self.high: bytes | None = None

    def size(self) -> int:
        """How many ids there are from the beginning to the end."""
        low = b"[" + self.low if self.low is not None else b"-"
        high = b"(" + self.high if self.high is not None else b"+"
        with store_errors():
            pipe = self.client.pipeline(transaction=False)
            for name in self.names:
                if self.scored:
                    pipe.zcard(self.prefix + name)
                else:
                    pipe.zlexcount(self.prefix + name, low, high)
            return sum(pipe.execute())

    def take(self, n: int) -> list[tuple[bytes, str]]:
        """The next n ids, each with the position behind it."""
        if not self.names:
            return []
        entries = self._scored(n) if self.scored else self._members(n)
        merged = heapq.merge(*entries, reverse=self.descending)
        out = list(itertools.islice(merged, n))
        if out:
            self.position = out[-1]
        return [(member[-16:], _format(score, member)) for score, member in out]

    def _scored(self, n: int) -> list[list[tuple[float, bytes]]]:
        score, member = self.position or ("", b"")
        answers = call(
            self.client,
            "page",
            self.prefix,
            [n, int(self.descending), repr(score) if score != "" else "", member, *self.names],
        )
        return [[(float(a[i + 1]), a[i]) for i in range(0, len(a), 2)] for a in answers]

    def _members(self, n: int) -> list[list[tuple[float, bytes]]]:
        low = b"[" + self.low if self.low is not None else b"-"
        high = b"(" + self.high if self.high is not None else b"+"
        if self.position is not None:
            high = b"(" + self.position[1]
        with store_errors():
            pipe = self.client.pipeline(transaction=False)
            for name in self.names:
                pipe.zrevrangebylex(self.prefix + name, high, low, start=0, num=n)
            return [[(0.0, member) for member in a] for a in pipe.execute()]


def walk_of(client: Client, prefix: str, project: str, wanted: Filter, cursor: str | None) -> Walk:
    """The ids among which all that fit a filter are, in the order of its list."""
    if wanted.state is State.RUNNING:
        return _RunningWalk(client, prefix, project, cursor)
    if wanted.name is not None:
        walk = Walk(client, prefix, [f"names:{project}"], cursor)
        walk.low, walk.high = wanted.name.encode() + b"\0", wanted.name.encode() + b"\1"
        return walk
    if wanted.tag is not None:
        return _timed(Walk(client, prefix, [f"tag:{project}:{wanted.tag}"], cursor), wanted)
    if wanted.state in FINAL and wanted.queue is None:
        ended = f"end:{project}:{codec.STATE_CODES[wanted.state]}"
        return Walk(client, prefix, [ended], cursor, scored=True)
    if wanted.queue is not None:
        lanes = [keys.base_of(project, wanted.queue)]
    else:
        with store_errors():
            lanes = sorted(m.decode() for m in client.smembers(f"{prefix}queues:{project}"))
    if wanted.state is State.SCHEDULED:
        waiting = [f"lane:{lane}" for lane in _with_apart(client, prefix, lanes)]
        return Walk(client, prefix, waiting, cursor, descending=False, scored=True)
    return _timed(Walk(client, prefix, [f"idx:{lane}" for lane in lanes], cursor), wanted)


def _with_apart(client: Client, prefix: str, queues: list[str]) -> list[str]:
    with store_errors():
        pipe = client.pipeline(transaction=False)
        for queue in queues:
            pipe.smembers(f"{prefix}apart:{queue}")
        apart = pipe.execute() if queues else []
    return queues + sorted(lane.decode() for lanes in apart for lane in lanes)


def _timed(walk: Walk, wanted: Filter) -> Walk:
    # ids begin with the instant of their making, by the API's clock: allow it a minute's error
    if wanted.since is not None:
        walk.low = max(0, codec.to_ms(wanted.since) - 60_000).to_bytes(6, "big")
    if wanted.until is not None:
        walk.high = (codec.to_ms(wanted.until) + 60_000).to_bytes(6, "big")
    return walk


class _RunningWalk(Walk):
    """Running tasks are in the pumps' leases: few, so read whole."""

    def __init__(self, client: Client, prefix: str, project: str, start: str | None) -> None:
        super().__init__(client, prefix, [], start)
        owner = project.encode() + b"/"
        with store_errors():
            pumps: list[bytes] = []
            for kind in (keys.CALL, keys.EXPORT):
                pumps += client.zrange(f"{prefix}pumps:{kind}", 0, -1)
            held = [client.hgetall(prefix.encode() + b"lease:" + p) for p in pumps]
        self.ids = sorted(
            (i for lease in held for i, lane in lease.items() if lane.startswith(owner)),
            reverse=True,
        )

    def size(self) -> int:
        return len(self.ids)

    def take(self, n: int) -> list[tuple[bytes, str]]:
        edge = self.position[1] if self.position is not None else None
        out = [i for i in self.ids if edge is None or i < edge][:n]
        if out:
            self.position = (0.0, out[-1])
        return [(i, _format(0.0, i)) for i in out]


def _format(score: float, member: bytes) -> str:
    return f"{score!r}:{member.hex()}"


def _parse(cursor: str) -> tuple[float, bytes]:
    score, _, member = cursor.partition(":")
    try:
        return float(score), bytes.fromhex(member)
    except ValueError:
        raise InvalidField("cursor", "this cursor was not made by this list") from None

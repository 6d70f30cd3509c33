"""Tasks in the store: the verbs that callers use."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from typing import Any, NamedTuple

from timeball.errors import Conflict, InvalidField, NotFound
from timeball.ids import new_task_id, new_task_ids
from timeball.model.attempt import Attempt
from timeball.model.task import Draft, Kin, Sibling, State, Task
from timeball.store import codec, keys
from timeball.store.scripts import Arg, Client, call, store_errors

IDEMPOTENCY_LIFE_MS = 24 * 3600 * 1000


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


class Fresh(NamedTuple):
    """A draft that was taken in, and what the store made of its times (Unix milliseconds)."""

    draft: Draft | Sibling
    due_ms: int
    created_ms: int


class Submitted:
    """One draft's fate: the code, and the id of the task that stands for it. `fresh` when that is new."""

    __slots__ = ("_task", "fresh", "id", "taken")

    def __init__(
        self, taken: Taken, task_id: bytes, task: Task | None = None, fresh: Fresh | None = None
    ) -> None:
        self.taken = taken
        self.id = task_id
        self.fresh = fresh
        self._task = task

    @property
    def task(self) -> Task | None:
        """The task that stands for the draft, when it is new or was looked up. Made when it is asked for."""
        if self._task is None and self.fresh is not None:
            draft, due_ms, created_ms = self.fresh
            self._task = _fresh(self.id, draft.whole(), due_ms, created_ms)
        return self._task


class Bell(NamedTuple):
    """A Celery message to send: which kind of job, and in how many seconds."""

    kind: str
    delay: float


def submit(
    client: Client,
    prefix: str,
    drafts: Sequence[Draft | Sibling],
    horizon_ms: int,
    kind: str = keys.CALL,
) -> tuple[list[Submitted], list[Bell]]:
    """Take drafts of one shard in, all in one move. Answers one `Submitted` a draft, in order."""
    code = 1 if kind == keys.EXPORT else 0
    ids = [new_task_id()] if len(drafts) == 1 else new_task_ids(len(drafts))
    forms: list[Arg] = []
    tasks: list[Arg] = []
    places: dict[Kin, str] = {}
    count = 0
    for i, draft in enumerate(drafts):
        if isinstance(draft, Sibling):
            kin = draft.kin
            place = places.get(kin)
            if place is None:
                if kin.line is None:
                    kin.line = _line(kin.draft, kind, code)
                forms += kin.line
                count += 1
                place = places[kin] = str(count)
        else:
            forms += _line(draft, kind, code)
            count += 1
            place = str(count)
            ids[i] = draft.id or ids[i]
        tasks += (
            place,
            ids[i],
            draft.idempotency_key or "",
            draft.fingerprint or "",
            draft.body,
        )
    answer = call(
        client, "submit", prefix, [horizon_ms, IDEMPOTENCY_LIFE_MS, count, *forms, *tasks]
    )
    now_ms = answer[0]
    bells = [
        Bell(kind, max(0.0, (due - now_ms) / 1000))
        for kind, due in ((keys.CALL, answer[1]), (keys.EXPORT, answer[2]))
        if due >= 0
    ]
    out = [
        Submitted(Taken.NEW, task_id, None, Fresh(draft, said, now_ms))
        if type(said) is int
        else Submitted(Taken(said[0]), said[1])
        for draft, task_id, said in zip(drafts, ids, answer[3:], strict=True)
    ]
    return out, bells


def _line(draft: Draft, kind: str, code: int) -> tuple[Arg, ...]:
    """What `submit` sends of a form."""
    return (
        code,
        0,
        codec.flags_of(draft),
        keys.lane_of(draft, kind),
        "" if draft.scheduled_for is None else codec.to_ms(draft.scheduled_for),
        0 if draft.delay is None else round(draft.delay.total_seconds() * 1000),
        draft.name or "",
        "\n".join(draft.tags),
        codec.encode_spec(draft),
    )


def _fresh(task_id: bytes, draft: Draft, due_ms: int, created_ms: int) -> Task:
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
        created_at=codec.from_ms(created_ms),
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
        tracestate=draft.tracestate,
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


def states(client: Client, prefix: str, ids: Sequence[bytes]) -> dict[bytes, State]:
    """The states of ids, without reading more of their tasks; those that are gone are left out."""
    with store_errors():
        pipe = client.pipeline(transaction=False)
        for task_id in ids:
            pipe.getrange(prefix.encode() + b"t:" + task_id, 1, 1)
        found = pipe.execute() if ids else []
    return {i: codec.STATES[raw[0]] for i, raw in zip(ids, found, strict=True) if raw}


def attempts(client: Client, prefix: str, project: str, task_id: bytes) -> list[Attempt]:
    """Every attempt of a task that ended, oldest first. Raises NotFound."""
    record = read(client, prefix, project, task_id)
    last = codec.split(record)[4]
    with store_errors():
        earlier = client.lrange(prefix.encode() + b"a:" + task_id, 0, -1)
    log = [codec.decode_attempt(raw) for raw in (*earlier, *((last,) if last else ()))]
    return sorted(log, key=lambda attempt: (attempt.number, attempt.started_at))


def last_attempts(
    client: Client, prefix: str, ids: Sequence[bytes], most: int
) -> list[list[Attempt]]:
    """The last attempts that ended of tasks that are not over yet, each oldest first."""
    with store_errors():
        pipe = client.pipeline(transaction=False)
        for task_id in ids:
            pipe.lrange(prefix.encode() + b"a:" + task_id, -most, -1)
        found = pipe.execute()
    return [[codec.decode_attempt(raw) for raw in log] for log in found]


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

"""Schedules in the store: the verbs that callers use, the lists, and what beat asks and writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from timeball.errors import Conflict, InvalidField, NotFound
from timeball.model.schedule import Fate, Occurrence, Schedule
from timeball.store import keys
from timeball.store.codec import to_ms
from timeball.store.schedule_codec import (
    FATE_CODES,
    FATES,
    HEAD,
    NOBODY,
    decode,
    decode_entry,
    decode_rule,
    decode_waiting,
    encode,
)
from timeball.store.scripts import Arg, Client, Sent, call, store_errors
from timeball.store.tasks import IDEMPOTENCY_LIFE_MS, Bell
from timeball.timing.agenda import Agenda, Due

LOOK_AT_ONCE = 2000
"""Schedules read in one move: Redis serves nobody else meanwhile, about 3 us each."""
EXPAND_AT_ONCE = 100
"""Occurrences written in one move: about 40 us each."""
AHEAD_MS = 10_000
"""So long before its instant a crowd is made, for its tasks to wait in their lanes when it comes."""
CROWD = 500
"""So many schedules due in one second are a crowd. Fewer are made at their instant, in 30 ms."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A schedule as it was read: a write with this `head` changes nothing if anybody came first.

    `pending` are the instants whose tasks may be unclaimed yet, and those that wait to become one.
    """

    schedule: Schedule
    head: bytes
    pending: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Once:
    """The sender's word that two requests are one: a digest of its idempotency key, and one of the request."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some schedules, and where to go on: None when there is no more."""

    schedules: list[Schedule]
    cursor: str | None


def read(client: Client, prefix: str, project: str, schedule_id: str) -> Kept:
    """One schedule with what a change needs. Raises NotFound when it is unknown or another project's."""
    with store_errors():
        pipe = client.pipeline(transaction=True)
        pipe.get(f"{prefix}s:{schedule_id}")
        pipe.lrange(f"{prefix}sp:{schedule_id}", 0, -1)
        pipe.lrange(f"{prefix}sw:{schedule_id}", 0, -1)
        record, made, waiting = pipe.execute()
    schedule = None if record is None else decode(schedule_id, record)
    if schedule is None or schedule.project != project:
        raise NotFound("there is no such schedule")
    live: bytes = HEAD.unpack_from(record)[9]
    ids = {*made, live} - {NOBODY}
    pending = {int.from_bytes(task_id[:6], "big") for task_id in ids}
    pending |= {to_ms(decode_waiting(entry).at) for entry in waiting}
    return Kept(schedule, record[: HEAD.size], tuple(sorted(pending)))


def write(
    client: Client,
    prefix: str,
    schedule: Schedule,
    kept: Kept | None,
    stays: Sequence[Due],
    horizon_ms: int,
    once: Once | None = None,
) -> tuple[Schedule | None, list[Bell]]:
    """Write a schedule, new (`kept` is None) or changed; None when it has changed since it was read.

    What it had made and nobody has claimed is taken back; of that, `stays` is made anew. A new one
    whose request came before, as `once` says, is not written: the first is answered. Raises NotFound when it was
    deleted meanwhile, and Conflict when its idempotency key came before with another request.
    """
    args: list[Arg] = [
        schedule.id,
        schedule.project,
        b"" if kept is None else kept.head,
        encode(schedule),
        (kept.schedule.name or "") if kept else "",
        schedule.name or "",
        horizon_ms,
        once.key if once else "",
        once.fingerprint if once else "",
        IDEMPOTENCY_LIFE_MS,
    ]
    for due in stays:
        args += _due(due)
    answer = call(client, "schedule", prefix, args)
    if answer is None:
        raise NotFound("there is no such schedule")
    code, bell, record, schedule_id = answer
    if code == 1:
        return None, []
    if code == 2:
        raise Conflict(
            "this Idempotency-Key came before with another body: take a new key for a new request"
        )
    return decode(schedule_id.decode(), record), _bells(bell)


def _bells(delay_ms: int) -> list[Bell]:
    return [Bell(keys.CALL, delay_ms / 1000)] if delay_ms >= 0 else []


def _due(due: Due) -> tuple[Arg, ...]:
    return due.id, to_ms(due.at), to_ms(due.due_at), FATE_CODES[due.fate]


def delete(client: Client, prefix: str, project: str, schedule_id: str) -> bool:
    """Forget a schedule and what it had made that nobody has claimed; False when there was none."""
    return bool(call(client, "unschedule", prefix, [schedule_id, project]))


def row(client: Client, prefix: str, schedule_id: str, task_id: bytes, *, died: bool) -> int:
    """Note how a task ended, and count those that died in a row with it, or before one that succeeded.

    -1 when there is no such schedule.
    """
    return int(call(client, "row", prefix, [schedule_id, task_id, "1" if died else "0"]))


def history(client: Client, prefix: str, project: str, schedule_id: str) -> list[Occurrence]:
    """The last 100 occurrences with what became of each, newest first. Raises NotFound."""
    read(client, prefix, project, schedule_id)
    with store_errors():
        pipe = client.pipeline(transaction=True)
        pipe.lrange(f"{prefix}sw:{schedule_id}", 0, -1)
        pipe.lrange(f"{prefix}sh:{schedule_id}", 0, 99)
        waiting, entries = pipe.execute()
    lines = [decode_waiting(raw) for raw in reversed(waiting)]
    lines += [decode_entry(schedule_id, raw) for raw in entries]
    seen: dict[object, Occurrence] = {}
    for line in lines:  # what was taken back and made anew has two lines: the newer one counts
        seen.setdefault(line.at, line)
    return sorted(seen.values(), key=lambda line: line.at, reverse=True)


def fates(client: Client, prefix: str, schedule_id: str) -> Counter[Fate]:
    """How often each fate but `made` has befallen a schedule's occurrences; once for all missed together."""
    with store_errors():
        found = client.hgetall(f"{prefix}sc:{schedule_id}")
    return Counter({FATES[int(code)]: int(n) for code, n in found.items()})


def histories(client: Client, prefix: str, ids: Sequence[str], n: int) -> list[list[Occurrence]]:
    """The last `n` occurrences of each of some schedules, newest first, with those taken back left in."""
    with store_errors():
        pipe = client.pipeline(transaction=False)
        for schedule_id in ids:
            pipe.lrange(f"{prefix}sh:{schedule_id}", 0, n - 1)
        found = pipe.execute()
    return [
        [decode_entry(i, raw) for raw in entries] for i, entries in zip(ids, found, strict=True)
    ]


def records(
    client: Client, prefix: str, project: str, begin: str | None, n: int
) -> list[tuple[str, bytes]]:
    """The newest `n` schedules of a project before one, as (id, record)."""
    end = b"+" if begin is None else b"(" + begin.encode()
    with store_errors():
        members = client.zrevrangebylex(f"{prefix}schedules:{project}", end, b"-", start=0, num=n)
        found = client.mget([f"{prefix}s:{i.decode()}" for i in members]) if members else []
    return [
        (i.decode(), record) for i, record in zip(members, found, strict=True) if record is not None
    ]


def count(client: Client, prefix: str, project: str) -> int:
    """How many schedules a project has."""
    with store_errors():
        return int(client.zcard(f"{prefix}schedules:{project}"))


def find(
    client: Client, prefix: str, project: str, name: str | None, limit: int, cursor: str | None
) -> Page:
    """One page of a project's schedules, newest first; of those with a name, if one is given."""
    key, floor, ceiling = f"{prefix}schedules:{project}", b"-", b"+"
    if name is not None:
        key = f"{prefix}snames:{project}"
        floor, ceiling = b"[" + name.encode() + b"\0", b"(" + name.encode() + b"\1"
    if cursor is not None:
        if len(cursor) != 36 or not cursor.isascii():
            raise InvalidField("cursor", "this cursor was not made by this list")
        ceiling = b"(" + (name.encode() + b"\0" if name is not None else b"") + cursor.encode()
    with store_errors():
        members = client.zrevrangebylex(key, ceiling, floor, start=0, num=limit + 1)
    ids = [member[-36:].decode() for member in members]
    found = get_many(client, prefix, ids[:limit])
    return Page(found, ids[limit - 1] if len(ids) > limit else None)


def get_many(client: Client, prefix: str, ids: Sequence[str]) -> list[Schedule]:
    """The schedules of ids, in order; those that are gone are left out."""
    if not ids:
        return []
    with store_errors():
        records = client.mget([f"{prefix}s:{i}" for i in ids])
    return [decode(i, record) for i, record in zip(ids, records, strict=True) if record is not None]


@dataclass(frozen=True, slots=True)
class Look:
    """What beat has to do: the store's now, when the next occurrence is due (None for never), the ids of
    schedules whose waiting occurrence may begin, and those that are due or a crowd that soon will be, as
    (id, record)."""

    now_ms: int
    next_ms: int | None
    ended: list[str]
    records: list[tuple[bytes, bytes]]

    def due(self) -> Iterator[Schedule]:
        """Those that are to be seen to, each read when it is its turn, without its tasks' request."""
        for schedule_id, record in self.records:
            yield decode_rule(schedule_id.decode(), record)


def look(client: Client, prefix: str, most: int) -> Look:
    """What there is to do, `most` of each sort."""
    now_ms, next_ms, ended, due = call(client, "look", prefix, [most, AHEAD_MS, CROWD])
    return Look(
        now_ms,
        None if next_ms < 0 else next_ms,
        [i.decode() for i in ended],
        list(zip(due[::2], due[1::2], strict=True)),
    )


@dataclass
class Expansion:
    """What beat writes in one move: agendas of schedules as they were read, and those whose waiting
    occurrence may begin."""

    args: list[Arg] = field(default_factory=list)
    schedules: int = 0
    occurrences: int = 0

    def add(self, schedule: Schedule, agenda: Agenda) -> None:
        """The agenda of a schedule. It is not written if the schedule has changed since it was read."""
        assert schedule.next_at is not None
        missed = agenda.missed
        self.args += (
            schedule.id,
            schedule.rev,
            to_ms(schedule.next_at),
            0 if agenda.next_at is None else to_ms(agenda.next_at),
            0 if missed is None else to_ms(missed[0]),
            0 if missed is None else to_ms(missed[1]),
            len(agenda.due),
        )
        for one in agenda.due:
            self.args += _due(one)
        self.schedules += 1
        self.occurrences += len(agenda.due)

    def release(self, schedule_id: str) -> None:
        """What waits in a schedule may begin, if the task before has ended."""
        self.args += (schedule_id, "", "", 0, 0, 0, 0)
        self.schedules += 1

    def ask(self, schedule_id: str, extra: Due) -> None:
        """A run that a person asks for."""
        self.args += (schedule_id, "", "", 0, 0, 0, 1, *_due(extra))
        self.schedules += 1
        self.occurrences += 1

    @property
    def full(self) -> bool:
        return self.occurrences >= EXPAND_AT_ONCE or self.schedules >= EXPAND_AT_ONCE


class Expanding:
    """An expansion on its way to the store, which writes it while the next is prepared."""

    def __init__(
        self, client: Client, prefix: str, expansion: Expansion, horizon_ms: int, fence: int | None
    ) -> None:
        """Send it; only a person's run goes without a fence."""
        args: list[Arg] = ["" if fence is None else fence, horizon_ms, *expansion.args]
        self._sent = Sent(client, "expand", prefix, args)

    def bells(self) -> list[Bell] | None:
        """The bells to send, once it is written; None when another beat leads now, and nothing was.

        Schedules that had changed meanwhile are left as they are. To be asked once.
        """
        answer = self._sent.answer()
        return None if answer is None else _bells(answer[0])

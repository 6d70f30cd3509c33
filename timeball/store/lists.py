"""Lists of tasks: what a filter lets through, found a page at a time along the index that fits it best."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from timeball.errors import InvalidField
from timeball.model.task import FINAL, State, Task
from timeball.store import codec, keys, tasks
from timeball.store.scripts import Client, call, store_errors

SCAN_LIMIT = 5000
"""How many records a list reads at most for one page when a filter has no index of its own."""


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
        records = tasks.read_many(client, prefix, [b[0] for b in batch])
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

"""Every key of the store: its name, its Redis type, its life.

All keys of shard n begin with `tb:{n}:`, so one script never leaves its shard and the shards can be spread
over a cluster. Lua builds the same names from that prefix, which it gets as KEYS[1].

| key | type | holds | life |
| --- | --- | --- | --- |
| `t:<id>` | string | a task's record (see codec) | until deleted or pruned |
| `a:<id>` | list | its attempts but the last of an ended task, which rides in the record | as the record |
| `lane:<lane>` | zset | waiting task ids by due instant | while tasks wait |
| `lanes:<kind>`, `:h`, `:l` | zset | lanes by when they may next be served, by priority | while tasks wait |
| `express:<kind>` | zset | the earliest lanes of each project, by when they may be served | while tasks wait |
| `seats:<kind>:<project>` | zset | lanes of a project in the express, 8 at most | while tasks wait |
| `idx:<queue>` | zset | every task id of a queue, score 0, so in order of making | as the records |
| `end:<project>:<state>` | zset | ended task ids by the instant of their end | until pruned |
| `queues:<project>` | set | queues (`project/queue`) that a project has used or limited | for ever |
| `apart:<queue>` | set | lanes of a queue that are set apart by priority or key | while tasks wait |
| `q:<queue>`, `q:<project>` | hash | limits of a queue or project, and its rate clock | for ever |
| `began:<queue>`, `began:<project>` | list | when calls of an owner with a rate began | two windows |
| `inflight` | hash | calls in flight by project, queue, key, and host with a limit | while in flight |
| `held:<owner>` | zset | lanes that wait for a slot of a project, queue, key or host | while they wait |
| `hosts:<project>` | hash | hosts that may not be called now, and until when | while closed |
| `host:<project> US <host>` | hash | breaker of a host: this minute, times opened, how calls failed | 1 hour |
| `troubled:<project>` | zset | hosts in trouble by its last instant, at most 1,000 | 1 hour |
| `parked:<project> US <host>` | set | lanes set aside for a closed or limited host | while tasks wait |
| `aside:<project>` | set | hosts for which lanes were set aside | while tasks wait |
| `caps:<project>` | hash | hosts with a limit of their own for calls in flight | for ever |
| `name:<project>` | hash | name to id of the live task that holds it | while the task is live |
| `names:<project>` | zset | `name NUL id` of every named task, score 0 | as the records |
| `tag:<project>:<tag>` | zset | ids of tasks with a tag, score 0 | as the records |
| `idem:<project>:<digest>` | string | id and fingerprint of a request | 24 hours |
| `sidem:<project>:<digest>` | string | id and fingerprint of a request that made a schedule | 24 hours |
| `pumps:<kind>` | zset | pumps by heartbeat | while awake |
| `lease:<pump>` | hash | task id to lane (and limited host) of the calls a pump holds | while held |
| `suspects` | hash | silent pumps, and since when they are watched | seconds |
| `wake:<kind>` | list | at most one element: a resident pump should look | seconds |
| `bell:<kind>` | string | the instant for which a Celery message is under way | seconds |
| `s:<schedule>` | string | a schedule's record (see schedule_codec) | until deleted |
| `sp:<schedule>` | list | ids of its tasks that may be unclaimed, if they may overlap | as the record |
| `sw:<schedule>` | list | its occurrences that wait until the task before has ended | while they wait |
| `sh:<schedule>` | list | what became of its last 100 occurrences, newest first | as the record |
| `sc:<schedule>` | hash | how often each fate but `made` befell its occurrences, by code | as the record |
| `sf:<schedule>` | list | how its last 128 tasks ended, newest first, if it watches for deaths | as the record |
| `next` | zset | schedules by the instant of their next occurrence | until deleted |
| `outbox` | list | ends of tasks and attempts of which somebody is to be told (see outbox) | until told |
| `ended` | set | schedules whose waiting occurrence may begin now | milliseconds |
| `schedules:<project>` | zset | ids of a project's schedules, score 0, so in order of making | until deleted |
| `snames:<project>` | zset | `name NUL id` of every named schedule, score 0 | until deleted |
| `bulk:<bulk>` | hash | a bulk: what was asked for, how far it came | 30 days after its last step |
| `bulks:<project>` | zset | the last 100 bulks by the instant of their making | for ever |
| `bulking` | set | bulks that go on | until they end |
| `wake:s` | list | at most one element: beat should look at the schedules | seconds |
| `clock` | string | milliseconds that the virtual clock is ahead; development only | until reset |
| `format` | string | the format of the data here (see format) | for ever |
| `leader`, `fence` | string | which beat may act, and how often that changed | seconds; for ever |
| `m:<project>:<minute>`, `h:<project>:<hour>` | hash | counters for charts | 25 hours; 8 days |
| `alerts` | hash | `project:kind` of each alert that goes on, to when it began (ms) | while it goes on |
| `alerts:out` | list | alerts that mail, Slack or others have not taken yet, at most 1,000 | an hour |
| `sum:<project>` | hash | the sum of those counters up to the field `minute` | for ever |
| `steps:<project>` | set | first steps on the dashboard that were done | for ever |
| `projects` | hash | id to project record | for ever |
| `via:<project>` | string | how the project's calls go out, sealed: proxy, client certificate | until changed |
| `secrets:<project>` | hash | name to a sealed value that headers of calls may name | until removed |
| `keys` | hash | id to key record | for ever |
| `asked:<key>:<minute>` | string | requests of a key that API processes have taken for a minute | 2 minutes |
| `used` | hash | id of a key to the instant of its last use, right to a minute | for ever |
| `pid:<name>` | string | name of a project to its id | for ever |
| `login:<digest>` | string | visitor whom a link to the dashboard lets in, once | 15 minutes |
| `logins:...` | string | tries to sign in from an address, for a name, in all | a minute |
| `members` | hash | name to role and hash of the password of who may sign in | for ever |
| `outs` | hash | name to the instant until which all its sessions have ended | for ever |
| `out:<session>` | string | a session of the dashboard that was ended | as its cookie |
| `audit` | list | the last 10,000 writes made on the dashboard | for ever |
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from timeball.model.task import Draft, Priority, Task

CALL = "c"
"""The kind of tasks that pumps take."""
EXPORT = "e"
"""The kind of tasks that export workers take."""
PUMP_QUEUE, EXPORT_QUEUE = "timeball-pump", "timeball-export"
"""Celery's queues, on which bells for the two kinds are rung."""
SCHEDULES = "s"
"""Whom `wake:s` wakes: the beat that leads."""


def prefix(shard: int) -> str:
    """What every key of a shard begins with."""
    return f"tb:{{{shard}}}:"


def shard_of(project: str, shards: int) -> int:
    """The shard where a project lives; the same on every machine."""
    return zlib.crc32(project.encode()) % shards


def split_lane(lane: str) -> tuple[str, str]:
    """(project, queue) of any lane."""
    project, _, queue = lane.partition(APART)[0].partition("/")
    return project, queue


APART = "\x1f"
"""Stands in a lane before each part that sets some tasks of a queue apart; no name may hold it."""


def base_of(project: str, queue: str) -> str:
    """The lane of a queue itself; a project id never holds a slash."""
    return f"{project}/{queue}"


def lane_of(task: Draft | Task, kind: str = CALL) -> str:
    """The lane of a task: `project/queue`, then its priority unless that is normal, its key, its kind.

    `h` and `l` say high and low priority, `o` and `c` begin an ordering and a concurrency key, `x` says that
    the task is an export. Tasks with one key share a lane, so a limit on it is a limit on the key.
    """
    lane = f"{task.project}/{task.queue}"
    if task.priority is not Priority.NORMAL:
        lane += APART + task.priority.value[0]
    if task.ordering_key is not None:
        lane += f"{APART}o{task.ordering_key}"
    elif task.concurrency_key is not None:
        lane += f"{APART}c{task.concurrency_key}"
    return lane + APART + "x" if kind == EXPORT else lane


def is_ordered(lane: bytes) -> bool:
    """Whether the tasks of a lane go one after the other."""
    return f"{APART}o".encode() in lane


@dataclass(frozen=True, slots=True)
class Lane:
    """What a lane's name says."""

    project: str
    queue: str
    priority: Priority = Priority.NORMAL
    concurrency_key: str | None = None
    ordering_key: str | None = None


def parse_lane(lane: str) -> Lane:
    """The parts of a lane's name."""
    base, *parts = lane.split(APART)
    project, _, queue = base.partition("/")
    if not parts:
        return Lane(project, queue)
    first = {part[0]: part[1:] for part in parts}
    priority = Priority.HIGH if "h" in first else Priority.LOW if "l" in first else Priority.NORMAL
    return Lane(project, queue, priority, first.get("c"), first.get("o"))

"""Every key of the store: its name, its Redis type, its life.

All keys of shard n begin with `tb:{n}:`, so one script never leaves its shard and the shards can be spread
over a cluster. Lua builds the same names from that prefix, which it gets as KEYS[1].

| key | type | holds | life |
| --- | --- | --- | --- |
| `t:<id>` | string | a task's record (see codec) | until deleted or pruned |
| `a:<id>` | list | its attempts but the last of an ended task, which rides in the record | as the record |
| `lane:<lane>` | zset | waiting task ids by due instant | while tasks wait |
| `lanes:<kind>` | zset | lanes by the instant they may next be served | while tasks wait |
| `idx:<lane>` | zset | every task id of a lane, score 0, so in order of making | as the records |
| `end:<project>:<state>` | zset | ended task ids by the instant of their end | until pruned |
| `queues:<project>` | set | lanes that a project has used | for ever |
| `q:<lane>` | hash | limits of a queue and its rate clock | for ever |
| `inflight` | hash | calls in flight by lane | while in flight |
| `name:<project>` | hash | name to id of the live task that holds it | while the task is live |
| `names:<project>` | zset | `name NUL id` of every named task, score 0 | as the records |
| `tag:<project>:<tag>` | zset | ids of tasks with a tag, score 0 | as the records |
| `idem:<project>:<digest>` | string | id and fingerprint of a request | 24 hours |
| `pumps:<kind>` | zset | pumps by heartbeat | while awake |
| `lease:<pump>` | hash | task id to lane, of the calls a pump holds | while held |
| `suspects` | hash | silent pumps, and since when they are watched | seconds |
| `wake:<kind>` | list | at most one element: a resident pump should look | seconds |
| `bell:<kind>` | string | the instant for which a Celery message is under way | seconds |
| `clock` | string | milliseconds that the virtual clock is ahead; development only | until reset |
| `leader`, `fence` | string | which beat may act, and how often that changed | seconds; for ever |
| `m:<project>:<minute>`, `h:<project>:<hour>` | hash | counters for charts | 25 hours; 8 days |
| `projects` | hash | id to project record | for ever |
| `keys` | hash | id to key record | for ever |
| `pid:<name>` | string | name of a project to its id | for ever |
"""

from __future__ import annotations

import zlib

CALL = "c"
"""The kind of tasks that pumps take."""
EXPORT = "e"
"""The kind of tasks that export workers take."""


def prefix(shard: int) -> str:
    """What every key of a shard begins with."""
    return f"tb:{{{shard}}}:"


def shard_of(project: str, shards: int) -> int:
    """The shard where a project lives; the same on every machine."""
    return zlib.crc32(project.encode()) % shards


def lane_of(project: str, queue: str) -> str:
    """The lane of a queue; a project id never holds a slash."""
    return f"{project}/{queue}"


def split_lane(lane: str) -> tuple[str, str]:
    """(project, queue) of a lane."""
    project, _, queue = lane.partition("/")
    return project, queue

"""What pumps do in the store: claim, finish, sleep; and what beat does for them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from timeball.store import keys
from timeball.store.codec import Claimed, decode_claimed
from timeball.store.scripts import Arg, Client, call, store_errors

_RESULT = struct.Struct("<iBd")
"""attempt, state, due in ms: what finish.lua takes of a result besides its id and its entry."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim brought.

    `now_ms` is the store's clock; `next_ms` the instant at which more may be due (not after `now_ms` when
    there is more already, -1 when nothing waits); `pumps` how many are awake. `unfinished` says that the
    claim set tasks aside for their hosts and that there are more to look at; `paced` has the places of
    the tasks that a rate lets begin at this instant, and not later; `probes` those of tasks that open
    breakers let through, which stay open until they are told how these end.
    """

    now_ms: int
    next_ms: int
    pumps: int
    leases: int
    tasks: list[Claimed]
    unfinished: bool = False
    paced: frozenset[int] = frozenset()
    probes: tuple[int, ...] = ()


class Finished(NamedTuple):
    """One result to write: what follows is `state` (a code of codec.STATES) and, for a retry, `due_ms`."""

    id: bytes
    attempt: int
    state: int
    due_ms: int
    entry: bytes


def claim(
    client: Client,
    prefix: str,
    pump: str,
    want: int,
    queue_calls: int,
    project_calls: int,
    kind: str = keys.CALL,
    in_flight: Mapping[str, int] | None = None,
    ahead_ms: int = 0,
) -> Claim:
    """Take up to `want` due tasks; with 0 it is only a heartbeat. Raises StoreUnavailable.

    `queue_calls` and `project_calls` are how many calls one queue and one project may have in flight in
    this pump, besides any limit of their own over all pumps; `in_flight` tells how many they have, by
    project and by `project/queue`. When nothing is due now, tasks that will be within `ahead_ms` are taken
    where nothing limits them; their calls must not begin before.
    """
    args: list[Arg] = [kind, pump, want, queue_calls, project_calls, ahead_ms]
    for owner, n in (in_flight or {}).items():
        args += (owner, n)
    answer = call(client, "claim", prefix, args)
    tasks = [decode_claimed(answer[i], answer[i + 1]) for i in range(7, len(answer), 2)]
    now, due, awake, leases, unfinished, paced, probes = answer[:7]
    return Claim(now, due, awake, leases, tasks, unfinished == 1, frozenset(paced), tuple(probes))


def give_back(
    client: Client,
    prefix: str,
    pump: str,
    known: Sequence[bytes],
    max_lost: int,
) -> int:
    """Return the tasks that a pump holds in the store without knowing it; answers how many."""
    return int(call(client, "give_back", prefix, [pump, max_lost, *known]))


def put_back(client: Client, prefix: str, pump: str, late: Sequence[Claimed]) -> int:
    """Undo claims whose calls were not begun: no attempt is used. Answers how many were still the pump's."""
    args: list[Arg] = [pump]
    for claimed in late:
        args += (claimed.id, claimed.attempt)
    return int(call(client, "put_back", prefix, args))


def finish(
    client: Client,
    prefix: str,
    pump: str,
    results: Sequence[Finished],
    counters: dict[str, dict[str, int]],
    hosts: Mapping[str, Mapping[str, Sequence[int | Mapping[str, int]]]] | None = None,
) -> list[int]:
    """Write results, all at once. Answers 1 for written, 0 for late, -1 for a deleted task.

    `hosts` tells of hosts in trouble, by project and host: how many calls went well, how many failed,
    until when (ms) it asked for quiet, 0 if it did not, and how often calls failed in which way.
    """
    heads = b"".join([_RESULT.pack(r.attempt, r.state, r.due_ms) for r in results])
    args: list[Arg] = [pump, orjson.dumps(counters), orjson.dumps(hosts or {}), heads]
    for r in results:
        args += (r.id, r.entry)
    answer: list[int] = call(client, "finish", prefix, args)
    return answer


def release(
    client: Client, prefix: str, pump: str, horizon_ms: int, kind: str = keys.CALL
) -> float | None:
    """A pump goes to sleep. Answers the instant (ms) of the bell that its successor needs, if any."""
    due = call(client, "release", prefix, [kind, pump, horizon_ms])
    return None if due < 0 else float(due)


@dataclass(frozen=True, slots=True)
class Rescued:
    """How many tasks of dead pumps went back to their lanes, and how many died of being lost too often."""

    returned: int
    died: int
    bell: bool


def rescue(
    client: Client,
    prefix: str,
    fence: int,
    *,
    silence_ms: int,
    watch_ms: int,
    max_lost: int,
    horizon_ms: int,
    kind: str = keys.CALL,
) -> Rescued | None:
    """Give the tasks of dead pumps back; None when another beat leads now."""
    answer = call(
        client, "rescue", prefix, [fence, kind, silence_ms, watch_ms, max_lost, horizon_ms]
    )
    if answer == -1:
        return None
    return Rescued(answer[0], answer[1], answer[2] >= 0)


def ring(
    client: Client, prefix: str, fence: int, horizon_ms: int, kind: str = keys.CALL
) -> float | None:
    """The instant (ms) of a bell that is missing, if any. Never raises for an old fence: answers None."""
    due = call(client, "ring", prefix, [fence, kind, horizon_ms])
    return None if due is None or due < 0 else float(due)


def prune(
    client: Client,
    prefix: str,
    fence: int,
    project: str,
    state: int,
    age_ms: int,
    count: int,
    most: int,
) -> int:
    """Forget ended tasks that are too old or too many; answers how many, -1 for an old fence."""
    return int(call(client, "prune", prefix, [fence, project, state, age_ms, count, most]))


@dataclass(frozen=True, slots=True)
class Lead:
    """Whether this beat leads: its fence (0 when not), and who does."""

    fence: int
    leader: str


def lead(client: Client, prefix: str, beat: str, lease_ms: int) -> Lead:
    """Take or keep the lease of the leading beat; a lease of 0 gives it up."""
    fence, leader = call(client, "lead", prefix, [beat, lease_ms])
    return Lead(int(fence), leader.decode())


def clock(client: Client, prefix: str) -> tuple[float, float]:
    """(now, offset) of the store in ms: its clock, and how far the virtual one is ahead of it."""
    with store_errors():
        seconds, micros = client.time()
        offset: Any = client.get(f"{prefix}clock")
    ahead = float(offset or 0)
    return seconds * 1000 + micros / 1000 + ahead, ahead


def awake(client: Client, prefix: str, kind: str = keys.CALL) -> dict[str, float]:
    """Pumps that are awake, with their last heartbeat (ms of the store's real clock)."""
    with store_errors():
        return {
            member.decode(): score
            for member, score in client.zrange(f"{prefix}pumps:{kind}", 0, -1, withscores=True)
        }

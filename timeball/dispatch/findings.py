"""What a look at the installation finds, in words: what is wrong, what will be, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from timeball import __version__
from timeball.dispatch.house import House
from timeball.store import keys, pumps
from timeball.store.roll import Entry

SILENT_AFTER_SECONDS = 10.0
"""Who has not signed the roll for so long is away: all sign in every two seconds."""
NEARLY_FULL = 0.8
SKEW_SECONDS = 1.0
"""A clock that is further off may make receivers refuse signatures, and ids sort wrongly."""
MOST_SHARE_OF_CLIENTS = 0.8


class Weight(StrEnum):
    """How much a finding matters."""

    BAD = "bad"
    """Tasks are in danger, or not called."""
    WARN = "warn"
    """It works, and will not for ever."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, and what to do about it."""

    weight: Weight
    words: str


def look(house: House, info: dict[str, str], crew: list[Entry], now: datetime) -> list[Finding]:
    """What there is to say of a store by its INFO, of who is on the roll, and of this machine's clock.

    The worst comes first. Raises StoreError.
    """
    found = [
        *_memory(info),
        *_persistence(info),
        *_clients(info),
        *_crew(crew),
        *_clock(*clocks(house, now.timestamp)),
    ]
    order = list(Weight)
    return sorted(found, key=lambda finding: order.index(finding.weight))


def memory(info: dict[str, str]) -> tuple[int, int]:
    """(used, most) bytes of a store by its INFO; the most is 0 where it has no limit."""
    return number(info, "used_memory"), number(info, "maxmemory")


def cannot_append(info: dict[str, str]) -> bool:
    """Whether the store's last write to its append-only file failed."""
    return info.get("aof_enabled") == "1" and info.get("aof_last_write_status", "ok") != "ok"


def awake(crew: list[Entry]) -> list[Entry]:
    """Who of those on the roll has signed in lately."""
    return [entry for entry in crew if entry.age_seconds <= SILENT_AFTER_SECONDS]


def clocks(house: House, here: Callable[[], float] = time.time) -> tuple[float, float]:
    """(skew, ahead): seconds that the store's clock is ahead of this machine's, and the virtual one ahead of it.

    `here` is read before and after, and the middle counts. Raises StoreError.
    """
    began = here()
    now_ms, ahead_ms = pumps.clock(house.client, keys.prefix(0))
    return (now_ms - ahead_ms) / 1000 - (began + here()) / 2, ahead_ms / 1000


def number(info: dict[str, str], name: str) -> int:
    """A whole number of an INFO; 0 where it has none of that name."""
    text = info.get(name, "0")
    return int(text) if text.isdigit() else 0


def _memory(info: dict[str, str]) -> Iterable[Finding]:
    used, limit = memory(info)
    machine = number(info, "total_system_memory")
    if limit and used > NEARLY_FULL * limit:
        yield Finding(
            Weight.BAD if used > 0.95 * limit else Weight.WARN,
            f"The store's memory is {used * 100 // limit} % full: when it is full, new tasks are answered 503. "
            "Raise maxmemory, or keep finished tasks for a shorter time (TIMEBALL_RETENTION_SUCCEEDED).",
        )
    if not limit and machine and used > NEARLY_FULL * machine:
        yield Finding(
            Weight.BAD,
            "The store takes most of the machine's memory and has no limit: "
            "set maxmemory, or the system will kill it.",
        )
    if not limit:
        yield Finding(
            Weight.NOTE,
            "The store has no memory limit (maxmemory 0): on a server set one below the machine's memory, "
            "so that a flood of tasks is answered 503 and nothing dies.",
        )


def _persistence(info: dict[str, str]) -> Iterable[Finding]:
    if cannot_append(info):
        yield Finding(
            Weight.BAD,
            "The store could not write its append-only file: its disk may be full. "
            "Nothing is taken until it can.",
        )
    if info.get("aof_enabled") == "1" and info.get("aof_last_bgrewrite_status", "ok") != "ok":
        yield Finding(
            Weight.WARN,
            "The store could not rewrite its append-only file, which grows now without end: look at its disk.",
        )
    if info.get("role") == "master" and number(info, "connected_slaves") == 0:
        yield Finding(
            Weight.NOTE,
            "The store has no replica: while it is down, nothing is taken or called; what was taken is kept.",
        )


def _clients(info: dict[str, str]) -> Iterable[Finding]:
    clients, most = number(info, "connected_clients"), number(info, "maxclients")
    if most and clients > MOST_SHARE_OF_CLIENTS * most:
        yield Finding(
            Weight.WARN,
            f"{clients} of {most} connections to the store are in use: raise maxclients.",
        )
    if number(info, "rejected_connections"):
        yield Finding(
            Weight.WARN,
            f"The store has refused {info['rejected_connections']} connections since its start: "
            "raise maxclients.",
        )


def _crew(crew: list[Entry]) -> Iterable[Finding]:
    for entry in crew:
        if entry.age_seconds > SILENT_AFTER_SECONDS:
            yield Finding(
                Weight.WARN,
                f"The {entry.role} {entry.name} has not signed in for {entry.age_seconds:.0f} s: "
                "it is frozen, cut off, or was killed.",
            )
    fresh = awake(crew)
    versions = {str(e.facts["version"]) for e in fresh if "version" in e.facts}
    if versions - {__version__}:
        yield Finding(
            Weight.WARN,
            f"Not everybody runs Timeball {__version__}, as this API does: {', '.join(sorted(versions))}. "
            "Finish the upgrade.",
        )
    roles = [entry.role for entry in fresh]
    if "exporter" not in roles:
        yield Finding(
            Weight.NOTE, "No exporter runs: exports wait. Start one with timeball exporter."
        )
    if roles.count("beat") == 1:
        yield Finding(
            Weight.NOTE,
            "One beat runs, and none stands by: when it dies, schedules wait until it is started again.",
        )


def _clock(skew_seconds: float, ahead_seconds: float) -> Iterable[Finding]:
    if abs(skew_seconds) > SKEW_SECONDS:
        yield Finding(
            Weight.WARN,
            f"This machine's clock and the store's differ by {abs(skew_seconds):.1f} s: tasks go by the store's, "
            "signatures by the machine's. Let both follow NTP.",
        )
    if ahead_seconds:
        yield Finding(
            Weight.WARN,
            f"The virtual clock is {ahead_seconds:.0f} s ahead: tasks are called that much too early "
            "for the world. timeball clock reset sets it right.",
        )

"""What is measured of all projects at once: for machines that watch, not for pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from timeball.store import keys
from timeball.store.scripts import Client, call, command

MOST_LANES = 5000
"""Lanes that one look reads at most: each concurrency or ordering key has one while its tasks wait."""
AT_ONCE = 20
"""Projects that are counted in one move, so that no pump waits long."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One project at one instant; `oldest_due_ms` is 0 when nothing is due."""

    waiting: int
    due: int
    oldest_due_ms: int
    in_flight: int
    succeeded: int
    dead: int
    cancelled: int
    schedules: int


@dataclass(frozen=True, slots=True)
class Gauges:
    """A shard at one instant. `lanes_left_out` is not 0 when waiting and due are too low."""

    now_ms: int
    lanes_left_out: int
    pumps: int
    exporters: int
    projects: list[Gauge]


def gauges(client: Client, prefix: str, projects: Sequence[str]) -> Gauges:
    """How projects of a shard stand, in their order."""
    (now, left_out, pumps, exporters), *rest = call(
        client, "gauges", prefix, [MOST_LANES, *projects]
    )
    return Gauges(now, left_out, pumps, exporters, [Gauge(*told) for told in rest])


def tally(client: Client, prefix: str, projects: Sequence[str]) -> list[Counter[str]]:
    """What was counted of projects of a shard since the beginning, in their order; see `figures.series`."""
    out = []
    for at in range(0, len(projects), AT_ONCE):
        for told in call(client, "tally", prefix, list(projects[at : at + AT_ONCE])):
            names = (name.decode() for name in told[::2])
            out.append(Counter(dict(zip(names, told[1::2], strict=True))))
    return out


def project_names(client: Client) -> dict[str, str]:
    """The names of all projects by id, the oldest first."""
    told = command(client, "HGETALL", f"{keys.prefix(0)}projects")
    pairs = zip(told[::2], told[1::2], strict=True)
    records = {i.decode(): orjson.loads(record) for i, record in pairs}
    return {i: r["name"] for i, r in sorted(records.items(), key=lambda it: it[1]["created"])}


def server_facts(client: Client) -> dict[str, str]:
    """What the store says of its memory, its file and its work, by the names of its INFO."""
    sections = ("server", "clients", "memory", "persistence", "stats")
    lines = command(client, "INFO", *sections).decode().splitlines()
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}

"""What beat does for all: bells that nobody rang, tasks of dead pumps, tasks past their time."""

from __future__ import annotations

import time

from timeball import logs, queue
from timeball.dispatch import export_files
from timeball.dispatch.house import House
from timeball.model.task import State
from timeball.store import codec, keys, projects, pumps
from timeball.store.scripts import store_errors

SILENCE_MS = 5000
"""A pump that has said nothing for so long is dead."""
WATCH_MS = 1500
"""So long a silent pump is watched before: a store that was frozen condemns nobody."""
PRUNE_AT_ONCE = 200
"""Tasks forgotten in one move, so that no other client waits long."""
PRUNE_SECONDS = 0.5
"""How long pruning may keep beat from its other duties; what is left then comes next time."""

log = logs.get(__name__)


def ring(house: House, fence: int) -> None:
    """Send the bells that are missing: due work without a pump, and dues that came within the horizon."""
    for shard in range(house.settings.shards):
        prefix = keys.prefix(shard)
        for kind in (keys.CALL, keys.EXPORT):
            due_ms = pumps.ring(house.client, prefix, fence, house.horizon_ms, kind)
            if due_ms is not None:
                now_ms, _ = pumps.clock(house.client, prefix)
                queue.send_bell(house.celery, kind, shard, max(0.0, (due_ms - now_ms) / 1000))


def rescue(house: House, fence: int) -> None:
    """Give the tasks of dead pumps back to their lanes; what dead exporters wrote is swept."""
    for shard in range(house.settings.shards):
        for kind in (keys.CALL, keys.EXPORT):
            rescued = pumps.rescue(
                house.client,
                keys.prefix(shard),
                fence,
                silence_ms=SILENCE_MS,
                watch_ms=WATCH_MS,
                max_lost=house.settings.max_lost,
                horizon_ms=house.horizon_ms,
                kind=kind,
            )
            if rescued is None:
                continue
            if rescued.returned or rescued.died:
                log.warning(
                    "a pump died: its tasks were given back",
                    shard=shard,
                    returned=rescued.returned,
                    died=rescued.died,
                )
                if kind == keys.EXPORT:  # and what they wrote goes with their lease
                    export_files.sweep_beside(house, fence)
            if rescued.bell:
                queue.send_bell(house.celery, kind, shard, 0.0)


def prune(house: House, fence: int) -> bool:
    """Forget ended tasks that are past retention. Answers whether there are more."""
    settings = house.settings
    ages = {
        State.SUCCEEDED: settings.retention_succeeded,
        State.CANCELLED: settings.retention_succeeded,
        State.DEAD: settings.retention_failed,
    }
    forgotten, end = 0, time.monotonic() + PRUNE_SECONDS
    more = False
    for project in projects.project_ids(house.client):
        for state, age in ages.items():
            gone = PRUNE_AT_ONCE
            while gone >= PRUNE_AT_ONCE and time.monotonic() < end:
                gone = pumps.prune(
                    house.client,
                    house.prefix(project),
                    fence,
                    project,
                    codec.STATE_CODES[state],
                    int(age.total_seconds() * 1000),
                    settings.retention_count,
                    PRUNE_AT_ONCE,
                )
                forgotten += max(gone, 0)
            more = more or gone >= PRUNE_AT_ONCE
    if forgotten:
        log.info("forgot ended tasks past retention", tasks=forgotten)
    return more


def raise_fence(house: House, shard: int, fence: int) -> None:
    """Tell another shard of a new leader. The lease itself lives on shard 0."""
    with store_errors():
        house.client.set(f"{keys.prefix(shard)}fence", fence)

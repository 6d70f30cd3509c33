"""One verb over many tasks: counted first, then done by beat in steps that hold nobody up.

Each step is one move over STEP tasks at most, and writes how far it came in the same move. So a beat that is
killed between two steps, or before it heard the answer of one, leaves nothing half done: the next leader goes on
where the record says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from timeball import logs
from timeball.dispatch.house import House
from timeball.errors import Conflict, InvalidField, StoreError
from timeball.model.bulk import Action, Bulk, BulkState, Count
from timeball.model.task import State
from timeball.store import bulks, codec, keys, lists, pumps
from timeball.store.lists import Filter
from timeball.store.scripts import store_errors

STEP = 200
"""Tasks a move: about 2 ms in which the store serves nobody else."""
REST_SECONDS = 0.002
"""Between two steps, for all others."""
PACED_STEP_SECONDS = 0.25
"""With a rate, so much of it is done in one step."""
MOST_AT_ONCE = 20
"""Bulks of a project that may go on at the same time."""
MOST_IDS = 10_000

_STATES = {Action.CANCEL: State.SCHEDULED, Action.REDRIVE: State.DEAD}
"""What an action means where its filter names no state; another state is refused."""

log = logs.get(__name__)
_working = threading.Lock()


def meant(action: Action, wanted: Filter) -> Filter:
    """A filter with the state that an action implies. Raises InvalidField when it cannot be."""
    only = _STATES.get(action)
    if only is not None and wanted.state not in (None, only):
        raise InvalidField("filter.status", f"cannot be this one: {action} is for {only} tasks")
    if action is Action.RUN:
        if wanted.state is State.RUNNING:
            raise InvalidField("filter.status", "cannot be this one: those tasks run already")
        only = State.SCHEDULED if wanted.state is None else None
    return wanted if only is None else replace(wanted, state=only)


def count(
    house: House,
    project: str,
    action: Action,
    wanted: Filter,
    seconds: float = bulks.COUNT_SECONDS,
) -> Count:
    """How many tasks an action over a filter would meet; see `bulks.count`. Raises InvalidField."""
    prefix = house.prefix(project)
    return bulks.count(house.client, prefix, project, meant(action, wanted), seconds)


def begin(
    house: House,
    project: str,
    action: Action,
    by: str,
    *,
    wanted: Filter | None = None,
    ids: Sequence[bytes] = (),
    rate: float | None = None,
) -> Bulk:
    """Ask for a bulk over the tasks that fit a filter now, or over those of `ids`.

    Tasks that are made later are not met. Raises InvalidField, Conflict.
    """
    prefix = house.prefix(project)
    now_ms, _ = pumps.clock(house.client, prefix)
    going_on = [b for b in bulks.newest(house.client, prefix, project) if b.ended_at is None]
    if len(going_on) >= MOST_AT_ONCE:
        raise Conflict(f"{len(going_on)} bulks of this project go on already: wait, or stop some")
    total = Count(len(ids), True)
    if wanted is not None:
        wanted = meant(action, wanted)
        total = bulks.count(house.client, prefix, project, wanted)
        begun = codec.from_ms(now_ms + 1)
        if wanted.until is None or wanted.until > begun:
            wanted = replace(wanted, until=begun)
    made = bulks.begin(
        house.client, prefix, project, action, by, total, rate, wanted, ids[:MOST_IDS], now_ms
    )
    log.info(
        "a bulk was asked for", bulk=made.id, action=action, project=project, by=by,
        tasks=total.count, exact=total.exact,
    )  # fmt: skip
    return made


def get(house: House, project: str, bulk_id: str) -> Bulk:
    """One bulk. Raises NotFound."""
    return bulks.get(house.client, house.prefix(project), project, bulk_id)


def filter_of(house: House, project: str, bulk_id: str) -> Filter | None:
    """The filter of a bulk, with what its action implies; None for a list of ids. Raises NotFound."""
    return bulks.filter_of(house.client, house.prefix(project), project, bulk_id)


def newest(house: House, project: str) -> list[Bulk]:
    """The last bulks of a project, newest first."""
    return bulks.newest(house.client, house.prefix(project), project)


def stop(house: House, project: str, bulk_id: str) -> Bulk:
    """Stop a bulk between two steps; once it has ended nothing changes. Raises NotFound."""
    prefix = house.prefix(project)
    if bulks.halt(house.client, prefix, project, bulk_id, BulkState.STOPPED):
        log.info("a bulk was stopped", bulk=bulk_id, project=project)
    return get(house, project, bulk_id)


# -- beat's side ----------------------------------------------------------------------------------


def work_beside(house: House, fence: int) -> None:
    """Take the steps of all bulks in a thread of its own, unless one still does: beat has hours to keep."""
    with store_errors():
        busy = any(
            house.client.exists(f"{keys.prefix(shard)}bulking")
            for shard in range(house.settings.shards)
        )
    if not busy or not _working.acquire(blocking=False):
        return

    def run() -> None:
        try:
            work(house, fence)
        except StoreError as error:
            log.warning("bulks wait for the store", error=str(error))
        except Exception as error:
            log.error("the bulks broke", exc_info=error)
        finally:
            _working.release()

    threading.Thread(target=run, name="bulk", daemon=True).start()


def work(house: House, fence: int) -> None:
    """Take steps until no bulk is left, or another beat leads."""
    while True:
        waits: list[float] = []
        for shard in range(house.settings.shards):
            prefix = keys.prefix(shard)
            for bulk, wanted in bulks.running(house.client, prefix):
                now_ms, _ = pumps.clock(house.client, prefix)
                wait = (bulk.next_ms - now_ms) / 1000
                if wait <= 0:
                    if not _step(house, prefix, fence, bulk, wanted):
                        return
                    wait = REST_SECONDS
                waits.append(wait)
        if not waits:
            return
        time.sleep(min(1.0, *waits, 1.0))


def _step(house: House, prefix: str, fence: int, bulk: Bulk, wanted: Filter | None) -> bool:
    """One step of one bulk; False when another beat leads now."""
    size = STEP if bulk.rate is None else max(1, min(STEP, int(bulk.rate * PACED_STEP_SECONDS)))
    try:
        if wanted is None:
            start = int(bulk.cursor or 0)
            ids = list((bulk.ids or ())[start : start + size])
            cursor, last = str(start + size), start + size >= len(bulk.ids or ())
        else:
            page = lists.find(house.client, prefix, bulk.project, wanted, size, bulk.cursor)
            ids, cursor = [task.id for task in page.tasks], page.cursor or ""
            last = page.cursor is None
        bells = bulks.step(
            house.client,
            prefix,
            fence,
            bulk,
            ids,
            cursor,
            last=last,
            wanted=None if wanted is None else wanted.state,
            horizon_ms=house.horizon_ms,
        )
    except StoreError:
        raise
    except Exception as error:
        log.error("a step of a bulk broke: the bulk ends", bulk=bulk.id, exc_info=error)
        why = f"{type(error).__name__}: the log of beat tells more"
        bulks.halt(house.client, prefix, bulk.project, bulk.id, BulkState.FAILED, why)
        return True
    if bells is None:
        return False
    house.ring(bulk.project, bells)
    if last:
        end = bulks.get(house.client, prefix, bulk.project, bulk.id)
        log.info("a bulk is done", bulk=end.id, done=end.done, refused=end.refused)
    return True

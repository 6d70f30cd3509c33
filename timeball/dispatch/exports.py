"""Exports: what callers may do with them, and how one stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from timeball import logs
from timeball.dispatch.house import House
from timeball.errors import Conflict, NotFound
from timeball.ids import new_task_id
from timeball.model.export import Code, Export, LogLine, Order
from timeball.model.task import Draft, Request, State
from timeball.store import codec, exports, keys, pumps, tasks
from timeball.store.exports import Kept

QUEUE = "exports"
"""The queue of every export, whose limits and pause hold for them."""
WAIT = timedelta(seconds=55)
"""How long an execute waits: below the limits of common proxies."""
LOOK_SECONDS = 0.1
FIND_PAGE = 200
FIND_MOST = 20_000
"""Exports looked at for one list."""

log = logs.get(__name__)
_waiters = threading.BoundedSemaphore(8)


def create(house: House, project: str, order: Order) -> Export:
    """Take an export in; without an instant, or with a past one, it is due now."""
    prefix = house.prefix(project)
    now_ms = int(pumps.clock(house.client, prefix)[0])
    export_id, number = new_task_id(), exports.next_number(house.client)
    planned = now_ms if order.once is None else codec.to_ms(order.once)
    exports.write(house.client, prefix, project, export_id, number, order, now_ms, planned)
    _submit(house, project, export_id, order, order.once)
    now = codec.from_ms(now_ms)
    log.info("an export was taken in", export=number, project=project, index=order.index)
    return Export(number, export_id, project, order, Code.READY, now, now, None, 0, (), None)


def _submit(
    house: House, project: str, export_id: bytes, order: Order, at: datetime | None
) -> None:
    draft = Draft(
        project=project,
        request=Request(f"export:{order.index}"),
        queue=QUEUE,
        scheduled_for=at,
        key_id=order.key_id,
        id=export_id,
    )
    _, bells = tasks.submit(
        house.client, house.prefix(project), [draft], house.horizon_ms, keys.EXPORT
    )
    house.ring(project, bells)


def get(
    house: House, project: str, number: int, log_limit: int = exports.LOG_SHOWN, offset: int = 0
) -> Export:
    """One export, with a part of its log, newest first. Raises NotFound."""
    prefix = house.prefix(project)
    export_id = exports.id_of(house.client, prefix, project, number)
    # A line may stand before those that are kept: so one more is read, from one line earlier.
    first = max(0, offset - 1)
    wanted = log_limit + 1 if log_limit else 0
    found = exports.read(house.client, prefix, [(export_id, number)], wanted, first)
    if not found:
        raise NotFound("task not found")
    return _export(project, found[0], log_limit, offset)


def find(house: House, project: str, log_limit: int = exports.LOG_SHOWN) -> Iterator[Export]:
    """A project's exports, newest first; the caller stops when it has enough."""
    prefix = house.prefix(project)
    for start in range(0, FIND_MOST, FIND_PAGE):
        wanted = exports.page(house.client, prefix, project, start, FIND_PAGE)
        for kept in exports.read(house.client, prefix, wanted, log_limit):
            yield _export(project, kept, log_limit)
        if len(wanted) < FIND_PAGE:
            return


def _export(project: str, kept: Kept, log_limit: int, offset: int = 0) -> Export:
    task = kept.task
    instants = [kept.created_ms, kept.modified_ms]
    last_run = codec.from_ms(kept.last_run_ms) if kept.last_run_ms is not None else None
    if task is not None:
        last_run = task.started_at or last_run
        instants += [codec.to_ms(at) for at in (task.started_at, task.ended_at) if at is not None]
    code = code_of(kept)
    return Export(
        number=kept.number,
        id=kept.id,
        project=project,
        order=kept.order,
        code=code,
        created_at=codec.from_ms(kept.created_ms),
        modified_at=codec.from_ms(max(instants)),
        last_run_at=last_run,
        attempt=0 if task is None else task.attempt,
        logs=_lines(kept, offset)[:log_limit],
        result=kept.result,
    )


def code_of(kept: Kept) -> Code:
    """The state of an export, from its record and its phase; without a record from how its last run ended."""
    task = kept.task
    if task is None:
        return Code.DONE if kept.result is not None and kept.phase != "failed" else Code.ERROR
    if task.state is State.RUNNING:
        return Code.INPROGRESS
    if task.state is State.SUCCEEDED:
        return Code.DONE
    if task.state in (State.DEAD, State.CANCELLED):
        return Code.ERROR
    if kept.phase == "failed":
        return Code.ERROR
    return Code.INPROGRESS if kept.phase == "retry" or task.lost else Code.READY


def _lines(kept: Kept, offset: int) -> tuple[LogLine, ...]:
    """The log from `offset` on, where `kept` has it from one line earlier, if there is one.

    Of an export that its workers died with, the newest line is the one that nobody was left to write.
    """
    task = kept.task
    if task is None or task.state is not State.DEAD or not task.lost or task.ended_at is None:
        return kept.logs[1:] if offset else kept.logs
    if offset:
        return kept.logs
    words = f"the worker died with it {task.lost} times in a row: it is given up"
    return (LogLine(task.ended_at, "error", words), *kept.logs)


def cancel(house: House, project: str, number: int) -> Export:
    """Take a waiting export back, or stop a running one. Raises NotFound, Conflict."""
    prefix = house.prefix(project)
    export_id = exports.id_of(house.client, prefix, project, number)
    now = codec.from_ms(pumps.clock(house.client, prefix)[0])
    try:
        tasks.cancel(house.client, prefix, project, export_id)
    except Conflict:
        if get(house, project, number).code is not Code.INPROGRESS:
            raise
        exports.ask_cancel(house.client, prefix, export_id)
    else:
        line = LogLine(now, "info", "cancelled before it ran")
        exports.note(
            house.client, prefix, export_id, now, line, drop=("now",), fields={"phase": "failed"}
        )
    log.info("an export was cancelled", export=number, project=project)
    return get(house, project, number)


def delete(house: House, project: str, number: int) -> None:
    """Forget an export; the janitor removes its file. Raises NotFound."""
    prefix = house.prefix(project)
    export_id = exports.id_of(house.client, prefix, project, number)
    tasks.delete(house.client, prefix, project, [export_id])
    exports.forget(house.client, prefix, project, export_id)
    log.info("an export was deleted", export=number, project=project)


def execute(house: House, project: str, number: int, wait: timedelta = WAIT) -> tuple[Export, bool]:
    """Run an export now, or join its run, and wait for the end. Answers it, and whether the run has ended.

    Only so many callers may wait at once; the others are answered at once. Raises NotFound.
    """
    before = start(house, project, number)
    if not _waiters.acquire(blocking=False):
        return get(house, project, number), False
    try:
        end = time.monotonic() + wait.total_seconds()
        while True:
            now = get(house, project, number)
            if _ran(before, now):
                return now, True
            if time.monotonic() >= end:
                return now, False
            time.sleep(LOOK_SECONDS)
    finally:
        _waiters.release()


def start(house: House, project: str, number: int) -> Export:
    """Run an export now, unless it runs. Answers it as it stood before. Raises NotFound."""
    before = get(house, project, number)
    if before.code is not Code.INPROGRESS:
        _run(house, project, before)
    return before


def _run(house: House, project: str, export: Export) -> None:
    try:
        _, bells = tasks.run(
            house.client, house.prefix(project), project, export.id, house.horizon_ms
        )
    except NotFound:  # its record is past retention: it begins anew
        _submit(house, project, export.id, export.order, None)
    else:
        house.ring(project, bells)
    log.info("an export was run", export=export.number, project=project)


def _ran(before: Export, now: Export) -> bool:
    if now.code is Code.INPROGRESS:
        return False
    claimed = before.code is Code.INPROGRESS or now.attempt > before.attempt
    # A record that was made anew counts from 1 again.
    return claimed or (0 < now.attempt < before.attempt)

"""Beat's part of schedules: occurrences that are due become tasks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from timeball import logs, queue
from timeball.dispatch.house import House
from timeball.errors import InvalidField
from timeball.model.schedule import Schedule
from timeball.store import codec, keys, schedules
from timeball.store.schedules import LOOK_AT_ONCE, Expanding, Expansion, Look
from timeball.timing.agenda import Agenda, agenda, rule_of

log = logs.get(__name__)


def expand(house: House, fence: int) -> float | None:
    """Make the tasks of occurrences that are due, and of a crowd that soon will be; two thousand a shard at most.

    Answers in how many seconds there is more to do (0.0 for at once), None when nothing is foreseen. With an
    old fence nothing is done. Raises StoreUnavailable, after which the same call may be made again.
    """
    waits = [_expand_shard(house, fence, shard) for shard in range(house.settings.shards)]
    return min((wait for wait in waits if wait is not None), default=None)


def _expand_shard(house: House, fence: int, shard: int) -> float | None:
    prefix = keys.prefix(shard)
    look = schedules.look(house.client, prefix, LOOK_AT_ONCE)
    if not look.ended and not look.records:
        return None if look.next_ms is None else max(0.0, (look.next_ms - look.now_ms) / 1000)
    written: Expanding | None = None
    try:
        for expansion in _expansions(look):  # each is prepared while the store writes the last
            last, written = written, None
            if last is not None and not _ring(house, shard, last, fence):
                return None
            written = Expanding(house.client, prefix, expansion, house.horizon_ms, fence)
    finally:
        leads = written is None or _ring(house, shard, written, fence)
    return 0.0 if leads else None


def _ring(house: House, shard: int, written: Expanding, fence: int) -> bool:
    """Wait for an expansion and send its bells; False when another beat leads."""
    bells = written.bells()
    if bells is None:
        log.warning("another beat leads: nothing was expanded", shard=shard, fence=fence)
        return False
    for bell in bells:
        queue.send_bell(house.celery, bell.kind, shard, bell.delay)
    return True


def _expansions(look: Look) -> Iterator[Expansion]:
    """All that there is to do, in portions."""
    now, missed, expansion = codec.from_ms(look.now_ms), [], Expansion()
    for schedule_id in look.ended:
        expansion.release(schedule_id)
        if expansion.full:
            yield expansion
            expansion = Expansion()
    for schedule in look.due():
        made = _agenda(schedule, now)
        expansion.add(schedule, made)
        if made.missed is not None:
            missed.append(schedule.id)
        if expansion.full:
            yield expansion
            expansion = Expansion()
    if expansion.schedules:
        yield expansion
    if missed:
        log.warning("occurrences were missed", schedules=len(missed), such_as=missed[0])


def _agenda(schedule: Schedule, now: datetime) -> Agenda:
    try:
        return agenda(schedule, rule_of(schedule, proven=True), now)
    except InvalidField as error:  # such as a zone that this machine's zone data has no more
        log.error(
            "a rule cannot be read: the schedule ends", schedule=schedule.id, error=str(error)
        )
        return Agenda((), None, None)

"""Beat's part of schedules: occurrences that are due become tasks."""

from __future__ import annotations

from datetime import datetime

from timeball import logs, queue
from timeball.dispatch.house import House
from timeball.errors import InvalidField
from timeball.model.schedule import Schedule
from timeball.store import codec, keys, schedules
from timeball.store.schedules import CALL_AT_ONCE, Expansion
from timeball.timing.agenda import Agenda, agenda, rule_of

log = logs.get(__name__)


def expand(house: House, fence: int) -> float | None:
    """Make the tasks of occurrences that are due, some hundred on each shard.

    Answers in how many seconds there is more to do (0.0 for at once), None when nothing is foreseen. With an
    old fence nothing is done. Raises StoreUnavailable, after which the same call may be made again.
    """
    waits = [_expand_shard(house, fence, shard) for shard in range(house.settings.shards)]
    return min((wait for wait in waits if wait is not None), default=None)


def _expand_shard(house: House, fence: int, shard: int) -> float | None:
    prefix = keys.prefix(shard)
    look = schedules.look(house.client, prefix, CALL_AT_ONCE)
    if not look.ended and not look.due:
        return None if look.next_ms is None else max(0.0, (look.next_ms - look.now_ms) / 1000)
    now, missed = codec.from_ms(look.now_ms), []
    expansions = [Expansion()]
    for schedule_id in look.ended:
        expansions[-1].release(schedule_id)
    for schedule in look.due:
        if expansions[-1].full:
            expansions.append(Expansion())
        made = _agenda(schedule, now)
        expansions[-1].add(schedule, made)
        if made.missed is not None:
            missed.append(schedule.id)
    if missed:
        log.warning("occurrences were missed", schedules=len(missed), such_as=missed[0])
    for expansion in expansions:
        written = schedules.expand(house.client, prefix, expansion, house.horizon_ms, fence)
        if written is None:
            log.warning("another beat leads: nothing was expanded", shard=shard, fence=fence)
            return None
        for bell in written[1]:
            queue.send_bell(house.celery, bell.kind, shard, bell.delay)
    return 0.0


def _agenda(schedule: Schedule, now: datetime) -> Agenda:
    try:
        return agenda(schedule, rule_of(schedule), now)
    except InvalidField as error:  # such as a zone that this machine's zone data has no more
        log.error(
            "a rule cannot be read: the schedule ends", schedule=schedule.id, error=str(error)
        )
        return Agenda((), None, None)

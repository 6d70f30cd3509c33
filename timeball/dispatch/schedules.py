"""Standing orders: what callers may do with them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from timeball.dispatch.house import House
from timeball.errors import Conflict, InvalidField
from timeball.ids import id_text, new_task_id
from timeball.model.schedule import Fate, Occurrence, Schedule
from timeball.model.task import Request, Task
from timeball.store import codec, pumps, schedule_codec, schedules, tasks
from timeball.store.schedules import Expansion, Kept, Once, Page
from timeball.timing import agenda
from timeball.timing.agenda import Due, Preview
from timeball.timing.load import Load
from timeball.timing.rule import Rule

WRITE_TRIES = 20
LOAD_AT_ONCE = 500
_TIMING = frozenset(
    [
        "cron",
        "rrule",
        "dtstart",
        "timezone",
        "paused",
        "paused_until",
        "start_at",
        "end_at",
        "max_runs",
    ]
)
"""A change of these asks the rule anew; any other leaves the next occurrence where it is."""


def now_of(house: House, project: str) -> datetime:
    """The store's now, by which everything is due."""
    return codec.from_ms(pumps.clock(house.client, house.prefix(project))[0])


def create(house: House, project: str, fields: Mapping[str, Any]) -> Schedule:
    """Take a schedule in. Raises InvalidField for a rule that cannot be kept or would never fire."""
    return create_once(house, project, fields, None)[0]


def create_once(
    house: House, project: str, fields: Mapping[str, Any], once: Once | None
) -> tuple[Schedule, bool]:
    """Take a schedule in unless the same request came before; answers also whether it is new.

    Raises InvalidField as `create` does, and Conflict when the key came before with another request.
    """
    now = now_of(house, project)
    draft = Schedule(id=id_text(new_task_id()), project=project, created_at=now, **fields)
    rule = check(draft)
    draft = replace(draft, last=rule.last)
    draft = replace(draft, next_at=agenda.first_at(draft, rule, now))
    if draft.next_at is None and not draft.paused:
        raise InvalidField(*_why_never(draft, rule, now))
    written, bells = schedules.write(
        house.client, house.prefix(project), draft, None, (), house.horizon_ms, once
    )
    house.ring(project, bells)
    assert written is not None, "a new schedule has nobody to lose a race to"
    return written, written.id == draft.id


def count(house: House, project: str) -> int:
    """How many schedules a project has."""
    return schedules.count(house.client, house.prefix(project), project)


def check(schedule: Schedule) -> Rule:
    """The rule of a schedule as somebody wants it. Raises InvalidField on the field that is wrong."""
    rule = agenda.rule_of(schedule)
    start, end = schedule.start_at, schedule.end_at
    if start is not None and end is not None and end < start:
        raise InvalidField("end_at", "lies before start_at")
    if schedule.concurrency_key is not None and schedule.ordering_key is not None:
        raise InvalidField(
            "ordering_key",
            "cannot be there together with concurrency_key: ordered tasks run one at a time",
        )
    return rule


def _why_never(schedule: Schedule, rule: Rule, now: datetime) -> tuple[str, str]:
    if schedule.end_at is not None and rule.next_after(now) is not None:
        return "end_at", "leaves no time: the rule names no instant from now until then"
    field = "cron" if schedule.cron is not None else "rrule"
    return field, "names no instant from now on: this schedule would never fire"


def get(house: House, project: str, schedule_id: str) -> Schedule:
    """One schedule. Raises NotFound."""
    return schedules.read(house.client, house.prefix(project), project, schedule_id).schedule


def find(house: House, project: str, name: str | None, limit: int, cursor: str | None) -> Page:
    """One page of a project's schedules, newest first."""
    return schedules.find(house.client, house.prefix(project), project, name, limit, cursor)


def get_many(house: House, project: str, ids: list[str]) -> list[Schedule]:
    """Those of some ids that are the project's."""
    found = schedules.get_many(house.client, house.prefix(project), ids)
    return [schedule for schedule in found if schedule.project == project]


def update(house: House, project: str, schedule_id: str, changes: Mapping[str, Any]) -> Schedule:
    """Change a schedule, at once: tasks that it made and nobody has claimed follow the change.

    `changes` holds fields of Schedule by name; `request` may be a dict of a Request's fields that change.
    Raises NotFound, InvalidField, and Conflict when others change it all the time.
    """
    prefix = house.prefix(project)
    for _ in range(WRITE_TRIES):
        kept = schedules.read(house.client, prefix, project, schedule_id)
        new, stays = _changed(kept, changes, now_of(house, project))
        written, bells = schedules.write(house.client, prefix, new, kept, stays, house.horizon_ms)
        if written is not None:
            house.ring(project, bells)
            return written
    raise Conflict("the schedule was changed by others at the same time; read it and try again")


def _changed(kept: Kept, changes: Mapping[str, Any], now: datetime) -> tuple[Schedule, list[Due]]:
    """The schedule as it is to be, and which of its unclaimed occurrences stay."""
    old = kept.schedule
    fields = dict(changes)
    if isinstance(fields.get("request"), dict):
        fields["request"] = replace(old.request, **fields["request"])
    if fields.get("cron") is not None:
        fields = {"rrule": None, "dtstart": None, **fields}
    elif fields.get("rrule") is not None:
        fields.setdefault("cron", None)
    if fields.get("paused") is False:
        fields.setdefault("paused_until", None)
    timed = any(name in _TIMING and getattr(old, name) != fields[name] for name in fields)
    new = replace(old, **fields, rev=old.rev + 1)
    if timed:
        new = replace(new, last=None)
    rule = check(new)
    new = replace(new, last=rule.last)
    free = replace(new, runs=max(0, new.runs - len(kept.pending)))
    if timed:
        new = replace(new, next_at=agenda.next_at(free, rule, now))
    pending = [codec.from_ms(ms) for ms in kept.pending]
    if timed:  # what was made ahead of its instant is among those that the rule names from now on
        pending = [at for at in pending if at <= now]
    stays = [
        agenda.occurrence(new, rule, at, Fate.REMADE)
        for at in pending
        if agenda.names(free, rule, at)
    ]
    return new, stays


def pause(house: House, project: str, schedule_id: str) -> Schedule:
    """Make no more tasks of it; those that nobody has claimed are taken back. Raises NotFound."""
    return update(house, project, schedule_id, {"paused": True})


def resume(house: House, project: str, schedule_id: str) -> Schedule:
    """End a pause. What came to pass meanwhile is not made up for. Raises NotFound."""
    return update(house, project, schedule_id, {"paused": False})


def delete(house: House, project: str, schedule_id: str) -> bool:
    """Forget a schedule and its tasks that nobody has claimed; False when there was none."""
    return schedules.delete(house.client, house.prefix(project), project, schedule_id)


def run(house: House, project: str, schedule_id: str) -> Task:
    """Make an extra task now, paused or not and beside any other; it counts for no limit. Raises NotFound."""
    prefix = house.prefix(project)
    kept = schedules.read(house.client, prefix, project, schedule_id)
    now = codec.from_ms(int(pumps.clock(house.client, prefix)[0]))
    extra = agenda.asked(kept.schedule, now)
    expansion = Expansion()
    expansion.ask(schedule_id, extra)
    written = schedules.Expanding(house.client, prefix, expansion, house.horizon_ms, None)
    house.ring(project, written.bells() or [])
    return tasks.get(house.client, prefix, project, extra.id)


def preview(house: House, schedule: Schedule, n: int) -> Preview:
    """The next `n` occurrences of a schedule; of a paused one, as if it were resumed now."""
    now = now_of(house, schedule.project)
    rule, first = agenda.rule_of(schedule, proven=True), schedule.next_at
    if first is None or first <= now:
        first = agenda.next_at(replace(schedule, paused=False), rule, now)
    return agenda.preview(schedule, rule, first, n)


def preview_rule(house: House, project: str, fields: Mapping[str, Any], n: int) -> Preview:
    """The first `n` occurrences of a schedule that would be made now. Raises InvalidField."""
    now = now_of(house, project)
    draft = Schedule(
        id=id_text(new_task_id()), project=project, created_at=now, request=Request(""), **fields
    )
    rule = check(draft)
    return agenda.preview(draft, rule, agenda.first_at(draft, rule, now), n)


def history(house: House, project: str, schedule_id: str) -> list[Occurrence]:
    """Its last 100 occurrences, newest first, with what became of each. Raises NotFound."""
    return schedules.history(house.client, house.prefix(project), project, schedule_id)


def histories(house: House, project: str, ids: list[str], n: int) -> list[list[Occurrence]]:
    """The last `n` occurrences of each of some schedules, newest first."""
    return schedules.histories(house.client, house.prefix(project), ids, n)


def fates(house: House, project: str, schedule_id: str) -> Counter[Fate]:
    """How often each fate but `made` has befallen its occurrences; once for all missed together."""
    return schedules.fates(house.client, house.prefix(project), schedule_id)


def load(house: House, project: str, seconds: float) -> tuple[Load, int]:
    """What a project's schedules call in the 24 hours ahead, by minute, and how many schedules there are.

    Takes about so many seconds at most; when that was too little, the newest were counted.
    """
    prefix, found = house.prefix(project), Load(now_of(house, project))
    give_up, last = time.monotonic() + seconds, None
    while time.monotonic() < give_up:
        page = schedules.records(house.client, prefix, project, last, LOAD_AT_ONCE)
        for schedule_id, record in page:
            if time.monotonic() >= give_up:
                break
            _count(found, schedule_id, record)
        if len(page) < LOAD_AT_ONCE:
            break
        last = page[-1][0]
    return found, schedules.count(house.client, prefix, project)


def _count(found: Load, schedule_id: str, record: bytes) -> None:
    """Count a schedule in by as little of its record as will do."""
    plain = schedule_codec.plain_cron(record)
    if plain is not None:
        if plain[0]:
            found.add_cron(*plain)
        else:
            found.add_none()
        return
    once = schedule_codec.fires_once(record)
    if once is not None and once > found.begin:
        found.add_once(once)
    else:
        found.add(schedule_codec.decode_rule(schedule_id, record))

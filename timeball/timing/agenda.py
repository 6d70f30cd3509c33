"""What a schedule has to do now: which occurrences become tasks, which are left out, when to look again.

Pure, like all of `timing`. Nothing walks from an old start: each search begins at the first occurrence that
nobody has seen to, or at the edge of the catch-up window.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from timeball.errors import InvalidField
from timeball.ids import occurrence_id
from timeball.model.schedule import CatchUp, Fate, Schedule, Share
from timeball.timing.pace import TICK
from timeball.timing.rule import Instant, Rule, parse_rule

HICCUP = timedelta(seconds=10)
"""Occurrences seen to within this are on time, whatever catch-up says: beats change leaders in under 5 s."""
CATCH_UP_MOST = 100


@dataclass(frozen=True, slots=True)
class Due:
    """An occurrence that becomes a task: its instant, and the instant at which the call is due."""

    at: datetime
    due_at: datetime
    fate: Fate
    id: bytes


@dataclass(frozen=True, slots=True)
class Agenda:
    """`missed` is the first and the last instant of those left out; `next_at` None means never again."""

    due: tuple[Due, ...]
    missed: tuple[datetime, datetime] | None
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    """The next instants of a rule, each with the instant at which its call would be due; the rule in words."""

    words: str
    timezone: str
    instants: tuple[tuple[Instant, datetime], ...]


def rule_of(schedule: Schedule, *, proven: bool = False) -> Rule:
    """The rule of a schedule. Raises InvalidField on the field that is wrong.

    `proven` says that the schedule was taken in, so its rule need not be proven again.
    """
    return parse_rule(
        schedule.cron,
        schedule.rrule,
        schedule.timezone,
        schedule.dtstart,
        schedule.created_at,
        schedule.last,
        proven=proven,
    )


def first_at(schedule: Schedule, rule: Rule, now: datetime) -> datetime | None:
    """The first occurrence of a new schedule. An rrule without a start begins at once: now is its start."""
    start = schedule.created_at.replace(microsecond=0)
    if schedule.rrule is not None and schedule.dtstart is None and rule.start == start:
        now = start - TICK
    return next_at(schedule, rule, now)


def next_at(schedule: Schedule, rule: Rule, after: datetime) -> datetime | None:
    """The first occurrence after an instant that the schedule's bounds and pauses let through."""
    if schedule.paused or (schedule.max_runs is not None and schedule.runs >= schedule.max_runs):
        return None
    for bound in (schedule.start_at, schedule.paused_until):
        if bound is not None and bound > after:
            after = bound - TICK
    found = rule.next_after(after)
    return None if found is None or _over(schedule, found) else found


def names(schedule: Schedule, rule: Rule, at: datetime) -> bool:
    """Whether an instant is an occurrence of the schedule."""
    return next_at(schedule, rule, at - TICK) == at


def spread(schedule: Schedule, rule: Rule, at: datetime, task_id: bytes) -> datetime:
    """The instant at which the call of an occurrence is due: within the window, always the same one."""
    window = schedule.window
    if not window:
        return at
    if isinstance(window, Share):
        following = rule.next_after(at)
        window = (following - at) * window.percent / 100 if following is not None else timedelta()
    share = int.from_bytes(task_id[9:], "big") / 2**56
    return at + timedelta(milliseconds=int(share * (window / timedelta(milliseconds=1))))


def occurrence(schedule: Schedule, rule: Rule, at: datetime, fate: Fate) -> Due:
    """The task that an occurrence becomes."""
    task_id = occurrence_id(schedule.id, round(at.timestamp() * 1000))
    return Due(at, spread(schedule, rule, at, task_id), fate, task_id)


def asked(schedule: Schedule, now: datetime) -> Due:
    """The extra task that a person asks for."""
    return Due(now, now, Fate.ASKED, occurrence_id(schedule.id, round(now.timestamp() * 1000)))


def preview(schedule: Schedule, rule: Rule, first: datetime | None, n: int) -> Preview:
    """The first `n` instants from `first` on that the schedule's bounds let through."""
    if schedule.max_runs is not None:
        n = min(n, schedule.max_runs - schedule.runs)
    shown = [] if first is None or n <= 0 else rule.preview(first - TICK, n)
    instants = tuple(
        (one, occurrence(schedule, rule, one.utc, Fate.MADE).due_at)
        for one in shown
        if not _over(schedule, one.utc)
    )
    return Preview(rule.describe(), rule.timezone, instants)


def agenda(schedule: Schedule, rule: Rule, now: datetime) -> Agenda:
    """What to do at `now`; before `schedule.next_at` only if that one is to be made ahead."""
    begin = schedule.next_at
    assert begin is not None
    following = _after(schedule, rule, begin)
    if following is None or following > now:  # the common case, at the cost of one search
        if now - begin <= HICCUP:
            return Agenda((occurrence(schedule, rule, begin, Fate.MADE),), None, following)
    elif now - begin <= HICCUP:
        found = [begin, *rule.between(begin, _until(schedule, now), 1000)]
        return _agenda(schedule, rule, found, None, now)
    if schedule.catch_up is CatchUp.NONE:
        wanted = []
    else:
        most = 1 if schedule.catch_up is CatchUp.LATEST else CATCH_UP_MOST
        since = max(begin - TICK, now - schedule.catch_up_window - TICK)
        step = following - begin if following is not None else now - begin
        wanted = newest(rule, since, _until(schedule, now), most, step)
    last = wanted[0] if wanted else None
    missed = None
    if last is None or begin < last:
        ends = newest(rule, begin - TICK, _until(schedule, last - TICK if last else now), 1)
        missed = (begin, ends[0] if ends else begin)
    return _agenda(schedule, rule, wanted, missed, now)


def _agenda(
    schedule: Schedule,
    rule: Rule,
    found: list[datetime],
    missed: tuple[datetime, datetime] | None,
    now: datetime,
) -> Agenda:
    due = tuple(occurrence(schedule, rule, at, Fate.CAUGHT_UP) for at in found)
    if schedule.max_runs is not None:
        due = due[: max(0, schedule.max_runs - schedule.runs)]
    after = max(now, found[-1]) if found else now
    return Agenda(due, missed, _after(schedule, rule, after))


def newest(
    rule: Rule, after: datetime, until: datetime, most: int, step: timedelta = timedelta(minutes=1)
) -> list[datetime]:
    """The last `most` occurrences after `after`, up to and with `until`, oldest first.

    Looks back over spans that double from `most` times `step`, so a long gap costs a few searches.
    """
    span = max(step, timedelta(seconds=1)) * most
    while True:
        begin = max(after, until - span)
        found: list[datetime] = []
        at = rule.next_after(begin)
        while at is not None and at <= until:
            found.append(at)
            at = rule.next_after(at)
        if len(found) >= most or begin <= after:
            return found[-most:]
        span *= 2


def _after(schedule: Schedule, rule: Rule, after: datetime) -> datetime | None:
    try:
        found = rule.next_after(after)
    except InvalidField:  # too sparse to be found in time: as good as never
        return None
    return None if found is None or _over(schedule, found) else found


def _over(schedule: Schedule, at: datetime) -> bool:
    return schedule.end_at is not None and at > schedule.end_at


def _until(schedule: Schedule, now: datetime) -> datetime:
    return now if schedule.end_at is None else min(now, schedule.end_at)

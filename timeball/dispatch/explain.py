"""Why a task is not called at this moment: from the store's facts to grounds and words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from timeball.dispatch.house import House
from timeball.model.explanation import Certainty, Explanation, Ground, Reason, Scope
from timeball.model.task import State
from timeball.store import codec
from timeball.store.explain import Facts, Owner, facts

SILENT_MS = 2000
"""A pump says that it is there every half second."""


def explain(house: House, project: str, task_id: bytes) -> Explanation:
    """Why a task is not called now, and when it will be. Raises NotFound."""
    return judge(facts(house.client, house.prefix(project), project, task_id))


def judge(known: Facts) -> Explanation:
    """What the facts come to."""
    now = codec.from_ms(known.now_ms)
    if known.state is State.RUNNING:
        return Explanation(known.state, now, tuple(_running(known)), None, None)
    if known.state is not State.SCHEDULED:
        return Explanation(known.state, now, (_ended(known),), None, None)
    grounds = [*_own_time(known), *_paused(known), *_host(known), *_order(known)]
    due = known.due_ms <= known.now_ms
    if due:
        grounds += [*_slots(known), *_rates(known)]
        if not grounds:
            grounds += _behind(known)
    grounds += _nobody(known)
    if not grounds:
        what = "a worker" if known.export else "a pump"
        grounds.append(Ground(Reason.NEXT, f"nothing holds it: {what} takes it at once"))
    starts_at, certainty = _start(known, grounds)
    return Explanation(known.state, now, tuple(grounds), starts_at, certainty)


def _ended(known: Facts) -> Ground:
    at = codec.from_ms(known.ended_ms)
    return Ground(Reason.ENDED, f"it {_ENDS[known.state]} at {_clock(at)}")


_ENDS = {
    State.SUCCEEDED: "succeeded",
    State.DEAD: "died, out of attempts or stopped by its endpoint,",
    State.CANCELLED: "was cancelled",
}


def _running(known: Facts) -> Iterator[Ground]:
    since = codec.from_ms(known.started_ms)
    by = f" by {known.pump.partition('#')[0]}" if known.pump else ""
    what = "is being written" if known.export else "is in flight"
    spent = _span(known.now_ms - known.started_ms)
    words = f"attempt {known.attempt} {what}{by} since {_clock(since)}, for {spent}"
    yield Ground(Reason.RUNNING, words)
    if known.heard_ms is not None and known.heard_ms > SILENT_MS:
        words = (
            f"its worker has said nothing for {_span(known.heard_ms)}: if it is dead, the task goes back "
            "to its queue after about 5 s"
        )
        yield Ground(Reason.WORKER_SILENT, words)


def _own_time(known: Facts) -> Iterator[Ground]:
    wait = known.due_ms - known.now_ms
    if wait <= 0:
        return
    until = codec.from_ms(known.due_ms)
    if known.attempt:
        words = f"attempt {known.attempt} failed: the next one is due in {_span(wait)}, at {_clock(until)}"
        yield Ground(Reason.RETRY, words, until)
    else:
        words = f"it is not due for {_span(wait)}: at {_clock(until)}"
        yield Ground(Reason.NOT_DUE, words, until)


def _paused(known: Facts) -> Iterator[Ground]:
    for owner in known.owners:
        if owner.paused:
            words = f"its {owner.scope} is paused, until a person lets it go on"
            yield Ground(Reason.PAUSED, words, scope=owner.scope)


def _host(known: Facts) -> Iterator[Ground]:
    closed = known.closed_ms
    if known.host is None or closed is None or (closed <= known.now_ms and not known.opened):
        return
    until, host, wait = codec.from_ms(closed), known.host, closed - known.now_ms
    if not known.opened:
        if closed > max(known.now_ms, known.due_ms):
            words = f"{host} asked for quiet with Retry-After: {_span(wait)} more, until {_clock(until)}"
            yield Ground(Reason.QUIET, words, until, Scope.HOST, host)
    elif known.probe and wait > 0:
        words = (
            f"the breaker of {host} is half open: one call was let through to try, the others wait for how "
            f"it ends, or until {_clock(until)}"
        )
        yield Ground(Reason.PROBING, words, scope=Scope.HOST, name=host)
    elif closed > known.due_ms or wait <= 0:
        times = f", the {_nth(known.opened)} time in a row" if known.opened > 1 else ""
        when = f"none is made for {_span(wait)} more, until {_clock(until)}; then one tries"
        words = (
            f"the breaker of {host} is open{times}, for its last calls failed: "
            f"{when if wait > 0 else 'its time is up, and the next one tries'}. When that goes well all go. "
            "Waiting uses no attempt"
        )
        yield Ground(Reason.BREAKER, words, until, Scope.HOST, host)


def _order(known: Facts) -> Iterator[Ground]:
    if known.ordered and known.before:
        runs = "; the first of them is in flight" if known.first_runs else ""
        words = f"{_tasks(known.before)} of ordering key {known.key!r} must end before it{runs}"
        yield Ground(Reason.ORDER, words, scope=Scope.ORDER, name=known.key, ahead=known.before)


def _slots(known: Facts) -> Iterator[Ground]:
    for owner in known.owners:
        if owner.room is None or owner.room > 0 or owner.paused or owner.scope is Scope.ORDER:
            continue
        name = {Scope.KEY: known.key, Scope.HOST: known.host}.get(owner.scope)
        whose = {
            Scope.KEY: f"concurrency key {name!r} has",
            Scope.HOST: f"host {name} has",
        }.get(owner.scope, f"its {owner.scope} has")
        words = f"{whose} {owner.in_flight} of {owner.limit} calls in flight"
        if known.before:
            words += f", and {_tasks(known.before)} {_wait(known.before)} before it"
        yield Ground(
            Reason.CONCURRENCY,
            words,
            scope=owner.scope,
            name=name,
            ahead=known.before,
            limit=owner.limit,
            in_flight=owner.in_flight,
        )


def _rates(known: Facts) -> Iterator[Ground]:
    for owner in known.owners:
        if owner.rate is None or owner.tokens is None or owner.paused:
            continue
        ahead = known.before + known.higher
        if owner.tokens > ahead:
            continue
        until = _token(owner, known, ahead)
        per = (owner.per_ms or 0) / 1000
        words = (
            f"its {owner.scope} begins {owner.rate} calls in {_span(per * 1000)}: "
            f"{_span(codec.to_ms(until) - known.now_ms)} until a turn for it"
        )
        if ahead:
            words += f", behind {_tasks(ahead)}"
        yield Ground(
            Reason.RATE,
            words,
            until,
            owner.scope,
            ahead=ahead,
            rate=owner.rate,
            per_seconds=per,
        )


def _token(owner: Owner, known: Facts, ahead: int) -> datetime:
    """When an owner with a rate has a turn for a task behind `ahead` others."""
    first = max(owner.again_ms or known.now_ms, known.now_ms)
    return codec.from_ms(first + max(0, ahead - (owner.tokens or 0)) * owner.step_ms)


def _behind(known: Facts) -> Iterator[Ground]:
    ahead = known.before + known.higher
    if ahead:
        more = " (and keys that were not counted)" if known.lanes_left_out else ""
        words = f"{_tasks(ahead)} of its queue {'is' if ahead == 1 else 'are'} due before it{more}"
        yield Ground(Reason.BEHIND, words, scope=Scope.QUEUE, ahead=ahead)


def _nobody(known: Facts) -> Iterator[Ground]:
    if not known.workers:
        what = "exporter" if known.export else "worker"
        yield Ground(Reason.NO_WORKER, f"no {what} is running")
    if not known.beats:
        words = (
            "no beat is running: schedules stand still, and nobody makes up for a worker that dies"
        )
        yield Ground(Reason.BEAT_SILENT, words)


_WITHOUT_END = frozenset({Reason.PAUSED, Reason.NO_WORKER, Reason.CONCURRENCY, Reason.ORDER})


def _start(known: Facts, grounds: list[Ground]) -> tuple[datetime | None, Certainty]:
    """When the task starts: with its last ground, if each ends by itself."""
    reasons = {ground.reason for ground in grounds}
    if reasons & _WITHOUT_END or Reason.PROBING in reasons:
        return None, Certainty.UNKNOWN
    at = max(known.now_ms, known.due_ms)
    ends = [codec.to_ms(ground.until) for ground in grounds if ground.until is not None]
    starts_at = codec.from_ms(max([math.ceil(at), *ends]))
    alone = not (known.beside or known.lanes_left_out)
    sure = reasons <= {Reason.NOT_DUE, Reason.RETRY, Reason.NEXT, Reason.QUIET, Reason.BEAT_SILENT}
    if Reason.RATE in reasons and not (reasons - {Reason.RATE, Reason.BEAT_SILENT}):
        rated = [owner.scope for owner in known.owners if owner.rate is not None]
        sure = alone and rated == [Scope.QUEUE]
    return starts_at, Certainty.EXPECTED if sure else Certainty.EARLIEST


def _span(ms: float) -> str:
    """A wait in one unit or two: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    seconds = max(0.0, ms / 1000)
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = timedelta(seconds=round(seconds))
    minutes, left = divmod(int(whole.total_seconds()), 60)
    if not minutes:
        return f"{left} s"
    if minutes < 60:
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def _clock(at: datetime) -> str:
    return at.isoformat(" ", "milliseconds")[:-6] + " UTC"


def _tasks(n: int) -> str:
    return f"{n} task" if n == 1 else f"{n} tasks"


def _wait(n: int) -> str:
    return "waits" if n == 1 else "wait"


def _nth(n: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(n % 10 if n % 100 not in (11, 12, 13) else 0, "th")
    return f"{n}{ending}"

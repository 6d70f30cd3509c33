"""Pictures drawn on the server as SVG, to scale and without a style of their own: classes give the colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from timeball.model.attempt import Attempt, Timing
from timeball.model.task import State, Task
from timeball.store.figures import Outlook, Unit

WIDTH = 1000.0
"""Pictures are this wide in their own units and stretched to the page."""
LEAST = 3.0
"""Whatever happened is at least so wide, or it could not be seen."""
_BUCKETS = 48


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle; `kind` is its class, `words` what it says when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Throughput:
    """Stacked bars, one a unit of time; `line` is the path of what was submitted. Heights are 0 to 100."""

    bars: list[Bar]
    line: str
    top: int
    begin: datetime
    end: datetime


def throughput(counts: Sequence[Counter[str]], unit: Unit, now: datetime) -> Throughput:
    """How attempts ended, by unit of time, the last of which is still going on."""
    top = max([1, *(max(ended(c), c["submitted"]) for c in counts)])
    step = WIDTH / max(1, len(counts))
    length = timedelta(milliseconds=unit.milliseconds)
    last = datetime.fromtimestamp(
        now.timestamp() // length.total_seconds() * length.total_seconds(), now.tzinfo
    )
    begin = last - length * (len(counts) - 1)
    bars: list[Bar] = []
    points: list[str] = []
    for place, c in enumerate(counts):
        at, floor = begin + length * place, 100.0
        words = (
            f"{at:%Y-%m-%d %H:%M} UTC: {c['submitted']} submitted, {c['succeeded']} succeeded, "
            f"{c['retried']} to be retried, {c['dead']} dead"
        )
        for name, kind in (("succeeded", "good"), ("retried", "warn"), ("dead", "bad")):
            height = 100.0 * c[name] / top
            if c[name]:
                height = max(height, 1.0)
                floor -= height
                bars.append(_bar(place * step, max(0.0, floor), step * 0.86, height, kind, words))
        y = 100.0 - 100.0 * c["submitted"] / top
        points += [f"{place * step:.1f},{y:.2f}", f"{(place + 0.86) * step:.1f},{y:.2f}"]
        bars.append(_bar(place * step, 0.0, step, 100.0, "hit", words))
    return Throughput(bars, " ".join(points), top, begin, last + length)


def ended(c: Counter[str]) -> int:
    """How many attempts ended, well or not."""
    return c["succeeded"] + c["retried"] + c["dead"]


def _bar(x: float, y: float, width: float, height: float, kind: str, words: str) -> Bar:
    return Bar(round(x, 2), round(y, 2), round(width, 2), round(height, 2), kind, words)


@dataclass(frozen=True, slots=True)
class Ahead:
    """Bars of what comes due; `capped` as of its Outlook."""

    bars: list[Bar]
    total: int
    top: int
    begin: datetime
    end: datetime
    capped: bool


def outlook(found: Outlook) -> Ahead:
    """How many waiting tasks come due, part by part."""
    top, step = max([1, *found.counts]), WIDTH / max(1, len(found.counts))
    bars = []
    for place, n in enumerate(found.counts):
        at = found.begin + found.step * place
        words = f"{at:%H:%M} to {at + found.step:%H:%M} UTC: {n} come due"
        height = max(100.0 * n / top, 1.5) if n else 0.0
        bars.append(_bar(place * step, 100 - height, step * 0.86, height, "running", words))
        bars.append(_bar(place * step, 0.0, step, 100.0, "hit", words))
    end = found.begin + found.step * len(found.counts)
    return Ahead(bars, sum(found.counts), top, found.begin, end, found.capped)


@dataclass(frozen=True, slots=True)
class Percentile:
    """`share` of all lay under `below_ms`, which is the bound of a bucket; None when nothing was counted."""

    share: int
    below_ms: int | None


def percentiles(counts: Sequence[Counter[str]], letter: str) -> list[Percentile]:
    """p50, p95 and p99 of durations (`d`) or lateness (`l`), as the upper bounds of their buckets."""
    sums = [sum(c[f"{letter}{k}"] for c in counts) for k in range(_BUCKETS)]
    total = sum(sums)
    out = []
    for share in (50, 95, 99):
        seen, bound = 0, None
        for k, n in enumerate(sums):
            seen += n
            if total and seen * 100 >= total * share:
                bound = 1 << k
                break
        out.append(Percentile(share, bound))
    return out


@dataclass(frozen=True, slots=True)
class Timeline:
    """A task's life from its making to its end, or to now or its next attempt."""

    bars: list[Bar]
    begin: datetime
    end: datetime
    now_x: float | None


def timeline(task: Task, attempts: Sequence[Attempt], now: datetime) -> Timeline:
    """Waiting, attempts and back-off, drawn to scale."""
    spans: list[tuple[datetime, datetime, str, str]] = []
    at = task.created_at
    for attempt in attempts:
        ended = attempt.started_at + timedelta(microseconds=attempt.timing.total_us)
        retry = attempt.number > 1
        if attempt.started_at > at:
            what = "back-off before" if retry else "waited for"
            spans.append(
                (
                    at,
                    attempt.started_at,
                    "backoff" if retry else "wait",
                    f"{what} attempt {attempt.number}",
                )
            )
        good = attempt.status is not None and 200 <= attempt.status < 300
        words = f"attempt {attempt.number}: {outcome(attempt)}"
        spans.append((attempt.started_at, ended, "good" if good else "bad", words))
        at = max(at, ended)
    if task.state is State.RUNNING and task.started_at is not None:
        if task.started_at > at:
            spans.append((at, task.started_at, "backoff" if attempts else "wait", "waited"))
        spans.append((task.started_at, max(now, task.started_at), "running", "in flight"))
    elif task.state is State.SCHEDULED:
        kind = "backoff" if attempts else "wait"
        spans.append(
            (at, max(at, task.due_at), kind, f"waits until {task.due_at:%Y-%m-%d %H:%M:%S} UTC")
        )
    elif task.state is State.CANCELLED and task.ended_at is not None:
        spans.append((at, max(at, task.ended_at), "wait", "waited until it was cancelled"))
    begin = min([task.created_at, *(s[0] for s in spans)])
    end = max([task.ended_at or begin, *(s[1] for s in spans), begin + timedelta(milliseconds=1)])
    whole = (end - begin) / timedelta(seconds=1)

    def place(instant: datetime) -> float:
        return WIDTH * ((instant - begin) / timedelta(seconds=1)) / whole

    bars = []
    for start, stop, kind, words in spans:
        width = max(LEAST, place(stop) - place(start))
        bars.append(_bar(min(place(start), WIDTH - width), 0, width, 100, kind, words))
    # what is short must not hide under what waits
    bars.sort(key=lambda bar: bar.kind not in ("wait", "backoff"))
    now_x = round(place(now), 1) if begin <= now <= end and task.ended_at is None else None
    return Timeline(bars, begin, end, now_x)


def outcome(attempt: Attempt) -> str:
    """How an attempt ended, in two words."""
    if attempt.status is not None:
        return f"answered {attempt.status}"
    return attempt.outcome.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Part:
    """A step of a call: its name, its length, and its place in the bar of the whole."""

    name: str
    length: timedelta
    bar: Bar


def split(timing: Timing) -> list[Part]:
    """Where the time of a call went: the steps that happened, in order."""
    total = max(1, timing.total_us)
    at, parts = 0, []
    for name, until in (
        ("dns", timing.dns_us),
        ("connect", timing.connect_us),
        ("tls", timing.tls_us),
        ("first byte", timing.first_byte_us),
        ("rest", timing.total_us),
    ):
        if until > at:
            length = timedelta(microseconds=until - at)
            x, width = WIDTH * at / total, WIDTH * (until - at) / total
            kind = name.replace(" ", "-")
            parts.append(Part(name, length, _bar(x, 0, width, 100, kind, name)))
            at = until
    return parts

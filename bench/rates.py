"""How much goes through in a second: a backlog called, tasks taken in, with slow endpoints among them."""

from __future__ import annotations

import json
import statistics
import time

from bench.load import fill, percentile, press, stream, task
from bench.measure import (
    Backlog,
    Figure,
    Options,
    backlog,
    say,
)
from bench.plain import Drained, Plain
from bench.receiver import Receiver


def _by_role(cpu_us: dict[str, float]) -> str:
    return ", ".join(f"{role} {used:.1f}" for role, used in cpu_us.items() if used >= 0.05)


def drain(options: Options) -> list[Figure]:
    """A backlog of `tasks` against one of plain Celery, in alternation; the medians."""
    ours: list[Backlog] = []
    theirs: list[Drained] = []
    for _ in range(options.rounds):
        with Receiver() as receiver:
            if options.plain:
                with Plain(receiver) as plain:
                    theirs.append(plain.drain(options.plain_tasks))
                    say(f"plain: {theirs[-1].rate:,.0f}/s, {theirs[-1].cpu_us:,.0f} us")
            with options.stack() as stack:
                ours.append(backlog(stack, receiver, options.tasks))
                say(f"timeball: {ours[-1].rate:,.0f}/s, us: {_by_role(ours[-1].cpu_us)}")
    rate = statistics.median(one.rate for one in ours)
    roles = {role: statistics.median(one.cpu_us[role] for one in ours) for role in ours[0].cpu_us}
    cpu = roles["worker"] + roles["redis"]
    plain_rate = statistics.median(one.rate for one in theirs) if theirs else None
    plain_worker = statistics.median(one.worker_us for one in theirs) if theirs else None
    plain_store = statistics.median(one.store_us for one in theirs) if theirs else None
    return [
        Figure(
            "Deliveries",
            "/s",
            rate,
            plain_rate,
            "at least 16 times plain",
            rate >= 16 * plain_rate if plain_rate else None,
            f"{options.tasks:,} tasks due at one instant; plain: {options.plain_tasks:,} messages",
        ),
        Figure(
            "CPU a delivery, workers and store",
            "us",
            cpu,
            (plain_worker + plain_store) if plain_worker and plain_store else None,
            "at most 60",
            cpu <= 60,
        ),
        Figure("CPU a delivery, workers", "us", roles["worker"], plain_worker),
        Figure("CPU a delivery, store", "us", roles["redis"], plain_store),
        Figure(
            "CPU a delivery, API, beat and supervisor",
            "us",
            roles["api"] + roles["beat"] + roles["up"],
        ),
    ]


def ingest(options: Options) -> list[Figure]:
    """Taking tasks in: one by one, a thousand at a time, and how long one takes at half the pace asked for."""
    seconds = min(10, options.seconds)
    plain_rate = None
    with Receiver() as receiver:
        if options.plain:
            with Plain(receiver) as plain:
                begun = time.monotonic()
                plain.publish(options.plain_tasks // 2)
                plain_rate = options.plain_tasks // 2 / (time.monotonic() - begun)
                say(f"plain: {plain_rate:,.0f} apply_async a second in one process")
        body = json.dumps(task(receiver.url + "/ok", delay="1h")).encode()
        with options.stack() as stack:
            press(stack.url, stack.key, body, 2)
            before = stack.cost()
            single = press(stack.url, stack.key, body, seconds)
            single_cost = stack.cost().since(before)
            taken = max(1.0, single.rate * seconds)
            say(f"single: {single.rate:,.0f}/s by {single.by}, {single.refused} refused")
            calm = stream(stack.url, stack.key, [body], seconds, rate=2500)
            waits = sorted(e.answered - e.planned for e in calm.sent if e.status == 201)
            say(f"2,500 a second: {dict(calm.statuses)}")
        with options.stack() as stack:
            draft = task(receiver.url + "/ok", delay="1h")
            fill(stack.url, stack.key, 5000, draft)
            before = stack.cost()
            batch = fill(stack.url, stack.key, options.tasks, draft)
            batch_cost = stack.cost().since(before)
            say(f"batch: {batch.rate:,.0f}/s, slowest {batch.slowest_seconds * 1e3:.0f} ms")

    def each(cost: dict[str, float], count: float) -> float:
        return (cost["api"] + cost["redis"]) / count * 1e6

    return [
        Figure(
            "Single POSTs",
            "/s",
            single.rate,
            plain_rate,
            "at least 5,000",
            single.rate >= 5000,
            f"32 connections, {single.by}; plain: `apply_async` in one process, without HTTP",
        ),
        Figure("p99 of a single POST at full load", "ms", single.p99_ms),
        Figure("CPU a single POST, API and store", "us", each(single_cost, taken)),
        Figure("p50 of a single POST at 2,500/s", "ms", percentile(waits, 50) * 1e3),
        Figure(
            "p99 of a single POST at 2,500/s",
            "ms",
            percentile(waits, 99) * 1e3,
            None,
            "under 20",
            percentile(waits, 99) < 0.020,
            f"{len(calm.sent) - len(waits)} not answered 201",
        ),
        Figure(
            "Tasks by batch-create",
            "/s",
            batch.rate,
            plain_rate,
            "at least 40,000",
            batch.rate >= 40_000,
            "4 connections, 1,000 a request",
        ),
        Figure("CPU a task by batch, API and store", "us", each(batch_cost, options.tasks)),
    ]


def slow(options: Options) -> list[Figure]:
    """One endpoint in a hundred answers after 2 s: what is left of the pace."""
    count = options.tasks // 2
    theirs: list[float] = []
    with Receiver() as receiver:
        if options.plain:
            theirs = [_plain_slow(receiver, 0), _plain_slow(receiver, 100)]
        with options.stack() as stack:
            fast = backlog(stack, receiver, count)
            mixed = backlog(stack, receiver, count, slow_every=100)
    share = mixed.rate / fast.rate
    return [
        Figure("Deliveries, all quick", "/s", fast.rate, theirs[0] if theirs else None),
        Figure(
            "Deliveries, 1 % answer after 2 s",
            "/s",
            mixed.rate,
            theirs[1] if theirs else None,
            "at least half",
            share >= 0.5,
            f"{share:.2f} of the pace",
        ),
    ]


def _plain_slow(receiver: Receiver, slow_every: int) -> float:
    count = 1000
    with Plain(receiver) as plain:
        plain.warm()
        for number in range(0, count, 100):
            late = bool(slow_every) and number % slow_every == 0
            plain.publish(100 - late)
            plain.publish(int(late), path="/slow/2000")
        receiver.wait(count, 90, 20)
        arrivals = sorted(at for times in receiver.ledger().values() for at in times)
    return (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])

"""How long a task waits: in a steady stream, at rest, in a crowd that is due at one instant."""

from __future__ import annotations

import json
import random
import time

from bench.load import Client, percentile, stream, task
from bench.measure import (
    Figure,
    Options,
    backlog,
    plain_stream,
    say,
    waits_of,
    warm,
)
from bench.plain import Plain
from bench.receiver import Receiver


def steady(options: Options) -> list[Figure]:
    """1,000 single POSTs a second for a minute, sent on time whatever the answers do."""
    rate, theirs = 1000, []
    with Receiver() as receiver:
        if options.plain:
            with Plain(receiver) as plain:
                theirs = plain_stream(plain, receiver, rate, min(20, options.seconds))
        with options.stack() as stack:
            warm(stack, receiver)
            body = json.dumps(task(receiver.url + "/ok")).encode()
            before = stack.cost()
            flow = stream(stack.url, stack.key, [body], options.seconds, rate, connections=64)
            receiver.wait(len(flow.sent), 30, 5)
            cost = stack.cost().since(before)
        good = [entry for entry in flow.sent if entry.status == 201]
        waits, missing = waits_of({e.id: e.answered for e in good}, receiver)
        whole, _ = waits_of({e.id: e.planned for e in good}, receiver)
        doubled = receiver.stats()["duplicates"]
    say(f"statuses {dict(flow.statuses)}, {missing} not called, {doubled} doubled")
    note = f"{len(flow.sent):,} POSTs, {missing} not called, {doubled} doubled"
    p99 = percentile(waits, 99) * 1e3
    return [
        Figure(
            "p50 from 201 to handler",
            "ms",
            percentile(waits, 50) * 1e3,
            percentile(theirs, 50) * 1e3 if theirs else None,
            note=note,
        ),
        Figure(
            "p99 from 201 to handler",
            "ms",
            p99,
            percentile(theirs, 99) * 1e3 if theirs else None,
            "under 50",
            p99 < 50,
        ),
        Figure(
            "p99.9 from 201 to handler",
            "ms",
            percentile(waits, 99.9) * 1e3,
            percentile(theirs, 99.9) * 1e3 if theirs else None,
        ),
        Figure(
            "p99 from the instant it should be sent to handler", "ms", percentile(whole, 99) * 1e3
        ),
        Figure("CPU a task, whole stack", "us", sum(cost.values()) / max(1, len(good)) * 1e6),
    ]


def idle(options: Options) -> list[Figure]:
    """Single tasks sent to a stack at rest."""
    count, theirs = 300, []
    chance = random.Random(1)
    with Receiver() as receiver:
        if options.plain:
            with Plain(receiver) as plain:
                theirs = plain_stream(plain, receiver, 15, 10)
        with options.stack() as stack:
            warm(stack, receiver)
            body = json.dumps(task(receiver.url + "/ok")).encode()
            client = Client(stack.url, stack.key)
            answered: dict[str, float] = {}
            begun_at: dict[str, float] = {}
            posts: list[float] = []
            for _ in range(count):
                time.sleep(chance.uniform(0.02, 0.12))
                begun = time.time()
                status, _head, answer = client.send("POST", "/v2/tasks", body)
                now = time.time()
                if status != 201:
                    raise RuntimeError(f"POST /v2/tasks answered {status}: {answer[:200]!r}")
                one = json.loads(answer)["id"]
                answered[one], begun_at[one] = now, begun
                posts.append(now - begun)
            receiver.wait(count, 10, 3)
        waits, missing = waits_of(answered, receiver)
        whole, _ = waits_of(begun_at, receiver)
    posts.sort()
    p50, p99 = percentile(waits, 50) * 1e3, percentile(waits, 99) * 1e3
    return [
        Figure(
            "p50 from 201 to handler",
            "ms",
            p50,
            percentile(theirs, 50) * 1e3 if theirs else None,
            "under 2",
            p50 < 2,
            f"{count} tasks, 20 to 120 ms apart, {missing} not called",
        ),
        Figure(
            "p99 from 201 to handler",
            "ms",
            p99,
            percentile(theirs, 99) * 1e3 if theirs else None,
            "under 10",
            p99 < 10,
        ),
        Figure("p50 of the POST itself", "ms", percentile(posts, 50) * 1e3),
        Figure("p50 from the start of the POST to handler", "ms", percentile(whole, 50) * 1e3),
    ]


def burst(options: Options) -> list[Figure]:
    """Many tasks due at the same instant: how late the last one is called."""
    figures = []
    for count, limit_ms in ((10_000, 500), (2000, 150)):
        theirs: list[float] = []
        with Receiver() as receiver:
            if options.plain:
                with Plain(receiver) as plain:
                    plain.warm()
                    due = time.time() + count / 1500 + 5
                    plain.publish(count, due)
                    receiver.wait(count, 120, 30)
                    ledger = receiver.ledger()
                    theirs = sorted(at - due for times in ledger.values() for at in times)
            with options.stack() as stack:
                ours = backlog(stack, receiver, count)
        say(f"{count}: last {ours.late_ms(100):.0f} ms late, {ours.early} early")
        for name, per_cent in (("p50", 50.0), ("last call", 100.0)):
            late = ours.late_ms(per_cent)
            figures.append(
                Figure(
                    f"{count:,} at one instant: lateness, {name}",
                    "ms",
                    late,
                    percentile(theirs, per_cent) * 1e3 if theirs else None,
                    f"under {limit_ms}, none early" if per_cent == 100 else "",
                    (late < limit_ms and not ours.early) if per_cent == 100 else None,
                    f"{ours.early} early" if per_cent == 100 else "",
                )
            )
    return figures

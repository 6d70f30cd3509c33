"""What is measured: one function a section, each on a fresh stack, beside plain Celery where that can do it."""

from __future__ import annotations

import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import Client, fill, instant, percentile, press, stream, task
from bench.plain import Drained, Plain
from bench.receiver import Receiver
from bench.stack import Stack, tree


@dataclass(frozen=True, slots=True)
class Options:
    """How much of everything."""

    tasks: int = 100_000
    plain_tasks: int = 12_000
    rounds: int = 1
    workers: int = 2
    seconds: int = 60
    kept: int = 1_000_000
    plain: bool = True
    settings: dict[str, str] = field(default_factory=dict)

    def stack(self) -> Stack:
        """A fresh product with these settings."""
        return Stack(workers=self.workers, settings=self.settings)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    timeball: float
    plain: float | None = None
    aim: str = ""
    met: bool | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Timeball over plain."""
        return self.timeball / self.plain if self.plain else None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How a backlog that fell due at one instant was emptied."""

    tasks: int
    due: float
    arrivals: list[float]
    called: int
    cpu_us: dict[str, float]
    filled_rate: float

    @property
    def rate(self) -> float:
        """Calls a second between the first arrival and the last."""
        return (len(self.arrivals) - 1) / max(1e-9, self.arrivals[-1] - self.arrivals[0])

    @property
    def early(self) -> int:
        """Calls before the instant. Due times have milliseconds, so has this."""
        return sum(at < self.due for at in self.arrivals)

    def late_ms(self, per_cent: float) -> float:
        """That percentile of the lateness, in milliseconds."""
        return percentile([at - self.due for at in self.arrivals], per_cent) * 1e3


def say(text: str) -> None:
    """Tell the person who waits what goes on."""
    print(f"  {text}", flush=True)


def warm(stack: Stack, receiver: Receiver, count: int = 2000) -> float:
    """Make `count` calls, so that pools, connections and caches are there; tasks taken a second."""
    receiver.reset()
    filled = fill(stack.url, stack.key, count, task(receiver.url + "/ok"), size=500)
    if receiver.wait(count, 60, 20) < count:
        raise RuntimeError(f"the warming-up stopped at {receiver.count()} of {count} calls")
    receiver.reset()
    return filled.rate


def backlog(
    stack: Stack,
    receiver: Receiver,
    count: int,
    slow_every: int = 0,
) -> Backlog:
    """Fill `count` tasks that are all due at one instant to come, and time how they are called.

    The instant lies behind the end of the fill, so taking tasks in costs the drain nothing, and the drain
    begins with every task in the store. Raises RuntimeError when a call is missing, doubled or not signed,
    or when its attempt is not in the log.
    """
    rate = warm(stack, receiver)
    due = round(time.time() + count / rate * 2 + 4, 3)

    def draft(number: int) -> dict[str, Any]:
        slow = slow_every and number % slow_every == 0
        return task(
            receiver.url + ("/slow/2000" if slow else "/ok"),
            scheduled_for=instant(due),
        )

    filled = fill(stack.url, stack.key, count, draft if slow_every else draft(0))
    left = due - time.time()
    if left < 0.5:
        raise RuntimeError(f"the fill ({filled.rate:.0f}/s) ended {-left:.1f} s after the due time")
    time.sleep(max(0.0, left - 0.4))
    if early := receiver.count():
        raise RuntimeError(f"{early} calls came before the due time")
    before = stack.cost()
    called = receiver.wait(count, 120 + count / 500, 15)
    time.sleep(0.3)
    after = stack.cost()
    ledger = receiver.ledger()
    arrivals = sorted(at for times in ledger.values() for at in times)
    if len(ledger) != count or len(arrivals) != count:
        raise RuntimeError(f"{count} tasks: {len(ledger)} called, {len(arrivals)} calls")
    if (signed := receiver.stats()["signed"]) != count:
        raise RuntimeError(f"only {signed} of {count} calls were signed")
    client = Client(stack.url, stack.key)
    for one in list(ledger)[:: max(1, count // 20)]:
        status, _, answer = client.send("GET", f"/v2/tasks/{one}/attempts")
        if status != 200 or len(json.loads(answer)) != 1:
            raise RuntimeError(f"the attempt log of {one} is not one entry: {status} {answer!r}")
    cpu_us = {role: used / count * 1e6 for role, used in after.since(before).items()}
    return Backlog(count, due, arrivals, called, cpu_us, filled.rate)


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


def _waits(ids: dict[str, float], receiver: Receiver) -> tuple[list[float], int]:
    """Seconds from the instant known for each id to its first call, ascending; how many never came."""
    ledger = receiver.ledger()
    found = sorted(max(0.0, ledger[one][0] - at) for one, at in ids.items() if one in ledger)
    return found, len(ids) - len(found)


def _plain_stream(plain: Plain, receiver: Receiver, rate: float, seconds: float) -> list[float]:
    """Latency from the end of `apply_async` to the handler, at so many a second; ascending seconds."""
    plain.warm()
    total, begun = int(rate * seconds), time.time()
    sent: dict[str, float] = {}
    for number in range(total):
        wait = begun + number / rate - time.time()
        if wait > 0:
            time.sleep(wait)
        (one,) = plain.publish(1)
        sent[one] = time.time()
    receiver.wait(total, 60 + seconds, 20)
    return _waits(sent, receiver)[0]


def steady(options: Options) -> list[Figure]:
    """1,000 single POSTs a second for a minute, sent on time whatever the answers do."""
    rate, theirs = 1000, []
    with Receiver() as receiver:
        if options.plain:
            with Plain(receiver) as plain:
                theirs = _plain_stream(plain, receiver, rate, min(20, options.seconds))
        with options.stack() as stack:
            warm(stack, receiver)
            body = json.dumps(task(receiver.url + "/ok")).encode()
            before = stack.cost()
            flow = stream(stack.url, stack.key, [body], options.seconds, rate, connections=64)
            receiver.wait(len(flow.sent), 30, 5)
            cost = stack.cost().since(before)
        good = [entry for entry in flow.sent if entry.status == 201]
        waits, missing = _waits({e.id: e.answered for e in good}, receiver)
        whole, _ = _waits({e.id: e.planned for e in good}, receiver)
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
                theirs = _plain_stream(plain, receiver, 15, 10)
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
        waits, missing = _waits(answered, receiver)
        whole, _ = _waits(begun_at, receiver)
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


def memory(options: Options) -> list[Figure]:
    """Bytes of the store a task, and what waiting tasks do to the workers."""
    theirs = theirs_worker = None
    with Receiver() as receiver:
        if options.plain:
            with Plain(receiver) as plain:
                plain.warm()
                count = options.plain_tasks
                before = plain.redis().info("memory")["used_memory"]
                resident = _resident(plain)
                plain.publish(count, time.time() + 3600)
                deadline = time.monotonic() + 60
                while plain.redis().llen("plain") and time.monotonic() < deadline:
                    time.sleep(0.2)
                time.sleep(1)
                theirs = (plain.redis().info("memory")["used_memory"] - before) / count
                theirs_worker = (_resident(plain) - resident) / count * options.tasks / 1e6
        with options.stack() as stack:
            warm(stack, receiver)
            store = stack.redis()
            resident_before = stack.resident()["worker"][0]
            empty = store.info("memory")["used_memory"]
            fill(stack.url, stack.key, options.tasks, task(receiver.url + "/ok", delay="1h"))
            time.sleep(2)
            filled = store.info("memory")["used_memory"]
            time.sleep(3)
            grown = (stack.resident()["worker"][0] - resident_before) / 1e6
            waiting = (filled - empty) / options.tasks
            finished_count = options.tasks // 2
            fill(stack.url, stack.key, finished_count, task(receiver.url + "/ok"))
            receiver.wait(finished_count, 120, 20)
            time.sleep(1)
            finished = (store.info("memory")["used_memory"] - filled) / finished_count
    return [
        Figure(
            "Store a waiting task",
            "bytes",
            waiting,
            theirs,
            "at most 900",
            waiting <= 900,
            "256-byte body; plain: a message with an ETA",
        ),
        Figure(
            "Store a finished task, one attempt",
            "bytes",
            finished,
            None,
            "at most 900",
            finished <= 900,
        ),
        Figure(
            f"Growth of the workers, {options.tasks:,} an hour ahead",
            "MB",
            grown,
            theirs_worker,
            "none",
            grown < 10,
            f"plain: measured with {options.plain_tasks:,}, scaled up",
        ),
    ]


def _resident(plain: Plain) -> int:
    assert plain.worker
    return sum(process.memory_info().rss for process in tree([plain.worker.pid]))


def kept(options: Options) -> list[Figure]:
    """What a million finished tasks cost: pages of every list, the claim, the start, and forgetting them."""
    probe = 20_000
    with Receiver() as receiver, tempfile.TemporaryDirectory(prefix="timeball-") as folder:
        with Stack(options.workers, data=Path(folder), settings=options.settings) as stack:
            empty = backlog(stack, receiver, probe)
            keys_before = stack.redis().dbsize()
            draft = {**task(receiver.url + "/ok"), "tags": ["bench"]}
            left = options.kept
            while left > 0:
                receiver.reset()
                count = min(50_000, left)
                fill(stack.url, stack.key, count, draft)
                if receiver.wait(count, 120, 20) < count:
                    raise RuntimeError(f"{receiver.count()} of {count} were called")
                left -= count
                say(f"{options.kept - left:,} finished")
            client = Client(stack.url, stack.key)
            named = json.dumps({**draft, "name": "bench-name"}).encode()
            status, _, answer = client.send("POST", "/v2/tasks", named)
            if status != 201:
                raise RuntimeError(f"POST /v2/tasks answered {status}: {answer[:200]!r}")
            time.sleep(1)
            keys_each = max(1.0, (stack.redis().dbsize() - keys_before) / options.kept)
            pages = _pages(client, receiver.url + "/ok", instant(empty.due))
            full = backlog(stack, receiver, probe)
        settings = {**options.settings, "TIMEBALL_RETENTION_COUNT": "1000"}
        begun = time.monotonic()
        with Stack(options.workers, data=Path(folder), settings=settings) as stack:
            started = time.monotonic() - begun
            pruned, store_us, waits = _prune(stack, receiver, keys_each)
    figures = [
        Figure(
            f"Page of {name}, slowest of {len(times)}",
            "ms",
            max(times) * 1e3,
            None,
            "under 50",
            max(times) < 0.050,
        )
        for name, times in pages.items()
    ]
    ratio = full.cpu_us["redis"] / empty.cpu_us["redis"]
    return [
        *figures,
        Figure("CPU of the store a delivery, empty", "us", empty.cpu_us["redis"]),
        Figure(
            f"CPU of the store a delivery, {options.kept:,} kept",
            "us",
            full.cpu_us["redis"],
            None,
            "within 10 % of empty",
            ratio <= 1.10,
            f"{ratio:.2f} times",
        ),
        Figure("Deliveries, empty", "/s", empty.rate),
        Figure(f"Deliveries, {options.kept:,} kept", "/s", full.rate),
        Figure(f"From start to READY, {options.kept:,} kept", "s", started),
        Figure("Tasks forgotten", "/s", pruned, note="with `TIMEBALL_RETENTION_COUNT=1000`"),
        Figure("CPU of the store a task forgotten", "us", store_us),
        Figure("p99 from 201 to handler meanwhile", "ms", percentile(waits, 99) * 1e3),
    ]


def _prune(stack: Stack, receiver: Receiver, keys_each: float) -> tuple[float, float, list[float]]:
    """Tasks forgotten a second, CPU of the store for each, and how long single tasks waited meanwhile."""
    store, client = stack.redis(), Client(stack.url, stack.key)
    body = json.dumps(task(receiver.url + "/ok")).encode()
    receiver.reset()
    first = store.dbsize()
    before, answered = stack.cost(), {}
    left, changed = first, time.time()
    while time.time() - before.at < 60 and left > first * 0.05 and time.time() - changed < 20:
        status, _, answer = client.send("POST", "/v2/tasks", body)
        if status == 201:
            answered[json.loads(answer)["id"]] = time.time()
        time.sleep(0.1)
        if (now_left := store.dbsize()) < left:
            left, changed = now_left, time.time()
    after = stack.cost()
    time.sleep(1)
    gone = max(1.0, (first - left) / keys_each)
    cpu = after.since(before)["redis"] / gone * 1e6
    return gone / (after.at - before.at), cpu, _waits(answered, receiver)[0]


def _pages(client: Client, url: str, since: str) -> dict[str, list[float]]:
    """Seconds of each of 20 pages, by the filter of the list."""
    found: dict[str, list[float]] = {}
    filters = {
        "all tasks": "",
        "status=success": "status=success",
        "status=queued": "status=queued",
        "status=failure": "status=failure",
        "queue=default": "queue=default",
        "name": "name=bench-name",
        "tag": "tag=bench",
        "url": f"url={url}",
        "created since": f"created_after={since}",
    }
    for name, query in filters.items():
        times: list[float] = []
        cursor = ""
        for _ in range(20):
            words = "&".join(word for word in (query, f"cursor={cursor}" if cursor else "") if word)
            begun = time.monotonic()
            status, head, answer = client.send("GET", "/v2/tasks" + (f"?{words}" if words else ""))
            took = time.monotonic() - begun
            if status != 200:
                say(f"GET /v2/tasks?{words} answered {status}: {answer[:120]!r}")
                break
            times.append(took)
            lines = head.decode("latin-1").split("\r\n")
            cursor = next(
                (
                    line.split(":", 1)[1].strip()
                    for line in lines
                    if line.lower().startswith("x-next-cursor:")
                ),
                "",
            )
            if not cursor:
                break
        if times:
            found[name] = times
    return found


def idlecost(options: Options) -> list[Figure]:
    """The whole stack at rest."""
    seconds = min(30, options.seconds)
    theirs = theirs_memory = None
    with Receiver() as receiver:
        if options.plain:
            with Plain(receiver) as plain:
                plain.warm()
                time.sleep(2)
                then = sum(plain.cost())
                time.sleep(10)
                theirs = (sum(plain.cost()) - then) / 10 * 100
                theirs_memory = _resident(plain) / 1e6
        with options.stack() as stack:
            warm(stack, receiver)
            time.sleep(10)
            before = stack.cost()
            time.sleep(seconds)
            after = stack.cost()
            sizes = stack.resident()
    used = {role: cpu / (after.at - before.at) * 100 for role, cpu in after.since(before).items()}
    total, resident = sum(used.values()), sum(rss for rss, _ in sizes.values()) / 1e6
    proportional = sum(pss for _, pss in sizes.values()) / 1e6
    shown = ", ".join(f"{role} {share:.2f}" for role, share in used.items() if share > 0.005)
    held = ", ".join(f"{role} {rss / 1e6:.0f}" for role, (rss, _) in sizes.items() if rss)
    say(f"CPU %: {shown}; MB: {held}")
    return [
        Figure(
            "CPU at rest, whole stack", "% of a core", total, theirs, "under 2", total < 2, shown
        ),
        Figure(
            "Resident, whole stack",
            "MB",
            resident,
            theirs_memory,
            "under 350",
            resident < 350,
            held,
        ),
        Figure("The same, shared pages counted once", "MB", proportional),
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


SECTIONS: dict[str, Callable[[Options], list[Figure]]] = {
    "drain": drain,
    "ingest": ingest,
    "steady": steady,
    "idle": idle,
    "burst": burst,
    "memory": memory,
    "kept": kept,
    "idlecost": idlecost,
    "slow": slow,
}

"""What it holds and uses: memory of tasks, a million kept, the stack at rest."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import moves
from bench.load import Client, fill, instant, percentile, task
from bench.measure import (
    Figure,
    Options,
    backlog,
    resident_bytes,
    say,
    waits_of,
    warm,
)
from bench.plain import Plain
from bench.receiver import Receiver
from bench.stack import Stack


def memory(options: Options) -> list[Figure]:
    """Bytes of the store a task, and what waiting tasks do to the workers."""
    theirs = theirs_worker = None
    with Receiver() as receiver:
        if options.plain:
            with Plain(receiver) as plain:
                plain.warm()
                count = options.plain_tasks
                before = plain.redis().info("memory")["used_memory"]
                resident = resident_bytes(plain)
                plain.publish(count, time.time() + 3600)
                deadline = time.monotonic() + 60
                while plain.redis().llen("plain") and time.monotonic() < deadline:
                    time.sleep(0.2)
                time.sleep(1)
                theirs = (plain.redis().info("memory")["used_memory"] - before) / count
                theirs_worker = (resident_bytes(plain) - resident) / count * options.tasks / 1e6
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


def kept(options: Options) -> list[Figure]:
    """What a million finished tasks cost: pages of every list, the claim, the start, and forgetting them."""
    probe = 20_000
    with Receiver() as receiver, tempfile.TemporaryDirectory(prefix="timeball-") as folder:
        with Stack(options.workers, data=Path(folder), settings=options.settings) as stack:
            first = backlog(stack, receiver, probe)
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
            pages = _pages(client, receiver.url + "/ok", instant(first.due))
            empty, full = [], []
            for _ in range(5):  # in turn: the machine's pace is another from minute to minute
                with options.stack() as other:
                    empty.append(backlog(other, receiver, probe))
                full.append(backlog(stack, receiver, probe))
                say(f"{empty[-1].cpu_us['redis']:.1f} us empty, {full[-1].cpu_us['redis']:.1f}")
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
    say("claims and finishes by themselves")
    without, beside = moves.empty_and_full(options.kept)
    claims = beside.claim / without.claim
    cost, full_cost = (median(one.cpu_us["redis"] for one in probes) for probes in (empty, full))
    ratio = full_cost / cost
    return [
        *figures,
        Figure("CPU of the store a delivery, empty", "us", cost, note="medians of five in turn"),
        Figure(
            f"CPU of the store a delivery, {options.kept:,} kept",
            "us",
            full_cost,
            note=f"{ratio:.2f} times",
        ),
        Figure("A claimed task, in the store, empty", "us", without.claim, note="moves alone"),
        Figure(
            f"A claimed task, in the store, {options.kept:,} kept",
            "us",
            beside.claim,
            None,
            "within 10 % of empty",
            claims <= 1.10,
            f"{claims:.2f} times",
        ),
        Figure("A finished task, in the store, empty", "us", without.finish, note="moves alone"),
        Figure(
            f"A finished task, in the store, {options.kept:,} kept",
            "us",
            beside.finish,
            note=f"{beside.finish / without.finish:.2f} times",
        ),
        Figure("Deliveries, empty", "/s", median(one.rate for one in empty)),
        Figure(f"Deliveries, {options.kept:,} kept", "/s", median(one.rate for one in full)),
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
    return gone / (after.at - before.at), cpu, waits_of(answered, receiver)[0]


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
                theirs_memory = resident_bytes(plain) / 1e6
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
            proportional,
            None,
            "under 350",
            proportional < 350,
            "a page that processes share counts once",
        ),
        Figure(
            "The same, a shared page counted in each process",
            "MB",
            resident,
            theirs_memory,
            "",
            None,
            held,
        ),
    ]

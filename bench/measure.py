"""What the sections share: how much of everything, figures, a backlog and how it was emptied."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import Client, fill, instant, percentile, task
from bench.plain import Plain
from bench.receiver import Receiver
from bench.stack import PROGRAM, Stack, tree


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
    program: Path = PROGRAM
    settings: dict[str, str] = field(default_factory=dict)

    def stack(self) -> Stack:
        """A fresh product with these settings."""
        return Stack(workers=self.workers, settings=self.settings, program=self.program)


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
    ended_by = time.monotonic() + 3  # slow endpoints were called, and have not answered yet
    for one in list(ledger)[:: max(1, count // 20)]:
        while True:
            status, _, answer = client.send("GET", f"/v2/tasks/{one}/attempts")
            if status == 200 and len(json.loads(answer)) == 1:
                break
            if time.monotonic() > ended_by:
                raise RuntimeError(
                    f"the attempt log of {one} is not one entry: {status} {answer!r}"
                )
            time.sleep(0.1)
    cpu_us = {role: used / count * 1e6 for role, used in after.since(before).items()}
    return Backlog(count, due, arrivals, called, cpu_us, filled.rate)


def waits_of(ids: dict[str, float], receiver: Receiver) -> tuple[list[float], int]:
    """Seconds from the instant known for each id to its first call, ascending; how many never came."""
    ledger = receiver.ledger()
    found = sorted(max(0.0, ledger[one][0] - at) for one, at in ids.items() if one in ledger)
    return found, len(ids) - len(found)


def plain_stream(plain: Plain, receiver: Receiver, rate: float, seconds: float) -> list[float]:
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
    return waits_of(sent, receiver)[0]


def resident_bytes(plain: Plain) -> int:
    assert plain.worker
    return sum(process.memory_info().rss for process in tree([plain.worker.pid]))

"""What `/metrics` costs: the CPU of API and store while tasks are taken in and called, with scrapes and without.

    python -m bench.scrapes [--scrapes 100] [--seconds 20] [--rate 100] [--projects 20] [--rounds 1]

Each project beside the one that works has tasks that wait in two queues.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil

from bench.load import Client, fill, stream, task
from bench.receiver import Receiver
from bench.stack import Stack
from timeball.cli.common import house_for
from timeball.dispatch import intake
from timeball.model.task import Draft, Request
from timeball.store import projects


def crowd(stack: Stack, count: int) -> None:
    """Make so many projects, each with tasks that wait."""
    assert stack.data
    house = house_for(stack.data / "house")
    for number in range(count):
        made = projects.create_project(house.client, house.vault, f"project {number}")
        drafts = [
            Draft(
                made.id,
                Request("https://example.com/"),
                queue=f"q{n % 2}",
                delay=timedelta(hours=1),
            )
            for n in range(20)
        ]
        intake.submit(house, made.id, drafts)


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of CPU, to the nanosecond: ticks of 10 ms are too coarse here."""

    api: float
    store: float

    @classmethod
    def of(cls, stack: Stack) -> Used:
        """What the two have used so far."""
        roles = stack.by_role()
        return cls(_seconds(roles["api"]), _seconds(roles["redis"]))

    def __sub__(self, other: Used) -> Used:
        return Used(self.api - other.api, self.store - other.store)

    def __add__(self, other: Used) -> Used:
        return Used(self.api + other.api, self.store + other.store)


def _seconds(processes: Sequence[psutil.Process]) -> float:
    found = 0
    for process in processes:
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            with suppress(FileNotFoundError):
                found += int((thread / "schedstat").read_text().split()[0])
    return found / 1e9


def stretch(stack: Stack, body: bytes, seconds: float, rate: float, scrapes: int) -> Used:
    """What API and store used while so many scrapes came in at even distances."""
    words = (stack.url, stack.key, [body], seconds, rate, 4)
    load = multiprocessing.get_context("spawn").Process(target=stream, args=words)
    client = Client(stack.url, stack.key)
    load.start()
    before, began = Used.of(stack), time.monotonic()
    for number in range(scrapes):
        time.sleep(max(0.0, began + number * seconds / scrapes - time.monotonic()))
        status, _, answer = client.send("GET", "/metrics")
        if status != 200 or b"timeball_store_up 1" not in answer:
            raise RuntimeError(f"GET /metrics answered {status}: {answer[:200]!r}")
    load.join()
    time.sleep(max(0.0, began + seconds + 2 - time.monotonic()))
    return Used.of(stack) - before


def main() -> None:
    """Measure, and print a line."""
    about, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=about, epilog=more.strip())
    parser.add_argument("--scrapes", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=100.0, help="tasks taken in a second")
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    spent, rest = [], []
    with Receiver() as receiver, Stack() as stack:
        crowd(stack, chosen.projects)
        fill(stack.url, stack.key, 500, task(receiver.url + "/ok"), size=100)
        body = json.dumps(task(receiver.url + "/ok")).encode()
        stretch(stack, body, chosen.seconds, chosen.rate, chosen.scrapes)  # warms it up
        for _ in range(chosen.rounds):
            # in this order what grows all along, as the store does, cancels out
            costs = [
                stretch(stack, body, chosen.seconds, chosen.rate, scrapes)
                for scrapes in (0, chosen.scrapes, chosen.scrapes, 0)
            ]
            spent.append((costs[1] + costs[2]) - (costs[0] + costs[3]))
            rest.append(costs[0] + costs[3])
    stretches = 2 * chosen.rounds
    api, store = (sum(getattr(u, name) for u in spent) / stretches for name in ("api", "store"))
    others = sum(u.api + u.store for u in rest) / stretches
    print(
        f"{chosen.scrapes} scrapes in {chosen.seconds:g} s: "
        f"{(api + store) / chosen.seconds:.2%} of a core; "
        f"each {api / chosen.scrapes * 1e3:.2f} ms of the API, "
        f"{store / chosen.scrapes * 1e3:.2f} ms of the store; "
        f"all else {others / chosen.seconds:.1%}"
    )


if __name__ == "__main__":
    main()

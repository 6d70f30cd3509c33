"""A ledger of promises: what was answered 201, what arrived, and what broke in between.

Tasks go in over REST from several threads, as a careful client sends them: with an `Idempotency-Key`, and
again after a 503 or a broken connection. Arrivals are read at a receiver that no fault touches. `Account`
compares the two.
"""

from __future__ import annotations

import json
import random
import threading
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import psutil

from bench.load import Client, instant, percentile, task
from bench.receiver import Receiver
from bench.stack import Stack

BROKEN = 0
"""Stands for a status where the connection broke before there was one."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One task that was answered 201. Instants are Unix seconds."""

    id: str
    due: float
    """Not to be called before; for a task without delay, the instant it was first asked for."""
    answered: float

    @property
    def ready(self) -> float:
        """From when on its call is owed."""
        return max(self.due, self.answered)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the API, good or bad."""

    at: float
    took_seconds: float
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Kill:
    """One process that was killed with -9, and how long its role took to stand again."""

    at: float
    role: str
    pid: int
    back_seconds: float


@dataclass(frozen=True, slots=True)
class Account:
    """Promises against arrivals."""

    promised: int
    lost: tuple[str, ...]
    early: tuple[str, ...]
    doubled: dict[str, list[float]]
    """Tasks that were called more than once though every call was answered 200."""
    unknown: tuple[str, ...]
    """Tasks that were called but never promised: an idempotency key that did not hold."""
    late: dict[str, float]
    """Task id -> seconds from `ready` to its first call."""
    stalls: dict[str, float]
    """The same, counted from the last kill before the call where that is later."""
    after_worker_kill: dict[str, float]
    """The lateness of tasks before whose call, and at most ten seconds before they were due, a worker was
    killed; whatever else was killed then too."""
    statuses: dict[int, int]

    @property
    def extra_calls(self) -> int:
        """Calls beyond the first of each task."""
        return sum(len(times) - 1 for times in self.doubled.values())

    def summary(self) -> str:
        """One line for a log."""
        late = sorted(self.late.values())
        return (
            f"{self.promised} promised, {len(self.lost)} lost, {len(self.early)} early, "
            f"{self.extra_calls} doubled, {len(self.unknown)} unknown; "
            f"late p50 {percentile(late, 50):.3f} s, p99 {percentile(late, 99):.3f} s, "
            f"worst {max(late, default=0):.3f} s, "
            f"worst after a worker kill {max(self.after_worker_kill.values(), default=0):.3f} s, "
            f"worst stall {max(self.stalls.values(), default=0):.3f} s; answers {self.statuses}"
        )


class Ledger:
    """Sends tasks to a stack while it is being hurt, and keeps the books. A context manager."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.receiver = Receiver()
        self.promises: list[Promise] = []
        self.answers: list[Answer] = []
        self.kills: list[Kill] = []
        self.unsent = 0
        self.jumps: list[tuple[float, float]] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.receiver.close()

    def start(
        self,
        count: int,
        seconds: float,
        horizon_seconds: float,
        seed: int,
        senders: int = 6,
        slow_every: int = 5,
    ) -> None:
        """Begin to send `count` tasks, spread over `seconds`; half of them are due within the horizon.

        One in `slow_every` calls lasts 200 ms, so that a killed worker always has some in flight.
        """
        self._slow_every = slow_every
        chance = random.Random(seed)
        begun = time.time()
        plan = sorted(
            (
                begun + chance.uniform(0, seconds),
                chance.uniform(0, horizon_seconds) if chance.random() < 0.5 else None,
                f"ledger-{seed}-{number}",
            )
            for number in range(count)
        )
        deadline = begun + seconds + 60
        for share in range(senders):
            thread = threading.Thread(target=self._send, args=(plan[share::senders], deadline))
            thread.start()
            self._threads.append(thread)

    def join(self) -> None:
        """Wait until every task was sent, or given up a minute after its time."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _send(self, plan: Sequence[tuple[float, float | None, str]], deadline: float) -> None:
        client = Client(self.stack.url, self.stack.key, timeout_seconds=10)
        for at, delay, key in plan:
            time.sleep(max(0.0, at - time.time()))
            asked = time.time()
            due = asked if delay is None else round(asked + delay, 3)
            when = {} if delay is None else {"scheduled_for": instant(due)}
            path = "/slow/200" if zlib.crc32(key.encode()) % self._slow_every == 0 else "/ok"
            body = json.dumps(task(self.receiver.url + path, **when)).encode()
            while (sent := time.time()) < deadline:
                try:
                    status, _, answer = client.send(
                        "POST", "/v2/tasks", body, {"Idempotency-Key": key}
                    )
                except OSError as error:
                    status, answer = BROKEN, repr(error).encode()
                now = time.time()
                with self._lock:
                    text = answer[:300].decode(errors="replace")
                    self.answers.append(Answer(now, now - sent, status, text))
                    if status == 201:
                        self.promises.append(Promise(json.loads(answer)["id"], due, now))
                        break
                time.sleep(0.1)
            else:
                self.unsent += 1
        client.close()

    def kill(self, role: str, chance: random.Random, patience_seconds: float = 10.0) -> Kill:
        """Kill one process of a role with -9, a pool child as soon as a parent; wait until the role stands.

        A role stands when as many processes as before are named for it and live. Raises AssertionError when
        that takes longer than `patience_seconds`.
        """
        named = self.stack.pids()[role]
        victim = chance.choice(self.stack.by_role()[role])
        at = time.time()
        victim.kill()
        while time.time() - at < patience_seconds:
            time.sleep(0.02)
            now = self.stack.pids()[role]
            if len(now) == len(named) and victim.pid not in now and all(map(_lives, now)):
                break
        else:
            raise AssertionError(
                f"{role} ({victim.pid}) was not back {patience_seconds:.0f} s after its kill: "
                f"{self.stack.pids()}\n{self.stack.last_words()}"
            )
        kill = Kill(at, role, victim.pid, time.time() - at)
        self.kills.append(kill)
        return kill

    def settle(self, timeout_seconds: float) -> None:
        """Wait until every promised task was called, then a second more for doubles; or the time-out."""
        deadline = time.monotonic() + timeout_seconds
        promised = {promise.id for promise in self.promises}
        while promised - self.receiver.ledger().keys() and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1.0)

    def account(self) -> Account:
        """The books, as they stand."""
        ledger = self.receiver.ledger()
        promised = {promise.id: promise for promise in self.promises}
        late: dict[str, float] = {}
        stalls: dict[str, float] = {}
        after_worker_kill: dict[str, float] = {}
        for one, promise in promised.items():
            if one not in ledger:
                continue
            called = ledger[one][0]
            late[one] = max(0.0, called - promise.ready)
            before = [kill for kill in self.kills if kill.at < called]
            last = max((kill.at for kill in before), default=0.0)
            stalls[one] = max(0.0, called - max(promise.ready, last))
            if any(kill.role == "worker" and kill.at + 10 > promise.ready for kill in before):
                after_worker_kill[one] = late[one]
        return Account(
            promised=len(promised),
            lost=tuple(one for one in promised if one not in ledger),
            early=tuple(
                o
                for o, p in promised.items()
                if o in ledger and ledger[o][0] + self._ahead(ledger[o][0]) < p.due
            ),
            doubled={one: times for one, times in ledger.items() if len(times) > 1},
            unknown=tuple(one for one in ledger if one not in promised),
            late=late,
            stalls=stalls,
            after_worker_kill=after_worker_kill,
            statuses=dict(Counter(answer.status for answer in self.answers)),
        )

    def _ahead(self, at: float) -> float:
        """By how many seconds the store's clock, which everything is due by, was before ours."""
        return max([0.0, *(seconds for since, seconds in self.jumps if since <= at + 1)])


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

"""One run of a trouble: a stack under a steady load, a schedule of every second beside it, and the books."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil

from bench.load import Client
from bench.stack import Stack
from tests.conftest import eventually
from tests.faults.ledger import Account, Kill, Ledger, Promise
from tests.faults.servers import Server

T = TypeVar("T")

TASKS = 1000
SECONDS = 8.0
HORIZON_SECONDS = 2.0
INJECT = Path(__file__).parent / "inject"
CALLED = {"made", "caught_up", "waited", "remade"}
"""The fates of occurrences that became a task."""


def injected(points: Path) -> dict[str, str]:
    """The environment of a stack whose processes can be killed at named points."""
    return {"PYTHONPATH": str(INJECT), "FAULT_POINTS": str(points)}


@dataclass
class Scene:
    """What a trouble works with. Times are seconds since the load began."""

    stack: Stack
    ledger: Ledger
    chance: random.Random
    points: Path
    servers: Mapping[str, Server] = field(default_factory=dict)
    began: float = 0.0
    patience: float = 30.0
    """How long the last calls may take to come after the load has ended."""
    occurrences: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the schedule's history said last of each, by its instant."""

    def until(self, seconds: float) -> None:
        """Sleep until so long after the load began."""
        time.sleep(max(0.0, self.began + seconds - time.time()))

    def around(self, seconds: float) -> None:
        """The same, up to half a second later by chance."""
        self.until(seconds + self.chance.uniform(0, 0.5))

    # -- processes --------------------------------------------------------------------------------

    def members(self, role: str) -> list[psutil.Process]:
        """The processes of a role, parents first."""
        return self.stack.by_role()[role]

    def strike(self, victims: Sequence[psutil.Process], role: str) -> None:
        """Kill processes of a role at once with -9, and wait until the role stands again."""
        named = self.stack.pids()[role]
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        self.stands(role, len(named), {v.pid for v in victims})

    def stands(self, role: str, count: int, gone: set[int]) -> None:
        """Wait until as many processes of a role live as before, none of those that were killed among them."""
        at = time.time()

        def back() -> bool:
            now = self.stack.pids().get(role, [])
            return len(now) >= count and not gone & set(now) and all(map(psutil.pid_exists, now))

        eventually(back, within=25, every=0.05)
        self.ledger.kills.append(Kill(at, role, min(gone), time.time() - at))

    def arm(self, point: str, role: str) -> None:
        """Have the next process that passes a point die there; wait until its role stands again."""
        count = len(self.stack.pids()[role])
        (self.points / point).touch()
        eventually(lambda: list(self.points.glob(f"{point}.*")), within=20)
        (gone,) = self.points.glob(f"{point}.*")
        gone.unlink()
        pid = int(gone.suffix[1:])
        eventually(lambda: not _lives(pid), within=5)
        self.stands(role, count, {pid})

    def freeze(self, processes: Sequence[psutil.Process], seconds: float) -> None:
        """Stop processes, and let them go on after a while."""
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    # -- the books --------------------------------------------------------------------------------

    def ask(self, method: str, path: str, value: Any = None) -> Any:
        """A request that is made again until the API has an answer other than 503."""
        body = b"" if value is None else json.dumps(value).encode()
        client = Client(self.stack.url, self.stack.key, timeout_seconds=10)

        def answer() -> tuple[int, bytes] | None:
            try:
                status, _, text = client.send(method, path, body)
            except OSError:
                return None
            return (status, text) if status != 503 else None

        status, text = eventually(answer, within=30, every=0.2)
        client.close()
        assert status < 300, (status, text)
        return json.loads(text) if text else None

    def run(self, seed: int, trouble: Callable[[Scene], None]) -> Account:
        """Load, trouble, quiet; then the books are closed."""
        every_second = {
            "request": {"url": f"{self.ledger.receiver.url}/ok"},
            "cron": "* * * * * *",
            "overlap": "allow",
            "catch_up": "all",
        }
        schedule = self.ask("POST", "/v2/schedules", every_second)["id"]
        self.began = time.time()
        self.ledger.start(TASKS, SECONDS, HORIZON_SECONDS, seed, slow_every=50)
        try:
            trouble(self)
        finally:
            self.ledger.join()
        owed = self._wait_for_calls(schedule)
        self.ask("PATCH", f"/v2/schedules/{schedule}", {"paused": True})
        self._read(schedule)
        self._promise(owed)
        self.ledger.settle(10)
        account = self.ledger.account()
        self.ask("DELETE", f"/v2/schedules/{schedule}")
        return account

    def _read(self, schedule: str) -> None:
        """Note what has become of the schedule's occurrences. Its history is short: read it often."""
        for line in self.ask("GET", f"/v2/schedules/{schedule}/history"):
            self.occurrences[line["occurrence"]] = line

    def _wait_for_calls(self, schedule: str) -> set[str]:
        """Until all that was promised by now was called, or patience ends; answers the occurrences among it.

        Only then may the schedule be paused: a pause takes back what nobody has claimed, and with a breaker
        open that would be the occurrences of the whole trouble.
        """
        end = time.monotonic() + self.patience
        self._read(schedule)
        owed = {at for at, line in self.occurrences.items() if line["outcome"] in CALLED}
        ids = {self.occurrences[at]["task_id"] for at in owed}
        ids |= {promise.id for promise in self.ledger.promises}
        while ids - self.ledger.receiver.ledger().keys() and time.monotonic() < end:
            time.sleep(0.2)
            self._read(schedule)
        return owed

    def _promise(self, owed: set[str]) -> None:
        """Each second from the first occurrence to the last is owed a call, or was taken back by the pause."""
        fates = {at: line["outcome"] for at, line in self.occurrences.items()}
        told = f"what became of the occurrences: {dict(Counter(fates.values()))}"
        gone = sorted(at for at in owed if fates[at] not in CALLED)
        assert not gone, f"not called in {self.patience:.0f} s, then taken back: {gone[:3]}; {told}"
        seen = sorted(
            datetime.fromisoformat(at) for at, fate in fates.items() if fate in {*CALLED, "dropped"}
        )
        assert owed, f"the schedule made nothing under load; {told}"
        seconds = round((seen[-1] - seen[0]).total_seconds()) + 1
        assert len(seen) == seconds, f"{len(seen)} occurrences in {seconds} seconds; {told}"
        for at, line in self.occurrences.items():
            if fates[at] in CALLED:
                due = datetime.fromisoformat(at).timestamp()
                self.ledger.promises.append(Promise(line["task_id"], due, due))


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def nodes(scene: Scene, role: str) -> list[psutil.Process]:
    """The children of a role's first process: a worker's pool."""
    (parent, *_) = scene.members(role)
    return [child for child in parent.children() if child.is_running()]

"""Worker processes with a pump each, as Celery would start them, that a test may kill."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import environment, eventually
from timeball import egress
from timeball.dispatch import upkeep
from timeball.dispatch.house import House, open_house
from timeball.settings import load
from timeball.store import keys, pumps
from workers.call import Caller
from workers.prepare import Signers
from workers.pump import Pump


def work() -> None:
    """The process: one pump until it is killed, or told to stop by the end of its input."""
    settings = load()
    house = open_house(settings)
    caller = Caller(
        egress.Policy.parse(settings.allowed_targets, ()),
        connect_timeout_ms=2000,
        keep_bytes=settings.response_keep_bytes,
        read_bytes=settings.response_read_bytes,
    )
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    signers = Signers(house.client, house.vault)
    Pump(house, 0, caller, signers, f"worker:{os.getpid()}", stop.is_set).run()


class Crew:
    """Some workers. `replace` starts one anew after it was killed."""

    def __init__(self, house: House, size: int, **more: str) -> None:
        self.house, self.environment = house, environment(house.settings, **more)
        self.workers = [self._start() for _ in range(size)]
        eventually(lambda: len(pumps.awake(house.client, keys.prefix(0))) >= size, within=30)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.flow.crew"],
            stdin=subprocess.PIPE,
            env={**self.environment, "TIMEBALL_PUMP_SLICE": "600"},
        )

    def kill(self, place: int) -> None:
        """Kill one with -9, and start another in its stead."""
        self.workers[place].kill()
        self.workers[place].wait()
        self.workers[place] = self._start()

    def rescue(self) -> None:
        """What beat does each half second."""
        fence = pumps.lead(self.house.client, keys.prefix(0), "test", 60_000).fence
        upkeep.rescue(self.house, fence)

    def end(self) -> None:
        """Let them finish what they have, then end."""
        for worker in self.workers:
            assert worker.stdin is not None
            worker.stdin.close()
        for worker in self.workers:
            try:
                worker.wait(20)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


@contextmanager
def crew(house: House, size: int, **more: str) -> Iterator[Crew]:
    """A crew at work."""
    found = Crew(house, size, **more)
    try:
        yield found
    finally:
        found.end()


if __name__ == "__main__":
    work()

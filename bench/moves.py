"""What claims and finishes cost the store by themselves: without API and workers, and nothing beside them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from bench.load import BODY_BYTES
from timeball.model.task import Draft, Kin, Request, Sibling
from timeball.store import keys, pumps, scripts, tasks
from timeball.store.pumps import Finished
from timeball.up import valkey
from timeball.up.folder import Folder

SUBMITTED, CLAIMED, IN_FLIGHT = 200, 100, 1000
"""Tasks of one move, and how many are claimed before the first of them is finished."""
PROBE, ROUNDS = 20_000, 9
SUCCEEDED = 2
ENTRY = (
    b'{"n":1,"o":"answered","at":1795737600000,"t":[0,0,0,180,230],"w":"worker:1","s":200,'
    b'"h":"Content-Type: text/plain\\nContent-Length: 2","b":"ok"}'
)
"""The record of an attempt, as a worker writes it."""


class Cost(NamedTuple):
    """Microseconds of the store's time a task."""

    claim: float
    finish: float


class Store:
    """A server as `timeball up` starts its own, and a pump that makes no calls."""

    def __init__(self, folder: Folder) -> None:
        listen = valkey.socket_path(folder)
        command = [valkey.find_server(), str(valkey.write_config(folder, listen))]
        environment = {**os.environ, **valkey.tuned(os.environ)}
        self.server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        self.client = scripts.connect(f"unix://{listen}", timeout=60)
        patient = Retry(ConstantBackoff(0.02), 1000)
        redis.Redis(unix_socket_path=str(listen), retry=patient).ping()
        self.prefix = keys.prefix(0)
        headers = (("Content-Type", "application/json"),)
        request = Request("http://127.0.0.1:9000/ok", headers=headers)
        self.kin = Kin(Draft("p123456789", request, key_id="k1234567"))

    def used_us(self) -> int:
        """What its moves have taken so far."""
        used: int = self.client.info("commandstats")["cmdstat_evalsha"]["usec"]
        return used

    def probe(self, count: int) -> Cost:
        """Take tasks in, then claim and finish them all."""
        sibling = Sibling(self.kin, b"x" * BODY_BYTES)
        for _ in range(0, count, SUBMITTED):
            tasks.submit(self.client, self.prefix, [sibling] * SUBMITTED, 5000)
        claims = finishes = 0
        for _ in range(0, count, IN_FLIGHT):
            begun, held = self.used_us(), []
            while len(held) < IN_FLIGHT:
                held += pumps.claim(self.client, self.prefix, "bench", CLAIMED, 10**6, 10**6).tasks
            claimed = self.used_us()
            for at in range(0, len(held), CLAIMED):
                ends = [
                    Finished(task.id, task.attempt, SUCCEEDED, 0, ENTRY)
                    for task in held[at : at + CLAIMED]
                ]
                counters = {self.kin.draft.project: {"succeeded": len(ends)}}
                pumps.finish(self.client, self.prefix, "bench", ends, counters)
            claims += claimed - begun
            finishes += self.used_us() - claimed
        return Cost(claims / count, finishes / count)


@contextmanager
def store() -> Iterator[Store]:
    """A store of its own, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="timeball-") as place:
        made = Store(Folder(Path(place)))
        try:
            yield made
        finally:
            made.server.kill()
            made.server.wait()


def empty_and_full(kept: int) -> tuple[Cost, Cost]:
    """Medians on a store that is emptied before each probe, and on one with `kept` finished tasks, in turn."""
    with store() as empty, store() as full:
        for _ in range(0, kept, PROBE):
            full.probe(PROBE)
        without: list[Cost] = []
        beside: list[Cost] = []
        for _ in range(ROUNDS):
            empty.client.flushall()
            empty.probe(IN_FLIGHT)
            without.append(empty.probe(PROBE))
            beside.append(full.probe(PROBE))
    first, second = (
        Cost(median(cost.claim for cost in costs), median(cost.finish for cost in costs))
        for costs in (without, beside)
    )
    return first, second

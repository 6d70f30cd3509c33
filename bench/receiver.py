"""An HTTP receiver that costs almost nothing, and remembers what arrived when.

A bench measures whoever is slowest, so this must not be it: one process, one epoll loop, requests parsed by
hand, one `recv` and one `send` each. It keeps connections open, takes pipelined requests, and writes down
(task id, attempt, instant) for each call that carries `Timeball-Task`.

    python -m bench.receiver --port 9999

| path             | answer |
| ---------------- | ------ |
| `/slow/<ms>`     | 200 after so many milliseconds |
| `/status/<code>` | that status |
| `/_count`        | JSON: calls, and nothing that takes long to work out |
| `/_stats`        | JSON: calls, tasks, duplicates, signed calls, first and last arrival, CPU seconds |
| `/_ledger`       | JSON: task id -> its arrivals, in Unix seconds |
| `/_attempts`     | JSON: task id -> its attempt numbers, in order of arrival |
| `/_reset`        | forgets everything |
| `/_refuse/<code>` | from now on every call gets that status and is not noted; 0 ends it |
| anything else    | 200 |

With `--processes N` the processes share the port (SO_REUSEPORT) and each keeps its own book; each also
listens on a port of its own for the control paths. `Receiver` starts them and adds the books up.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import http.client
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.endpoint import Loop, listen


class Receiver:
    """A receiver in processes of its own, as a context manager.

    `processes` is how many share the port. They end when this object closes, or when its process dies.
    """

    def __init__(self, processes: int = 1, port: int = 0) -> None:
        self._children: list[subprocess.Popen[bytes]] = []
        self._control: list[int] = []
        self.port = port
        flags = ["--shared", "--until-stdin-closes"]
        for _ in range(processes):
            child = subprocess.Popen(
                [sys.executable, "-m", "bench.receiver", f"--port={self.port}", *flags],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parent.parent,
            )
            self._children.append(child)
            assert child.stdout
            said = json.loads(child.stdout.readline() or b"{}")
            if not said:
                self.close()
                raise RuntimeError("the receiver did not start")
            self.port = said["port"]
            self._control.append(said["control"])

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where calls are to be sent, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """The process ids of the receiver."""
        return [child.pid for child in self._children]

    def close(self) -> None:
        """Stop the processes."""
        for child in self._children:
            if child.stdin:
                child.stdin.close()
        for child in self._children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdout:
                child.stdout.close()

    def _ask(self, path: str) -> list[Any]:
        answers = []
        for port in self._control:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", path)
            answers.append(json.loads(connection.getresponse().read()))
            connection.close()
        return answers

    def reset(self) -> None:
        """Forget everything that arrived."""
        self._ask("/_reset")

    def refuse(self, status: int) -> int:
        """Answer every call with a status and note none, until it is 0; how many were refused so far."""
        return sum(answer["refused"] for answer in self._ask(f"/_refuse/{status}"))

    def count(self) -> int:
        """How many calls arrived."""
        return sum(answer["calls"] for answer in self._ask("/_count"))

    def stats(self) -> dict[str, Any]:
        """The sums of all processes. A task that arrived at two of them counts in both: use the ledger."""
        found = self._ask("/_stats")
        total: dict[str, Any] = dict(found[0])
        for other in found[1:]:
            for name in ("calls", "tasks", "duplicates", "anonymous", "signed", "cpu_seconds"):
                total[name] += other[name]
            total["paths"] = dict(Counter(total["paths"]) + Counter(other["paths"]))
            for name, better in (("first", min), ("last", max)):
                known = [v for v in (total[name], other[name]) if v is not None]
                total[name] = better(known) if known else None
        return total

    def ledger(self) -> dict[str, list[float]]:
        """Task id -> the instants at which it was called, ascending."""
        found: dict[str, list[float]] = {}
        for book in self._ask("/_ledger"):
            for task, arrivals in book.items():
                found.setdefault(task, []).extend(arrivals)
        if len(self._control) > 1:
            for arrivals in found.values():
                arrivals.sort()
        return found

    def attempts(self) -> dict[str, list[int]]:
        """Task id -> the attempt numbers with which it was called."""
        found: dict[str, list[int]] = {}
        for book in self._ask("/_attempts"):
            for task, numbers in book.items():
                found.setdefault(task, []).extend(numbers)
        return found

    def wait(self, calls: int, timeout_seconds: float, quiet_seconds: float = 10.0) -> int:
        """Wait until so many calls arrived; how many did when it was given up.

        Gives up at the time-out, or when nothing new arrived for `quiet_seconds`.
        """
        deadline = time.monotonic() + timeout_seconds
        seen, changed = -1, time.monotonic()
        while True:
            now = time.monotonic()
            count = self.count()
            if count != seen:
                seen, changed = count, now
            if count >= calls or now > deadline or now - changed > quiet_seconds:
                return count
            time.sleep(0.05)


def main() -> None:
    """Serve one process, or start and print several."""
    parser = argparse.ArgumentParser(description="An HTTP receiver for benches.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--shared", action="store_true", help="let others listen on the port too")
    parser.add_argument("--until-stdin-closes", action="store_true")
    options = parser.parse_args()
    if options.processes > 1:
        with Receiver(options.processes, options.port) as receiver:
            print(json.dumps({"url": receiver.url, "pids": receiver.pids}), flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
        return
    public = listen(options.port, shared=options.shared)
    control = listen(0)
    ports = {"port": public.getsockname()[1], "control": control.getsockname()[1]}
    print(json.dumps(ports), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    until_closed = sys.stdin.fileno() if options.until_stdin_closes else None
    gc.disable()  # The book only grows and holds no cycles, so walking it finds nothing.
    with contextlib.suppress(KeyboardInterrupt):
        Loop([public, control], until_closed).run()


if __name__ == "__main__":
    main()

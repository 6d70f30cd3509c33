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
import heapq
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
HEAD_LIMIT_BYTES = 64 * 1024
BODY_LIMIT_BYTES = 64 * 1024 * 1024
READ_BYTES = (
    16 * 1024
)  # More would make every read a fresh memory map: 2.5 times the cost of a request.


class Book:
    """What arrived: one entry a call, worked out only when somebody asks."""

    def __init__(self) -> None:
        self.entries: list[tuple[bytes, bytes, float]] = []
        self.anonymous = 0
        self.refused = 0
        self.signed = 0
        self.paths: Counter[bytes] = Counter()

    def clear(self) -> None:
        self.entries.clear()
        self.anonymous = 0
        self.refused = 0
        self.signed = 0
        self.paths.clear()

    def stats(self) -> dict[str, Any]:
        tasks = len({entry[0] for entry in self.entries})
        return {
            "calls": len(self.entries) + self.anonymous,
            "tasks": tasks,
            "duplicates": len(self.entries) - tasks,
            "anonymous": self.anonymous,
            "signed": self.signed,
            "first": self.entries[0][2] if self.entries else None,
            "last": self.entries[-1][2] if self.entries else None,
            "paths": {path.decode("latin-1"): n for path, n in self.paths.items()},
            "cpu_seconds": time.process_time(),
            "pid": os.getpid(),
        }

    def ledger(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for task, _, at in self.entries:
            found.setdefault(task.decode("latin-1"), []).append(at)
        return found

    def attempts(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for task, attempt, _ in self.entries:
            number = int(attempt) if attempt.isdigit() else 0
            found.setdefault(task.decode("latin-1"), []).append(number)
        return found


@dataclass(slots=True, eq=False)
class Connection:
    """One open socket: what came that is no whole request yet, and what waits to be sent."""

    sock: socket.socket
    recv: Callable[[int], bytes]
    send: Callable[[bytes], int]
    pending: bytes = b""
    unsent: bytes = b""
    held: int = 0
    """Late answers still owed: later requests on this connection wait behind them (HTTP/1.1 keeps order)."""
    open: bool = True


@dataclass(slots=True, order=True)
class Late:
    """An answer to be sent at `due` (monotonic seconds)."""

    due: float
    connection: Connection = field(compare=False)


def _header(head: bytes, name: bytes) -> bytes:
    """The value of a header whose name came in another case than usual; empty when absent."""
    at = head.lower().find(b"\r\n" + name.lower() + b":")
    if at < 0:
        return b""
    at += len(name) + 3
    end = head.find(b"\r\n", at)
    return head[at : end if end >= 0 else len(head)].strip()


def _answer(status: int, body: bytes, kind: bytes = b"text/plain") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        kind,
        len(body),
        body,
    )


class Loop:
    """The one loop of a receiver process."""

    def __init__(self, listeners: list[socket.socket], until_closed: int | None) -> None:
        self.book = Book()
        self.late: list[Late] = []
        self.connections: dict[int, Connection] = {}
        self.listeners = {sock.fileno(): sock for sock in listeners}
        self.refusal = b""
        self.until_closed = until_closed
        # epoll counts its time-out in seconds, poll in milliseconds.
        epoll = getattr(select, "epoll", None)
        self.poller: Any = epoll() if epoll else select.poll()
        self.tick = 1.0 if epoll else 1000.0
        for fd in self.listeners:
            self.poller.register(fd, select.POLLIN)
        if until_closed is not None:
            self.poller.register(until_closed, select.POLLIN | select.POLLHUP)

    def run(self) -> None:
        """Serve until the pipe given as `until_closed` ends, or for ever."""
        connections, poll = self.connections, self.poller.poll
        read_bytes, talk = READ_BYTES, self._talk
        while True:
            for fd, event in poll(self._wait()):
                connection = connections.get(fd)
                if connection is None:
                    if fd == self.until_closed:
                        return
                    self._accept(fd)
                    continue
                if event & select.POLLOUT:
                    self._flush(connection)
                    continue
                try:
                    data = connection.recv(read_bytes)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if data:
                    talk(connection, data)
                else:
                    self._close(connection)

    def _wait(self) -> float:
        """Send the late answers that are due; say how long to sleep until the next."""
        late = self.late
        while late:
            left = late[0].due - time.monotonic()
            if left > 0:
                return left * self.tick
            connection = heapq.heappop(late).connection
            connection.held -= 1
            if connection.open:
                self._send(connection, OK)
                if not connection.held and connection.pending and connection.open:
                    pending, connection.pending = connection.pending, b""
                    self._talk(connection, pending)
        return -1

    def _accept(self, fd: int) -> None:
        listener = self.listeners[fd]
        with contextlib.suppress(BlockingIOError):
            for _ in range(256):
                sock, _address = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections[sock.fileno()] = Connection(sock, sock.recv, sock.send)
                self.poller.register(sock.fileno(), select.POLLIN)

    def _close(self, connection: Connection) -> None:
        if connection.open:
            connection.open = False
            fd = connection.sock.fileno()
            self.poller.unregister(fd)
            del self.connections[fd]
            connection.sock.close()

    def _send(self, connection: Connection, data: bytes) -> None:
        if connection.unsent:
            connection.unsent += data
            return
        try:
            sent = connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        if sent < len(data):
            connection.unsent = data[sent:]
            self.poller.modify(connection.sock.fileno(), select.POLLOUT)

    def _flush(self, connection: Connection) -> None:
        data, connection.unsent = connection.unsent, b""
        self._send(connection, data)
        if connection.open and not connection.unsent:
            self.poller.modify(connection.sock.fileno(), select.POLLIN)

    def _talk(self, connection: Connection, data: bytes) -> None:
        """Answer every whole request in `data`; keep the rest for later."""
        if connection.pending:
            data = connection.pending + data
            connection.pending = b""
        if connection.held:
            connection.pending = data
            return
        start, size = 0, len(data)
        answers = b""
        while start < size:
            end = data.find(b"\r\n\r\n", start)
            if end < 0:
                if size - start > HEAD_LIMIT_BYTES:
                    self._close(connection)
                    return
                break
            at = data.find(b"\r\nContent-Length: ", start, end)
            if at >= 0:
                stop = data.find(b"\r\n", at + 18)
                length = data[at + 18 : stop]
            else:
                length = _header(data[start:end], b"Content-Length")
            if length and not length.isdigit():
                self._close(connection)
                return
            following = end + 4 + int(length or b"0")
            if following > size:
                if following - start > BODY_LIMIT_BYTES:
                    self._close(connection)
                    return
                break
            answer = self._request(connection, data, start, end)
            start = following
            if answer:
                answers += answer
            if connection.held:
                break
        if start < size:
            connection.pending = data[start:]
        if answers and connection.open:
            self._send(connection, answers)

    def _request(self, connection: Connection, data: bytes, start: int, end: int) -> bytes:
        """Note one request whose head is `data[start:end]`; its answer, empty when it comes later."""
        if self.refusal and data.find(b" /_", start, start + 12) < 0:
            self.book.refused += 1
            return self.refusal
        at = data.find(b"\r\nTimeball-Task: ", start, end)
        if at >= 0:
            task = data[at + 17 : at + 53]
            if task[-1:] <= b" " or len(task) < 36 or b"\r" in task:
                task = data[at + 17 : data.find(b"\r\n", at + 2)].strip()
        else:
            task = _header(data[start:end], b"Timeball-Task")
        if task:
            at = data.find(b"\r\nTimeball-Attempt: ", start, end)
            if at >= 0:
                attempt = data[at + 20 : data.find(b"\r\n", at + 20)]
            else:
                attempt = _header(data[start:end], b"Timeball-Attempt")
            book = self.book
            book.entries.append((task, attempt, time.time()))
            if data.find(b"\r\nwebhook-signature: ", start, end) >= 0:
                book.signed += 1
        slash = data.find(b" ", start, end) + 1
        path = data[slash : data.find(b" ", slash, end)]
        if path == b"/ok":
            if not task:
                self.book.anonymous += 1
            return OK
        return self._other(connection, path, bool(task))

    def _other(self, connection: Connection, path: bytes, known: bool) -> bytes:
        """The answer to a path that is not the plain one."""
        if path.startswith(b"/_"):
            return self._control(path)
        if not known:
            self.book.anonymous += 1
        self.book.paths[path] += 1
        kind, _, value = path[1:].partition(b"/")
        if kind == b"slow" and value.isdigit():
            connection.held += 1
            heapq.heappush(self.late, Late(time.monotonic() + int(value) / 1000, connection))
            return b""
        if kind == b"status" and value.isdigit():
            return _answer(int(value), b"status " + value)
        return OK

    def _control(self, path: bytes) -> bytes:
        book = self.book
        found: Any
        if path == b"/_count":
            found = {"calls": len(book.entries) + book.anonymous}
        elif path == b"/_stats":
            found = book.stats()
        elif path == b"/_ledger":
            found = book.ledger()
        elif path == b"/_attempts":
            found = book.attempts()
        elif path == b"/_reset":
            book.clear()
            found = {}
        elif path.startswith(b"/_refuse/"):
            code = int(path[9:])
            self.refusal = _answer(code, b"not now") if code else b""
            found = {"refused": book.refused}
        else:
            return _answer(404, b"no such control path\n")
        return _answer(200, json.dumps(found).encode(), b"application/json")


def _listen(port: int, *, shared: bool = False) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(4096)
    sock.setblocking(False)
    return sock


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
    public = _listen(options.port, shared=options.shared)
    control = _listen(0)
    ports = {"port": public.getsockname()[1], "control": control.getsockname()[1]}
    print(json.dumps(ports), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    until_closed = sys.stdin.fileno() if options.until_stdin_closes else None
    gc.disable()  # The book only grows and holds no cycles, so walking it finds nothing.
    with contextlib.suppress(KeyboardInterrupt):
        Loop([public, control], until_closed).run()


if __name__ == "__main__":
    main()

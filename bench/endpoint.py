"""The loop of one receiver process: requests parsed by hand, answered in order, written down in a book."""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
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


def listen(port: int, *, shared: bool = False) -> socket.socket:
    """A socket that waits for connections on loopback; with `shared` others may listen on its port too."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(4096)
    sock.setblocking(False)
    return sock

"""A receiver in a process of its own that writes down when requests came, by the kernel's clock.

The kernel stamps what arrives on the socket, so the book is right however late this process gets its turn.
`python -m tests.flow.receiver` prints its port, answers each request after the milliseconds that its path names
(`/0`, `/250`; `/hang` never), and on the end of its input prints the book as JSON.
"""

from __future__ import annotations

import heapq
import json
import selectors
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType

SO_TIMESTAMPNS = 35
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Request:
    """One request: when it came and was answered (seconds of the wall clock; None when it was not), its path, and
    its task."""

    came: float
    answered: float | None
    path: str
    task: str


class Connection:
    """What came on one connection and was not yet answered."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.raw, self.stamp = sock, b"", 0.0

    def read(self) -> bytes | None:
        """A whole request, when one is there; None at the end."""
        data, extra, _, _ = self.sock.recvmsg(65536, 256)
        if not data:
            return None
        for level, kind, value in extra:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", value)
                self.stamp = seconds + nanoseconds / 1e9
        if not self.stamp:
            self.stamp = time.time()
        self.raw += data
        head, end, rest = self.raw.partition(b"\r\n\r\n")
        if not end:
            return b""
        size = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                size = int(line.partition(b":")[2])
        if len(rest) < size:
            return b""
        self.raw = rest[size:]
        return head


def serve() -> None:
    """The process."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    listener.setblocking(False)
    events = selectors.DefaultSelector()
    events.register(listener, selectors.EVENT_READ)
    events.register(sys.stdin, selectors.EVENT_READ)
    print(listener.getsockname()[1], flush=True)
    book: list[list[float | str | None]] = []
    due: list[tuple[float, int, Connection]] = []
    while True:
        wait = max(0.0, due[0][0] - time.time()) if due else None
        for key, _ in events.select(wait):
            if key.fileobj is sys.stdin:
                json.dump(book, sys.stdout)
                return
            if key.fileobj is listener:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                events.register(sock, selectors.EVENT_READ, Connection(sock))
                continue
            connection: Connection = key.data
            try:
                head = connection.read()
            except ConnectionError:
                head = None
            if head is None:
                events.unregister(connection.sock)
                connection.sock.close()
            elif head:
                path = head.split(b" ", 2)[1].decode()
                [task] = [
                    line.partition(b":")[2].strip().decode()
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"timeball-task:")
                ]
                book.append([connection.stamp, None, path, task])
                if path != "/hang":
                    at = connection.stamp + int(path.rpartition("/")[2]) / 1000
                    heapq.heappush(due, (at, len(book) - 1, connection))
                connection.stamp = 0.0
        while due and due[0][0] <= time.time():
            _, place, connection = heapq.heappop(due)
            book[place][1] = time.time()  # before it is sent: nobody can know of it sooner
            try:
                connection.sock.send(ANSWER)
            except OSError:
                continue


class Receiver:
    """The process, as a context; `close` ends it and gives its book in the order of coming."""

    def __enter__(self) -> Receiver:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.flow.receiver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.requests: list[Request] | None = None
        return self

    def close(self) -> list[Request]:
        """End it, once; what came."""
        if self.requests is None:
            told, _ = self.process.communicate(timeout=30)
            self.requests = sorted((Request(*row) for row in json.loads(told)), key=came)
        return self.requests

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def came(request: Request) -> float:
    """When it came."""
    return request.came


if __name__ == "__main__":
    serve()

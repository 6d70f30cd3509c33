"""Clients cheap enough not to be what is measured: sockets, and requests written by hand."""

from __future__ import annotations

import json
import re
import selectors
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BODY_BYTES = 256
_ID = re.compile(rb'"id":\s*"([0-9a-f-]{36})"')


def instant(unix: float) -> str:
    """Unix seconds as RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def task(url: str, **fields: Any) -> dict[str, Any]:
    """A task as the API takes it: a POST of 256 bytes of JSON to `url`."""
    filler = {"event": "order.paid", "note": ""}
    filler["note"] = "x" * (BODY_BYTES - len(json.dumps(filler)))
    headers = {"Content-Type": "application/json"}
    return {"request": {"url": url, "headers": headers, "body": json.dumps(filler)}, **fields}


class Client:
    """One open connection; a request at a time. Raises OSError when the other side goes away."""

    def __init__(self, url: str, key: str, timeout_seconds: float = 30.0) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.key = key
        self.timeout_seconds = timeout_seconds
        self._sock: socket.socket | None = None
        self._left = b""

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._sock:
            self._sock.close()
        self._sock, self._left = None, b""

    def head(self, method: str, path: str, length: int, headers: dict[str, str]) -> bytes:
        """The bytes before the body."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.address[0]}:{self.address[1]}"]
        lines += [f"Authorization: Bearer {self.key}", f"Content-Length: {length}"]
        if length:
            lines.append("Content-Type: application/json")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, bytes]:
        """Status, head and body of the answer."""
        try:
            if self._sock is None:
                self._sock = socket.create_connection(self.address, self.timeout_seconds)
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock.sendall(self.head(method, path, len(body), headers or {}) + body)
            return self._answer(self._sock)
        except BaseException:
            self.close()
            raise

    def _answer(self, sock: socket.socket) -> tuple[int, bytes, bytes]:
        data = self._left
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more(sock)
        head, data = data[: end + 2], data[end + 4 :]
        status = int(head[9:12])
        lowered = head.lower()
        if b"transfer-encoding: chunked" in lowered:
            body, self._left = self._chunks(sock, data)
        else:
            found = re.search(rb"\r\ncontent-length: *(\d+)", lowered)
            length = int(found[1]) if found and status != 204 else 0
            parts, have = [data], len(data)
            while have < length:
                parts.append(self._more(sock))
                have += len(parts[-1])
            data = b"".join(parts)
            body, self._left = data[:length], data[length:]
        if b"\r\nconnection: close" in lowered:
            self.close()
        return status, head, body

    def _chunks(self, sock: socket.socket, data: bytes) -> tuple[bytes, bytes]:
        body = b""
        while True:
            while (end := data.find(b"\r\n")) < 0:
                data += self._more(sock)
            size = int(data[:end].split(b";")[0], 16)
            while len(data) < end + 2 + size + 2:
                data += self._more(sock)
            body += data[end + 2 : end + 2 + size]
            data = data[end + 2 + size + 2 :]
            if size == 0:
                return body, data

    def _more(self, sock: socket.socket) -> bytes:
        data = sock.recv(64 * 1024)
        if not data:
            raise ConnectionResetError("the API closed the connection")
        return data


@dataclass(slots=True)
class Filled:
    """What a fill did."""

    tasks: int
    seconds: float
    statuses: Counter[int]
    slowest_seconds: float

    @property
    def rate(self) -> float:
        """Tasks taken in a second."""
        return self.tasks / self.seconds if self.seconds else 0.0


def fill(
    url: str,
    key: str,
    count: int,
    draft: dict[str, Any] | Callable[[int], dict[str, Any]],
    connections: int = 4,
    size: int = 1000,
) -> Filled:
    """Submit `count` tasks through batch-create, `size` at a time.

    `draft` is one task for all, or the task of a number. Raises RuntimeError when a batch is refused.
    """
    jobs = deque((start, min(size, count - start)) for start in range(0, count, size))
    constant = None if callable(draft) else json.dumps(draft).encode()
    statuses: Counter[int] = Counter()
    taken, slowest = 0, 0.0
    faults: list[str] = []
    lock = threading.Lock()

    def work() -> None:
        nonlocal taken, slowest
        client = Client(url, key, 120)
        body, built = b"", 0
        while not faults:
            try:
                start, length = jobs.popleft()
            except IndexError:
                break
            if constant is None:
                assert callable(draft)
                body = json.dumps([draft(n) for n in range(start, start + length)]).encode()
            elif built != length:
                body, built = b"[" + b",".join([constant] * length) + b"]", length
            begun = time.monotonic()
            try:
                status, _, answer = client.send("POST", "/v2/tasks/batch-create", body)
            except OSError as error:
                faults.append(f"batch-create broke off: {error}")
                break
            took = time.monotonic() - begun
            with lock:
                statuses[status] += 1
                slowest = max(slowest, took)
                if status == 201:
                    taken += answer.count(b'"created_at"')
                else:
                    faults.append(f"batch-create answered {status}: {answer[:300]!r}")
        client.close()

    begun = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(min(connections, len(jobs)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise RuntimeError(faults[0])
    return Filled(taken, time.monotonic() - begun, statuses, slowest)


@dataclass(slots=True)
class Sent:
    """One POST: when it should have gone, when it went, when it was answered (Unix seconds)."""

    planned: float
    sent: float
    answered: float = 0.0
    status: int = 0
    id: str = ""


@dataclass(slots=True)
class _Line:
    client: Client
    sock: socket.socket
    sent: Sent | None = None
    data: bytes = b""


@dataclass(slots=True)
class Flow:
    """What a stream of POSTs did."""

    seconds: float
    sent: list[Sent] = field(default_factory=list)

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was answered; 0 is a connection that broke."""
        return Counter(entry.status for entry in self.sent)


def stream(
    url: str,
    key: str,
    bodies: Sequence[bytes],
    seconds: float,
    rate: float | None = None,
    connections: int = 32,
    path: str = "/v2/tasks",
) -> Flow:
    """POST `bodies` in turn for `seconds`, over so many open connections.

    With `rate`, so many a second whatever the answers do (open loop); the wait for a free connection counts.
    Without, each connection sends as soon as it is answered.
    """
    chooser = selectors.DefaultSelector()
    idle: deque[_Line] = deque()
    heads: dict[int, bytes] = {}

    def connect() -> _Line:
        client = Client(url, key)
        sock = socket.create_connection(client.address, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = _Line(client, sock)
        chooser.register(sock, selectors.EVENT_READ, line)
        return line

    def drop(line: _Line) -> None:
        chooser.unregister(line.sock)
        line.sock.close()
        if line.sent:
            line.sent.answered = time.time()
            line.sent = None
        try:
            idle.append(connect())
        except OSError:
            time.sleep(0.01)

    idle.extend(connect() for _ in range(connections))
    flow = Flow(0.0)
    begun = time.time()
    total = int(rate * seconds) if rate else None
    number = waiting = 0
    while True:
        now = time.time()
        over = number >= total if total is not None else now - begun >= seconds
        if over and (not waiting or now - begun > seconds + 30):
            break
        while idle and not over:
            planned = begun + number / rate if rate else now
            if planned > now:
                break
            line = idle.popleft()
            body = bodies[number % len(bodies)]
            head = heads.get(len(body))
            if head is None:
                head = heads[len(body)] = line.client.head("POST", path, len(body), {})
            line.sent = Sent(planned, now)
            line.data = b""
            flow.sent.append(line.sent)
            number += 1
            waiting += 1
            try:
                line.sock.sendall(head + body)
            except OSError:
                waiting -= 1
                drop(line)
            now = time.time()
            over = number >= total if total is not None else now - begun >= seconds
        pause = 0.05
        if rate and idle and not over:
            pause = max(0.0, begun + number / rate - time.time())
        for chosen, _ in chooser.select(min(pause, 0.05)):
            line = chosen.data
            try:
                data = line.sock.recv(64 * 1024)
            except OSError:
                data = b""
            if not data or line.sent is None:
                waiting -= line.sent is not None
                drop(line)
                continue
            line.data += data
            end = line.data.find(b"\r\n\r\n")
            if end < 0:
                continue
            found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", line.data)
            if found is None or len(line.data) < end + 4 + int(found[1]):
                continue
            entry = line.sent
            entry.answered = time.time()
            entry.status = int(line.data[9:12])
            if match := _ID.search(line.data, end):
                entry.id = match[1].decode()
            line.sent = None
            waiting -= 1
            idle.append(line)
    flow.seconds = time.time() - begun
    for chosen in list(chooser.get_map().values()):
        chosen.data.sock.close()
    chooser.close()
    return flow


@dataclass(frozen=True, slots=True)
class Pressed:
    """What `press` found."""

    rate: float
    p50_ms: float
    p99_ms: float
    refused: int
    by: str


_WRK = """
wrk.method = "POST"
wrk.body = %s
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
local threads = {}
function setup(thread) table.insert(threads, thread); thread:set("wrong", 0) end
function response(status) if status ~= 201 then wrong = wrong + 1 end end
function done(summary, latency)
  local refused = 0
  for _, thread in ipairs(threads) do refused = refused + thread:get("wrong") end
  local e = summary.errors
  print(string.format("RESULT %%d %%d %%f %%f %%d", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), refused + e.connect + e.read + e.write + e.timeout))
end
"""


def press(url: str, key: str, body: bytes, seconds: float, connections: int = 32) -> Pressed:
    """POST one task after the other as fast as they are answered: with wrk when there is one, else `stream`."""
    wrk = shutil.which("wrk")
    if wrk is None:
        flow = stream(url, key, [body], seconds, connections=connections)
        good = sorted(e.answered - e.sent for e in flow.sent if e.status == 201)
        return Pressed(
            len(good) / flow.seconds,
            percentile(good, 50) * 1e3,
            percentile(good, 99) * 1e3,
            len(flow.sent) - len(good),
            "own client",
        )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        script.write_text(_WRK % ("[==[" + body.decode() + "]==]", key))
        words = [wrk, "-t1", f"-c{connections}", f"-d{int(seconds)}", "-s", str(script)]
        done = subprocess.run(
            [*words, url + "/v2/tasks"], capture_output=True, text=True, timeout=seconds + 60
        )
    found = re.search(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", done.stdout)
    if not found:
        raise RuntimeError(f"wrk failed: {done.stdout[-300:]} {done.stderr[-300:]}")
    requests, took, p50, p99, refused = (float(word) for word in found.groups())
    return Pressed((requests - refused) / (took / 1e6), p50 / 1e3, p99 / 1e3, int(refused), "wrk")


def percentile(ordered: Sequence[float], per_cent: float) -> float:
    """The smallest value that at least `per_cent` of the values do not exceed; NaN when there is none."""
    if not ordered:
        return float("nan")
    rank = -(-len(ordered) * per_cent // 100)
    return ordered[max(0, int(rank) - 1)]

"""Through the real server: chunked bodies, connections that stay, limits, slow and rude clients."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from api.slow import READ_SECONDS, TURNS
from tests.conftest import environment, eventually
from timeball.settings import Settings
from timeball.store.projects import ApiKey
from timeball.up import commands

TASK = json.dumps({"request": {"url": "https://example.com/"}, "delay": "PT5M"}).encode()


class Wire:
    """One connection to the server, byte by byte."""

    def __init__(self, port: int, key: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.headers = f"Host: timeball\r\nAuthorization: Bearer {key}\r\n"
        self.rest = b""

    def send(self, line: str, headers: str = "", body: bytes = b"") -> None:
        self.socket.sendall(f"{line} HTTP/1.1\r\n{self.headers}{headers}\r\n".encode() + body)

    def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(v[15:]) for v in lines if v.startswith(b"content-length:")), 0)
        while len(self.rest) < length:
            self.rest += self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(head.split()[1]), body

    def _more(self) -> bytes:
        found = self.socket.recv(65536)
        assert found, "the server closed the connection"
        return found

    def close(self) -> None:
        self.socket.close()


def chunked(body: bytes, size: int = 7) -> bytes:
    parts = (body[i : i + size] for i in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.fixture
def port(settings: Settings, api_key: tuple[ApiKey, str]) -> Iterator[int]:
    """The port of a server as `timeball api` starts it."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    server = subprocess.Popen(
        commands.api("127.0.0.1", number),
        env=environment(settings),
    )
    try:
        eventually(lambda: _listens(number), within=30)
        yield number
    finally:
        server.terminate()
        server.wait(10)


def _listens(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1)):
        return True
    return False


def test_the_server_keeps_its_manners(port: int, api_key: tuple[ApiKey, str]) -> None:
    wire = Wire(port, api_key[1])

    # chunked, without Content-Length and Content-Type, as OCaml's cohttp sends it
    wire.send("POST /tasks", "Transfer-Encoding: chunked\r\n", chunked(TASK))
    status, body = wire.answer()
    assert status == 201
    task = f"/v2/tasks/{json.loads(body)['id']}"

    # one connection for many requests, whether or not their bodies were read
    wire.send(f"POST {task}/run", "Content-Length: 0\r\n")
    assert wire.answer()[0] == 200
    wire.send(f"DELETE {task}", "Content-Type: application/json\r\nContent-Length: 2\r\n", b"{}")
    assert wire.answer() == (204, b"")
    wire.send(f"GET {task}")
    wire.send("GET /livez")
    assert [wire.answer()[0], wire.answer()[0]] == [404, 200]
    wire.close()

    # too large is said at once, and an upload without end is cut off
    for headers in ("Content-Length: 99999999\r\n", "Transfer-Encoding: chunked\r\n"):
        wire = Wire(port, api_key[1])
        wire.send("POST /tasks", headers)
        if "chunked" in headers:
            with suppress(OSError):
                for _ in range(2000):
                    wire.socket.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                pytest.fail("the server read 128 MB of a body limited to 2 MB")
        status, body = wire.answer()
        assert (status, "too large" in json.loads(body)["message"]) == (413, True)
        wire.close()

    # a body that breaks off is no task
    for headers, sent in (
        ("Content-Length: 500\r\n", TASK),
        ("Transfer-Encoding: chunked\r\n", chunked(TASK)[:40]),
        ("Transfer-Encoding: chunked\r\n", b"zz\r\n" + TASK),
    ):
        wire = Wire(port, api_key[1])
        wire.send("POST /tasks", headers, sent)
        wire.socket.shutdown(socket.SHUT_WR)
        with suppress(AssertionError):
            assert wire.answer()[0] == 400
        wire.close()
    wire = Wire(port, api_key[1])
    wire.send("GET /tasks")
    assert wire.answer() == (200, b"[]")
    wire.close()


def test_slow_bodies_do_not_hold_up_the_others(port: int, api_key: tuple[ApiKey, str]) -> None:
    """More senders than there are turns, each with a byte now and then: the others hardly wait."""
    key = api_key[1]
    slow = [Wire(port, key) for _ in range(TURNS + 6)]
    kinds = (
        (f"Content-Length: {len(TASK)}\r\n", TASK[:1]),
        ("Transfer-Encoding: chunked\r\n", b"1\r\n{\r\n"),
    )
    for n, wire in enumerate(slow):
        headers, first = kinds[n % 2]
        wire.send("POST /tasks", headers, first)
    quick, idle = Wire(port, key), Wire(port, key)
    idle.send("GET /tasks")
    assert idle.answer() == (200, b"[]")
    time.sleep(1.2)
    for line, body in (("GET /tasks", b""), ("POST /tasks", TASK), ("POST /tasks", TASK)):
        begun = time.monotonic()
        quick.send(line, f"Content-Length: {len(body)}\r\n" if body else "", body)
        assert quick.answer()[0] == (201 if body else 200)
        assert time.monotonic() - begun < 5
    ended = 0
    for wire in slow:
        with suppress(AssertionError, OSError):
            assert wire.answer()[0] in (400, 408)
            ended += 1
        wire.close()
    assert ended >= TURNS, "slow senders were not told"
    idle.send("GET /tasks")
    assert idle.answer()[0] == 200, "a connection that waits for nothing was cut"
    quick.close()
    idle.close()


def test_connections_that_ask_nothing_shut_nobody_out(
    port: int, api_key: tuple[ApiKey, str]
) -> None:
    """Without any key: connections that rest after a request, and those whose headers never end."""
    held = []
    for n in range(600):
        wire = Wire(port, "")
        wire.socket.sendall(
            b"GET /livez HTTP/1.1\r\nHost: x\r\n" + (b"\r\n" if n % 2 else b"X-A: ")
        )
        if n % 2:
            assert wire.answer()[0] == 200
        held.append(wire)
    wire = Wire(port, api_key[1])
    begun = time.monotonic()
    wire.send("POST /tasks", f"Content-Length: {len(TASK)}\r\n", TASK)
    assert wire.answer()[0] == 201
    assert time.monotonic() - begun < 2
    for each in (*held, wire):
        each.close()


@pytest.mark.soak
def test_a_body_has_ten_seconds(port: int, api_key: tuple[ApiKey, str]) -> None:
    wire = Wire(port, api_key[1])
    wire.send("POST /tasks", f"Content-Length: {len(TASK)}\r\n", TASK[:1])
    wire.socket.settimeout(READ_SECONDS + 8)
    begun = time.monotonic()
    assert wire.answer()[0] == 408
    assert time.monotonic() - begun > READ_SECONDS - 1
    wire.close()


def test_headers_are_limited(port: int, api_key: tuple[ApiKey, str]) -> None:
    for line, headers, expected in (
        ("GET /tasks", f"X-Big: {'x' * 1_000_000}\r\n", 431),
        ("GET /tasks", "".join(f"X-{n}: 1\r\n" for n in range(200)), 431),
        (f"GET /{'x' * 70_000}", "", 414),
        ("POST /tasks", "Content-Length: 5\r\nContent-Length: 6\r\n", 400),
    ):
        wire = Wire(port, api_key[1])
        with suppress(OSError):
            wire.send(line, headers)
        assert wire.answer()[0] == expected
        wire.close()


SMUGGLED = {
    "two codings": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "a coding with a blank before its colon": "Transfer-Encoding : chunked\r\n",
    "a coding that is none": "Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n",
    "a coding behind a control character": "Transfer-Encoding: \x0bchunked\r\nContent-Length: 4\r\n",
    "two lengths": "Content-Length: 4\r\nContent-Length: 5\r\n",
    "a list of lengths": "Content-Length: 4, 4\r\n",
    "a length with a sign": "Content-Length: +4\r\n",
    "a negative length": "Content-Length: -4\r\n",
    "a length in hexadecimal": "Content-Length: 0x4\r\n",
    "a length beyond 64 bits": "Content-Length: 99999999999999999999\r\n",
    "a folded header": "X-A: a\r\n Content-Length: 4\r\n",
    "a header with a NUL": "X-A: a\0b\r\n",
}


def test_a_request_within_a_request_is_not_seen(port: int, api_key: tuple[ApiKey, str]) -> None:
    """What a proxy in front may read in another way is answered once, with an error, and the connection ends."""
    key = api_key[1]
    inner = f"POST /v2/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n".encode()
    inner += b"Content-Length: %d\r\n\r\n" % len(TASK) + TASK
    for name, headers in SMUGGLED.items():
        wire = Wire(port, key)
        wire.send("POST /v2/tasks", headers, b"0\r\n\r\n" + inner)
        assert wire.answer()[0] == 400, name
        with suppress(AssertionError, OSError):
            assert wire.answer()[0] == 400, name
        wire.close()
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        assert connection.recv(1000)[:8] in (b"", b"HTTP/1.1"), "HTTP/2 is spoken"
    wire = Wire(port, key)
    wire.send("GET /v2/tasks")
    assert wire.answer() == (200, b"[]")
    wire.close()

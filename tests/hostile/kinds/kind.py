"""Endpoints that lie: each kind takes a request and does to its caller what it can.

A kind is a coroutine over a raw connection; its docstring says what it does. `expected` is how the call must
end, by the deadline at the latest: outcomes of `timeball.model.attempt.Outcome`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Act = Callable[[Reader, Writer], Awaitable[None]]

TIMED_OUT, TOO_LARGE = frozenset({"timed_out"}), frozenset({"too_large"})
BROKEN = frozenset({"unreachable", "refused"})
ANSWERED = frozenset({"answered"})
ENDED = BROKEN | TIMED_OUT
"""Given up as broken, or by the deadline."""

OK = b"HTTP/1.1 200 OK\r\n"
BLOCK = b"x" * 65536
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Kind:
    """One way to be hostile. `where` is the door it stands behind; raw ones do not wait for a request."""

    name: str
    act: Act
    expected: frozenset[str]
    where: str = "plain"
    big: bool = False
    """Whether its caller has a large body to send."""


KINDS: dict[str, Kind] = {}


def kind(expected: frozenset[str], where: str = "plain", big: bool = False) -> Callable[[Act], Act]:
    def add(act: Act) -> Act:
        name = act.__name__
        KINDS[name] = Kind(name, act, expected, where, big)
        return act

    return add


def fixed(name: str, expected: frozenset[str], answer: bytes, linger: bool = False) -> None:
    """A kind that sends these bytes; then it closes, or keeps the connection open."""

    async def act(reader: Reader, writer: Writer) -> None:
        writer.write(answer)
        with suppress(ConnectionError):
            await writer.drain()
        if linger:
            await forever()

    KINDS[name] = Kind(name, act, expected)


async def forever() -> None:
    await asyncio.sleep(3600)


async def repeat(writer: Writer, piece: bytes, every: float = 0.0) -> None:
    """Send a piece again and again."""
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(every)


def reset(writer: Writer) -> None:
    """Close with a reset instead of an end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def head(status: int, *headers: bytes) -> bytes:
    """An answer that is good HTTP, with these header lines."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %d X\r\n%bContent-Length: 2\r\n\r\nok" % (status, lines)

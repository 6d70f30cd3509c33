"""Endpoints that agree on HTTP/2 and lie in its frames (RFC 9113)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.hostile.kinds.kind import (
    ANSWERED,
    BROKEN,
    ENDED,
    KINDS,
    TIMED_OUT,
    TOO_LARGE,
    Kind,
    Reader,
    Writer,
    forever,
    repeat,
)

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, CONTINUATION = (
    0,
    1,
    3,
    4,
    5,
    6,
    7,
    9,
)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
OK = b"\x88"
"""`:status: 200`, which is the eighth entry of HPACK's static table."""

Answer = Callable[[Writer, int], Awaitable[None]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def field(name: bytes, value: bytes) -> bytes:
    """A header field as HPACK writes it literally; both shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def http2(expected: frozenset[str]) -> Callable[[Answer], Answer]:
    """A kind that shakes hands as it should, and then answers the first request in its own way.

    The connection outlives the call, so the next one may find it still busy with the one before.
    """

    def add(answer: Answer) -> Answer:
        async def act(reader: Reader, writer: Writer) -> None:
            await reader.readexactly(24)
            writer.write(frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0))
            while True:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3]))
                if head[3] == HEADERS:
                    await answer(writer, int.from_bytes(head[5:]))
                    await writer.drain()

        name = f"http2_{answer.__name__}"
        KINDS[name] = Kind(name, act, expected | TIMED_OUT, "raw-h2")
        return answer

    return add


def fixed(name: str, expected: frozenset[str], block: bytes) -> None:
    """A kind that answers with one block of header fields."""

    async def answer(writer: Writer, stream: int) -> None:
        writer.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, block))

    answer.__name__ = name
    http2(expected)(answer)


# What libcurl says of such fields quotes them byte by byte.
fixed("raw_bytes_in_a_name", BROKEN, OK + field(b"X\xff\xfeA", b"a"))
fixed("raw_bytes_in_a_value", ANSWERED | BROKEN, OK + field(b"x-a", b"\x01\xff\xfe"))
fixed("raw_bytes_for_a_status", BROKEN, field(b":status", b"2\xff\xff"))
fixed("raw_bytes_for_a_length", BROKEN, OK + field(b"content-length", b"\xff\xfe"))
fixed("escapes_for_a_terminal", BROKEN, OK + field(b"X\x1b[31m\r\n", b"\x1b]0;\x07"))
fixed("no_status", BROKEN, field(b"x-a", b"b"))
fixed("two_statuses", BROKEN, OK + OK)
fixed("status_of_two_digits", BROKEN, field(b":status", b"20"))
fixed("a_header_of_connections", BROKEN, OK + field(b"connection", b"close"))
fixed("no_hpack", BROKEN, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
fixed("a_field_that_is_nowhere", BROKEN, OK + b"\xfe")
# One entry of the dynamic table, and then time and again the one byte that means it: 40 MB of headers.
fixed("a_bomb_of_headers", ENDED, OK + b"\x40\x01x\x7f\xa1\x1e" + b"a" * 4000 + b"\xbe" * 10_000)


@http2(ENDED)
async def endless_continuations(writer: Writer, stream: int) -> None:
    """Sends a block of headers without an end."""
    writer.write(frame(HEADERS, 0, stream, OK))
    await repeat(writer, frame(CONTINUATION, 0, stream, field(b"x-a", b"b" * 100)))


@http2(ENDED)
async def endless_informational_answers(writer: Writer, stream: int) -> None:
    """Gives hints and no answer, as fast as it goes."""
    await repeat(writer, frame(HEADERS, END_HEADERS, stream, field(b":status", b"103")) * 100)


@http2(TIMED_OUT)
async def pings_trickle(writer: Writer, stream: int) -> None:
    """Asks whether anybody is there, and never answers."""
    await repeat(writer, frame(PING, 0, 0, b"timeball"), 0.1)


@http2(ENDED)
async def endless_pings(writer: Writer, stream: int) -> None:
    """The same as fast as it goes."""
    await repeat(writer, frame(PING, 0, 0, b"timeball") * 100)


@http2(ENDED)
async def endless_settings(writer: Writer, stream: int) -> None:
    """Changes its settings without an end."""
    await repeat(writer, frame(SETTINGS, 0, 0, b"\x00\x04\x00\x00\xff\xff") * 100)


@http2(ENDED)
async def endless_empty_data(writer: Writer, stream: int) -> None:
    """Sends a body of nothing without an end."""
    writer.write(frame(HEADERS, END_HEADERS, stream, OK))
    await repeat(writer, frame(DATA, 0, stream) * 100)


@http2(TOO_LARGE | BROKEN)
async def endless_body(writer: Writer, stream: int) -> None:
    """Sends a body without an end, and does not care for windows."""
    writer.write(frame(HEADERS, END_HEADERS, stream, OK))
    await repeat(writer, frame(DATA, 0, stream, b"x" * 16_000))


@http2(TIMED_OUT)
async def silence(writer: Writer, stream: int) -> None:
    """Shakes hands and never answers."""
    await forever()


@http2(ENDED)
async def refuses_every_stream(writer: Writer, stream: int) -> None:
    """Resets each stream as one that it has not looked at, which asks to try again."""
    writer.write(frame(RST_STREAM, 0, stream, b"\0\0\0\x07"))


@http2(BROKEN)
async def goes_away(writer: Writer, stream: int) -> None:
    """Says that it has looked at nothing and goes."""
    writer.write(frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\x0b" + b"calm \xff\xfe"))
    await writer.drain()
    writer.close()


@http2(ENDED | ANSWERED)
async def pushes(writer: Writer, stream: int) -> None:
    """Promises what nobody asked for."""
    promise = b"\0\0\0\x02" + b"\x82\x84\x87" + field(b":authority", b"127.0.0.1")
    writer.write(frame(PUSH_PROMISE, END_HEADERS, stream, promise))
    writer.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, OK))


@http2(BROKEN)
async def a_frame_of_sixteen_megabytes(writer: Writer, stream: int) -> None:
    """Announces a frame that is larger than was agreed."""
    writer.write(b"\xff\xff\xff\x00\x00" + stream.to_bytes(4) + b"x" * 65536)


@http2(BROKEN)
async def data_of_another_stream(writer: Writer, stream: int) -> None:
    """Answers a stream that is not there."""
    writer.write(frame(DATA, END_STREAM, stream + 100, b"hello"))

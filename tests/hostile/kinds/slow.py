"""Endpoints that take their time."""

from __future__ import annotations

import asyncio

from tests.hostile.kinds.kind import (
    ANSWERED,
    CHUNKED,
    OK,
    TIMED_OUT,
    Reader,
    Writer,
    forever,
    kind,
    repeat,
)


@kind(TIMED_OUT)
async def silence(reader: Reader, writer: Writer) -> None:
    """Never answers."""
    await forever()


@kind(TIMED_OUT)
async def status_trickles(reader: Reader, writer: Writer) -> None:
    """Sends its status line a byte at a time."""
    for byte in OK:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.5)


@kind(TIMED_OUT)
async def header_trickles(reader: Reader, writer: Writer) -> None:
    """Sends one endless header a byte at a time."""
    writer.write(OK + b"X-A: ")
    await repeat(writer, b"a", 0.1)


@kind(TIMED_OUT)
async def headers_trickle(reader: Reader, writer: Writer) -> None:
    """Sends a header now and then, for ever."""
    writer.write(OK)
    await repeat(writer, b"X-A: b\r\n", 0.1)


@kind(TIMED_OUT)
async def body_trickles(reader: Reader, writer: Writer) -> None:
    """Sends a promised body a byte at a time."""
    writer.write(OK + b"Content-Length: 100000\r\n\r\n")
    await repeat(writer, b"a", 0.1)


@kind(TIMED_OUT)
async def chunks_trickle(reader: Reader, writer: Writer) -> None:
    """Sends chunks of one byte, now and then."""
    writer.write(CHUNKED)
    await repeat(writer, b"1\r\na\r\n", 0.1)


@kind(TIMED_OUT)
async def chunk_size_trickles(reader: Reader, writer: Writer) -> None:
    """Sends a chunk's extension a byte at a time."""
    writer.write(CHUNKED + b"1;a=")
    await repeat(writer, b"a", 0.1)


@kind(TIMED_OUT)
async def trailers_trickle(reader: Reader, writer: Writer) -> None:
    """Sends trailers for ever, after a good answer."""
    writer.write(CHUNKED + b"2\r\nok\r\n0\r\n")
    await repeat(writer, b"X-A: b\r\n", 0.1)


@kind(TIMED_OUT)
async def one_hundreds_trickle(reader: Reader, writer: Writer) -> None:
    """Asks for patience for ever."""
    await repeat(writer, b"HTTP/1.1 100 Continue\r\n\r\n", 0.1)


@kind(TIMED_OUT)
async def early_hints_trickle(reader: Reader, writer: Writer) -> None:
    """Gives hints and no answer."""
    await repeat(writer, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0.1)


@kind(TIMED_OUT)
async def promised_body_stays_away(reader: Reader, writer: Writer) -> None:
    """Promises a body, sends half of it and no more."""
    writer.write(OK + b"Content-Length: 10\r\n\r\nhello")
    await forever()


@kind(TIMED_OUT)
async def body_without_an_end(reader: Reader, writer: Writer) -> None:
    """Sends a body that ends with the connection, and does not end it."""
    writer.write(OK + b"\r\nhello")
    await forever()


@kind(ANSWERED)
async def stays_after_a_whole_answer(reader: Reader, writer: Writer) -> None:
    """Answers, says that it closes, and does not."""
    writer.write(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok")
    await forever()


@kind(TIMED_OUT, where="raw", big=True)
async def never_reads(reader: Reader, writer: Writer) -> None:
    """Takes the connection and reads nothing, so that a large body waits in the middle."""
    writer.transport.pause_reading()
    await forever()


@kind(TIMED_OUT, where="raw", big=True)
async def reads_slowly(reader: Reader, writer: Writer) -> None:
    """Reads a large body a little at a time."""
    while await reader.read(64):
        await asyncio.sleep(0.2)

"""Endpoints whose answers have no end, or far more in them than it seems."""

from __future__ import annotations

import gzip
import zlib

from tests.hostile.kinds.kind import (
    ANSWERED,
    BLOCK,
    CHUNKED,
    ENDED,
    OK,
    TOO_LARGE,
    Reader,
    Writer,
    fixed,
    kind,
    repeat,
)


@kind(TOO_LARGE)
async def endless_body(reader: Reader, writer: Writer) -> None:
    """Sends a body without an end, as fast as it goes."""
    writer.write(OK + b"\r\n")
    await repeat(writer, BLOCK)


@kind(TOO_LARGE)
async def endless_chunks(reader: Reader, writer: Writer) -> None:
    """The same in chunks."""
    writer.write(CHUNKED)
    await repeat(writer, b"10000\r\n" + BLOCK + b"\r\n")


@kind(TOO_LARGE)
async def a_gigabyte(reader: Reader, writer: Writer) -> None:
    """Promises a gigabyte and sends it."""
    writer.write(OK + b"Content-Length: 1073741824\r\n\r\n")
    await repeat(writer, BLOCK)


@kind(ENDED)
async def endless_headers(reader: Reader, writer: Writer) -> None:
    """Sends headers without an end, as fast as it goes."""
    writer.write(OK)
    await repeat(writer, b"X-A: b\r\n" * 500)


@kind(ENDED)
async def one_endless_header(reader: Reader, writer: Writer) -> None:
    """Sends one header without an end."""
    writer.write(OK + b"X-A: ")
    await repeat(writer, BLOCK)


@kind(ENDED)
async def an_endless_status(reader: Reader, writer: Writer) -> None:
    """Sends a status line without an end."""
    writer.write(b"HTTP/1.1 200 ")
    await repeat(writer, BLOCK)


@kind(ENDED)
async def endless_trailers(reader: Reader, writer: Writer) -> None:
    """Sends trailers without an end, as fast as it goes."""
    writer.write(CHUNKED + b"2\r\nok\r\n0\r\n")
    await repeat(writer, b"X-A: b\r\n" * 500)


@kind(ENDED)
async def endless_one_hundreds(reader: Reader, writer: Writer) -> None:
    """Asks for patience without an end, as fast as it goes."""
    await repeat(writer, b"HTTP/1.1 100 Continue\r\n\r\n" * 500)


@kind(ENDED)
async def an_endless_chunk_extension(reader: Reader, writer: Writer) -> None:
    """Sends a chunk's extension without an end."""
    writer.write(CHUNKED + b"1;a=")
    await repeat(writer, BLOCK)


@kind(ENDED)
async def sixty_four_megabytes_of_headers(reader: Reader, writer: Writer) -> None:
    """Sends a header of 64 MB."""
    writer.write(OK + b"X-A: ")
    for _ in range(1024):
        writer.write(BLOCK)
        await writer.drain()
    writer.write(b"\r\nContent-Length: 0\r\n\r\n")


@kind(ENDED)
async def two_hundred_thousand_headers(reader: Reader, writer: Writer) -> None:
    """Sends 200,000 headers."""
    writer.write(OK)
    for start in range(0, 200_000, 2000):
        writer.write(b"".join(b"X-%d: b\r\n" % n for n in range(start, start + 2000)))
        await writer.drain()
    writer.write(b"Content-Length: 0\r\n\r\n")


_ZEROS = bytes(1 << 20)


def _bomb(wrap: int) -> bytes:
    """16 MB of zeros, compressed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wrap)
    return b"".join(packer.compress(_ZEROS) for _ in range(16)) + packer.flush()


def _coded(coding: bytes, body: bytes) -> bytes:
    return OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)) + body


fixed("gzip_bomb", ANSWERED, _coded(b"gzip", _bomb(31)))
fixed("deflate_bomb", ANSWERED, _coded(b"deflate", _bomb(15)))
fixed("bomb_in_a_bomb", ANSWERED, _coded(b"gzip, gzip", gzip.compress(_bomb(31))))
fixed("two_thousand_codings", ANSWERED, _coded(b", ".join([b"gzip"] * 2000), b"no"))
fixed("false_coding", ANSWERED, _coded(b"gzip", b"this is not gzip"))
fixed("unknown_coding", ANSWERED, _coded(b"br, zstd, lzma, x-y", b"no"))

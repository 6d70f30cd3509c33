"""Endpoints that break off, or whose TLS is not to be trusted."""

from __future__ import annotations

import asyncio
import itertools

from tests.hostile.kinds.kind import (
    ANSWERED,
    BLOCK,
    BROKEN,
    OK,
    TIMED_OUT,
    TOO_LARGE,
    Reader,
    Writer,
    forever,
    head,
    kind,
    repeat,
    reset,
)


@kind(BROKEN, where="raw")
async def reset_at_once(reader: Reader, writer: Writer) -> None:
    """Resets as soon as it is connected to."""
    reset(writer)


@kind(BROKEN)
async def reset_after_the_request(reader: Reader, writer: Writer) -> None:
    """Reads the request and resets."""
    reset(writer)


@kind(BROKEN)
async def reset_within_headers(reader: Reader, writer: Writer) -> None:
    """Resets in the middle of its headers."""
    writer.write(OK + b"X-A")
    await asyncio.sleep(0.05)
    reset(writer)


@kind(BROKEN)
async def reset_within_the_body(reader: Reader, writer: Writer) -> None:
    """Resets in the middle of its body."""
    writer.write(OK + b"Content-Length: 100\r\n\r\nhello")
    await asyncio.sleep(0.05)
    reset(writer)


@kind(BROKEN | ANSWERED, where="raw", big=True)
async def answers_before_it_reads(reader: Reader, writer: Writer) -> None:
    """Answers before the body has come, and resets."""
    writer.write(head(413))
    await asyncio.sleep(0.05)
    reset(writer)


@kind(BROKEN, where="raw")
async def speaks_first(reader: Reader, writer: Writer) -> None:
    """Greets like a mail server and closes."""
    writer.write(b"220 mail.example.com ESMTP\r\n")
    await asyncio.sleep(0.05)


@kind(BROKEN, where="self-signed")
async def a_certificate_of_its_own(reader: Reader, writer: Writer) -> None:
    """Shows a certificate that nobody signed."""
    writer.write(head(200))


@kind(BROKEN, where="wrong-name")
async def a_certificate_of_another(reader: Reader, writer: Writer) -> None:
    """Shows a good certificate for another name."""
    writer.write(head(200))


@kind(BROKEN, where="expired")
async def a_certificate_of_the_past(reader: Reader, writer: Writer) -> None:
    """Shows a certificate that has expired."""
    writer.write(head(200))


@kind(ANSWERED | BROKEN, where="tls")
async def tls_ends_without_a_word(reader: Reader, writer: Writer) -> None:
    """Closes a good TLS connection in the middle of a body."""
    writer.write(OK + b"Content-Length: 100\r\n\r\nhello")
    await writer.drain()
    writer.transport.abort()


@kind(TOO_LARGE, where="tls")
async def endless_body_in_tls(reader: Reader, writer: Writer) -> None:
    """Sends a body without an end within TLS."""
    writer.write(OK + b"\r\n")
    await repeat(writer, BLOCK)


@kind(TIMED_OUT, where="raw-tls")
async def tls_stalls(reader: Reader, writer: Writer) -> None:
    """Takes the hello and never answers it."""
    await forever()


@kind(BROKEN, where="raw-tls")
async def tls_is_plain(reader: Reader, writer: Writer) -> None:
    """Answers a TLS hello with plain HTTP."""
    writer.write(head(200))
    await asyncio.sleep(0.05)


@kind(BROKEN | TIMED_OUT, where="raw-tls")
async def tls_noise(reader: Reader, writer: Writer) -> None:
    """Answers a TLS hello with noise."""
    for n in itertools.count():
        writer.write(b"\x16\x03\x03\xff\xff" + bytes([n % 256]) * 1000)
        await writer.drain()
        await asyncio.sleep(0.01)

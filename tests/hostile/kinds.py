"""Endpoints that lie: each kind takes a request and does to its caller what it can.

A kind is a coroutine over a raw connection; its docstring says what it does. `expected` is how the call must
end, by the deadline at the latest: outcomes of `timeball.model.attempt.Outcome`.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import socket
import struct
import zlib
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


# -- slow ------------------------------------------------------------------------------------------


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


# -- endless ---------------------------------------------------------------------------------------

_BLOCK = b"x" * 65536


@kind(TOO_LARGE)
async def endless_body(reader: Reader, writer: Writer) -> None:
    """Sends a body without an end, as fast as it goes."""
    writer.write(OK + b"\r\n")
    await repeat(writer, _BLOCK)


@kind(TOO_LARGE)
async def endless_chunks(reader: Reader, writer: Writer) -> None:
    """The same in chunks."""
    writer.write(CHUNKED)
    await repeat(writer, b"10000\r\n" + _BLOCK + b"\r\n")


@kind(TOO_LARGE)
async def a_gigabyte(reader: Reader, writer: Writer) -> None:
    """Promises a gigabyte and sends it."""
    writer.write(OK + b"Content-Length: 1073741824\r\n\r\n")
    await repeat(writer, _BLOCK)


@kind(ENDED)
async def endless_headers(reader: Reader, writer: Writer) -> None:
    """Sends headers without an end, as fast as it goes."""
    writer.write(OK)
    await repeat(writer, b"X-A: b\r\n" * 500)


@kind(ENDED)
async def one_endless_header(reader: Reader, writer: Writer) -> None:
    """Sends one header without an end."""
    writer.write(OK + b"X-A: ")
    await repeat(writer, _BLOCK)


@kind(ENDED)
async def an_endless_status(reader: Reader, writer: Writer) -> None:
    """Sends a status line without an end."""
    writer.write(b"HTTP/1.1 200 ")
    await repeat(writer, _BLOCK)


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
    await repeat(writer, _BLOCK)


@kind(ENDED)
async def sixty_four_megabytes_of_headers(reader: Reader, writer: Writer) -> None:
    """Sends a header of 64 MB."""
    writer.write(OK + b"X-A: ")
    for _ in range(1024):
        writer.write(_BLOCK)
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


# -- bombs -----------------------------------------------------------------------------------------

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

# -- broken framing --------------------------------------------------------------------------------

_FRAMES = {
    "bad_chunk_size": CHUNKED + b"zz\r\nhello\r\n",
    "chunk_size_of_twenty_digits": CHUNKED + b"F" * 20 + b"\r\nhello",
    "negative_chunk_size": CHUNKED + b"-1\r\nhello\r\n",
    "chunk_longer_than_said": CHUNKED + b"2\r\nhello\r\n0\r\n\r\n",
    "chunks_cut": CHUNKED + b"5\r\nhel",
    "negative_length": OK + b"Content-Length: -1\r\n\r\nhello",
    "length_beyond_64_bits": OK + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "length_in_words": OK + b"Content-Length: five\r\n\r\nhello",
    "two_lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length_and_chunks": CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "unknown_transfer_coding": OK + b"Transfer-Encoding: gzip, chunked, x\r\n\r\nhello",
    "body_shorter_than_said": OK + b"Content-Length: 50\r\n\r\nhello",
    "body_longer_than_said": OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n",
    "status_and_no_more": b"HTTP/1.1 200 OK\r\n",
    "half_a_status": b"HTTP/1.1 2",
    "nothing": b"",
    "not_http": b"220 mail.example.com ESMTP\r\n",
    "noise": bytes(range(256)) * 8,
    "http_0_9": b"<html>hello</html>",
    "http_2_frames": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18,
    "tls_alert": b"\x15\x03\x03\x00\x02\x02\x46",
    "version_of_the_future": b"HTTP/3.7 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "status_of_no_digits": b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok",
    "status_999": b"HTTP/1.1 999 No\r\nContent-Length: 2\r\n\r\nok",
    "switching_protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nnoise",
    "no_content_with_content": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "header_without_a_colon": OK + b"what is this\r\nContent-Length: 2\r\n\r\nok",
    "header_with_a_nul": OK + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "header_that_goes_on": OK + b"X-A: a\r\n b\r\n\tc\r\nContent-Length: 2\r\n\r\nok",
    "header_of_raw_bytes": OK + b"X-\xff\xfe: \x80\x81\r\nContent-Length: 2\r\n\r\nok",
    "line_feeds_alone": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
}
for _name, _answer in _FRAMES.items():
    fixed(_name, ANSWERED | BROKEN, _answer)

_NO_STATUS = {
    "status_of_five_digits": b"20000 OK",
    "status_of_four_digits": b"2000",
    "status_with_a_letter": b"200a OK",
    "status_with_a_point": b"200.1 OK",
    "status_of_zeros": b"000 OK",
    "status_below_100": b"042 OK",
}
for _name, _answer in _NO_STATUS.items():
    fixed(_name, BROKEN, b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nok" % _answer)

# -- leading elsewhere -----------------------------------------------------------------------------


def _head(status: int, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %d X\r\n%bContent-Length: 2\r\n\r\nok" % (status, lines)


_ELSEWHERE = {
    "redirect_to_metadata": _head(302, b"Location: http://169.254.169.254/latest/meta-data/"),
    "redirect_with_the_body": _head(307, b"Location: http://10.0.0.1/"),
    "redirect_to_a_file": _head(301, b"Location: file:///etc/passwd"),
    "redirect_to_gopher": _head(308, b"Location: gopher://127.0.0.1:6379/_FLUSHALL"),
    "redirect_to_itself": _head(302, b"Location: redirect_to_itself"),
    "location_of_raw_bytes": _head(302, b"Location: http://\xff\xfe\x80/"),
    "refresh": _head(200, b"Refresh: 0; url=http://127.0.0.1/"),
    "other_service": _head(200, b'Alt-Svc: h2="127.0.0.1:1"; ma=9999'),
    "asks_for_a_password": _head(
        401, b'WWW-Authenticate: Basic realm="x"', b"WWW-Authenticate: NTLM"
    ),
    "asks_for_a_proxy_password": _head(407, b"Proxy-Authenticate: Negotiate"),
    "cookies": _head(
        200, *(b"Set-Cookie: a%d=%b; Domain=.com" % (n, b"x" * 500) for n in range(100))
    ),
    "retry_after_for_ever": _head(503, b"Retry-After: 999999999999999999999999"),
    "retry_after_never": _head(503, b"Retry-After: Thu, 99 Foo 10000 99:99:99 GMT"),
    "multiple_retry_after": _head(503, b"Retry-After: -5", b"Retry-After: NaN"),
}
for _name, _answer in _ELSEWHERE.items():
    fixed(_name, ANSWERED, _answer)

# -- resets ----------------------------------------------------------------------------------------


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
    writer.write(_head(413))
    await asyncio.sleep(0.05)
    reset(writer)


@kind(BROKEN, where="raw")
async def speaks_first(reader: Reader, writer: Writer) -> None:
    """Greets like a mail server and closes."""
    writer.write(b"220 mail.example.com ESMTP\r\n")
    await asyncio.sleep(0.05)


# -- TLS -------------------------------------------------------------------------------------------


@kind(BROKEN, where="self-signed")
async def a_certificate_of_its_own(reader: Reader, writer: Writer) -> None:
    """Shows a certificate that nobody signed."""
    writer.write(_head(200))


@kind(BROKEN, where="wrong-name")
async def a_certificate_of_another(reader: Reader, writer: Writer) -> None:
    """Shows a good certificate for another name."""
    writer.write(_head(200))


@kind(BROKEN, where="expired")
async def a_certificate_of_the_past(reader: Reader, writer: Writer) -> None:
    """Shows a certificate that has expired."""
    writer.write(_head(200))


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
    await repeat(writer, _BLOCK)


@kind(TIMED_OUT, where="raw-tls")
async def tls_stalls(reader: Reader, writer: Writer) -> None:
    """Takes the hello and never answers it."""
    await forever()


@kind(BROKEN, where="raw-tls")
async def tls_is_plain(reader: Reader, writer: Writer) -> None:
    """Answers a TLS hello with plain HTTP."""
    writer.write(_head(200))
    await asyncio.sleep(0.05)


@kind(BROKEN | TIMED_OUT, where="raw-tls")
async def tls_noise(reader: Reader, writer: Writer) -> None:
    """Answers a TLS hello with noise."""
    for n in itertools.count():
        writer.write(b"\x16\x03\x03\xff\xff" + bytes([n % 256]) * 1000)
        await writer.drain()
        await asyncio.sleep(0.01)

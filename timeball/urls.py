"""URLs as libcurl will read them, whatever their notation. Pure: nothing is resolved."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

import idna

from timeball.errors import InvalidField

URL_LIMIT = 2048
"""The longest URL, in characters, as it is sent."""

_PLAIN = re.compile(r'(https?://[^/?#\\\x00-\x20\x7f-\U0010ffff]+)([/?][!"$-~]*)?').fullmatch
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)", re.DOTALL).match
_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]").search
ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)\Z")
_V4_PART = re.compile(r"0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*").fullmatch
_NAME = re.compile(r"(?!.{254})(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.(?=.)|$))+").fullmatch
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a URL leads to. `text` is the part of the URL before its path, as it is sent.

    `host` is ASCII and in lower case, without brackets or a trailing dot; a literal address is in its shortest
    notation. `addresses` are those that the host can only mean: itself, when it is a literal; the loopback
    ones for localhost (RFC 6761, section 6.3); none for any other name.
    """

    text: str
    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]


def read_url(url: str) -> tuple[str, Origin]:
    """A URL as it is sent, and where it leads to. Raises InvalidField for `request.url`."""
    if len(url) <= URL_LIMIT and (found := _PLAIN(url)):
        text, rest = found.groups()
        origin = origin_of(text)
        return (url if origin.text == text else origin.text + (rest or "")), origin
    return _read_odd(url)


def wrong(message: str) -> InvalidField:
    return InvalidField("request.url", message)


def _read_odd(url: str) -> tuple[str, Origin]:
    """A URL that is not plain: too long, not ASCII, with a fragment, or wrong."""
    if len(url) > URL_LIMIT:
        raise wrong(f"must have at most {URL_LIMIT} characters; this one has {len(url)}")
    if _SPACE(url):
        raise wrong("must not hold spaces or control characters: percent-encode them")
    parts = _PARTS(url)
    if parts is None:
        raise wrong(f"{url[:60]!r} must begin with http:// or https://")
    scheme, authority, rest = parts.groups()
    origin = origin_of(f"{scheme}://{authority}")
    try:
        url = origin.text + quote(rest, safe=_PRINTABLE)
    except UnicodeEncodeError:
        raise wrong("must be text that UTF-8 can hold") from None
    if len(url) > URL_LIMIT:
        raise wrong(f"must have at most {URL_LIMIT} characters once encoded")
    return url, origin


@lru_cache(maxsize=4096)
def origin_of(text: str) -> Origin:
    scheme, _, authority = text.partition("://")
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        raise wrong(f"'{scheme[:20]}://' must begin with http:// or https://")
    if "@" in authority:
        raise wrong("must not hold a user name or password: use an Authorization header")
    host_text, colon, port_text = authority, "", ""
    if authority.startswith("["):
        inside, closed, after = authority[1:].partition("]")
        if not closed or (after and after[0] != ":"):
            raise wrong("has an IPv6 address that is not in brackets as it should be")
        host, addresses = _read_v6(inside)
        host_text, colon, port_text = f"[{host}]", after[:1], after[1:]
    else:
        host_text, colon, port_text = authority.partition(":")
        host, addresses = _read_host(host_text)
        # The dot at the end of a name tells the resolver not to try search domains, so it stays.
        host_text = host + "." * (not addresses and host_text[-1] in ".。．｡")
    port = (443 if scheme == "https" else 80) if not colon else parse_port(port_text)
    if port is None:
        raise wrong("must have a port from 1 to 65535, or none")
    text = f"{scheme}://{host_text}{colon}{port if colon else ''}"
    return Origin(text, scheme, host, port, addresses)


def parse_port(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return None
    port = int(text)
    return port if 1 <= port <= 65535 else None


def _read_v6(inside: str) -> tuple[str, tuple[str, ...]]:
    if "%" in inside:
        raise wrong("must not hold a zone id: it means something on one machine only")
    try:
        packed = socket.inet_pton(socket.AF_INET6, inside)
    except (OSError, ValueError):
        raise wrong("has no IPv6 address within its brackets") from None
    host = socket.inet_ntop(socket.AF_INET6, packed)
    return host, (host,)


def _read_host(text: str) -> tuple[str, tuple[str, ...]]:
    if not text:
        raise wrong("must have a host")
    if "%" in text:
        raise wrong("must not have a percent sign in its host")
    host = ascii_name(text)
    if host is None:
        raise wrong("must have a host that is a name or an address")
    if ENDS_IN_NUMBER.search(host):
        number = _read_v4(host)
        if number is None:
            raise wrong("has a host that ends in a number but is no IPv4 address")
        host = socket.inet_ntop(socket.AF_INET, number.to_bytes(4, "big"))
        return host, (host,)
    if host == "localhost" or host.endswith(".localhost"):
        return host, ("127.0.0.1", "::1")
    return host, ()


def ascii_name(text: str) -> str | None:
    """A host name in lower case and ASCII, without a trailing dot; None when it cannot be one."""
    if not text.isascii():
        if len(text) > 253:
            return None
        try:
            text = idna.encode(text, uts46=True).decode("ascii")
        except UnicodeError:
            return None
    text = text.lower().removesuffix(".")
    return text if _NAME(text) else None


def _read_v4(text: str) -> int | None:
    """An IPv4 address as inet_aton reads it: one to four parts, each decimal, 0x hexadecimal or 0 octal."""
    parts = text.split(".")
    if len(parts) > 4 or not all(map(_V4_PART, parts)):
        return None
    *heads, last = (
        int(part, 16 if part[1:2] == "x" else 8 if part[0] == "0" else 10) for part in parts
    )
    if any(head > 255 for head in heads) or last >= 1 << 8 * (4 - len(heads)):
        return None
    return last + sum(head << 8 * (3 - place) for place, head in enumerate(heads))


def host_of(url: str) -> str:
    """The host that a URL names, without port; of a URL that intake has checked."""
    authority = url[url.index("//") + 2 :].partition("/")[0].partition("?")[0].rpartition("@")[2]
    if authority.startswith("["):
        return authority[1 : authority.index("]")].lower()
    return authority.partition(":")[0].lower()

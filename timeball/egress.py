"""Which addresses calls may reach. Pure: nothing is resolved and nothing is opened here.

Two moments ask. When a task is submitted, `check_url` reads its URL and refuses a forbidden address written out
in it, in whatever notation; names are taken as they come. When a call connects, `Policy.allows` judges the
address that the name led to; only this one is a defence, for a name may lead elsewhere by then.

By default a call may go to any public address and to no other. What is public is decided by tables of our own,
from IANA's IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890): `ipaddress.is_global` differs between
Python 3.11 and 3.13, and takes multicast and IPv4 addresses embedded in IPv6 for global.
"""

from __future__ import annotations

import re
import socket
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from urllib.parse import quote

import idna

from timeball.errors import ConfigError, InvalidField

URL_LIMIT = 2048
"""The longest URL, in characters, as it is sent."""

# Every address is one number of 128 bits, an IPv4 address the one of its IPv4-mapped form (RFC 4291,
# section 2.5.5.2): so ::ffff:10.0.0.1 and 10.0.0.1 are the same address here, as they are to a kernel.
_V4 = 0xFFFF << 32
_V4_END = _V4 + (1 << 32)

_Range = tuple[int, int]
"""Addresses from the first up to, but not including, the second."""


def _range(text: str) -> _Range:
    network = ip_network(text)
    base = _V4 if network.version == 4 else 0
    first = base + int(network.network_address)
    return first, first + network.num_addresses


def _number(ip: str) -> int | None:
    """The number of an address as the kernel writes it, a zone id ignored; None for anything else."""
    ip, _, _ = ip.partition("%")
    try:
        if ":" in ip:
            return int.from_bytes(socket.inet_pton(socket.AF_INET6, ip), "big")
        return _V4 | int.from_bytes(socket.inet_pton(socket.AF_INET, ip), "big")
    except (OSError, ValueError):
        return None


_CLOSED_V4 = (
    "0.0.0.0/8",  # this network: Linux connects 0.0.0.0 to itself
    "10.0.0.0/8",  # private, RFC 1918
    "100.64.0.0/10",  # shared by carriers, RFC 6598
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # the wire server that each Azure machine sees there
    "169.254.0.0/16",  # link-local, and every cloud's metadata
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # IETF protocol assignments, RFC 6890
    "192.0.2.0/24",  # documentation, RFC 5737
    "192.88.99.0/24",  # 6to4 relays, withdrawn by RFC 7526
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks, RFC 2544
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)
_CLOSED_V6 = (
    "2001::/23",  # IETF protocol assignments: Teredo, benchmarks, ORCHID and others
    "2001:db8::/32",  # documentation, RFC 3849
    "2002::/16",  # 6to4, RFC 7526
    "3ffe::/16",  # the 6bone, given back by RFC 3701
    "3fff::/20",  # documentation, RFC 9637
)
_NAT64 = "64:ff9b::/96"  # RFC 6052; public when the IPv4 address within is: DNS64 networks need it


def _edges(parts: Iterable[_Range]) -> tuple[int, ...]:
    """Where each of some disjoint ranges begins and ends, in order, for `_inside`."""
    return tuple(edge for part in sorted(parts) for edge in part)


def _inside(number: int, edges: Sequence[int]) -> bool:
    return bisect_right(edges, number) % 2 == 1


def _open(whole: str, closed: Iterable[str]) -> list[_Range]:
    """What is left of a range without its closed parts."""
    first, end = _range(whole)
    edges = (first, *_edges(map(_range, closed)), end)
    return list(zip(edges[::2], edges[1::2], strict=True))


_PUBLIC = _edges([*_open("0.0.0.0/0", _CLOSED_V4), *_open("2000::/3", _CLOSED_V6), _range(_NAT64)])
_LOCAL = _edges(map(_range, ("0.0.0.0/8", "127.0.0.0/8", "::/127")))
_METADATA = _edges(
    map(
        _range,
        (
            "169.254.0.0/16",  # AWS, GCP, Azure, OpenStack at .169.254; ECS at .170.2; Scaleway at .42.42
            "fe80::/10",  # OpenStack at fe80::a9fe:a9fe
            "fd00:ec2::/32",  # AWS
            "fd20:ce::254/128",  # GCP
            "fd00:42::42/128",  # Scaleway
            "100.100.100.200/32",  # Alibaba
            "168.63.129.16/32",  # Azure
            "192.0.0.192/32",  # Oracle
        ),
    )
)

_TEREDO, _6TO4, _NAT64_LOCAL = map(_range, ("2001::/32", "2002::/16", "64:ff9b:1::/48"))
_LOW_32 = 0xFFFFFFFF


def _embedded(number: int) -> tuple[int, ...]:
    """The IPv4 addresses that some gateway may read out of an IPv6 address."""
    if _V4 <= number < _V4_END:
        return ()
    low = number & _LOW_32
    # IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765), NAT64 (RFC 6052), ISATAP (RFC 5214).
    if number >> 32 in (0, 0xFFFF0000, 0x64FF9B << 64) or number >> 32 & 0xFDFFFFFF == 0x00005EFE:
        return (_V4 | low,)
    if _6TO4[0] <= number < _6TO4[1]:  # RFC 3056
        return (_V4 | (number >> 80 & _LOW_32),)
    if _TEREDO[0] <= number < _TEREDO[1]:  # RFC 4380: the server, and the client's bits inverted
        return (_V4 | (number >> 64 & _LOW_32), _V4 | (low ^ _LOW_32))
    if _NAT64_LOCAL[0] <= number < _NAT64_LOCAL[1]:  # RFC 8215, as a prefix of 96 or of 48 bits
        split = (number >> 64 & 0xFFFF) << 16 | (number >> 40 & 0xFFFF)
        return (_V4 | low, _V4 | split)
    return ()


def is_public(ip: str) -> bool:
    """Whether an address, as the kernel writes it, is public: reachable from the whole internet by unicast.

    IPv4: what the registry calls globally reachable, less multicast. IPv6: 2000::/3 less its special blocks,
    and NAT64's 64:ff9b::/96; an IPv4 address embedded in either must be public too. Anything else is not.
    """
    number = _number(ip)
    return number is not None and all(_inside(n, _PUBLIC) for n in (number, *_embedded(number)))


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of a list of targets: a host name, or ranges of addresses; `port` None means every port."""

    port: int | None
    name: str | None = None
    ranges: tuple[_Range, ...] = ()

    def matches(self, host: str, numbers: Iterable[int], port: int) -> bool:
        """Whether the entry speaks of this host name, or of any of these addresses, at this port."""
        if self.port is not None and self.port != port:
            return False
        if self.name is not None:
            return self.name == host
        return any(first <= n < end for n in numbers for first, end in self.ranges)

    def names(self, number: int, port: int) -> bool:
        """Whether the entry is this very address and not a wider range."""
        return (number, number + 1) in self.ranges and self.port in (None, port)


@dataclass(frozen=True, slots=True)
class Policy:
    """What calls of this installation may reach. `Policy()` is the public internet and nothing else.

    In this order, the first that applies: our own ports are closed; what is denied is closed; a public address
    is open; a cloud's metadata address is closed unless `allowed` holds this very address (neither a wider
    range nor a name opens it); what is allowed is open; the rest is closed. An IPv4 address embedded in an IPv6
    one counts for everything that closes, and for being public.
    """

    allowed: tuple[Rule, ...] = ()
    denied: tuple[Rule, ...] = ()
    own_ports: frozenset[int] = frozenset()
    own_addresses: frozenset[int] = frozenset()

    @classmethod
    def parse(
        cls,
        allowed: Sequence[str],
        denied: Sequence[str],
        own_ports: Collection[int] = (),
        own_addresses: Collection[str] = (),
    ) -> Policy:
        """A policy from the settings `allowed_targets` and `denied_targets`.

        An entry is a host name, an address or a CIDR, with or without a port: `inbox`, `localhost:3000`,
        `10.0.0.0/8:443`, `fd00::/8`, `[::1]:80`, `[fd00::/8]:443`. A name stands for whatever it resolves to,
        when the URL uses that very name; `localhost` for 127.0.0.0/8 and ::1. `own_ports` are those of the
        API, Redis and Flower: closed on loopback and unspecified addresses and on `own_addresses`, which are
        the further addresses of this machine and of Redis's. Raises ConfigError with every fault.
        """
        faults: list[str] = []
        allow_rules = _parse_rules("TIMEBALL_ALLOWED_TARGETS", allowed, faults)
        deny_rules = _parse_rules("TIMEBALL_DENIED_TARGETS", denied, faults)
        numbers = set()
        for ip in own_addresses:
            if (number := _number(ip)) is None:
                faults.append(f"{ip!r} is not an address")
            else:
                numbers.add(number)
        if faults:
            raise ConfigError(faults)
        return cls(allow_rules, deny_rules, frozenset(own_ports), frozenset(numbers))

    def allows(self, host: str, ip: str, port: int) -> bool:
        """Whether a call to `host`, as its URL names it, may connect to this address and port.

        `ip` is the address in the kernel's notation, as libcurl's OPENSOCKETFUNCTION gives it; text that is
        no address is refused. Costs 1 to 2 us.
        """
        number = _number(ip)
        if number is None:
            return False
        host = host.lower().removesuffix(".")
        numbers = (number, *_embedded(number))
        if port in self.own_ports and any(
            n in self.own_addresses or _inside(n, _LOCAL) for n in numbers
        ):
            return False
        if self.denied and any(rule.matches(host, numbers, port) for rule in self.denied):
            return False
        # No metadata address is in the table of public ones, so the common case may come first.
        if all(_inside(n, _PUBLIC) for n in numbers):
            return True
        if any(_inside(n, _METADATA) for n in numbers):
            return any(rule.names(number, port) for rule in self.allowed)
        return any(rule.matches(host, (number,), port) for rule in self.allowed)

    def literal_allowed(self, origin: Origin) -> bool:
        """Whether a URL of this origin may be submitted; a name always may, and is judged when it connects."""
        if not origin.addresses:
            return True
        return any(self.allows(origin.host, ip, origin.port) for ip in origin.addresses)


PUBLIC_ONLY = Policy()


def _parse_rules(variable: str, entries: Iterable[str], faults: list[str]) -> tuple[Rule, ...]:
    rules = []
    for entry in entries:
        try:
            rules.append(_parse_rule(entry.strip()))
        except ValueError as error:
            faults.append(f"{variable}: {entry!r} {error}")
    return tuple(rules)


def _parse_rule(entry: str) -> Rule:
    """Raises ValueError with what is wrong, to be read after the entry."""
    if "://" in entry:
        raise ValueError("is a URL: leave out the scheme and the path")
    if "*" in entry:
        raise ValueError("has a wildcard: name each host, or give a CIDR")
    if "%" in entry:
        raise ValueError("must not have a zone id or percent signs")
    if entry.startswith("["):
        body, closed, rest = entry[1:].partition("]")
        if not closed or ":" not in body or (rest and rest[0] != ":"):
            raise ValueError("must read [address]:port or [CIDR]:port in brackets")
        colon, port_text = rest[:1], rest[1:]
    elif entry.count(":") > 1:
        body, colon, port_text = entry, "", ""
    else:
        body, colon, port_text = entry.partition(":")
    port = _parse_port(port_text) if colon else None
    if port is None and colon:
        raise ValueError("has a port that is not from 1 to 65535")
    name = _ascii_name(body)
    if name == "localhost":
        return Rule(port, ranges=(_range("127.0.0.0/8"), _range("::1/128")))
    if "/" in body or ":" in body or (name and _ENDS_IN_NUMBER.search(name)):
        try:
            first, end = _range(body)
        except ValueError as error:
            if "host bits" in str(error):
                raise ValueError("has bits set past its prefix: give the first address") from None
            raise ValueError("is not an address or a CIDR") from None
        if first < _V4 and end >= _V4_END:
            # An IPv6 range that happens to hold the numbers of IPv4 does not mean them.
            return Rule(port, ranges=((first, _V4), (_V4_END, end)))
        return Rule(port, ranges=((first, end),))
    if name is None:
        raise ValueError("is not a host name, an address or a CIDR")
    return Rule(port, name=name)


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


@dataclass(frozen=True, slots=True)
class ParsedTarget:
    """A URL that may be called. `url` is ASCII and what is to be sent; often the text that was given."""

    url: str
    origin: Origin


_PLAIN = re.compile(r'(https?://[^/?#\\\x00-\x20\x7f-\U0010ffff]+)([/?][!"$-~]*)?').fullmatch
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)", re.DOTALL).match
_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]").search
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9a-fA-F]*)\Z")
_V4_PART = re.compile(r"0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*").fullmatch
_NAME = re.compile(r"(?!.{254})(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.(?=.)|$))+").fullmatch
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def check_url(url: str, policy: Policy = PUBLIC_ONLY) -> ParsedTarget:
    """The URL of a task, read as libcurl will read it.

    Raises InvalidField for `request.url`: not http or https, no host, credentials, spaces or control
    characters, longer than `URL_LIMIT`, a bad port, a host that is neither a name nor an address, or an address
    that the policy closes. Every spelling that some connector takes for an address is judged as one (decimal,
    hexadecimal, octal and short IPv4, as inet_aton reads them; full-width digits). A fragment is dropped, as
    every HTTP client does: it is no part of what is sent (RFC 9110, section 7.1). Unicode hosts become A-labels
    (UTS #46, IDNA 2008), other characters outside ASCII percent-encoded UTF-8. Costs 1 us for a plain URL whose
    host was seen lately.
    """
    if len(url) <= URL_LIMIT and (found := _PLAIN(url)):
        text, rest = found.groups()
        origin = _origin(text)
        if origin.text != text:
            url = origin.text + (rest or "")
    else:
        url, origin = _read_odd(url)
    if origin.addresses and not policy.literal_allowed(origin):
        raise _wrong(
            f"{origin.host} port {origin.port} is not a public address, so calls may not go there; "
            "the operator can open it with TIMEBALL_ALLOWED_TARGETS"
        )
    return ParsedTarget(url, origin)


def _wrong(message: str) -> InvalidField:
    return InvalidField("request.url", message)


def _read_odd(url: str) -> tuple[str, Origin]:
    """A URL that is not plain: too long, not ASCII, with a fragment, or wrong."""
    if len(url) > URL_LIMIT:
        raise _wrong(f"must have at most {URL_LIMIT} characters; this one has {len(url)}")
    if _SPACE(url):
        raise _wrong("must not hold spaces or control characters: percent-encode them")
    parts = _PARTS(url)
    if parts is None:
        raise _wrong("must begin with http:// or https://")
    scheme, authority, rest = parts.groups()
    origin = _origin(f"{scheme}://{authority}")
    try:
        url = origin.text + quote(rest, safe=_PRINTABLE)
    except UnicodeEncodeError:
        raise _wrong("must be text that UTF-8 can hold") from None
    if len(url) > URL_LIMIT:
        raise _wrong(f"must have at most {URL_LIMIT} characters once encoded")
    return url, origin


@lru_cache(maxsize=4096)
def _origin(text: str) -> Origin:
    scheme, _, authority = text.partition("://")
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        raise _wrong("must begin with http:// or https://")
    if "@" in authority:
        raise _wrong("must not hold a user name or password: use an Authorization header")
    host_text, colon, port_text = authority, "", ""
    if authority.startswith("["):
        inside, closed, after = authority[1:].partition("]")
        if not closed or (after and after[0] != ":"):
            raise _wrong("has an IPv6 address that is not in brackets as it should be")
        host, addresses = _read_v6(inside)
        host_text, colon, port_text = f"[{host}]", after[:1], after[1:]
    else:
        host_text, colon, port_text = authority.partition(":")
        host, addresses = _read_host(host_text)
        # The dot at the end of a name tells the resolver not to try search domains, so it stays.
        host_text = host + "." * (not addresses and host_text[-1] in ".。．｡")
    port = (443 if scheme == "https" else 80) if not colon else _parse_port(port_text)
    if port is None:
        raise _wrong("must have a port from 1 to 65535, or none")
    text = f"{scheme}://{host_text}{colon}{port if colon else ''}"
    return Origin(text, scheme, host, port, addresses)


def _parse_port(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return None
    port = int(text)
    return port if 1 <= port <= 65535 else None


def _read_v6(inside: str) -> tuple[str, tuple[str, ...]]:
    if "%" in inside:
        raise _wrong("must not hold a zone id: it means something on one machine only")
    try:
        packed = socket.inet_pton(socket.AF_INET6, inside)
    except (OSError, ValueError):
        raise _wrong("has no IPv6 address within its brackets") from None
    host = socket.inet_ntop(socket.AF_INET6, packed)
    return host, (host,)


def _read_host(text: str) -> tuple[str, tuple[str, ...]]:
    if not text:
        raise _wrong("must have a host")
    if "%" in text:
        raise _wrong("must not have a percent sign in its host")
    host = _ascii_name(text)
    if host is None:
        raise _wrong("must have a host that is a name or an address")
    if _ENDS_IN_NUMBER.search(host):
        number = _read_v4(host)
        if number is None:
            raise _wrong("has a host that ends in a number but is no IPv4 address")
        host = socket.inet_ntop(socket.AF_INET, number.to_bytes(4, "big"))
        return host, (host,)
    if host == "localhost" or host.endswith(".localhost"):
        return host, ("127.0.0.1", "::1")
    return host, ()


def _ascii_name(text: str) -> str | None:
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

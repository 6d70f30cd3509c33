"""Which addresses calls may reach. Pure: nothing is resolved and nothing is opened here.

Two moments ask. When a task is submitted, `check_url` reads its URL and refuses a forbidden address written out
in it, in whatever notation; names are taken as they come. When a call connects, `Policy.allows` judges the
address that the name led to; only this one is a defence, for a name may lead elsewhere by then.

By default a call may go to any public address (see `timeball.addresses`) and to no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from timeball.addresses import (
    LOCAL,
    METADATA,
    PUBLIC,
    V4,
    V4_END,
    Range,
    embedded,
    inside,
    number_of,
    range_of,
)
from timeball.errors import ConfigError
from timeball.urls import ENDS_IN_NUMBER, Origin, ascii_name, parse_port, read_url, wrong


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of a list of targets: a host name, or ranges of addresses; `port` None means every port."""

    port: int | None
    name: str | None = None
    ranges: tuple[Range, ...] = ()

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
            if (number := number_of(ip)) is None:
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
        number = number_of(ip)
        if number is None:
            return False
        host = host.lower().removesuffix(".")
        numbers = (number, *embedded(number))
        if port in self.own_ports and any(
            n in self.own_addresses or inside(n, LOCAL) for n in numbers
        ):
            return False
        if self.denied and any(rule.matches(host, numbers, port) for rule in self.denied):
            return False
        # No metadata address is in the table of public ones, so the common case may come first.
        if all(inside(n, PUBLIC) for n in numbers):
            return True
        if any(inside(n, METADATA) for n in numbers):
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
    port = parse_port(port_text) if colon else None
    if port is None and colon:
        raise ValueError("has a port that is not from 1 to 65535")
    name = ascii_name(body)
    if name == "localhost":
        return Rule(port, ranges=(range_of("127.0.0.0/8"), range_of("::1/128")))
    if "/" in body or ":" in body or (name and ENDS_IN_NUMBER.search(name)):
        try:
            first, end = range_of(body)
        except ValueError as error:
            if "host bits" in str(error):
                raise ValueError("has bits set past its prefix: give the first address") from None
            raise ValueError("is not an address or a CIDR") from None
        if first < V4 and end >= V4_END:
            # An IPv6 range that happens to hold the numbers of IPv4 does not mean them.
            return Rule(port, ranges=((first, V4), (V4_END, end)))
        return Rule(port, ranges=((first, end),))
    if name is None:
        raise ValueError("is not a host name, an address or a CIDR")
    return Rule(port, name=name)


@dataclass(frozen=True, slots=True)
class ParsedTarget:
    """A URL that may be called. `url` is ASCII and what is to be sent; often the text that was given."""

    url: str
    origin: Origin


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
    url, origin = read_url(url)
    if origin.addresses and not policy.literal_allowed(origin):
        raise wrong(
            f"{origin.host} port {origin.port} is not a public address, so calls may not go there; "
            "the operator can open it with TIMEBALL_ALLOWED_TARGETS"
        )
    return ParsedTarget(url, origin)

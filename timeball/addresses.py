"""Which addresses are public, local, or a cloud's metadata; and which IPv4 address hides in an IPv6 one. Pure.

What is public is decided by tables of our own, from IANA's IPv4 and IPv6 Special-Purpose Address Registries
(RFC 6890): `ipaddress.is_global` differs between Python 3.11 and 3.13, and takes multicast and IPv4 addresses
embedded in IPv6 for global.
"""

from __future__ import annotations

import socket
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from ipaddress import ip_network

# Every address is one number of 128 bits, an IPv4 address the one of its IPv4-mapped form (RFC 4291,
# section 2.5.5.2): so ::ffff:10.0.0.1 and 10.0.0.1 are the same address here, as they are to a kernel.
V4 = 0xFFFF << 32
V4_END = V4 + (1 << 32)

Range = tuple[int, int]
"""Addresses from the first up to, but not including, the second."""


def range_of(text: str) -> Range:
    network = ip_network(text)
    base = V4 if network.version == 4 else 0
    first = base + int(network.network_address)
    return first, first + network.num_addresses


def number_of(ip: str) -> int | None:
    """The number of an address as the kernel writes it, a zone id ignored; None for anything else."""
    ip, _, _ = ip.partition("%")
    try:
        if ":" in ip:
            return int.from_bytes(socket.inet_pton(socket.AF_INET6, ip), "big")
        return V4 | int.from_bytes(socket.inet_pton(socket.AF_INET, ip), "big")
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


def _edges(parts: Iterable[Range]) -> tuple[int, ...]:
    """Where each of some disjoint ranges begins and ends, in order, for `inside`."""
    return tuple(edge for part in sorted(parts) for edge in part)


def inside(number: int, edges: Sequence[int]) -> bool:
    return bisect_right(edges, number) % 2 == 1


def _open(whole: str, closed: Iterable[str]) -> list[Range]:
    """What is left of a range without its closed parts."""
    first, end = range_of(whole)
    edges = (first, *_edges(map(range_of, closed)), end)
    return list(zip(edges[::2], edges[1::2], strict=True))


PUBLIC = _edges([*_open("0.0.0.0/0", _CLOSED_V4), *_open("2000::/3", _CLOSED_V6), range_of(_NAT64)])
LOCAL = _edges(map(range_of, ("0.0.0.0/8", "127.0.0.0/8", "::/127")))
METADATA = _edges(
    map(
        range_of,
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

_TEREDO, _6TO4, _NAT64_LOCAL = map(range_of, ("2001::/32", "2002::/16", "64:ff9b:1::/48"))
_LOW_32 = 0xFFFFFFFF


def embedded(number: int) -> tuple[int, ...]:
    """The IPv4 addresses that some gateway may read out of an IPv6 address."""
    if V4 <= number < V4_END:
        return ()
    low = number & _LOW_32
    # IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765), NAT64 (RFC 6052), ISATAP (RFC 5214).
    if number >> 32 in (0, 0xFFFF0000, 0x64FF9B << 64) or number >> 32 & 0xFDFFFFFF == 0x00005EFE:
        return (V4 | low,)
    if _6TO4[0] <= number < _6TO4[1]:  # RFC 3056
        return (V4 | (number >> 80 & _LOW_32),)
    if _TEREDO[0] <= number < _TEREDO[1]:  # RFC 4380: the server, and the client's bits inverted
        return (V4 | (number >> 64 & _LOW_32), V4 | (low ^ _LOW_32))
    if _NAT64_LOCAL[0] <= number < _NAT64_LOCAL[1]:  # RFC 8215, as a prefix of 96 or of 48 bits
        split = (number >> 64 & 0xFFFF) << 16 | (number >> 40 & 0xFFFF)
        return (V4 | low, V4 | split)
    return ()


def is_public(ip: str) -> bool:
    """Whether an address, as the kernel writes it, is public: reachable from the whole internet by unicast.

    IPv4: what the registry calls globally reachable, less multicast. IPv6: 2000::/3 less its special blocks,
    and NAT64's 64:ff9b::/96; an IPv4 address embedded in either must be public too. Anything else is not.
    """
    number = number_of(ip)
    return number is not None and all(inside(n, PUBLIC) for n in (number, *embedded(number)))

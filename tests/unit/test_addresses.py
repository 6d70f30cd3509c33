"""Whatever its notation, an address is judged as the one that it means."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from timeball.addresses import is_public
from timeball.egress import PUBLIC_ONLY, Policy, check_url
from timeball.errors import ConfigError, InvalidField

numbers_v4 = st.integers(0, 2**32 - 1) | st.sampled_from(
    [int(n.network_address) + d for n in map(ipaddress.IPv4Network, (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    )) for d in (0, 1, n.num_addresses - 1)]
)  # fmt: skip
ips_v4 = numbers_v4.map(ipaddress.IPv4Address)
ips_v6 = st.one_of(
    st.integers(0, 2**128 - 1),
    st.integers(0x2000 << 112, (0x4000 << 112) - 1),
    st.builds(lambda low: 0xFFFF << 32 | low, numbers_v4),
    st.builds(lambda low: 0x64FF9B << 96 | low, numbers_v4),
    st.builds(
        lambda v4, low: 0x2002 << 112 | v4 << 80 | low, numbers_v4, st.integers(0, 2**80 - 1)
    ),
    st.builds(lambda low: 0x2001 << 112 | low, st.integers(0, 2**112 - 1)),
    st.builds(
        lambda high, low: high << 64 | 0x5EFE << 32 | low, st.integers(0, 2**64 - 1), numbers_v4
    ),
).map(ipaddress.IPv6Address)


@settings(max_examples=1000)
@given(ips_v4 | ips_v6)
@example(ipaddress.ip_address("64:ff9b::8.8.8.8"))
def test_every_address_open_by_default_is_public(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not PUBLIC_ONLY.allows("x.test", str(ip), 443):
        return
    assert is_public(str(ip))
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped
        if inner is None and int(ip) >> 32 == 0x64FF9B << 64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is None:
            assert int(ip) >> 125 == 1
            assert ip.sixtofour is None
            assert ip.teredo is None
        ip = ip if inner is None else inner
    assert ip.is_global
    assert not any((ip.is_multicast, ip.is_reserved, ip.is_private))


@given(ips_v4)
def test_ipv4_is_closed_only_where_the_registry_says(ip: ipaddress.IPv4Address) -> None:
    closed_by_us = ("192.88.99.0/24", "192.0.0.0/24", "168.63.129.16/32")
    if (
        ip.is_global
        and not ip.is_multicast
        and not any(ip in ipaddress.ip_network(n) for n in closed_by_us)
    ):
        assert is_public(str(ip))


@st.composite
def spellings(
    draw: st.DrawFn, addresses: st.SearchStrategy[ipaddress.IPv4Address]
) -> tuple[str, int]:
    """An IPv4 address written in one of the ways that inet_aton reads."""
    number = int(draw(addresses))
    heads = draw(st.integers(0, 3))
    parts = [number >> 8 * (3 - place) & 0xFF for place in range(heads)]
    parts.append(number & ((1 << 8 * (4 - heads)) - 1))
    words = []
    for part in parts:
        zeros = "0" * draw(st.integers(0, 5))
        words.append(
            draw(
                st.sampled_from(
                    [str(part), f"0{zeros}{part:o}", f"0x{zeros}{part:x}", f"0X{part:X}"]
                )
            )
        )
    return ".".join(words) + draw(st.sampled_from(["", "."])), number


@settings(max_examples=1000)
@given(spellings(ips_v4))
def test_every_spelling_is_judged_as_the_address_it_means(spelt: tuple[str, int]) -> None:
    text, number = spelt
    plain = str(ipaddress.IPv4Address(number))
    assert socket.inet_aton(text.rstrip(".")) == number.to_bytes(4, "big")
    if is_public(plain):
        assert check_url(f"http://{text}/").url == f"http://{plain}/"
    else:
        with pytest.raises(InvalidField):
            check_url(f"http://{text}/")


@settings(max_examples=1000)
@given(st.text("0123456789abcdefxX.", min_size=1, max_size=20))
def test_whatever_inet_aton_takes_is_judged_as_an_address(text: str) -> None:
    try:
        packed = socket.inet_aton(text)
    except OSError:
        return
    try:
        target = check_url(f"http://{text}/")
    except InvalidField:
        return
    assert target.origin.addresses == (socket.inet_ntoa(packed),)
    assert is_public(target.origin.host)


@given(st.text(max_size=60) | st.text("[]:@/?#%.\\0x1fa１。", max_size=30))
def test_no_url_breaks_the_reader(text: str) -> None:
    for url in (text, f"http://{text}", f"https://{text}/x"):
        try:
            target = check_url(url)
        except InvalidField:
            continue
        assert target.url.isascii()
        assert check_url(target.url) == target


@given(st.text(max_size=40) | st.text("[]:/%.*0123456789abcdef", max_size=24))
def test_no_entry_breaks_the_parser(entry: str) -> None:
    with suppress(ConfigError):
        Policy.parse([entry], [entry], ())

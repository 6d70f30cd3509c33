"""What the operator allows and denies is opened and closed, and no more."""

from __future__ import annotations

import pytest

from timeball.egress import PUBLIC_ONLY, Policy, check_url
from timeball.errors import ConfigError, InvalidField


def words(text: str) -> list[str]:
    return text.split()


def parse(
    allowed: str = "", denied: str = "", own: set[int] | None = None, at: tuple[str, ...] = ()
) -> Policy:
    return Policy.parse(allowed.split(), denied.split(), own or set(), at)


@pytest.mark.parametrize(
    ("allowed", "host", "ip", "port", "expected"),
    [
        ("", "example.com", "93.184.216.34", 443, True),
        ("", "example.com", "2606:4700::1", 443, True),
        ("", "rebound.example", "127.0.0.1", 80, False),
        ("", "rebound.example", "::ffff:10.0.0.1", 80, False),
        ("", "rebound.example", "169.254.169.254", 80, False),
        ("", "example.com", "nonsense", 80, False),
        ("", "example.com", "", 80, False),
        ("", "example.com", "127.1", 80, False),
        ("localhost", "localhost", "127.0.0.1", 3000, True),
        ("localhost", "localhost", "::1", 3000, True),
        ("localhost", "127.8.8.8", "127.8.8.8", 1, True),
        ("localhost", "x.test", "::ffff:127.0.0.1", 1, True),
        ("localhost", "localhost", "10.0.0.1", 80, False),
        ("localhost", "x.test", "::", 80, False),
        ("localhost", "x.test", "0.0.0.0", 80, False),
        ("localhost:3000", "localhost", "127.0.0.1", 3000, True),
        ("localhost:3000", "localhost", "127.0.0.1", 3001, False),
        ("127.0.0.1:9801", "127.0.0.1", "127.0.0.1", 9801, True),
        ("127.0.0.1:9801", "localhost", "127.0.0.1", 9801, True),
        ("127.0.0.1:9801", "127.0.0.2", "127.0.0.2", 9801, False),
        ("127.0.0.1:9801", "127.0.0.1", "127.0.0.1", 9802, False),
        ("10.0.0.0/8:443", "x.test", "10.255.255.255", 443, True),
        ("10.0.0.0/8:443", "x.test", "10.0.0.0", 443, True),
        ("10.0.0.0/8:443", "x.test", "11.0.0.0", 443, True),
        ("10.0.0.0/8:443", "x.test", "10.0.0.1", 80, False),
        ("10.0.0.0/8", "x.test", "192.168.0.1", 443, False),
        ("10.0.0.0/8", "x.test", "::ffff:10.1.2.3", 443, True),
        ("[::1]:80", "x.test", "::1", 80, True),
        ("[::1]:80", "x.test", "::1", 81, False),
        ("::1", "x.test", "::1", 81, True),
        ("fd00::/8", "x.test", "fd12::1", 81, True),
        ("[fd00::/8]:443", "x.test", "fd12::1", 443, True),
        ("[fd00::/8]:443", "x.test", "fd12::1", 444, False),
        ("[fd00::/8]", "x.test", "fd12::1", 444, True),
        ("inbox", "inbox", "172.18.0.5", 8080, True),
        ("inbox", "INBOX.", "172.18.0.5", 8080, True),
        ("inbox", "other", "172.18.0.5", 8080, False),
        ("inbox", "inbox.example.com", "172.18.0.5", 8080, False),
        ("inbox:8080", "inbox", "172.18.0.5", 8080, True),
        ("inbox:8080", "inbox", "172.18.0.5", 8081, False),
        ("Inbox.:8080", "inbox", "172.18.0.5", 8080, True),
        ("bücher.test", "xn--bcher-kva.test", "10.0.0.1", 80, True),
        ("0.0.0.0/0", "x.test", "192.168.0.1", 80, True),
        ("0.0.0.0/0", "x.test", "fd00::1", 80, False),
        ("::/0", "x.test", "fd00::1", 80, True),
        ("::/0", "x.test", "192.168.0.1", 80, False),
        ("::/80", "x.test", "::ffff:192.168.0.1", 80, False),
        ("::ffff:10.0.0.0/104", "x.test", "10.0.0.1", 80, True),
    ],
)
def test_what_is_allowed_is_allowed_and_no_more(
    allowed: str, host: str, ip: str, port: int, expected: bool
) -> None:
    assert parse(allowed).allows(host, ip, port) is expected


METADATA = words("""169.254.169.254 169.254.170.2 169.254.42.42 fd00:ec2::254 fd00:ec2::23 100.100.100.200
    168.63.129.16 192.0.0.192 fd20:ce::254 fd00:42::42 fe80::a9fe:a9fe""")


@pytest.mark.parametrize("ip", METADATA)
def test_metadata_is_opened_by_its_own_address_only(ip: str) -> None:
    wide = "0.0.0.0/0 ::/0 169.254.0.0/16 169.254.168.0/22 fe80::/10 fd00::/8 100.64.0.0/10 192.0.0.0/24 evil.test"
    assert not parse(wide).allows("evil.test", ip, 80)
    assert not parse().allows(ip, ip, 80)
    assert parse(f"{wide} {ip}").allows("evil.test", ip, 80)
    assert parse(f"[{ip}]:80" if ":" in ip else f"{ip}:80").allows(ip, ip, 80)
    assert not parse(f"[{ip}]:80" if ":" in ip else f"{ip}:80").allows(ip, ip, 81)
    assert not parse(ip, denied=ip).allows(ip, ip, 80)


@pytest.mark.parametrize(
    "ip", ["64:ff9b::a9fe:a9fe", "::a9fe:a9fe", "2002:a9fe:a9fe::", "64:ff9b:1::a9fe:a9fe"]
)
def test_metadata_within_another_address_is_not_opened_by_a_range(ip: str) -> None:
    assert not parse("::/0 169.254.169.254").allows("evil.test", ip, 80)


@pytest.mark.parametrize(
    ("denied", "host", "ip", "port"),
    [
        ("93.184.216.34", "example.com", "93.184.216.34", 443),
        ("93.184.216.0/24:443", "example.com", "93.184.216.34", 443),
        ("example.com", "example.com", "93.184.216.34", 443),
        ("example.com:443", "EXAMPLE.com.", "93.184.216.34", 443),
        ("8.8.8.0/24", "x.test", "::ffff:8.8.8.8", 80),
        ("8.8.8.0/24", "x.test", "64:ff9b::8.8.8.8", 80),
        ("10.0.0.0/8", "x.test", "10.0.0.1", 80),
        ("10.0.0.0/8", "x.test", "2002:a00:1::", 80),
        ("10.0.0.0/8", "x.test", "64:ff9b:1:a00:0:100::", 80),
        ("10.0.0.0/8", "x.test", "2001:0:0a00:0001::1", 80),
        ("10.0.0.0/8", "x.test", "2001::f5ff:fffe", 80),
        ("2606:4700::/32", "x.test", "2606:4700::1", 80),
        ("localhost", "x.test", "::1", 80),
    ],
)
def test_what_is_denied_stays_closed_even_when_allowed(
    denied: str, host: str, ip: str, port: int
) -> None:
    everything = "0.0.0.0/0 ::/0 example.com x.test"
    assert parse(everything).allows(host, ip, port)
    assert not parse(everything, denied).allows(host, ip, port)


def test_a_denied_port_leaves_the_others_open() -> None:
    policy = parse(denied="93.184.216.34:25 example.org:80")
    assert policy.allows("example.com", "93.184.216.34", 443)
    assert not policy.allows("example.com", "93.184.216.34", 25)
    assert policy.allows("example.org", "93.184.216.34", 443)


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "127.9.9.9", "::1", "::", "0.0.0.0", "0.1.2.3", "::ffff:127.0.0.1", "::127.0.0.1", "10.7.7.7",
     "::ffff:10.7.7.7", "64:ff9b::7f00:1"],
)  # fmt: skip
def test_our_own_ports_are_closed_whatever_is_allowed(ip: str) -> None:
    policy = parse(
        "localhost localhost:6379 0.0.0.0/0 ::/0 x.test", own={6379, 8080}, at=("10.7.7.7",)
    )
    assert not policy.allows("x.test", ip, 6379)
    assert not policy.allows("x.test", ip, 8080)
    assert policy.allows("x.test", ip, 3000)
    assert policy.allows("x.test", "10.7.7.8", 6379)


def test_a_literal_that_is_allowed_may_be_submitted() -> None:
    policy = parse("localhost:3000 10.0.0.0/8:443", own={8080})
    for url in (
        "http://127.0.0.1:3000/",
        "http://localhost:3000/",
        "http://app.localhost:3000/",
        "http://[::1]:3000/",
        "http://0x7f.1:3000/",
        "https://10.1.2.3/",
    ):
        assert policy.literal_allowed(check_url(url, policy).origin)
    for url in (
        "http://127.0.0.1/",
        "http://localhost:8080/",
        "http://10.1.2.3/",
        "http://192.168.0.1/",
    ):
        with pytest.raises(InvalidField, match="TIMEBALL_ALLOWED_TARGETS"):
            check_url(url, policy)


def test_one_loopback_family_is_enough_for_localhost() -> None:
    assert check_url("http://localhost/", parse("127.0.0.1")).origin.host == "localhost"
    assert check_url("http://localhost/", parse("::1")).origin.host == "localhost"


def test_an_allowed_spelling_is_sent_in_its_plain_form() -> None:
    assert check_url("http://0177.1:3000/x", parse("localhost")).url == "http://127.0.0.1:3000/x"


@pytest.mark.parametrize(
    "entry",
    words("""http://localhost:3000 https://x *.example.com * 10.0.0.1/8 10.0.0.0/33 10.0.0.0/-1 fd00::1/8 :80 x:
    x:0 x:65536 x:http x:8O 127.1 0x7f.0.0.1 2130706433 256.1.1.1 [inbox]:80 [10.0.0.0/8]:80 [::1 [::1]80 [::1]:
    [::1]:0 fe80::1%eth0 user@host a..b a_b/24 localhost/8 10.0.0.0/8/8 1.2.3.4.5 a,b １２７.0.0.1 １２７.０.０.１
    ::g [] [:] /8 10/8 127.0.0.1."""),
)
def test_an_entry_that_means_nothing_is_a_fault(entry: str) -> None:
    for allowed, denied, name in (
        ([entry], [], "TIMEBALL_ALLOWED_TARGETS"),
        ([], [entry], "TIMEBALL_DENIED_TARGETS"),
    ):
        with pytest.raises(ConfigError) as caught:
            Policy.parse(allowed, denied, ())
        assert len(caught.value.faults) == 1
        assert caught.value.faults[0].startswith(f"{name}: {entry!r} ")


def test_all_faults_are_listed_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Policy.parse(["localhost", "10.0.0.1/8", ""], ["http://x"], (), ["host"])
    assert len(caught.value.faults) == 4


def test_an_empty_policy_is_the_public_internet() -> None:
    assert parse() == PUBLIC_ONLY == Policy()

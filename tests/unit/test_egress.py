"""Which addresses calls may reach, in every spelling that some connector understands."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

import pycurl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from timeball.egress import PUBLIC_ONLY, URL_LIMIT, Policy, check_url, is_public
from timeball.errors import ConfigError, InvalidField


def words(text: str) -> list[str]:
    return text.split()


CLOSED_LITERALS = words("""
    127.0.0.1  127.1  127.0.1  127.255.255.254  127.0.0.1.  127.1.
    2130706433  017700000001  0x7f000001  0X7F000001  0x7F.1  0177.1  0177.0.0.1  0x7f.0.0x0.1
    0000000000000000000177.0.0.1  127.000.000.001  0x00000000000000007f.0.0.1  127.0x1  127.0.01
    0  0.0.0.0  0.0  00  0x0  0.1.2.3
    10.0.0.1  10.1  0xa.1  012.1  167772161  10.255.255.255
    172.16.0.1  172.31.255.255  0xac.0x10.1  2886729729
    192.168.0.1  192.168.1  0xc0a80001  3232235521  030052000001
    100.64.0.1  100.127.255.255  100.100.100.200
    169.254.0.1  169.254.169.254  169.254.43518  0xa9fea9fe  2852039166  025177524776  0251.0376.0251.0376
    0xa9.0xfe.0xa9.0xfe  169.254.170.2  168.63.129.16  0xa83f8110
    192.0.0.1  192.0.0.192  192.0.2.1  192.88.99.1  198.18.0.1  198.19.255.255  198.51.100.7  203.0.113.9
    224.0.0.1  239.255.255.255  240.0.0.1  255.255.255.255  4294967295  0xffffffff
    １２７.0.0.1  １２７．０．０．１  127。0。0。1  127｡0｡0｡1  ⑫7.0.0.1  ①②⑦.⓪.⓪.①  𝟏𝟐𝟕.𝟎.𝟎.𝟏  ０ｘ７ｆ.１
    localhost  LOCALHOST  localhost.  LocalHost  app.localhost  a.b.localhost.  ｌｏｃａｌｈｏｓｔ
    [::]  [::1]  [0:0:0:0:0:0:0:1]  [0000:0000:0000:0000:0000:0000:0000:0001]  [::0.0.0.1]
    [::ffff:127.0.0.1]  [::ffff:7f00:1]  [::FFFF:7F00:0001]  [0:0:0:0:0:ffff:7f00:1]  [::ffff:169.254.169.254]
    [::ffff:10.0.0.1]  [::ffff:a9fe:a9fe]  [::ffff:0.0.0.0]
    [::127.0.0.1]  [::7f00:1]  [::169.254.169.254]  [::8.8.8.8]  [::2]
    [::ffff:0:127.0.0.1]  [::ffff:0:808:808]
    [64:ff9b::127.0.0.1]  [64:ff9b::7f00:1]  [64:ff9b::a9fe:a9fe]  [64:ff9b::10.0.0.1]  [64:ff9b::192.168.1.1]
    [64:ff9b:1::1]  [64:ff9b:1::808:808]  [64:ff9b:1:808:8:800::]  [64:ff9b:1:ffff:ffff:ffff:ffff:ffff]
    [2002:7f00:1::]  [2002:a9fe:a9fe::]  [2002:a00:1::1]  [2002:808:808::1]
    [2001::1]  [2001:0:4136:e378:8000:63bf:3fff:fdd2]  [2001:0:808:808:0:0:80ff:fffe]
    [2001:2::1]  [2001:10::1]  [2001:20::1]  [2001:30::1]  [2001:1ff::1]  [2001:db8::1]  [3fff::1]  [3ffe::1]
    [100::1]  [100:0:0:1::1]  [5f00::1]  [4000::1]  [8000::1]
    [fc00::1]  [fd00::1]  [fd00:ec2::254]  [fd20:ce::254]  [fd00:42::42]
    [fe80::1]  [fe80::a9fe:a9fe]  [febf::1]  [fec0::1]  [feff::1]  [ff02::1]  [ff0e::1]  [ffff::1]
    [2606:4700::5efe:7f00:1]  [2606:4700::200:5efe:10.0.0.1]
""")

BAD_HOSTS = [
    *words("""
    127.0.0.1%00  127.0.0.1%2e  %31%32%37.0.0.1  %6c%6f%63%61%6c%68%6f%73%74  example.com%2e  ％31
    [fe80::1%25eth0]  [fe80::1%eth0]  [::1%lo]  [2606:4700::1%25eth0]  [fe80::1%]
    256.0.0.1  1.2.3.256  1.2.3.4.5  1.2.65536  1.16777216  4294967296  99999999999999999999
    08.0.0.1  127.0.0.09  0x  0x.1.1.1  1.2.3.0x  0xg.1  127.0.0.0x1g.1  example.1  example.0x7f  foo.08
    0x0x7f.1  0o177.0.0.1  1_27.0.0.1  1_0.1  127..1  .127.0.0.1  127.0.0.1..
    [  []  [::  [:::]  [::1  ::1]  [127.0.0.1]  [1::2::3]  [::g]  [v1.x]  [::1]]  [[::1]]  [::1]x  [１::]
    ::1  fe80::1  1:2:3:4:5:6:7:8
    user@example.com  user:pass@example.com  @example.com  example.com@127.0.0.1  127.0.0.1\\@example.com
    .  ..  a..b  .example.com  example.com..  -  -a.com  a-.com  *.example.com  a,b  a;b  a|b  a"b  a'b  a<b>
    a!b  a$b  a&b  a(b)  a*b  a+b  a=b  a~b  a`b  a{b}  a^b  example.com\\x  example\u2100com  \u2025  a／b  a：80
    \ufffd.com  xn--\u0661  \ud800.com  a\u200b..b
"""),
    "a" * 64,
    "a" * 64 + ".com",
    ".".join(["a" * 60] * 5),
    "é" * 300,
    "ü" * 64 + ".com",
]

OPEN_HOSTS = words("""
    example.com  EXAMPLE.com  example.com.  a.b.c.d.example.co.uk  my_service  _dmarc.example.com  inbox  a
    1.example.com  1a  0x7f.com  127.0.0.1.nip.io  127.0.0.1.example  3com.com  a--b.com  xn--bcher-kva.example
    metadata.google.internal  localhost.example.com  notlocalhost  1e100.net  0xdead.beef  10.in-addr.arpa
    1.1.1.1  8.8.8.8  8.8  0x08080808  134744072  010.8.8.8  9.255.255.255  11.0.0.1  93.184.216.34  1.1.1.1.
    100.63.255.255  100.128.0.0  126.255.255.255  128.0.0.1  169.253.255.255  169.255.0.0  172.15.255.255
    172.32.0.0  192.0.1.1  192.167.255.255  192.169.0.0  198.17.255.255  198.20.0.0  223.255.255.255
    168.63.129.15  168.63.129.17
    [2606:4700:4700::1111]  [2001:4860:4860::8888]  [2001:200::1]  [2a00:1450::1]  [2400:cb00::1]  [2620:fe::fe]
    [::ffff:8.8.8.8]  [::ffff:808:808]  [64:ff9b::8.8.8.8]  [64:ff9b::808:808]  [2003::1]
    [2606:4700::5efe:808:808]
    bücher.example  例え.テスト  пример.рф  straße.de  ＥＸＡＭＰＬＥ.com  example。com
""")


@pytest.mark.parametrize("host", CLOSED_LITERALS)
@pytest.mark.parametrize("form", ["http://{}/", "https://{}:8443/a?b=c"])
def test_a_closed_address_is_refused_in_every_notation(host: str, form: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_url(form.format(host))
    assert caught.value.field == "request.url"
    assert "not a public address" in caught.value.message


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_host_that_is_neither_name_nor_address_is_refused(host: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_url(f"http://{host}/")
    assert caught.value.field == "request.url"


@pytest.mark.parametrize("host", OPEN_HOSTS)
def test_names_and_public_addresses_are_taken(host: str) -> None:
    target = check_url(f"https://{host}/path")
    assert target.url.isascii()
    assert target.origin.port == 443
    assert check_url(target.url) == target


@pytest.mark.parametrize(
    ("given_url", "sent", "host", "port"),
    [
        ("https://example.com", "https://example.com", "example.com", 443),
        ("http://example.com/", "http://example.com/", "example.com", 80),
        ("http://example.com:8080/a", "http://example.com:8080/a", "example.com", 8080),
        ("http://example.com:00080/a", "http://example.com:80/a", "example.com", 80),
        ("HTTPS://Example.COM/A?B=C", "https://example.com/A?B=C", "example.com", 443),
        ("https://example.com./a", "https://example.com./a", "example.com", 443),
        ("https://example.com?a=b", "https://example.com?a=b", "example.com", 443),
        ("https://example.com/a#frag", "https://example.com/a", "example.com", 443),
        ("https://example.com#frag", "https://example.com", "example.com", 443),
        ("https://example.com/a?b#c#d", "https://example.com/a?b", "example.com", 443),
        ("https://example.com/a@b:c", "https://example.com/a@b:c", "example.com", 443),
        ("https://example.com/?u=http://127.0.0.1/", None, "example.com", 443),
        ("https://example.com/%2e%2e/%00", None, "example.com", 443),
        ("https://example.com/a\\b|c\"d'e", None, "example.com", 443),
        (
            "https://example.com/käse?q=ü",
            "https://example.com/k%C3%A4se?q=%C3%BC",
            "example.com",
            443,
        ),
        ("https://example.com/😀%20", "https://example.com/%F0%9F%98%80%20", "example.com", 443),
        ("https://bücher.example/", "https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443),
        ("https://straße.de/", "https://xn--strae-oqa.de/", "xn--strae-oqa.de", 443),
        ("https://example。com:8443/", "https://example.com:8443/", "example.com", 8443),
        ("https://example.com。/", "https://example.com./", "example.com", 443),
        ("http://0x08080808/x", "http://8.8.8.8/x", "8.8.8.8", 80),
        ("http://8.8.8.8./x", "http://8.8.8.8/x", "8.8.8.8", 80),
        ("http://[2606:4700::0001]:81/", "http://[2606:4700::1]:81/", "2606:4700::1", 81),
    ],
)
def test_a_url_is_sent_as_it_was_read(
    given_url: str, sent: str | None, host: str, port: int
) -> None:
    target = check_url(given_url)
    assert target.url == (given_url if sent is None else sent)
    assert (target.origin.host, target.origin.port) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "/path",
        "http:",
        "http:/example.com/",
        "http:example.com",
        "http://",
        "http:///example.com/",
        "http://?a",
        "http://#a",
        "http://:80/",
        "https://[]:443/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "httpx://example.com/",
        "xhttp://example.com/",
        "unix:///run/redis.sock",
        "http+unix://x/",
        "ｈｔｔｐ://example.com/",
        " http://example.com/",
        "http://example.com/ ",
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/a\tb",
        "http://example.com/a\nHost: x",
        "http://example.com/a\r\nX: y",
        "http://example.com/\x00",
        "http://example.com/\x7f",
        "http://example.com/\x85",
        "http://example.com/\u00a0",
        "http://example.com/\u2028",
        "http://example.com/\u3000",
        "http://example.com/\ud800",
        "http://exam\nple.com/",
        "http://example.com:/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:99999/",
        "http://example.com:000080/",
        "http://example.com:-1/",
        "http://example.com:+80/",
        "http://example.com:8o/",
        "http://example.com:80:80/",
        "http://example.com:８０/",
        "http://example.com:%38%30/",
        "http://[2606:4700::1]80/",
        "http://[2606:4700::1]:/",
        "https://example.com/" + "a" * URL_LIMIT,
        "https://example.com/" + "é" * 400,
    ],
)
def test_a_url_that_cannot_be_called_is_refused(url: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_url(url)
    assert caught.value.field == "request.url"


def test_the_longest_url_passes() -> None:
    head = "https://example.com/"
    url = head + "a" * (URL_LIMIT - len(head))
    assert check_url(url).url == url


def test_a_password_is_not_repeated_in_the_message() -> None:
    with pytest.raises(InvalidField) as caught:
        check_url("https://user:hunter2@example.com/")
    assert "hunter2" not in str(caught.value)


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


@pytest.mark.parametrize(
    "host", [h for h in CLOSED_LITERALS + OPEN_HOSTS if "0" <= h[0] <= "9" or h[0] == "["]
)
def test_libcurl_reads_a_literal_as_we_do(host: str) -> None:
    seen: list[str] = []

    def refuse(_purpose: int, address: tuple[int, int, int, tuple[str, int]]) -> int:
        seen.append(address[3][0])
        return int(pycurl.SOCKET_BAD)

    link_local = words(
        "169.254.0.1 fe80::1 febf::1 ::a9fe:a9fe 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::"
    )
    policy = Policy.parse(["0.0.0.0/0", "::/0", *METADATA, *link_local], [], ())
    target = check_url(f"http://{host}/", policy)
    if not target.origin.addresses:
        return
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, target.url)
    curl.setopt(pycurl.PROXY, "")
    curl.setopt(pycurl.OPENSOCKETFUNCTION, refuse)
    with suppress(pycurl.error):
        curl.perform()
    assert tuple(seen) == target.origin.addresses

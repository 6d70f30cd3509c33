"""URLs are read as libcurl reads them, in every spelling that some connector understands."""

from __future__ import annotations

from contextlib import suppress

import pycurl
import pytest

from timeball.egress import Policy, check_url
from timeball.errors import InvalidField
from timeball.urls import URL_LIMIT


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


METADATA = words("""169.254.169.254 169.254.170.2 169.254.42.42 fd00:ec2::254 fd00:ec2::23 100.100.100.200
    168.63.129.16 192.0.0.192 fd20:ce::254 fd00:42::42 fe80::a9fe:a9fe""")


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

"""Values that are wrong for a field of some sort, whichever field it is."""

from __future__ import annotations

from typing import Any

NO_TEXT: list[Any] = [1, 0, -1, 1.5, True, False, [], ["a"], {}, {"a": 1}]
NO_NUMBER: list[Any] = ["", "a", "1.5.5", [], [1], {}, True, False]
NO_OBJECT: list[Any] = ["", "a", 1, 0, True, [], [{}]]
CONTROL = ["a\nb", "a\rb", "a\0b", "\x1b[31m", "a\x7fb", "\t"]

DATES: list[Any] = [
    *NO_TEXT,
    *("", " ", "now", "tomorrow", "2026", "2026-05", "2026-05-26", "12:00", "1716724800"),
    *(
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-32T00:00:00Z",
    ),
    *(
        "2026-01-01T24:00:00Z",
        "2026-01-01T12:60:00Z",
        "2026-01-01T12:00:61Z",
        "2026-06-30T23:59:60Z",
    ),
    *("2026-01-01T12:00:00+24:00", "2026-01-01T12:00:00+1", "2026-01-01T12:00:00 Z"),
    *(
        "2026-01-01 12:00:00Z",
        "26-01-01T12:00:00Z",
        "+2026-01-01T12:00:00Z",
        "-2026-01-01T12:00:00Z",
    ),
    *(
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2201-01-01T00:00:00Z",
    ),
    *("9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z", "２０２６-01-01T00:00:00Z"),
    *(
        "٢٠٢٦-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z\0",
        "2026-W01-1T00:00:00Z",
        "2026-001T00:00:00Z",
    ),
    *(
        "2026-01-01T00:00:00." + "0" * 30 + "Z",
        "Thu, 01 Jan 2026 00:00:00 GMT",
        "2026-01-01T00:00:00Zz",
    ),
]
DURATIONS: list[Any] = [
    *(
        "",
        " ",
        "5",
        "5 s",
        "s",
        "-5s",
        "+5s",
        "5S",
        "5sec",
        "5m5m",
        "5s5m",
        "1e3s",
        "1,5h",
        ".5s",
        "5.s",
    ),
    *(
        "P",
        "PT",
        "P1Y",
        "P1M",
        "PT5",
        "P-1D",
        "PT1H1H",
        "1h ",
        " 1h",
        "٥s",
        "５s",
        "∞",
        "NaNs",
        "infs",
        "0x5s",
    ),
    *("9" * 30 + "d", "1" * 40 + "s", "4000d", "5s\0", "5\ns", "1:30", "P1DT", "PT1S1M", "1w"),
]
URLS: list[Any] = [
    *NO_TEXT,
    *(
        "",
        " ",
        "example.com",
        "//example.com",
        "/hello",
        "http:",
        "http://",
        "http:///a",
        "https://?a",
    ),
    *(
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com",
        "javascript:alert(1)",
        "data:,a",
    ),
    *("dict://127.0.0.1:6379/INFO", "http+unix://%2Ftmp%2Fredis.sock/", "ws://example.com"),
    *("http://a:b@example.com", "http://example.com@127.0.0.1", "http://@example.com"),
    *(
        "http://example.com:0",
        "http://example.com:65536",
        "http://example.com:http",
        "http://example.com:-1",
    ),
    *(
        "http://exa mple.com",
        "http://example.com/a b",
        "http://example.com/\r\nX: y",
        "http://example.com/\0",
    ),
    *(
        "http://127.0.0.1",
        "http://2130706433",
        "http://0x7f.1",
        "http://017700000001",
        "http://127.1",
    ),
    *(
        "http://[::1]",
        "http://[::ffff:127.0.0.1]",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://[fe80::1%25eth0]",
    ),
    *(
        "http://[2002:7f00:1::]",
        "http://[::127.0.0.1]",
        "http://[fec0::1]",
        "http://[::]",
        "http://0",
    ),
    *(
        "http://169.254.169.254/latest",
        "http://10.0.0.1",
        "http://192.168.1.1",
        "http://100.64.0.1",
    ),
    *(
        "http://１２７.0.0.1",
        "http://127。0。0。1",
        "http://256.1.1.1",
        "http://1.2.3.4.5",
        "http://[::1",
    ),
    *("http://a..b", "http://-a.com", "http://*.example.com", "http://" + "a" * 64 + ".com"),
    *(
        "http://example.com/" + "a" * 2050,
        "http://%31%32%37.0.0.1",
        "http:\\\\example.com",
        "http://a\\b",
    ),
]
HEADERS: list[Any] = [
    *NO_OBJECT[1:-2],
    *({"X": value} for value in (None, 1, True, [], {})),
    *(
        {"X-A": value}
        for value in ("a\r\nB: c", "a\nb", "a\rb", "a\0b", "a\x01", "snow\u2603", "\u0100")
    ),
    *(
        {name: "a"}
        for name in ("", " ", "a b", "a:b", "a\r\nb", "ä", "a(b)", "X-\0", "a,b", "a/b", "é" * 99)
    ),
    *(
        {name: "a"}
        for name in (
            *(
                "Host",
                "host",
                "Content-Length",
                "Transfer-Encoding",
                "TE",
                "Connection",
                "Keep-Alive",
            ),
            *(
                "Upgrade",
                "Trailer",
                "Expect",
                "Proxy-Authorization",
                "proxy-connection",
                "HTTP2-Settings",
            ),
        )
    ),
    {f"X-{n}": "a" for n in range(51)},
    {"X": "a" * 9000},
    {"X-A": "1", "x-a": "2"},
]

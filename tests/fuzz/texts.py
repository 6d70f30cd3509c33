"""What a fuzzer gives to the readers of texts: none may raise anything but InvalidField, nor take long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from timeball.egress import Policy, check_url
from timeball.errors import InvalidField
from timeball.headers import check_headers
from timeball.timing.durations import parse_duration, parse_instant
from timeball.timing.rule import parse_rule
from timeball.verdict import LONGEST_WAIT, parse_retry_after

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SLOW_SECONDS = 2.0
ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe")


def url(text: str) -> None:
    """A URL that is taken is ASCII, reads the same again, and leads to no closed address."""
    policy = Policy()
    target = check_url(text, policy)
    assert target.url.isascii()
    assert check_url(target.url, policy) == target
    assert all(policy.allows(target.origin.host, ip, 80) for ip in target.origin.addresses)


def duration(text: str) -> None:
    """A duration is not negative."""
    assert parse_duration(text).total_seconds() >= 0


def instant(text: str) -> None:
    """An instant has a zone."""
    assert parse_instant(text).tzinfo is not None


def headers(text: str) -> None:
    """Headers that are taken can be written on lines of their own."""
    name, _, value = text.partition(":")
    for written in check_headers({name: value}):
        assert not set("".join(written)) & set("\r\n\0")


def retry_after(text: str) -> None:
    """A wait that an endpoint asks for is bounded."""
    wait = parse_retry_after(text, NOW)
    assert wait is None or timedelta() <= wait <= LONGEST_WAIT


def _rule(field: str) -> Callable[[str], None]:
    def rule(text: str) -> None:
        """Occurrences increase."""
        zone = ZONES[len(text) % len(ZONES)]
        found = parse_rule(**{field: text}, timezone=zone, created=NOW)
        seen = found.instants(NOW, 5)
        assert all(before < after for before, after in pairwise([NOW, *seen]))

    return rule


TARGETS: dict[str, Callable[[str], None]] = {
    "url": url,
    "duration": duration,
    "instant": instant,
    "headers": headers,
    "retry_after": retry_after,
    "cron": _rule("cron"),
    "rrule": _rule("rrule"),
}
SEEDS = (
    *(
        "https://example.com:8443/a?b=c#d",
        "http://[::ffff:127.0.0.1]/",
        "http://0x7f.1",
        "http://bücher.example",
    ),
    *(
        "1h30m",
        "PT1H30M",
        "P1DT2H",
        "250ms",
        "2026-05-26T12:00:00.123+02:00",
        "Thu, 01 Jan 2026 00:00:00 GMT",
    ),
    *(
        "X-A: b",
        "Authorization: {{secret.A}}",
        "120",
        "*/5 9-17 * JAN-JUN MON#2",
        "0 0 L * *",
        "@every 90s",
    ),
    *(
        "CRON_TZ=Europe/Paris 30 2 * * *",
        "FREQ=MONTHLY;BYDAY=-1FR;COUNT=3",
        "FREQ=HOURLY;INTERVAL=5",
    ),
    "DTSTART;TZID=Europe/Paris:20260101T090000\nRRULE:FREQ=YEARLY;BYWEEKNO=20\nEXDATE:20270101T080000Z",
)


def try_text(name: str, text: str) -> None:
    """Give one text to one reader."""
    began = time.thread_time()
    with suppress(InvalidField):
        TARGETS[name](text)
    took = time.thread_time() - began
    assert took < SLOW_SECONDS, f"{name} took {took:.1f} s for {text!r}"


def try_bytes(data: bytes) -> None:
    """The first byte says which reader gets the rest."""
    if data:
        names = list(TARGETS)
        text = data[1:].decode("utf-8", errors="surrogateescape" if data[0] & 128 else "replace")
        try_text(names[data[0] % len(names)], text)


def seed(folder: str) -> None:
    """Write texts to begin with into a corpus: each for each reader."""
    os.makedirs(folder, exist_ok=True)
    for n, text in enumerate(SEEDS):
        for place in range(len(TARGETS)):
            with open(os.path.join(folder, f"seed-{n}-{place}"), "wb") as file:
                file.write(bytes([place]) + text.encode())


def under_hypothesis(seconds: int) -> None:
    """Give the readers what hypothesis makes."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    end = time.monotonic() + seconds
    texts = st.one_of(st.text(max_size=600), st.sampled_from(SEEDS))

    @settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(list(TARGETS)), texts, texts, st.integers(0, 600))
    def one(name: str, text: str, other: str, cut: int) -> None:
        try_text(name, text[:cut] + other + text[cut:])

    while time.monotonic() < end:
        one()

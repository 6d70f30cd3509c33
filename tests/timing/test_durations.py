"""Delays and instants are read as callers write them, and refused in words."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeball.errors import InvalidField
from timeball.timing.durations import MAX_DELAY, format_instant, parse_duration, parse_instant

WALL = datetime(2026, 5, 26)  # noqa: DTZ001 - a wall time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("0s", 0),
        ("1.5h", 5400),
        ("2h45m", 9900),
        ("7m3s", 423),
        ("1d", 86400),
        ("250ms", 0.25),
        ("5m250ms", 300.25),
        ("1d2h3m4s5ms", 93784.005),
        ("PT5M", 300),
        ("P1D", 86400),
        ("P1DT2H", 93600),
        ("P2W", 1209600),
        ("PT0.5S", 0.5),
        ("3650d", 3650 * 86400),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "90s"),
        ("5", "write 5s"),
        ("-5s", "negative"),
        ("5S", "'5s'"),
        ("1h1h", "from large to small"),
        ("3s2m", "from large to small"),
        ("5 s", "90s"),
        ("5s\n", "90s"),
        ("five", "90s"),
        ("P", "PT5M"),
        ("PT", "PT5M"),
        ("P1DT", "PT5M"),
        ("P1M", "months or years"),
        ("P1Y", "months or years"),
        ("-PT5M", "negative"),
        ("1e9s", "90s"),
        ("infs", "90s"),
        ("٣s", "90s"),  # an Arabic digit
        ("３s", "90s"),  # a full-width digit
        ("3651d", "3650d"),
        ("9" * 31 + "s", "3650d"),
        ("1" * 32 + "s", "32 characters"),
        ("1." * 100_000, "32 characters"),
    ],
)
def test_what_is_no_duration_is_refused_in_words(text: str, hint: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_duration(text)
    assert refused.value.field == "delay"
    assert hint in refused.value.message


def test_the_field_is_the_callers() -> None:
    with pytest.raises(InvalidField) as refused:
        parse_duration("soon", "retry.min_backoff")
    assert refused.value.field == "retry.min_backoff"


@given(st.integers(0, 3649), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_both_forms_of_a_duration_agree(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == expected
    assert parse_duration(f"P{days}DT{hours}H{minutes}M{seconds}S") == expected


@given(st.text(alphabet="PTWDHMSdhms0123456789.-", max_size=40))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidField):
        assert timedelta() <= parse_duration(text) <= MAX_DELAY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-26T12:00:00Z", "2026-05-26T12:00:00.000Z"),
        ("2026-05-26T12:00:00", "2026-05-26T12:00:00.000Z"),
        ("2026-05-26T12:00Z", "2026-05-26T12:00:00.000Z"),
        ("2026-05-26t12:00:00z", "2026-05-26T12:00:00.000Z"),
        ("2026-05-26T12:00:00.1Z", "2026-05-26T12:00:00.100Z"),
        ("2026-05-26T12:00:00.9999Z", "2026-05-26T12:00:00.999Z"),
        ("2026-05-26T12:00:00.1234567890123Z", "2026-05-26T12:00:00.123Z"),
        ("2026-05-26T12:00:00.5+02:00", "2026-05-26T10:00:00.500Z"),
        ("2026-05-26T23:00:00-05:30", "2026-05-27T04:30:00.000Z"),
        ("2028-02-29T00:00:00-00:00", "2028-02-29T00:00:00.000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        ("2200-12-31T23:59:59Z", "2200-12-31T23:59:59.000Z"),
    ],
)
def test_an_instant_is_read_and_written(text: str, expected: str) -> None:
    instant = parse_instant(text)
    assert instant.tzinfo is UTC
    assert format_instant(instant) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "RFC 3339"),
        ("now", "RFC 3339"),
        ("1780000000", "RFC 3339"),
        ("2026-05-26", "no time"),
        ("2026-05-26 12:00:00Z", "write T"),
        ("2026-05-26T24:00:00Z", "RFC 3339"),
        ("2026-13-01T00:00:00Z", "RFC 3339"),
        ("2026-02-29T00:00:00Z", "RFC 3339"),
        ("2026-12-31T23:59:60Z", "leap second"),
        ("2026-05-26T12:00:00,5Z", "RFC 3339"),
        ("2026-05-26T12:00:00.Z", "RFC 3339"),
        ("2026-05-26T12:00:00+25:00", "RFC 3339"),
        ("2026-05-26T12:00:00+0200", "RFC 3339"),
        ("2026-05-26T12:00:00+02:00:30", "RFC 3339"),
        ("2026-W22-2T12:00:00Z", "RFC 3339"),
        ("20260526T120000Z", "RFC 3339"),
        ("٢٠٢٦-05-26T12:00:00Z", "RFC 3339"),
        ("２026-05-26T12:00:00Z", "RFC 3339"),
        ("2026-05-26T12:00:00Z\n", "RFC 3339"),
        ("1969-12-31T23:59:59Z", "1970 to 2200"),
        ("2201-01-01T00:00:00Z", "1970 to 2200"),
        ("2200-12-31T23:59:59-05:00", "1970 to 2200"),
        ("9999-12-31T23:59:59-23:59", "1970 to 2200"),
        ("0001-01-01T00:00:00+23:59", "1970 to 2200"),
        ("2026-05-26T12:00:00." + "1" * 30 + "Z", "40 characters"),
    ],
)
def test_what_is_no_instant_is_refused_in_words(text: str, hint: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_instant(text, "dtstart")
    assert refused.value.field == "dtstart"
    assert hint in refused.value.message


@given(
    st.datetimes(WALL.replace(year=1971), WALL.replace(year=2199)),
    st.integers(-23 * 60, 23 * 60),
)
def test_an_instant_survives_writing_and_reading(naive: datetime, minutes: int) -> None:
    instant = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    cut = instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    assert parse_instant(format_instant(instant)) == cut
    assert parse_instant(instant.isoformat()) == cut


def test_an_instant_without_a_zone_is_a_broken_promise() -> None:
    with pytest.raises(ValueError, match="zone"):
        format_instant(WALL)

"""Cron expressions: what is taken, what it means, and what is refused in words."""

# ruff: noqa: DTZ001 - wall times have no zone

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from timeball.errors import InvalidField
from timeball.timing.durations import format_instant, parse_instant
from timeball.timing.rule import parse_rule

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)  # a Monday


def times(text: str, n: int = 3, timezone: str = "UTC") -> list[str]:
    rule = parse_rule(cron=text, timezone=timezone)
    return [format_instant(one)[:19] for one in rule.instants(NOW, n)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("* * * * *", "2026-11-02T12:01:00"),
        ("*/15 * * * *", "2026-11-02T12:15:00"),
        ("5/15 * * * *", "2026-11-02T12:05:00"),
        ("0 9-17/4 * * *", "2026-11-02T13:00:00"),
        ("30 4 1,15 * 5", "2026-11-06T04:30:00"),  # the day of month or the day of week
        ("0 0 */2 * 5", "2026-11-13T00:00:00"),  # a star at its head: the 13th is both
        ("0 0 * * 0", "2026-11-08T00:00:00"),
        ("0 0 * * 7", "2026-11-08T00:00:00"),
        ("0 0 * * 0-7", "2026-11-03T00:00:00"),
        ("0 0 * * SAT-SUN", "2026-11-07T00:00:00"),
        ("0 0 * * mon-sun", "2026-11-03T00:00:00"),
        ("0 0 * feb Tue", "2027-02-02T00:00:00"),
        ("0 0 L * *", "2026-11-30T00:00:00"),
        ("0 0 LW 10 *", "2027-10-29T00:00:00"),
        ("0 0 15W * *", "2026-11-16T00:00:00"),  # the 15th is a Sunday
        ("0 0 1W 8 *", "2027-08-02T00:00:00"),  # the 1st is a Sunday, and July is not August
        ("0 0 * * 5L", "2026-11-27T00:00:00"),
        ("0 0 * * friL", "2026-11-27T00:00:00"),
        ("0 0 * * 1#2", "2026-11-09T00:00:00"),
        ("0 0 * * MON#1,WED#3", "2026-11-18T00:00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 0 * 2 1#5", None),  # only a leap year that begins on a Thursday
        ("30 0 9 * * *", "2026-11-03T09:00:30"),  # six columns: seconds first
        ("*/10 * * * * *", "2026-11-02T12:00:10"),
        ("@hourly", "2026-11-02T13:00:00"),
        ("@daily", "2026-11-03T00:00:00"),
        ("@midnight", "2026-11-03T00:00:00"),
        ("@weekly", "2026-11-08T00:00:00"),
        ("@monthly", "2026-12-01T00:00:00"),
        ("@yearly", "2027-01-01T00:00:00"),
        ("@Annually", "2027-01-01T00:00:00"),
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", "2026-11-03T00:00:00"),
        ("TZ=Asia/Tokyo 0 9 * * *", "2026-11-03T00:00:00"),
        ("  0\t9  * * *  ", "2026-11-03T09:00:00"),
        ("00 09 01 01 *", "2027-01-01T09:00:00"),
    ],
)
def test_an_expression_means_what_cron_says(text: str, first: str | None) -> None:
    if first is None:
        with pytest.raises(InvalidField, match="never fires"):
            times(text)
    else:
        assert times(text, 1) == [first]


def test_every_counts_from_the_creation() -> None:
    created = NOW + timedelta(seconds=7)
    rule = parse_rule(cron="@every 90s", created=created)
    assert rule.instants(created, 2) == [
        created + timedelta(seconds=90),
        created + timedelta(seconds=180),
    ]
    assert rule.next_after(NOW - timedelta(days=900)) == created + timedelta(seconds=90)
    assert parse_rule(cron="@every 1h").first() == datetime(1970, 1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "0 columns"),
        ("* * * *", "4 columns"),
        ("* * * * * * *", "no column for years"),
        ("0 0 1 1 * 0 2099", "no column for years"),
        ("60 * * * *", "'60' is not a minute: values run from 0 to 59"),
        ("* 24 * * *", "0 to 23"),
        ("* * 0 * *", "1 to 31"),
        ("* * 32 * *", "1 to 31"),
        ("* * * 13 *", "JAN to DEC"),
        ("* * * * 8", "SUN to SAT"),
        ("0 12 * * 1-5 2026", "day of week"),
        ("5-5 * * * *", "write 5"),
        ("0 3-3 * * *", "write 3"),
        ("0 0 1-1 * *", "write 1"),
        ("0 0 * * MON-MON", "write MON"),
        ("0 0 * * 7-7", "write 7"),
        ("59-0 * * * *", "runs upwards: write 59,0"),
        ("0 0 * * FRI-MON", "runs upwards: write FRI-6,0-MON"),
        ("*/0 * * * *", "a step runs from 1 to 60"),
        ("*/61 * * * *", "a step runs from 1 to 60"),
        ("*/99999999999 * * * *", "a step runs from 1 to 60"),
        ("0 */25 * * *", "a step runs from 1 to 24"),
        ("007 * * * *", "values run from"),
        ("-5 * * * *", "write *"),
        ("1,,2 * * * *", "empty terms"),
        ("*-5 * * * *", "* takes no range"),
        ("1-2-3 * * * *", "write *"),
        ("1/2/3 * * * *", "write *"),
        ("? * * * *", "? is not cron's"),
        ("0 0 ? * 2", "? is not cron's"),
        ("R * * * *", "values run from 0"),
        ("R(1-5) * * * *", "random"),
        ("H * * * *", "values run from 0"),
        ("@reboot", "@every 90s"),
        ("@every", "@every 90s"),
        ("@every 1s 2s", "@every 90s"),
        ("@every 0s", "1s at least"),
        ("@every 999ms", "1s at least"),
        ("@every 3000d", "5 years at most"),
        ("@every soon", "not a duration"),
        ("@daily 5", "@every 90s"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 31W 2 6L", "stands alone"),
        ("0 0 1W,15W * *", "stands alone"),
        ("0 0 15W * 1", "stands alone"),
        ("0 0 W * *", "values run from"),
        ("0 0 32W * *", "values run from"),
        ("0 0 L-3 * *", "values run from"),
        ("0 0 * * L", "values run from"),
        ("0 0 * * 1#6", "# counts from 1 to 5"),
        ("0 0 * * 1#0", "# counts from 1 to 5"),
        ("0 0 1#2 * *", "write *"),
        ("0 0 * * 8L", "SUN to SAT"),
        ("0 0 * * 1 ; ls", "7 columns"),
        ("* * * * MONDAY", "SUN to SAT"),
        ("٥ * * * *", "ASCII"),
        ("５ * * * *", "ASCII"),
        ("0 0 * * *\u00a0", "ASCII"),
        ("0 0 * * *\n", "ASCII"),
        ("0 0 * * *\x00", "ASCII"),
        ("0," * 128 + "0 * * * *", "255 characters"),
        ("0,0," * 50_000 + "0 * * * *", "255 characters"),
        ("CRON_TZ=Mars/Base 0 9 * * *", "time zone"),
        ("CRON_TZ=../../etc/passwd 0 9 * * *", "time zone"),
        ("CRON_TZ= 0 9 * * *", "time zone"),
        ("CRON_TZ=Europe/Berlin", "1 columns"),
    ],
)
def test_what_lies_or_cannot_be_read_is_refused_in_words(text: str, hint: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_rule(cron=text)
    assert refused.value.field == "cron"
    assert hint in refused.value.message
    assert len(refused.value.message) < 500


def test_the_zone_is_named_once() -> None:
    assert parse_rule(cron="CRON_TZ=Asia/Tokyo 0 9 * * *").timezone == "Asia/Tokyo"
    agreed = parse_rule(cron="CRON_TZ=Asia/Tokyo 0 9 * * *", timezone="Asia/Tokyo")
    assert agreed.timezone == "Asia/Tokyo"
    with pytest.raises(InvalidField, match="leave one out") as refused:
        parse_rule(cron="CRON_TZ=Asia/Tokyo 0 9 * * *", timezone="Europe/Berlin")
    assert refused.value.field == "timezone"


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("Europe/Amsterdm", "did you mean Europe/Amsterdam?"),
        ("../../etc/passwd", "is not a time zone"),
        ("/etc/localtime", "is not a time zone"),
        ("localtime", "is not a time zone"),
        ("Factory", "is not a time zone"),
        ("", "is not a time zone"),
        ("UTC+2", "is not a time zone"),
        ("Nope/Zone", "is not a time zone"),
        ("Europe/Berlin\x00", "is not a time zone"),
        ("Ｅurope/Berlin", "is not a time zone"),
        ("A" * 10_000, "is not a time zone"),
    ],
)
def test_an_unknown_zone_is_refused_in_words(zone: str, hint: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_rule(cron="0 9 * * *", timezone=zone)
    assert refused.value.field == "timezone"
    assert hint in refused.value.message


def test_a_rule_has_one_text_and_cron_no_start() -> None:
    with pytest.raises(InvalidField, match="cron is given too") as both:
        parse_rule(cron="0 9 * * *", rrule="FREQ=DAILY")
    with pytest.raises(InvalidField, match="is missing") as neither:
        parse_rule()
    with pytest.raises(InvalidField, match="rrule only") as start:
        parse_rule(cron="0 9 * * *", dtstart=NOW)
    assert [one.value.field for one in (both, neither, start)] == ["rrule", "cron", "dtstart"]


def test_the_bounds_of_time_end_a_rule() -> None:
    rule = parse_rule(cron="@daily")
    assert rule.next_after(parse_instant("2200-12-30T12:00Z")) == parse_instant("2200-12-31T00:00Z")
    assert rule.next_after(parse_instant("2200-12-31T00:00Z")) is None
    assert rule.next_after(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)) is None
    assert rule.next_after(datetime(1, 1, 1, tzinfo=UTC)) == datetime(1970, 1, 1, tzinfo=UTC)
    assert rule.instants(parse_instant("2200-12-30T12:00Z"), 5) == [
        parse_instant("2200-12-31T00:00Z")
    ]
    with pytest.raises(ValueError, match="zone"):
        rule.next_after(datetime(2026, 1, 1))


def column(low: int, high: int) -> st.SearchStrategy[str]:
    values = st.integers(low, high)
    spans = st.tuples(values, values).filter(lambda p: p[0] < p[1])
    term = st.one_of(
        values.map(str),
        spans.map(lambda p: f"{p[0]}-{p[1]}"),
        st.tuples(spans, st.integers(1, high)).map(lambda p: f"{p[0][0]}-{p[0][1]}/{p[1]}"),
        st.integers(1, high).map(lambda n: f"*/{n}"),
        st.just("*"),
    )
    return st.lists(term, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(
    column(0, 59), column(0, 59), column(0, 23), column(1, 31), column(1, 12), column(0, 6)
).map(" ".join)


@given(EXPRESSIONS, st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_in_utc_an_expression_is_what_cronsim_makes_of_it(text: str, after: datetime) -> None:
    try:
        rule = parse_rule(cron=text)
    except InvalidField as refused:
        assert "never fires" in refused.message  # noqa: PT017 - refusing is allowed here
        return
    expected = [one.replace(tzinfo=UTC) for one in islice(CronSim(text, after), 5)]
    assert rule.instants(after.replace(tzinfo=UTC), 5) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("*/40 * * * *", "At 0 and 40 minutes past the hour"),
        ("0 */5 * * *", "At 00:00, 05:00, 10:00, 15:00 and 20:00"),
        ("*/45 * * * * *", "At 0 and 45 seconds past the minute"),
        ("0 9 * * 1-5", "At 09:00, Monday through Friday"),
        ("*/5 * * * * *", "Every 5 seconds"),
        ("@every 90s", "Every 1 minute 30 seconds"),
        ("@every 1d", "Every 24 hours"),
        ("0 0 13 * 5", "At 00:00, on day 13 of the month, or on Friday"),
        ("0 0 */2 * MON", "At 00:00, every 2 days, and only on Monday"),
        (
            "0 0 L,15 * *",
            "At 00:00, on the last day of the month; at 00:00, on day 15 of the month",
        ),
        (
            "0 0 1 * 5L",
            "At 00:00, on day 1 of the month; at 00:00, on the last Friday of the month",
        ),
        ("0 0 15W * *", "At 00:00, on the weekday nearest day 15 of the month"),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "At 09:00 (Europe/Berlin)"),
    ],
)
def test_an_expression_is_told_in_words(text: str, words: str) -> None:
    assert parse_rule(cron=text).describe() == words

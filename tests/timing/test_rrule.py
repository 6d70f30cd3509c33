"""Recurrence sets of RFC 5545: what is taken, what it means, and what is refused in words."""

# ruff: noqa: DTZ001 - wall times have no zone

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import pytest

from timeball.errors import InvalidField
from timeball.timing.durations import format_instant, parse_instant
from timeball.timing.rule import Rule, parse_rule

NOW = datetime(2026, 11, 2, 12, 0, 7, tzinfo=UTC)  # a Monday
NEW_YORK = "DTSTART;TZID=America/New_York:19970902T090000\n"  # the start of the RFC's examples


def all_of(rule: Rule, n: int = 6) -> list[str]:
    assert rule.start is not None
    return [format_instant(one)[:16] for one in rule.instants(rule.start - timedelta(seconds=1), n)]


def days_of(text: str, n: int) -> list[str]:
    """The local dates of an example of the RFC."""
    rule = parse_rule(rrule=NEW_YORK + text)
    assert rule.start is not None
    shown = rule.preview(rule.start - timedelta(seconds=1), n)
    return [f"{one.local:%y%m%d}" for one in shown]


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("RRULE:FREQ=DAILY;COUNT=3", "970902 970903 970904"),
        ("RRULE:FREQ=DAILY;INTERVAL=10;COUNT=3", "970902 970912 970922"),
        ("RRULE:FREQ=YEARLY;UNTIL=20000131T140000Z;BYMONTH=1;BYDAY=SU,MO", "980104 980105 980111"),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;WKST=SU", "970902 970916 970930"),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH", "970902 970904 970916"),
        ("RRULE:FREQ=MONTHLY;COUNT=10;BYDAY=1FR", "970905 971003 971107"),
        ("RRULE:FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU", "970907 970928 971102"),
        ("RRULE:FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", "970922 971020 971117"),
        ("RRULE:FREQ=MONTHLY;BYMONTHDAY=-3", "970928 971029 971128"),
        ("RRULE:FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15", "970902 970915 971002"),
        ("RRULE:FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1", "970930 971001 971031"),
        ("RRULE:FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3", "990102 990202 990302"),
        ("RRULE:FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200", "000101 000409 000718"),
        ("RRULE:FREQ=YEARLY;BYDAY=20MO", "980518 990517 000515"),
        ("RRULE:FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "980511 990517 000515"),
        ("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "980305 980312 980319"),
        ("RRULE:FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "980213 980313 981113"),
        ("RRULE:FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13", "970913 971011 971108"),
        (
            "RRULE:FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
            "971104 011106 051108",
        ),
        ("RRULE:FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "970904 971007 971106"),
        ("RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "970929 971030 971127"),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "970902 970907 970916"),
        ("RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "970902 970914 970916"),
        ("RRULE:FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "970915 970930 971015"),
        ("EXDATE;TZID=America/New_York:19970902T090000\nRRULE:FREQ=DAILY", "970903 970904 970905"),
    ],
)
def test_the_examples_of_the_rfc_come_out(text: str, dates: str) -> None:
    assert days_of(text, 3) == dates.split()


def test_the_sub_daily_examples_of_the_rfc_come_out() -> None:
    hourly = parse_rule(rrule=NEW_YORK + "RRULE:FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T210000Z")
    assert all_of(hourly) == ["1997-09-02T13:00", "1997-09-02T16:00", "1997-09-02T19:00"]
    quarters = parse_rule(rrule=NEW_YORK + "RRULE:FREQ=MINUTELY;INTERVAL=15;COUNT=6")
    assert all_of(quarters, 9)[-1] == "1997-09-02T14:15"
    assert len(all_of(quarters, 9)) == 6
    office = NEW_YORK + "RRULE:FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40"
    same = NEW_YORK + "RRULE:FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16"
    assert all_of(parse_rule(rrule=office), 100) == all_of(parse_rule(rrule=same), 100)


def test_the_last_of_a_counted_rule_is_known() -> None:
    def last(text: str) -> str:
        rule = parse_rule(rrule=text, dtstart=NOW)
        assert rule.last is not None
        assert rule.next_after(rule.last) is None
        assert rule.next_after(rule.last - timedelta(seconds=1)) == rule.last
        again = parse_rule(rrule=text, dtstart=NOW, last=rule.last)
        assert again == rule
        return format_instant(rule.last)[:19]

    assert last("FREQ=DAILY;COUNT=1") == "2026-11-02T12:00:07"
    assert last("FREQ=DAILY;COUNT=10") == "2026-11-11T12:00:07"
    assert last("FREQ=DAILY;INTERVAL=3;COUNT=4;BYHOUR=12,18") == "2026-11-05T18:00:07"
    assert last("FREQ=WEEKLY;COUNT=3;BYDAY=MO,TU") == "2026-11-09T12:00:07"
    assert last("FREQ=MONTHLY;COUNT=2;BYMONTHDAY=31") == "2027-01-31T12:00:07"
    assert last("FREQ=MONTHLY;COUNT=2;BYDAY=MO,TU;BYSETPOS=-1") == "2026-12-29T12:00:07"
    assert last("FREQ=SECONDLY;INTERVAL=5;COUNT=1000000") == "2026-12-30T08:53:22"
    assert last("FREQ=MINUTELY;COUNT=61;BYHOUR=13,14") == "2026-11-02T14:00:07"
    assert last("FREQ=HOURLY;COUNT=3;BYMINUTE=15,45;BYSECOND=0") == "2026-11-02T13:15:00"
    assert last("FREQ=DAILY;UNTIL=20261105T120007Z") == "2026-11-05T12:00:07"  # UNTIL is one too


def test_a_count_past_the_last_year_never_ends_the_rule() -> None:
    for text in ("FREQ=YEARLY;COUNT=1000000", "FREQ=HOURLY;INTERVAL=1000000;COUNT=1000000"):
        assert parse_rule(rrule=text, dtstart=NOW).next_after(NOW) is not None


def test_until_counts_itself_in() -> None:
    rule = parse_rule(rrule="FREQ=DAILY;UNTIL=20261104T120007Z", dtstart=NOW)
    assert len(all_of(rule)) == 3
    local = parse_rule(
        rrule="FREQ=DAILY;UNTIL=20261104T120000",
        timezone="Asia/Tokyo",
        dtstart=datetime(2026, 11, 2, 12),
    )
    assert all_of(local)[-1] == "2026-11-04T03:00"
    by_date = parse_rule(rrule="FREQ=DAILY;UNTIL=20261104", dtstart=NOW)
    assert len(all_of(by_date)) == 2  # a date is its midnight


def test_dates_are_added_and_taken_out() -> None:
    rule = parse_rule(
        rrule="\r\n".join(
            (
                "DTSTART;TZID=Europe/Berlin:20261102T090000",
                "RRULE:FREQ=DAILY;COUNT=4",
                "EXDATE;TZID=Europe/Berlin:20261103T090000,20261104T090000",
                "EXDATE:20261105T090000",
                "RDATE:20261101T090000,20261110T",
                " 090000",  # a folded line
                "RDATE:20261103T090000,20261102T080000Z",
            )
        )
    )
    found = rule.instants(parse_instant("2026-10-01T00:00Z"), 9)
    assert [format_instant(one)[:16] for one in found] == [
        "2026-11-01T08:00",
        "2026-11-02T08:00",
        "2026-11-10T08:00",
    ]
    assert rule.timezone == "Europe/Berlin"


def test_the_zone_may_stand_on_a_line_of_its_own() -> None:
    for line in ("TZID:Asia/Tokyo", "TZID=Asia/Tokyo"):
        rule = parse_rule(rrule=f"{line}\nFREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0", dtstart=NOW)
        assert all_of(rule, 1) == ["2026-11-03T00:00"]


def test_the_start_is_the_callers_the_lines_or_the_creation() -> None:
    given = parse_rule(rrule="FREQ=DAILY", dtstart=NOW, created=NOW - timedelta(days=3))
    assert given.start == NOW
    created = NOW + timedelta(milliseconds=345)
    fallback = parse_rule(rrule="FREQ=DAILY", created=created)
    assert fallback.start == fallback.first() == NOW
    line = parse_rule(rrule="DTSTART:20261102T120007Z\nRRULE:FREQ=DAILY", dtstart=NOW)
    assert line.start == NOW
    with pytest.raises(InvalidField, match="differs from the DTSTART") as differs:
        parse_rule(rrule="DTSTART:20261102T120008Z\nRRULE:FREQ=DAILY", dtstart=NOW)
    with pytest.raises(InvalidField, match="is missing") as missing:
        parse_rule(rrule="FREQ=DAILY")
    with pytest.raises(InvalidField, match="1970 to 2200") as early:
        parse_rule(rrule="FREQ=DAILY", dtstart=datetime(1900, 1, 1, tzinfo=UTC))
    assert {one.value.field for one in (differs, missing, early)} == {"dtstart"}


def test_plain_and_numbered_days_may_be_mixed() -> None:
    rule = parse_rule(rrule="FREQ=MONTHLY;BYDAY=MO,1TU", dtstart=NOW)
    assert all_of(rule, 4) == [
        "2026-11-02T12:00",
        "2026-11-03T12:00",
        "2026-11-09T12:00",
        "2026-11-16T12:00",
    ]


@lru_cache
def weeks_of(year: int, week_start: int) -> list[date]:
    """The first days of a year's weeks: those with four days or more in it."""
    days = (date(year, 1, 1) + timedelta(days=n) for n in range(-7, 380))
    return [d for d in days if d.weekday() == week_start and (d + timedelta(days=3)).year == year]


def week_numbers(day: date, week_start: int) -> tuple[int, int]:
    """The number of a day's week from the front and from the back."""
    first = day - timedelta(days=(day.weekday() - week_start) % 7)
    weeks = weeks_of((first + timedelta(days=3)).year, week_start)
    return weeks.index(first) + 1, weeks.index(first) - len(weeks)


@pytest.mark.parametrize("number", [1, 2, 20, 52, 53, -1, -2, -52, -53])
@pytest.mark.parametrize("start", ["MO", "SU"])
def test_weeks_are_numbered_as_the_rfc_says(number: int, start: str) -> None:
    rule = parse_rule(
        rrule=f"FREQ=YEARLY;BYWEEKNO={number};WKST={start}",
        dtstart=datetime(2015, 1, 1, tzinfo=UTC),
    )
    end = datetime(2028, 1, 1, tzinfo=UTC) - timedelta(seconds=1)
    found = [one.date() for one in rule.between(datetime(2014, 12, 31, tzinfo=UTC), end, 1000)]
    week_start = 0 if start == "MO" else 6
    days = (
        date(2015, 1, 1) + timedelta(days=n)
        for n in range((end.date() - date(2015, 1, 1)).days + 1)
    )
    assert found == [day for day in days if number in week_numbers(day, week_start)]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "is not understood"),
        ("DAILY", "is not understood"),
        ("FREQ=", "is none of YEARLY"),
        ("FREQ=FORTNIGHTLY", "is none of YEARLY"),
        ("INTERVAL=2", "is none of YEARLY"),
        ("FREQ=DAILY;FREQ=SECONDLY", "FREQ twice"),
        ("FREQ=DAILY;BYHOUR=1;BYHOUR=2", "BYHOUR twice"),
        ("FREQ=DAILY;;COUNT=2", "is not understood"),
        ("FREQ=DAILY;INTERVAL=0", "use 1 to 1000000"),
        ("FREQ=SECONDLY;INTERVAL=0", "use 1 to 1000000"),
        ("FREQ=DAILY;INTERVAL=-1", "use 1 to 1000000"),
        ("FREQ=DAILY;INTERVAL=1000001", "use 1 to 1000000"),
        ("FREQ=DAILY;INTERVAL=99999999999999999999", "use 1 to 1000000"),
        ("FREQ=DAILY;INTERVAL=1.5", "use 1 to 1000000"),
        ("FREQ=DAILY;INTERVAL=1_0", "use 1 to 1000000"),
        ("FREQ=DAILY;COUNT=0", "use 1 to 1000000"),
        ("FREQ=DAILY;COUNT=-5", "use 1 to 1000000"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z", "COUNT and UNTIL"),
        ("FREQ=DAILY;UNTIL=tomorrow", "no date-time"),
        ("FREQ=DAILY;UNTIL=20261301T000000Z", "no date-time"),
        ("FREQ=DAILY;UNTIL=2026-12-01", "no date-time"),
        ("FREQ=DAILY;UNTIL=20200101T000000Z", "never fires: it ends at 2020-01-01"),
        ("FREQ=DAILY;UNTIL=99990101T000000Z", "1970 to 2200"),
        ("FREQ=DAILY;BYMONTH=0", "1 to 12"),
        ("FREQ=DAILY;BYMONTH=13", "1 to 12"),
        ("FREQ=DAILY;BYMONTH=-1", "1 to 12"),
        ("FREQ=DAILY;BYMONTHDAY=0", "1 to 31 or -31 to -1"),
        ("FREQ=DAILY;BYMONTHDAY=32", "1 to 31 or -31 to -1"),
        ("FREQ=YEARLY;BYYEARDAY=367", "1 to 366"),
        ("FREQ=YEARLY;BYWEEKNO=54", "1 to 53"),
        ("FREQ=YEARLY;BYWEEKNO=60", "1 to 53"),
        ("FREQ=DAILY;BYHOUR=24", "0 to 23"),
        ("FREQ=DAILY;BYMINUTE=60", "0 to 59"),
        ("FREQ=DAILY;BYSECOND=60", "0 to 59"),
        ("FREQ=DAILY;BYHOUR=", "0 to 23"),
        ("FREQ=DAILY;BYHOUR=1,,2", "0 to 23"),
        ("FREQ=DAILY;BYHOUR=+1", "0 to 23"),
        ("FREQ=WEEKLY;BYDAY=5MO", "write MO"),
        ("FREQ=DAILY;BYDAY=99MO", "write MO"),
        ("FREQ=MONTHLY;BYDAY=6MO", "use 1 to 5"),
        ("FREQ=MONTHLY;BYDAY=0MO", "use 1 to 5"),
        ("FREQ=YEARLY;BYDAY=54MO", "use 1 to 53"),
        ("FREQ=YEARLY;BYMONTH=2;BYDAY=6MO", "use 1 to 5"),
        ("FREQ=YEARLY;BYWEEKNO=2;BYDAY=1MO", "write MO"),
        ("FREQ=WEEKLY;BYDAY=MONDAY", "is no day"),
        ("FREQ=WEEKLY;BYDAY=+MO", "is no day"),
        ("FREQ=WEEKLY;WKST=XX", "none of MO"),
        ("FREQ=WEEKLY;BYMONTHDAY=13", "has no meaning with FREQ=WEEKLY"),
        ("FREQ=DAILY;BYYEARDAY=100", "has no meaning with FREQ=DAILY"),
        ("FREQ=MONTHLY;BYWEEKNO=20", "has no meaning with FREQ=MONTHLY"),
        ("FREQ=YEARLY;BYEASTER=0", "is not understood"),
        ("FREQ=DAILY;DTSTART=20260101T000000Z", "DTSTART goes on a line of its own"),
        ("FREQ=DAILY;X-MINE=1", "is not understood"),
        ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS picks among other BY parts"),
        ("FREQ=SECONDLY;BYSETPOS=2", "BYSETPOS picks among other BY parts"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0", "1 to 366"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=367", "1 to 366"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=" + ",".join(map(str, range(1, 33))), "31 positions"),
        ("RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY", "two RRULE"),
        ("RRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY", "is not understood"),
        ("DTSTART:20260101T000000Z", "has no RRULE"),
        ("DTSTART:20260101T000000Z\nDTSTART:20260101T000000Z\nFREQ=DAILY", "two DTSTART"),
        ("DTSTART;TZID=../../etc/passwd:20260101T000000\nFREQ=DAILY", "is not a time zone"),
        ("DTSTART;TZID=Nope/Zone:20260101T000000\nFREQ=DAILY", "is not a time zone"),
        ("DTSTART;LANGUAGE=en:20260101T000000\nFREQ=DAILY", "only TZID"),
        ("DTSTART:2026\nFREQ=DAILY", "no date-time"),
        ("TZID:Asia/Tokyo\nDTSTART;TZID=Asia/Seoul:20260101T000000\nFREQ=DAILY", "two zones"),
        ("FREQ=DAILY\nEXDATE:20261225", "write it like 20261225T090000"),
        ("FREQ=DAILY\nRDATE;VALUE=PERIOD:20260101T000000Z/PT1H", "only TZID"),
        ("FREQ=DAILY\nRDATE:" + ",".join(["20260101T000000Z"] * 367), "366 dates"),
        ("FREQ=DAILY\nRDATE:" + ",".join(["20260101T000000Z"] * 100_000), "8192 characters"),
        ("FREQ=DAILY;BYHOUR=" + ",".join(["1"] * 300), "500 characters"),
        ("FREQ=DAILY;COUNT=٣", "ASCII"),
        ("FREQ=DAILY;COUNT=３", "ASCII"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never fires"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never fires"),
        ("FREQ=DAILY;COUNT=1\nEXDATE:20261102T120007Z", "never fires"),
        ("FREQ=SECONDLY;BYDAY=MO;COUNT=1000000", "use UNTIL"),
    ],
)
def test_what_lies_hangs_or_cannot_be_read_is_refused_in_words(text: str, hint: str) -> None:
    with pytest.raises(InvalidField) as refused:
        parse_rule(rrule=text, created=NOW)
    assert refused.value.field == "rrule"
    assert hint in refused.value.message
    assert len(refused.value.message) < 500


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FREQ=DAILY", "Every day at 12:00:07"),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;BYHOUR=9,17;BYMINUTE=0;BYSECOND=0;COUNT=10",
            "Every 2 weeks on Monday and Wednesday at 09:00 and 17:00, 10 times",
        ),
        ("FREQ=WEEKLY;BYHOUR=9;BYMINUTE=0;BYSECOND=0", "Every week on Monday at 09:00"),
        (
            "FREQ=MONTHLY;BYDAY=MO,FR;BYSETPOS=-1;BYHOUR=9;BYMINUTE=0;BYSECOND=0",
            "Every month on Monday and Friday at 09:00, only the last of each month",
        ),
        (
            "FREQ=MONTHLY;BYDAY=2MO,-1FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0",
            "Every month on the 2nd Monday and the last Friday of the month at 09:00",
        ),
        (
            "FREQ=YEARLY;BYHOUR=0;BYMINUTE=0;BYSECOND=0",
            "Every year on day 2 of the month in November at 00:00",
        ),
        (
            "FREQ=YEARLY;BYYEARDAY=-1,22;BYHOUR=0;BYMINUTE=0;BYSECOND=0",
            "Every year on the last day and day 22 of the year at 00:00",
        ),
        (
            "FREQ=YEARLY;BYWEEKNO=-2,20;BYDAY=MO;BYHOUR=0;BYMINUTE=0;BYSECOND=0",
            "Every year on Monday in the 2nd to last week and week 20 at 00:00",
        ),
        ("FREQ=HOURLY;BYMINUTE=0,30;BYDAY=SA", "Every hour on Saturday at minutes 0 and 30"),
        (
            "FREQ=SECONDLY;INTERVAL=5;UNTIL=20270101T000000Z",
            "Every 5 seconds, until 2027-01-01 00:00 UTC",
        ),
        (
            "FREQ=DAILY;BYHOUR=9,10,11;BYMINUTE=0,20,40;BYSECOND=0",
            "Every day at second 0 of minutes 0, 20 and 40 of hours 9, 10 and 11",
        ),
        (
            "FREQ=MINUTELY;COUNT=1\nRDATE:20270101T000000Z\nEXDATE:20280101T000000Z,20290101T000000Z",
            "Every minute, once, and on 1 more date, except on 2 dates",
        ),
    ],
)
def test_a_rule_is_told_in_words(text: str, words: str) -> None:
    assert parse_rule(rrule=text, dtstart=NOW).describe() == words


def test_leap_days_come_on_leap_years() -> None:
    rule = parse_rule(rrule="FREQ=YEARLY", dtstart=datetime(2024, 2, 29, tzinfo=UTC))
    found = rule.instants(datetime(2090, 1, 1, tzinfo=UTC), 3)
    assert [one.year for one in found] == [2092, 2096, 2104]
    assert all(calendar.isleap(one.year) for one in found)

"""Texts made to hang, lie or grow: each is refused in words, or right, and none costs much.

The first half hung, lied or crashed croniter 7.0 or dateutil 2.9 when they were measured; the rest is ours.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from timeball.errors import InvalidField
from timeball.timing.budget import Budget, OverBudget
from timeball.timing.by_wall import ByWall
from timeball.timing.durations import parse_duration, parse_instant
from timeball.timing.recurrence_set import parse_rrule
from timeball.timing.rule import parse_rule
from timeball.timing.zones import find_zone

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
LIMIT_SECONDS = 0.3


def numbers(low: int, high: int) -> str:
    return ",".join(str(n) for n in range(low, high + 1))


EVERY_MINUTE, EVERY_HOUR, DAYS = numbers(0, 59), numbers(0, 23), "MO,TU,WE,TH,FR,SA,SU"

HUNG_OR_LIED = [
    *(f"FREQ={f};BYMONTHDAY=30;BYMONTH=2" for f in ("SECONDLY", "MINUTELY", "HOURLY", "DAILY")),
    *(f"FREQ={f};BYMONTHDAY=30;BYMONTH=2" for f in ("WEEKLY", "MONTHLY", "YEARLY")),
    *(
        f"FREQ={f};INTERVAL=0"
        for f in ("SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
    ),
    "FREQ=SECONDLY;BYSETPOS=2",
    "FREQ=MINUTELY;BYSETPOS=366;BYSECOND=0",
    "FREQ=HOURLY;BYSETPOS=5;BYMINUTE=0",
    "FREQ=DAILY;BYSETPOS=3;BYHOUR=0",
    "RRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY",
    "DTSTART:20000101T000000Z\nRRULE:FREQ=SECONDLY",
    "DTSTART:20251102T120000Z\nRRULE:FREQ=SECONDLY;INTERVAL=5",
    "DTSTART:20000101T000000Z\nRRULE:FREQ=MINUTELY",
    "DTSTART:20200101T000000Z\nRRULE:FREQ=MINUTELY",
    "DTSTART:20261002T120000Z\nRRULE:FREQ=SECONDLY",
    "DTSTART:19000101T000000Z\nRRULE:FREQ=HOURLY",
    "DTSTART:19700101T000000Z\nRRULE:FREQ=HOURLY",
    "FREQ=DAILY;BYMONTH=13",
    "FREQ=DAILY;BYMONTHDAY=32",
    "FREQ=MONTHLY;BYMONTHDAY=1;BYSETPOS=3",
    "FREQ=YEARLY;BYDAY=99MO",
    "FREQ=YEARLY;BYEASTER=1000",
    "INTERVAL=2",
    "DTSTART:20261102T120000\nRRULE:FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=-1",
    "DTSTART;TZID=../../etc/passwd:20261102T120000\nRRULE:FREQ=DAILY",
    "DTSTART;TZID=Nope/Zone:20261102T120000\nRRULE:FREQ=DAILY",
    "FREQ=DAILY;BYMONTHDAY=0",
    "FREQ=DAILY;BYMONTH=0",
    "FREQ=YEARLY;BYYEARDAY=367",
    "FREQ=YEARLY;BYWEEKNO=54",
    "FREQ=YEARLY;BYWEEKNO=60",
    "FREQ=WEEKLY;BYDAY=5MO",
    "FREQ=DAILY;FREQ=SECONDLY",
    "FREQ=DAILY;COUNT=0",
    "FREQ=DAILY;COUNT=-5",
    "FREQ=DAILY;COUNT=１",
    "FREQ=DAILY;COUNT=١",
    "FREQ=DAILY;UNTIL=20200101T000000Z",
    "FREQ=DAILY\nRDATE:" + ",".join(["20270101T000000Z"] * 100_000),
    "FREQ=DAILY;INTERVAL=99999999999999999999",
]
OURS = [
    # Steps that never meet their parts, or seldom.
    "FREQ=SECONDLY;INTERVAL=60;BYSECOND=30",
    "FREQ=SECONDLY;INTERVAL=3600;BYMINUTE=30",
    "FREQ=SECONDLY;INTERVAL=86400;BYHOUR=3",
    "FREQ=SECONDLY;INTERVAL=999983;BYSECOND=0;BYMINUTE=0",
    "FREQ=SECONDLY;INTERVAL=999983;BYSECOND=7;BYMINUTE=7;BYHOUR=7",
    "FREQ=SECONDLY;INTERVAL=3601;BYMINUTE=0;BYSECOND=0",
    "FREQ=SECONDLY;INTERVAL=7;BYHOUR=9;BYMINUTE=0;BYSECOND=0",
    "FREQ=MINUTELY;INTERVAL=60;BYMINUTE=30",
    "FREQ=MINUTELY;INTERVAL=1440;BYHOUR=5",
    "FREQ=MINUTELY;INTERVAL=10080;BYDAY=TU",
    "FREQ=MINUTELY;INTERVAL=999999;BYDAY=TU;BYHOUR=3;BYSECOND=1",
    "FREQ=HOURLY;INTERVAL=24;BYHOUR=5",
    "FREQ=HOURLY;INTERVAL=24;BYHOUR=5;BYMINUTE=0",
    "FREQ=HOURLY;INTERVAL=168;BYDAY=SU",
    "FREQ=HOURLY;INTERVAL=1000000;BYMINUTE=1",
    "FREQ=HOURLY;INTERVAL=999999;BYYEARDAY=-366",
    "FREQ=DAILY;INTERVAL=1000000;BYDAY=MO",
    "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
    "FREQ=DAILY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
    "FREQ=DAILY;BYMONTH=2,4,6,9,11;BYMONTHDAY=31",
    "FREQ=WEEKLY;INTERVAL=1000000",
    "FREQ=WEEKLY;BYMONTH=2;BYSETPOS=7;BYDAY=MO,TU",
    "FREQ=MONTHLY;INTERVAL=12;BYMONTH=3",
    "FREQ=MONTHLY;INTERVAL=1000000;BYMONTHDAY=31",
    "FREQ=MONTHLY;BYDAY=MO;BYMONTHDAY=31;BYMONTH=4",
    "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
    "FREQ=YEARLY;INTERVAL=999999;BYYEARDAY=366",
    "FREQ=YEARLY;INTERVAL=1000;BYWEEKNO=53;BYDAY=MO",
    "FREQ=YEARLY;BYWEEKNO=1;BYMONTH=6",
    "FREQ=YEARLY;BYWEEKNO=53;BYYEARDAY=100",
    "FREQ=YEARLY;BYYEARDAY=1;BYMONTH=12",
    "FREQ=YEARLY;BYDAY=53MO;BYMONTHDAY=1",
    # Many of a thing.
    f"FREQ=YEARLY;BYDAY={DAYS};BYHOUR={EVERY_HOUR};BYMINUTE={numbers(0, 30)}",
    f"FREQ=YEARLY;BYHOUR={EVERY_HOUR};BYMINUTE={EVERY_MINUTE};BYSECOND={numbers(0, 49)}",
    f"FREQ=YEARLY;BYDAY={DAYS};BYHOUR={EVERY_HOUR};BYMINUTE={EVERY_MINUTE};BYSETPOS=-1",
    f"FREQ=YEARLY;BYDAY={DAYS};BYHOUR={EVERY_HOUR};BYMINUTE={EVERY_MINUTE};BYSECOND=1,2;BYSETPOS=-1",
    f"FREQ=MONTHLY;BYMONTHDAY={numbers(1, 31)};BYMINUTE={EVERY_MINUTE};BYSETPOS={numbers(1, 31)}",
    f"FREQ=YEARLY;BYYEARDAY={numbers(1, 100)};BYSETPOS={numbers(340, 366)}",
    f"FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1;BYSETPOS={numbers(336, 366)}",
    f"FREQ=HOURLY;BYMINUTE={EVERY_MINUTE};BYSECOND={numbers(0, 23)};BYSETPOS=-1,366",
    f"FREQ=HOURLY;BYMINUTE={EVERY_MINUTE};BYSECOND={EVERY_MINUTE};BYSETPOS=-1",
    f"FREQ=HOURLY;BYMINUTE={EVERY_MINUTE};BYSETPOS=1;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
    f"FREQ=MINUTELY;BYSECOND={EVERY_MINUTE};BYSETPOS={numbers(-31, -1)}",
    "FREQ=SECONDLY;BYSETPOS=2;BYMONTH=1",
    "FREQ=SECONDLY;BYSETPOS=1;BYMONTH=1",
    "FREQ=SECONDLY;BYSETPOS=-1,5;BYDAY=MO",
    "FREQ=DAILY;BYSETPOS=1441;BYHOUR=1",
    "FREQ=DAILY\nEXDATE:"
    + ",".join(f"2026{m:02}{d:02}T120000Z" for m in (11, 12) for d in range(1, 31)),
    "FREQ=DAILY\nRDATE:" + ",".join(f"20{y}0101T000000Z" for y in range(27, 99)),
    "FREQ=DAILY\nRDATE:" + "," * 400,
    "FREQ=DAILY;" + "X" * 8000,
    ";" * 499,
    "=" * 499,
    "\n" * 8000,
    "FREQ=DAILY" + "\n " * 3000,
    "FREQ=DAILY\n" * 700,
    "A" * 1_000_000,
    # Counting.
    "FREQ=SECONDLY;COUNT=1000000",
    f"FREQ=SECONDLY;COUNT=1000000;BYDAY={DAYS}",
    "FREQ=SECONDLY;COUNT=1000000;BYSECOND=1",
    "FREQ=MINUTELY;COUNT=1000000;BYSECOND=1",
    "FREQ=HOURLY;COUNT=1000000;BYMINUTE=1,2,3",
    "FREQ=HOURLY;COUNT=1000000;INTERVAL=1000000",
    "FREQ=DAILY;COUNT=1000000",
    "FREQ=DAILY;COUNT=1000000;INTERVAL=1000000",
    f"FREQ=DAILY;COUNT=1000000;BYHOUR={EVERY_HOUR};BYMINUTE={EVERY_MINUTE};BYSECOND={EVERY_MINUTE}",
    "FREQ=DAILY;COUNT=1000000;BYMONTH=1",
    "FREQ=DAILY;COUNT=1000000;BYHOUR=1,2,3;BYSETPOS=1,2",
    "FREQ=WEEKLY;COUNT=1000000;BYDAY=MO,TU",
    "FREQ=WEEKLY;COUNT=1000000;BYDAY=MO,TU;BYSETPOS=1",
    "FREQ=MONTHLY;COUNT=1000000",
    "FREQ=YEARLY;COUNT=1000000",
    f"FREQ=YEARLY;COUNT=1000000;BYDAY={DAYS}",
    f"FREQ=YEARLY;COUNT=1000000;BYDAY={DAYS};BYSETPOS=1,-1",
    "FREQ=YEARLY;COUNT=1000000;BYWEEKNO=1,53",
    # Ends of time.
    "DTSTART:22001231T235959Z\nRRULE:FREQ=SECONDLY",
    "DTSTART:22001231T235959Z\nRRULE:FREQ=YEARLY;INTERVAL=1000000",
    "DTSTART:22001231T235959Z\nRRULE:FREQ=WEEKLY;BYDAY=MO",
    "DTSTART:22000229T000000Z\nRRULE:FREQ=YEARLY",
    "DTSTART:99991231T235959Z\nRRULE:FREQ=DAILY",
    "DTSTART:00010101T000000Z\nRRULE:FREQ=DAILY",
    "DTSTART:00000000T000000Z\nRRULE:FREQ=DAILY",
    "FREQ=DAILY;UNTIL=99991231T235959Z",
    "FREQ=DAILY;UNTIL=20261102",
    "FREQ=DAILY;UNTIL=20261102T120000Z",
    # Other tongues.
    "freq=daily;interval=2",
    "RRULE FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=0x10",
    "FREQ=DAILY;INTERVAL=1e3",
    "FREQ=DAILY;INTERVAL=+2",
    "FREQ=DAILY;INTERVAL= 2",
    "FREQ=DAILY;BYHOUR=--1",
    "FREQ=DAILY;BYHOUR=9-17",
    "FREQ=DAILY;BYHOUR=*",
    "FREQ=WEEKLY;BYDAY=1",
    "FREQ=WEEKLY;BYDAY=mo,tu",
    "FREQ=WEEKLY;BYDAY=MO;TU",
    "every day at nine",
    "0 9 * * *",
    '{"freq": "daily"}',
    "FREQ=DAILY\x00",
    "FREQ=DAILY\u2028RDATE:20270101T000000Z",
    "\ud800",
    "DTSTART;TZID=Europe/Berlin;TZID=Asia/Tokyo:20261102T120000\nFREQ=DAILY",
    "DTSTART;TZID=Europe/Berlin:20261102T120000Z\nFREQ=DAILY",
    "TZID:" + "A" * 7000 + "\nFREQ=DAILY",
    "BEGIN:VEVENT\nRRULE:FREQ=DAILY\nEND:VEVENT",
]
CRONS = [
    "0 0 30 2 *",
    "0 0 31 4,6,9,11 *",
    "0 0 1 1 * 0 1970",
    "0 0 1 1 * 0 2099",
    "5-5 * * * *",
    "0 3-3 * * *",
    "0 0 1-1 * *",
    "R * * * *",
    "H H * * *",
    "*/99999999999 * * * *",
    "59-0 * * * *",
    "0 0 * * 0-7",
    "0," * 100_000 + "0 * * * *",
    "*/1," * 20_000 + "* * * * *",
    "9" * 5000 + " * * * *",
    "0 0 * 2 1#5",
    "0 0 29 2 */7",
    "0 0 31 */2 *",
    "0 0 */31 2 *",
    "0 0 31W 2 *",
    "59 59 23 31 12 *",
    "* * * * * *",
    "0 0 29 2 1",
    "0 0 L 2 5L",
    "1-59/2,0-58/2 0-22/2,1-23/2 * * *",
    ",".join(["*"] * 100) + " * * * *",
    " ".join(["*"] * 100),
    "\t" * 255,
    "@" * 255,
    "@every 1ms",
    "@every 99999999999999999999999s",
    "@every 1s",
    "@reboot",
    "CRON_TZ=" * 30,
    "CRON_TZ=UTC CRON_TZ=UTC * * * * *",
    "* * * * * && reboot",
]


def spent(begin: float) -> float:
    return time.thread_time() - begin


def judge(cron: str | None, rrule: str | None, zone: str, start: datetime) -> None:
    """Parse, preview and tell; either a refusal in words or instants in order, within the limit."""
    begin = time.thread_time()
    refused: InvalidField | None = None
    try:
        rule = parse_rule(cron, rrule, zone, created=start)
    except InvalidField as error:
        refused = error
    assert spent(begin) < LIMIT_SECONDS
    if refused is not None:
        assert refused.field in ("cron", "rrule", "timezone", "dtstart")
        assert 10 < len(refused.message) < 600
        return
    begin = time.thread_time()
    found = rule.instants(NOW, 100)
    assert spent(begin) < LIMIT_SECONDS
    assert all(a < b for a, b in pairwise([NOW, *found]))
    begin = time.thread_time()
    assert rule.first() is not None
    assert rule.describe()
    assert spent(begin) < LIMIT_SECONDS


@pytest.mark.parametrize("text", HUNG_OR_LIED + OURS, ids=lambda text: ascii(text[:60]))
def test_no_recurrence_set_costs_much(text: str) -> None:
    judge(None, text, "UTC", NOW)
    judge(None, text, "America/New_York", NOW - timedelta(days=20_000))


@pytest.mark.parametrize("text", CRONS, ids=lambda text: ascii(text[:60]))
def test_no_cron_expression_costs_much(text: str) -> None:
    judge(text, None, "UTC", NOW)
    judge(text, None, "Australia/Lord_Howe", NOW)


@pytest.mark.parametrize(
    "text", ["1" * 10**6, "1." * 10**5, "P" * 10**5, "9h" * 16, "T" * 40, "0" * 39 + "Z"]
)
def test_no_duration_or_instant_costs_much(text: str) -> None:
    begin = time.thread_time()
    for read in (parse_duration, parse_instant):
        with pytest.raises(InvalidField):
            read(text)
    assert spent(begin) < 0.05


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=YEARLY;BYDAY=MO;BYSETPOS=300",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=300",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=300",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    ],
)
def test_a_walk_that_finds_nothing_ends_with_its_budget(text: str) -> None:
    """dateutil alone would walk to the year 9999; should its steps no longer be paid for, this fails."""
    walk = ByWall(parse_rrule(text).rule, NOW.replace(tzinfo=None), NOW, find_zone("UTC"))
    with pytest.raises(OverBudget):
        walk.next_after(NOW, Budget(2_000))


def test_more_than_a_hundred_texts_are_ours() -> None:
    assert len(OURS) >= 100
    assert len(set(HUNG_OR_LIED + OURS + CRONS)) == len(HUNG_OR_LIED + OURS + CRONS)

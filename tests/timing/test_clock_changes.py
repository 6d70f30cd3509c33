"""What happens when clocks change: a gap moves to its end, a fold comes once, real time keeps its pace."""

# ruff: noqa: DTZ001 - wall times have no zone

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from timeball.timing.durations import format_instant, parse_instant
from timeball.timing.rule import Rule, parse_rule
from timeball.timing.zones import find_zone

NEW_YORK = "America/New_York"  # 2026: forward on 8 March at 07:00Z, back on 1 November at 06:00Z
LORD_HOWE = "Australia/Lord_Howe"  # 2026: back on 4 April at 15:00Z, forward on 3 October at 15:30Z


def cron(text: str, zone: str = NEW_YORK) -> Rule:
    return parse_rule(cron=text, timezone=zone)


def rrule(text: str, start: str, zone: str = NEW_YORK) -> Rule:
    return parse_rule(rrule=text, timezone=zone, dtstart=datetime.fromisoformat(start))


def times(rule: Rule, after: str, n: int) -> list[str]:
    """The next instants, written short."""
    return [format_instant(one)[:16] for one in rule.instants(parse_instant(after), n)]


def test_a_time_in_a_gap_comes_at_its_end() -> None:
    assert times(cron("30 2 * * *"), "2026-03-07T12:00Z", 2) == [
        "2026-03-08T07:00",  # 03:00, for 02:30 does not exist
        "2026-03-09T06:30",
    ]


def test_several_times_in_a_gap_come_once() -> None:
    rule = cron("*/15 2,3 * * *")
    assert times(rule, "2026-03-08T00:00Z", 3) == [
        "2026-03-08T07:00",
        "2026-03-08T07:15",
        "2026-03-08T07:30",
    ]


def test_a_time_in_a_fold_comes_at_its_first() -> None:
    assert times(cron("30 1 * * *"), "2026-10-31T12:00Z", 2) == [
        "2026-11-01T05:30",
        "2026-11-02T06:30",
    ]


def test_a_fixed_hour_is_not_repeated_when_asked_between_the_passes() -> None:
    assert times(cron("*/30 1 * * *"), "2026-11-01T05:30Z", 1) == ["2026-11-02T06:00"]
    assert times(cron("*/30 1 * * *"), "2026-11-01T06:15Z", 1) == ["2026-11-02T06:00"]


def test_every_hour_is_25_hours_in_autumn_and_23_in_spring() -> None:
    for text in ("0 * * * *", "0 */1 * * *", "0 0-23 * * *", "0 0 * * * *", "@hourly"):
        autumn = cron(text).between(
            parse_instant("2026-11-01T03:59Z"), parse_instant("2026-11-02T04:59Z"), 100
        )
        spring = cron(text).between(
            parse_instant("2026-03-08T04:59Z"), parse_instant("2026-03-09T03:59Z"), 100
        )
        assert (len(autumn), len(spring)) == (25, 23)
        assert {b - a for a, b in pairwise(autumn)} == {timedelta(hours=1)}
        assert {b - a for a, b in pairwise(spring)} == {timedelta(hours=1)}


@pytest.mark.parametrize(
    ("text", "start", "step"),
    [
        ("FREQ=HOURLY", "2026-10-31T00:30", timedelta(hours=1)),
        ("FREQ=HOURLY;INTERVAL=3", "2026-10-31T00:30", timedelta(hours=3)),
        ("FREQ=MINUTELY;INTERVAL=30", "2026-10-31T00:30", timedelta(minutes=30)),
        ("FREQ=HOURLY", "2026-03-07T02:30", timedelta(hours=1)),
        ("FREQ=MINUTELY;INTERVAL=30", "2026-03-07T02:30", timedelta(minutes=30)),
        ("FREQ=SECONDLY;INTERVAL=1800", "2026-03-07T02:30", timedelta(minutes=30)),
        ("FREQ=HOURLY;BYMINUTE=0,30", "2026-10-31T00:30", timedelta(minutes=30)),
    ],
)
def test_sub_daily_rrules_keep_elapsed_time(text: str, start: str, step: timedelta) -> None:
    rule = rrule(text, start)
    found = rule.instants(rule.start - step, 150)
    assert {b - a for a, b in pairwise(found)} == {step}


def test_a_sub_daily_rrule_for_one_hour_comes_in_both_passes_of_a_fold() -> None:
    rule = rrule("FREQ=HOURLY;BYHOUR=1;BYMONTH=11;BYMONTHDAY=1", "2026-10-01T00:00")
    assert times(rule, "2026-10-31T00:00Z", 3) == [
        "2026-11-01T05:00",
        "2026-11-01T06:00",
        "2027-11-01T05:00",
    ]


@pytest.mark.parametrize(
    ("text", "gap", "fold"),
    [
        ("FREQ=DAILY", "2026-03-01T02:30", "2026-10-01T01:30"),
        ("FREQ=WEEKLY", "2026-03-01T02:30", "2026-10-04T01:30"),
        ("FREQ=MONTHLY", "2026-01-08T02:30", "2026-09-01T01:30"),
        ("FREQ=YEARLY", "2020-03-08T02:30", "2020-11-01T01:30"),
    ],
)
def test_coarse_rrules_keep_the_wall_clock(text: str, gap: str, fold: str) -> None:
    assert times(rrule(text, gap), "2026-03-08T00:00Z", 1) == ["2026-03-08T07:00"]
    first, second = times(rrule(text, fold), "2026-11-01T00:00Z", 2)
    assert first == "2026-11-01T05:30"
    assert second > "2026-11-01T06:30"


def test_half_an_hour_is_a_change_too() -> None:
    # Gap 02:00 to 02:30, then fold 01:30 to 02:00.
    assert times(cron("15 2 * * *", LORD_HOWE), "2026-10-03T00:00Z", 2) == [
        "2026-10-03T15:30",
        "2026-10-04T15:15",
    ]
    assert times(cron("45 1 * * *", LORD_HOWE), "2026-04-04T00:00Z", 2) == [
        "2026-04-04T14:45",
        "2026-04-05T15:15",
    ]
    assert times(cron("0 */2 * * *", LORD_HOWE), "2026-04-04T12:00Z", 3) == [
        "2026-04-04T13:00",
        "2026-04-04T15:30",
        "2026-04-04T17:30",
    ]
    every_half = times(cron("*/30 * * * *", LORD_HOWE), "2026-04-04T14:00Z", 4)
    assert every_half == [
        "2026-04-04T14:30",
        "2026-04-04T15:00",
        "2026-04-04T15:30",
        "2026-04-04T16:00",
    ]


def test_a_day_that_did_not_happen_moves_to_the_next() -> None:
    # Samoa went from 29 to 31 December 2011.
    assert times(cron("0 9 30 12 *", "Pacific/Apia"), "2011-01-01T00:00Z", 2) == [
        "2011-12-30T10:00",  # the first instant of the 31st
        "2012-12-29T19:00",
    ]
    assert times(cron("0 * 30 12 *", "Pacific/Apia"), "2011-01-01T00:00Z", 1) == [
        "2012-12-29T10:00"
    ]


def test_midnight_may_be_missing_or_come_twice() -> None:
    # Havana 2026: 8 March 00:00 becomes 01:00; 1 November 01:00 becomes 00:00.
    assert times(cron("@daily", "America/Havana"), "2026-03-07T12:00Z", 1) == ["2026-03-08T05:00"]
    assert times(cron("@daily", "America/Havana"), "2026-10-31T12:00Z", 2) == [
        "2026-11-01T04:00",
        "2026-11-02T05:00",
    ]


def test_a_start_in_the_second_pass_of_a_fold_is_the_first_occurrence() -> None:
    start = parse_instant("2026-11-01T06:30Z")  # 01:30 for the second time
    rule = parse_rule(rrule="FREQ=DAILY", timezone=NEW_YORK, dtstart=start)
    assert rule.first() == start
    assert times(rule, "2026-11-01T00:00Z", 3) == [
        "2026-11-01T06:30",
        "2026-11-02T06:30",
        "2026-11-03T06:30",
    ]


def test_a_start_in_a_gap_keeps_its_wall_time() -> None:
    rule = rrule("FREQ=DAILY", "2026-03-08T02:30")
    assert rule.start == parse_instant("2026-03-08T07:00Z")
    assert times(rule, "2026-03-08T00:00Z", 2) == ["2026-03-08T07:00", "2026-03-09T06:30"]


def test_the_preview_marks_gaps_and_folds() -> None:
    gap, plain = cron("30 2 * * *").preview(parse_instant("2026-03-07T12:00Z"), 2)
    assert (gap.gap, gap.fold, plain.gap, plain.fold) == (True, False, False, False)
    assert gap.local.isoformat() == "2026-03-08T03:00:00-04:00"
    assert gap.offset == timedelta(hours=-4)
    first, second = cron("0 1 1 11 *").preview(parse_instant("2026-10-31T12:00Z"), 2)
    assert (first.fold, first.gap, second.fold) == (True, False, False)
    passes = cron("0 * * * *").preview(parse_instant("2026-11-01T04:30Z"), 2)
    assert [one.fold for one in passes] == [True, True]
    assert [one.offset for one in passes] == [timedelta(hours=-4), timedelta(hours=-5)]
    # An occurrence that is named for the end of the gap has not moved.
    assert not cron("0 3 * * *").preview(parse_instant("2026-03-07T12:00Z"), 1)[0].gap
    assert not cron("0 * * * *").preview(parse_instant("2026-03-08T06:30Z"), 1)[0].gap
    assert (
        rrule("FREQ=DAILY", "2026-03-01T02:15")
        .preview(parse_instant("2026-03-07T12:00Z"), 1)[0]
        .gap
    )


def test_a_zones_wall_and_instants_agree() -> None:
    zone = find_zone(NEW_YORK)
    assert zone.first(datetime(2026, 3, 8, 2, 59, 59)) == parse_instant("2026-03-08T07:00Z")
    assert zone.first(datetime(2026, 3, 8, 1, 59, 59)) == parse_instant("2026-03-08T06:59:59Z")
    assert zone.wall(parse_instant("2026-11-01T06:30Z")).fold == 1
    assert zone.gap_before(parse_instant("2026-03-08T07:00Z")) == timedelta(hours=1)
    assert zone.gap_before(parse_instant("2026-03-08T07:00:01Z")) == timedelta()
    assert zone.gap_before(parse_instant("2026-11-01T06:00Z")) == timedelta()
    assert find_zone("UTC").first(datetime(2026, 1, 1)) == datetime(2026, 1, 1, tzinfo=UTC)

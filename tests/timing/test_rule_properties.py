"""What holds of every rule in every zone: strictly increasing, after what was asked, and always the same."""

# ruff: noqa: DTZ001 - wall times have no zone

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.timing.test_cron import EXPRESSIONS
from tests.timing.test_golden_table import ZONES
from tests.timing.test_rrule_agrees_with_dateutil import RULES
from timeball.errors import InvalidField
from timeball.timing.rule import Rule, parse_rule
from timeball.timing.zones import find_zone

TICK = timedelta(microseconds=1)
CHANGES = [
    # Instants at or near which a zone of the table changes its clock.
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),
    datetime(2026, 11, 1, 5, tzinfo=UTC),
    datetime(2010, 11, 7, 2, 31, tzinfo=UTC),
    datetime(2018, 2, 18, 2, tzinfo=UTC),
    datetime(2026, 2, 15, 2, tzinfo=UTC),
]
INSTANTS = st.one_of(
    st.datetimes(datetime(1975, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC)),
    st.tuples(st.sampled_from(CHANGES), st.timedeltas(timedelta(hours=-3), timedelta(hours=3))).map(
        lambda pair: pair[0] + pair[1]
    ),
)
NAMES = st.sampled_from([name for name, _ in ZONES] + ["Asia/Tehran", "Africa/Cairo"])


def taken(cron: str | None, rrule: str | None, zone: str, start: datetime) -> Rule:
    """The rule, or the end of the example where it is refused."""
    try:
        return parse_rule(cron, rrule, zone, dtstart=start if rrule else None)
    except InvalidField:
        assume(False)
        raise


def check(rule: Rule, after: datetime, share: float) -> None:
    found = rule.instants(after, 8)
    assert all(a < b for a, b in pairwise([after, *found]))
    assert all(one.tzinfo is UTC and not one.microsecond for one in found)
    # From afar as step by step, and from any place between two occurrences.
    previous = after
    for one in found:
        between = previous + (one - previous) * share
        assert rule.next_after(min(between, one - TICK)) == one
        assert rule.next_after(one - TICK) == one
        previous = one
    if len(found) > 1:
        assert rule.between(after, found[-1], 100) == found
        assert rule.between(after, found[-1] - TICK, 100) == found[:-1]
    # A rule is its strings.
    again = parse_rule(
        rule.cron,
        rule.rrule,
        rule.timezone,
        dtstart=rule.start if rule.rrule else None,
        last=rule.last,
    )
    assert again == rule
    assert again.instants(after, 8) == found
    assert [one.utc for one in rule.preview(after, 8)] == found


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, NAMES, INSTANTS, st.floats(0, 1))
def test_cron_holds_in_every_zone(text: str, zone: str, after: datetime, share: float) -> None:
    check(taken(text, None, zone, after), after, share)


@settings(max_examples=150, deadline=None)
@given(RULES, NAMES, INSTANTS, INSTANTS, st.floats(0, 1))
def test_rrule_holds_in_every_zone(
    text: str, zone: str, start: datetime, after: datetime, share: float
) -> None:
    rule = taken(None, text, zone, start)
    check(rule, after, share)
    first = rule.first()
    assert first is not None
    assert rule.start is not None
    assert first >= rule.start
    check(rule, first - TICK, share)


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS, NAMES, INSTANTS)
def test_the_wall_shows_what_the_expression_names(text: str, zone: str, after: datetime) -> None:
    """Save at the end of a gap, the local time of an occurrence matches the hour and minute columns."""
    rule = taken(text, None, zone, after)
    plain = taken(text, None, "UTC", after)
    for one in rule.preview(after, 5):
        if not one.gap:
            wall = one.local.replace(tzinfo=UTC, fold=0)
            assert plain.next_after(wall - TICK) == wall


@settings(max_examples=200, deadline=None)
@given(NAMES, INSTANTS)
def test_a_zones_walls_and_instants_fit(name: str, instant: datetime) -> None:
    zone = find_zone(name)
    instant = instant.replace(fold=0)
    wall = zone.wall(instant)
    first = zone.first(wall)
    assert first == instant if not wall.fold else first < instant
    assert zone.wall(first).replace(fold=0) == wall.replace(fold=0)


HOURS = st.sets(st.integers(0, 23), min_size=1, max_size=5)
MINUTES = st.sets(st.integers(0, 59), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHANGES), NAMES, st.integers(-120, 120), st.integers(1, 90), HOURS)
def test_steps_are_those_at_which_the_wall_shows_the_parts(
    change: datetime, zone: str, minutes: int, interval: int, hours: set[int]
) -> None:
    """Every so many minutes that pass, looked at one by one."""
    start = change + timedelta(minutes=minutes)
    text = f"FREQ=MINUTELY;INTERVAL={interval};BYHOUR={','.join(map(str, sorted(hours)))}"
    info = find_zone(zone).info
    steps = (start + n * timedelta(minutes=interval) for n in range(2 * 1440 // interval))
    expected = [one for one in steps if one.astimezone(info).hour in hours]
    rule = taken(None, text, zone, start)
    end = start + timedelta(minutes=2 * 1440 // interval * interval) - TICK
    assert rule.between(start - TICK, end, 10_000) == expected


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHANGES), NAMES, st.integers(-120, 120), st.integers(1, 5), MINUTES)
def test_hours_that_pass_are_searched_for_the_minutes_on_the_wall(
    change: datetime, zone: str, minutes: int, interval: int, shown: set[int]
) -> None:
    """Every minute of two days, kept when its hour is one of the rule's and the wall shows the minute."""
    start = change + timedelta(minutes=minutes)
    text = f"FREQ=HOURLY;INTERVAL={interval};BYMINUTE={','.join(map(str, sorted(shown)))}"
    info = find_zone(zone).info
    begin = start - timedelta(minutes=start.astimezone(info).minute)
    expected = [
        one
        for n in range(2 * 1440)
        if (one := begin + n * timedelta(minutes=1)) >= start
        and n // 60 % interval == 0
        and one.astimezone(info).minute in shown
    ]
    rule = taken(None, text, zone, start)
    assert rule.between(start - TICK, begin + timedelta(days=2) - TICK, 10_000) == expected


def test_a_rule_may_be_asked_by_many_threads() -> None:
    rules = [
        parse_rule(cron="*/7 9-17 * * 1-5", timezone="Europe/Berlin"),
        parse_rule(cron="0 9 15W * *", timezone="Europe/Berlin"),
        parse_rule(rrule="FREQ=MONTHLY;BYDAY=-1FR", dtstart=CHANGES[0]),
    ]
    expected = [rule.instants(CHANGES[0], 50) for rule in rules]

    def ask(_: int) -> bool:
        return [rule.instants(CHANGES[0], 50) for rule in rules] == expected

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(32)))

"""Recurrence sets of RFC 5545 beside dateutil, where it answers: any rule means the same in UTC."""

# ruff: noqa: DTZ001 - wall times have no zone

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from timeball.errors import InvalidField
from timeball.timing.rule import parse_rule


def by(key: str, low: int, high: int) -> st.SearchStrategy[str]:
    values = st.lists(st.integers(low, high), min_size=1, max_size=4, unique=True)
    return st.one_of(st.just(""), values.map(lambda v: f";{key}=" + ",".join(map(str, v))))


def weekdays(numbered: bool) -> st.SearchStrategy[str]:
    names = st.lists(
        st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]),
        min_size=1,
        max_size=4,
        unique=True,
    )
    plain = names.map(lambda v: ";BYDAY=" + ",".join(v))
    if not numbered:
        return st.one_of(st.just(""), plain)
    counted = names.map(
        lambda v: ";BYDAY=" + ",".join(f"{(-2, -1, 1, 3)[i]}{d}" for i, d in enumerate(v))
    )
    return st.one_of(st.just(""), plain, counted)


INTERVAL = st.integers(1, 5).map(lambda n: f";INTERVAL={n}")


COUNT = st.one_of(st.just(""), st.integers(1, 12).map(lambda n: f";COUNT={n}"))


COARSE_TIMES = (by("BYHOUR", 0, 23), by("BYMINUTE", 0, 59), by("BYSECOND", 0, 59))


MONTHDAYS = st.one_of(by("BYMONTHDAY", 1, 31), by("BYMONTHDAY", -31, -1))


RULES = st.one_of(
    st.tuples(
        st.just("FREQ=YEARLY"),
        INTERVAL,
        COUNT,
        by("BYMONTH", 1, 12),
        st.one_of(MONTHDAYS, by("BYYEARDAY", 1, 366), weekdays(numbered=True)),
        *COARSE_TIMES,
    ),
    st.tuples(
        st.just("FREQ=MONTHLY"),
        INTERVAL,
        COUNT,
        by("BYMONTH", 1, 12),
        MONTHDAYS,
        weekdays(numbered=True),
        *COARSE_TIMES,
    ),
    st.tuples(
        st.just("FREQ=MONTHLY"),
        INTERVAL,
        COUNT,
        weekdays(numbered=False).filter(bool),
        by("BYHOUR", 0, 23),
        by("BYSETPOS", -3, -1),
    ),
    st.tuples(
        st.just("FREQ=WEEKLY"),
        INTERVAL,
        COUNT,
        by("BYMONTH", 1, 12),
        weekdays(numbered=False),
        st.sampled_from(["", ";WKST=SU", ";WKST=WE"]),
        *COARSE_TIMES,
    ),
    st.tuples(
        st.just("FREQ=DAILY"),
        INTERVAL,
        COUNT,
        by("BYMONTH", 1, 12),
        MONTHDAYS,
        weekdays(numbered=False),
        *COARSE_TIMES,
    ),
    st.tuples(
        st.sampled_from(["FREQ=HOURLY", "FREQ=MINUTELY", "FREQ=SECONDLY"]),
        INTERVAL,
        COUNT,
        weekdays(numbered=False),
        by("BYHOUR", 0, 23),
        by("BYMINUTE", 0, 59),
        by("BYSECOND", 0, 59),
    ),
    st.tuples(
        st.sampled_from(["FREQ=HOURLY", "FREQ=MINUTELY"]),
        INTERVAL,
        by("BYSECOND", 0, 59).filter(bool),
        by("BYSETPOS", 1, 2),
    ),
).map("".join)


@settings(max_examples=200, deadline=None)
@given(RULES, st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
def test_in_utc_a_rule_is_what_dateutil_makes_of_it(text: str, start: datetime) -> None:
    start = start.replace(microsecond=0)
    try:
        rule = parse_rule(rrule=text, dtstart=start.replace(tzinfo=UTC))
    except InvalidField as refused:
        assert "never fires" in refused.message  # noqa: PT017 - refusing is allowed here
        return
    # dateutil spins where a rule seldom fires; it is asked for what it can answer soon.
    first = rule.instants(rule.first() - timedelta(seconds=1), 4)
    fine = text.startswith(("FREQ=HOURLY", "FREQ=MINUTELY", "FREQ=SECONDLY"))
    assume(first[-1] - rule.start < timedelta(days=3 if fine else 20 * 366))
    known = islice(rrulestr(text, dtstart=start), len(first))
    assert [one.replace(tzinfo=UTC) for one in known] == first

"""What follows an outcome, rule by rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timeball.model.attempt import Outcome
from timeball.model.retry import (
    MERGENT_DEFAULT,
    MERGENT_SCHEDULED,
    NO_RETRY,
    Retry,
    RetryPolicy,
    RetryTable,
)
from timeball.verdict import (
    LONGEST_WAIT,
    SUCCEED,
    Die,
    Reason,
    RetryAt,
    Verdict,
    backoff,
    hold_until,
    judge,
    parse_retry_after,
    tells_no_retry,
)

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
STEADY = RetryPolicy(jitter=0.0)
FAILURES = [o for o in Outcome if o not in (Outcome.ANSWERED, Outcome.BLOCKED)]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def verdict(
    outcome: Outcome = Outcome.ANSWERED,
    status: int | None = 500,
    attempt: int = 1,
    policy: Retry = STEADY,
    ended_at: datetime = NOW,
    first_due_at: datetime = NOW,
    retry_after: timedelta | datetime | None = None,
    no_retry: bool = False,
    chance: float = 0.5,
) -> Verdict:
    return judge(
        outcome=outcome,
        status=status,
        attempt=attempt,
        policy=policy,
        ended_at=ended_at,
        first_due_at=first_due_at,
        retry_after=retry_after,
        no_retry=no_retry,
        chance=chance,
    )


def waits(policy: Retry, count: int) -> list[float]:
    return [backoff(policy, n, 0.5).total_seconds() for n in range(1, count + 1)]


@pytest.mark.parametrize("outcome", [Outcome.ANSWERED, Outcome.TOO_LARGE])
@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 226, 299])
def test_2xx_succeeds_even_when_the_body_was_cut(outcome: Outcome, status: int) -> None:
    assert verdict(outcome, status) is SUCCEED


def test_2xx_succeeds_whatever_else_is_said() -> None:
    given_up = verdict(status=200, attempt=99, policy=NO_RETRY, no_retry=True)
    assert given_up is SUCCEED
    assert verdict(status=200, retry_after=seconds(60)) is SUCCEED


@pytest.mark.parametrize(
    "status", [100, 103, 199, 300, 301, 302, 304, 307, 400, 404, 429, 500, 503, 599]
)
def test_any_other_status_is_retried(status: int) -> None:
    assert verdict(status=status) == RetryAt(NOW + seconds(10))


@pytest.mark.parametrize("outcome", FAILURES)
def test_any_other_outcome_is_retried(outcome: Outcome) -> None:
    assert verdict(outcome, None) == RetryAt(NOW + seconds(10))


def test_2xx_that_timed_out_is_no_success() -> None:
    assert isinstance(verdict(Outcome.TIMED_OUT, 200), RetryAt)


def test_a_forbidden_target_dies_at_once() -> None:
    assert verdict(Outcome.BLOCKED, None) == Die(Reason.FORBIDDEN)
    assert Reason.FORBIDDEN.value == "target-forbidden"


def test_410_and_task_no_retry_die() -> None:
    assert verdict(status=410) == Die(Reason.GONE)
    assert verdict(Outcome.TOO_LARGE, 410) == Die(Reason.GONE)
    assert verdict(status=500, no_retry=True) == Die(Reason.NO_RETRY)
    assert verdict(status=410, retry_after=seconds(5)) == Die(Reason.GONE)


def test_the_mergent_table_is_walked_to_its_end() -> None:
    assert waits(MERGENT_DEFAULT, 8) == [0, 5, 300, 1800, 7200, 18000, 36000, 36000]
    assert verdict(attempt=1, policy=MERGENT_DEFAULT) == RetryAt(NOW)
    assert verdict(attempt=8, policy=MERGENT_DEFAULT) == RetryAt(NOW + seconds(36000))
    assert verdict(attempt=9, policy=MERGENT_DEFAULT) == Die(Reason.EXHAUSTED)
    assert (
        sum(waits(MERGENT_DEFAULT, 8)) == timedelta(hours=27, minutes=35, seconds=5).total_seconds()
    )


def test_scheduled_tasks_of_mergent_have_three_attempts() -> None:
    assert verdict(attempt=2, policy=MERGENT_SCHEDULED) == RetryAt(NOW + seconds(5))
    assert verdict(attempt=3, policy=MERGENT_SCHEDULED) == Die(Reason.EXHAUSTED)


def test_without_retries_the_first_failure_kills() -> None:
    assert verdict(policy=NO_RETRY) == Die(Reason.EXHAUSTED)
    assert verdict(policy=RetryPolicy(max_attempts=1)) == Die(Reason.EXHAUSTED)


def test_the_default_policy_spans_85_minutes() -> None:
    assert waits(STEADY, 9) == [10, 20, 40, 80, 160, 320, 640, 1280, 2560]
    assert verdict(attempt=9) == RetryAt(NOW + seconds(2560))
    assert verdict(attempt=10) == Die(Reason.EXHAUSTED)


@pytest.mark.parametrize(
    ("least", "most", "doublings", "expected"),
    [
        (10, 300, 3, [10, 20, 40, 80, 160, 240, 300, 300]),  # Cloud Tasks' own example
        (10, 300, 0, [10, 20, 30, 40, 50]),
        (10, 35, 0, [10, 20, 30, 35, 35]),
        (1, 1000, 1, [1, 2, 4, 6, 8, 10]),
        (1, 1000, 2, [1, 2, 4, 8, 12, 16, 20]),
        (7, 7, 5, [7, 7, 7]),
        (100, 10, 5, [10, 10]),
        (0, 10, 5, [0, 0, 0]),
        (0.1, 3600, 16, [0.1, 0.2, 0.4, 0.8, 1.6]),
    ],
)
def test_back_off_doubles_then_grows_by_the_last_step(
    least: float, most: float, doublings: int, expected: list[float]
) -> None:
    policy = RetryPolicy(100, seconds(least), seconds(most), doublings, jitter=0.0)
    assert waits(policy, len(expected)) == expected


def test_huge_numbers_end_at_the_longest_wait() -> None:
    policy = RetryPolicy(10**9, timedelta.max, timedelta.max, 10**9, jitter=0.0)
    assert backoff(policy, 10**8, 0.5) == LONGEST_WAIT
    assert backoff(RetryTable((timedelta.max,)), 1, 0.5) == LONGEST_WAIT


def test_jitter_spreads_around_the_wait() -> None:
    policy = RetryPolicy(jitter=0.2)
    assert backoff(policy, 1, 0.0) == seconds(8)
    assert backoff(policy, 1, 0.5) == seconds(10)
    assert backoff(policy, 1, 0.75) == seconds(11)


def test_jitter_at_the_upper_end_stays_below_it_and_spread() -> None:
    policy = RetryPolicy(100, seconds(10), seconds(100), 9, jitter=0.2)
    assert backoff(policy, 50, 0.0) == seconds(80)
    assert backoff(policy, 50, 0.5) == seconds(90)
    assert backoff(policy, 50, 0.999999) < seconds(100)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (seconds(120), 120),
        (seconds(0), 1),
        (seconds(-5), 1),
        (seconds(0.2), 1),
        (timedelta(days=2), 86400),
        (timedelta.max, 86400),
        (NOW + seconds(90), 90),
        (NOW - seconds(90), 1),
        (NOW + timedelta(days=400), 86400),
    ],
)
def test_retry_after_replaces_the_back_off_within_limits(
    asked: timedelta | datetime, expected: float
) -> None:
    for policy in (STEADY, MERGENT_DEFAULT, RetryPolicy()):
        at = NOW + seconds(expected)
        assert verdict(status=503, policy=policy, retry_after=asked) == RetryAt(at, asked=True)


def test_retry_after_gives_no_further_attempt() -> None:
    assert verdict(attempt=10, retry_after=seconds(1)) == Die(Reason.EXHAUSTED)


def test_a_retry_that_would_begin_past_the_age_dies() -> None:
    policy = RetryPolicy(jitter=0.0, max_age=seconds(60))
    assert verdict(policy=policy, first_due_at=NOW - seconds(50)) == RetryAt(NOW + seconds(10))
    late = verdict(policy=policy, first_due_at=NOW - seconds(50.000001))
    assert late == Die(Reason.TOO_OLD)
    assert verdict(policy=policy, retry_after=seconds(61)) == Die(Reason.TOO_OLD)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_endpoint_holds_its_host(status: int) -> None:
    held = hold_until(status=status, retry_after=seconds(30), ended_at=NOW)
    assert held == NOW + seconds(30)
    assert hold_until(
        status=status, retry_after=timedelta(days=9), ended_at=NOW
    ) == NOW + timedelta(1)
    assert hold_until(status=status, retry_after=None, ended_at=NOW) is None


@pytest.mark.parametrize("status", [None, 200, 301, 404, 500, 502])
def test_other_answers_hold_nothing(status: int | None) -> None:
    assert hold_until(status=status, retry_after=seconds(30), ended_at=NOW) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("120", 120),
        (" 120\t", 120),
        ("0000000000000120", 120),
        ("-5", 0),
        ("99999999", LONGEST_WAIT.total_seconds()),
        ("9" * 900, LONGEST_WAIT.total_seconds()),
        ("Mon, 02 Nov 2026 12:01:30 GMT", 90),
        ("Monday, 02-Nov-26 12:01:30 GMT", 90),
        ("Mon Nov  2 12:01:30 2026", 90),
        ("Tue, 02 Nov 2026 12:01:30 GMT", 90),  # a wrong weekday does no harm
        ("Mon, 02 Nov 2026 11:59:00 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
        ("Sun Nov  6 08:49:37 1994", 0),
        ("Mon, 02 Nov 2026 12:00:60 GMT", 60),
        ("Thu, 01 Jan 9999 00:00:00 GMT", LONGEST_WAIT.total_seconds()),
    ],
)
def test_retry_after_is_read_in_all_its_forms(value: str, expected: float) -> None:
    assert parse_retry_after(value, NOW) == seconds(expected)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "soon",
        "1.5",
        "1e3",
        "+5",
        "--5",
        "120, 60",
        "120;",
        "０１",
        "١٢٠",
        "0x10",
        "NaN",
        "9" * 2000,
        "2026-11-02T12:01:30Z",
        "Mon, 02 Nov 2026 12:01:30",
        "Mon, 02 Nov 2026 12:01:30 UTC",
        "Mon, 02 Nov 2026 12:01:30 +0100",
        "Mon, 2 Nov 2026 12:01:30 GMT",
        "Mon, 31 Feb 2026 12:01:30 GMT",
        "Mon, 00 Nov 2026 12:01:30 GMT",
        "Mon, 02 Nov 2026 24:01:30 GMT",
        "Mon, 02 Nov 2026 12:01:61 GMT",
        "Mon, 02 Foo 2026 12:01:30 GMT",
        "mon, 02 nov 2026 12:01:30 gmt",
        "Mon, 02 Nov 0000 12:01:30 GMT",
        "Fri, 31 Dec 9999 23:59:60 GMT",
        "Mon, 02 Nov 2026 12:01:30 GMT\n",
        "Mon Nov  2 12:01:30 2026 GMT",
    ],
)
def test_junk_in_retry_after_is_ignored(value: str) -> None:
    assert parse_retry_after(value, NOW) is None


@pytest.mark.parametrize("value", ["true", "True", "TRUE", " true ", "\ttrue"])
def test_task_no_retry_true_stops(value: str) -> None:
    assert tells_no_retry(value)


@pytest.mark.parametrize("value", [None, "", "false", "0", "1", "yes", "true, true", "truely"])
def test_any_other_task_no_retry_does_not(value: str | None) -> None:
    assert not tells_no_retry(value)


spans = st.timedeltas(timedelta(0), timedelta(days=2))
chances = st.floats(0, 1, exclude_max=True)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 200),
    min_backoff=spans,
    max_backoff=spans,
    max_doublings=st.integers(0, 100),
    jitter=st.floats(0, 1),
    max_age=st.none() | spans,
)
tables = st.builds(RetryTable, st.lists(spans, max_size=20).map(tuple))


@given(
    policy=policies | tables,
    outcome=st.sampled_from(Outcome),
    status=st.none() | st.integers(100, 599),
    attempt=st.integers(1, 300),
    age=spans,
    retry_after=st.none() | st.timedeltas() | st.datetimes(timezones=st.just(UTC)),
    no_retry=st.booleans(),
    chance=chances,
)
def test_no_verdict_goes_beyond_its_policy(
    policy: Retry,
    outcome: Outcome,
    status: int | None,
    attempt: int,
    age: timedelta,
    retry_after: timedelta | datetime | None,
    no_retry: bool,
    chance: float,
) -> None:
    first_due_at = NOW - age
    found = verdict(
        outcome, status, attempt, policy, NOW, first_due_at, retry_after, no_retry, chance
    )
    if isinstance(found, RetryAt):
        assert attempt < policy.max_attempts
        assert NOW <= found.at <= NOW + timedelta(days=2)
        assert outcome is not Outcome.BLOCKED
        assert not (no_retry and outcome is Outcome.ANSWERED)
        if isinstance(policy, RetryPolicy):
            assert policy.max_age is None or found.at <= first_due_at + policy.max_age
            if retry_after is None:
                assert found.at <= NOW + policy.max_backoff
        if retry_after is not None:
            assert seconds(1) <= found.at - NOW <= timedelta(hours=24)


@given(policy=policies, attempt=st.integers(1, 300))
def test_waits_never_shrink_without_jitter(policy: RetryPolicy, attempt: int) -> None:
    calm = RetryPolicy(
        policy.max_attempts,
        policy.min_backoff,
        policy.max_backoff,
        policy.max_doublings,
        jitter=0.0,
    )
    assert backoff(calm, attempt, 0.3) <= backoff(calm, attempt + 1, 0.7) <= calm.max_backoff


@given(policy=policies, attempt=st.integers(1, 300), chance=chances)
def test_jitter_stays_within_its_share(policy: RetryPolicy, attempt: int, chance: float) -> None:
    calm = RetryPolicy(
        policy.max_attempts,
        policy.min_backoff,
        policy.max_backoff,
        policy.max_doublings,
        jitter=0.0,
    )
    wait = backoff(calm, attempt, 0)
    found = backoff(policy, attempt, chance)
    slack = timedelta(microseconds=1)
    assert wait * (1 - policy.jitter) - slack <= found <= wait * (1 + policy.jitter) + slack


@given(st.text(max_size=40))
def test_no_header_can_break_the_reader(value: str) -> None:
    found = parse_retry_after(value, NOW)
    assert found is None or timedelta(0) <= found <= LONGEST_WAIT

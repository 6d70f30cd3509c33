"""What follows an attempt: success, another try at an instant, or death. Pure; chance is an argument."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from timeball.model.attempt import Outcome
from timeball.model.retry import Retry, RetryTable

LEAST_RETRY_AFTER = timedelta(seconds=1)
MOST_RETRY_AFTER = timedelta(hours=24)
LONGEST_WAIT = timedelta(days=366)
"""No policy waits longer, whatever its numbers say; so no sum leaves the calendar."""


class Reason(StrEnum):
    """Why a task died. The words are part of the API: the attempt log and the dialects show them."""

    EXHAUSTED = "attempts-exhausted"
    """The last attempt that its policy allows has failed."""
    TOO_OLD = "too-old"
    """The next attempt would have begun after the policy's `max_age`."""
    FORBIDDEN = "target-forbidden"
    """The address is not one that this installation may call."""
    GONE = "gone"
    """The endpoint answered 410: it will never take this again."""
    NO_RETRY = "no-retry"
    """The endpoint answered with `Task-No-Retry: true`."""
    CRASHED = "crashed"
    """Lost with its worker too many times in a row. Given by the rescue, never by `judge`."""


@dataclass(frozen=True, slots=True)
class Succeed:
    """The task is done."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at `at`. `asked` says that the endpoint chose the instant, by Retry-After."""

    at: datetime
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Die:
    """Never try again by rule; the task waits for a person."""

    reason: Reason


Verdict = Succeed | RetryAt | Die

SUCCEED = Succeed()
"""The only instance that `judge` returns, so that the common case makes no object."""

_ANSWERED, _TOO_LARGE, _BLOCKED = Outcome.ANSWERED, Outcome.TOO_LARGE, Outcome.BLOCKED


def judge(
    *,
    outcome: Outcome,
    status: int | None,
    attempt: int,
    policy: Retry,
    ended_at: datetime,
    first_due_at: datetime,
    retry_after: timedelta | datetime | None,
    no_retry: bool,
    chance: float,
) -> Verdict:
    """The verdict on an attempt that ended at `ended_at`.

    `attempt` counts from 1 since the policy began (a person's run begins it afresh). `chance`, from 0 up to
    but not including 1, places the wait within its jitter. A response cut for its size still succeeds with
    2xx: the endpoint did accept. `retry_after` replaces the back-off, held within 1 s and 24 h, but gives no
    attempt beyond the policy's last, nor one past its `max_age`. A success costs 0.13 us, a retry 1.5 to 3.
    """
    if outcome is _ANSWERED or outcome is _TOO_LARGE:
        if status is not None:
            if 200 <= status < 300:
                return SUCCEED
            if status == 410:
                return Die(Reason.GONE)
        if no_retry:
            return Die(Reason.NO_RETRY)
    elif outcome is _BLOCKED:
        return Die(Reason.FORBIDDEN)
    if attempt >= policy.max_attempts:
        return Die(Reason.EXHAUSTED)
    if retry_after is None:
        at = ended_at + backoff(policy, attempt, chance)
    else:
        at = ended_at + _asked_wait(retry_after, ended_at)
    max_age = None if isinstance(policy, RetryTable) else policy.max_age
    if max_age is not None and at - first_due_at > max_age:
        return Die(Reason.TOO_OLD)
    return RetryAt(at, asked=retry_after is not None)


def backoff(policy: Retry, attempt: int, chance: float) -> timedelta:
    """The wait after failed attempt `attempt` (from 1), with its jitter.

    A table is read as it stands. Else, as Cloud Tasks documents its RetryConfig: `min_backoff` first,
    doubled `max_doublings` times, then grown by the last step each time (10 s, 300 s and 3 doublings give
    10, 20, 40, 80, 160, 240, 300, 300). Jitter spreads the wait evenly over its share on both sides, and at
    the upper end over what lies below `max_backoff`: were the excess cut instead, tasks would gather there.
    """
    if isinstance(policy, RetryTable):
        return min(policy.waits[attempt - 1], LONGEST_WAIT)
    longest_us = min(policy.max_backoff, LONGEST_WAIT) // _MICROSECOND
    # Past 2**64 microseconds every wait is the longest one, so the exponent may stop there.
    doublings = min(attempt - 1, policy.max_doublings, 64)
    factor = 2**doublings * max(1, attempt - policy.max_doublings)
    wait_us = min(policy.min_backoff // _MICROSECOND * factor, longest_us)
    if policy.jitter:
        low_us = wait_us * (1 - policy.jitter)
        high_us = min(wait_us * (1 + policy.jitter), longest_us)
        wait_us = int(low_us + (high_us - low_us) * chance)
    return timedelta(microseconds=wait_us)


def hold_until(
    *, status: int | None, retry_after: timedelta | datetime | None, ended_at: datetime
) -> datetime | None:
    """Until when the endpoint asked for quiet, or None: 429 and 503 with Retry-After hold the whole host.

    It holds whatever the verdict on the task is. The wait is kept within 1 s and 24 h.
    """
    if retry_after is None or status not in (429, 503):
        return None
    return ended_at + _asked_wait(retry_after, ended_at)


def _asked_wait(retry_after: timedelta | datetime, ended_at: datetime) -> timedelta:
    wait = retry_after - ended_at if isinstance(retry_after, datetime) else retry_after
    return min(max(wait, LEAST_RETRY_AFTER), MOST_RETRY_AFTER)


def tells_no_retry(value: str | None) -> bool:
    """Whether the value of the response header `Task-No-Retry` forbids another attempt."""
    return value is not None and value.strip(" \t").lower() == "true"


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """How long after `now` a Retry-After header asks to wait; None for what is neither of its forms.

    RFC 9110, section 10.2.3: whole seconds, or an HTTP-date in any of the three formats of section 5.6.7.
    A negative number or a past date is 0; anything beyond `LONGEST_WAIT` is that.
    """
    value = value.strip(" \t")
    if _SECONDS.fullmatch(value):
        if value[0] == "-":
            return timedelta(0)
        digits = value.lstrip("0")
        return timedelta(seconds=int(digits or 0)) if len(digits) < 8 else LONGEST_WAIT
    at = _parse_http_date(value, now)
    return None if at is None else min(max(at - now, timedelta(0)), LONGEST_WAIT)


_MICROSECOND = timedelta(microseconds=1)
_SECONDS = re.compile(r"-?[0-9]{1,1000}")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_HTTP_DATES = (
    re.compile(
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"
    ),
    re.compile(
        r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, "
        rf"(?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"
    ),
    re.compile(
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_MONTH} (?P<day>[0-9 ][0-9]) {_TIME} (?P<year>[0-9]{{4}})"
    ),
)


def _parse_http_date(value: str, now: datetime) -> datetime | None:
    """RFC 9110, section 5.6.7. The weekday is not checked against the date; a leap second is the next one."""
    for pattern in _HTTP_DATES:
        if found := pattern.fullmatch(value):
            break
    else:
        return None
    parts = found.groupdict()
    year, day, second = int(parts["year"]), int(parts["day"]), int(parts["second"])
    if len(parts["year"]) == 2:
        # A two-digit year that seems more than 50 years ahead is the most recent past one.
        year += now.year // 100 * 100
        if year > now.year + 50:
            year -= 100
    month = _MONTHS.index(parts["month"]) + 1
    if second > 60:
        return None
    try:
        at = datetime(
            year, month, day, int(parts["hour"]), int(parts["minute"]), min(second, 59), tzinfo=UTC
        )
        return at + timedelta(seconds=second == 60)
    except (ValueError, OverflowError):
        return None

"""What a schedule may look like when it is sent. Fields that Mergent did not have say "Ours"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from api.mergent import rules
from api.mergent.errors import Fault, Rejected
from api.mergent.schemas import (
    ApartSchema,
    RequestSchema,
    RetrySchema,
    Ruled,
    Strict,
    Terms,
    load,
    nested,
    tags_of,
    timeout_of,
    told_of,
)
from timeball.errors import InvalidField
from timeball.model.schedule import CatchUp, Overlap, Share
from timeball.timing.durations import MAX_DELAY

DESCRIPTION_LIMIT = 500
RULE_LIMIT = 10_000
"""Longer rules are not even looked at; the rule's own limits are tighter."""
PREVIEW_DEFAULT, PREVIEW_MOST = 5, 100
MOST_RUNS = 2**31 - 1
FAILING_AFTER, MOST_FAILURES = 3, 100
DEFAULT_LIMIT, MOST_LIMIT = 100, 1000

_NONE = timedelta()
_TEXT = {"type": ["string", "null"]}
_INSTANT = {"type": ["string", "null"], "format": "date-time"}
_SPAN = {"type": ["string", "number", "null"], "examples": ["90s", 90, "PT1M30S"]}


def _text(name: str, limit: int) -> Callable[[Any, Terms], str | None]:
    return lambda value, _: None if value is None else rules.text(value, name, limit)


def _rrule(value: Any, _: Terms) -> str | None:
    if type(value) is str:  # a set has several lines; each is held to what a line may be
        for line in value[: RULE_LIMIT + 1].splitlines():
            if line:
                rules.text(line, "rrule", RULE_LIMIT)
        if 0 < len(value) <= RULE_LIMIT and not value.isspace():
            return value
    return None if value is None else rules.text(value, "rrule", RULE_LIMIT)


def _description(value: Any, _: Terms) -> str | None:
    if value is None or value == "":
        return None
    if type(value) is not str:
        raise InvalidField("description", f"must be a string, not {rules.kind_of(value)}")
    if len(value) > DESCRIPTION_LIMIT or "\0" in value:
        raise InvalidField("description", f"must have at most {DESCRIPTION_LIMIT} characters")
    return value


def _instant(name: str) -> Callable[[Any, Terms], Any]:
    return lambda value, _: rules.instant(value, name)


def _span(name: str, unset: timedelta) -> Callable[[Any, Terms], timedelta]:
    return lambda value, _: unset if value is None else rules.span(value, name, _NONE, MAX_DELAY)


def _window(value: Any, _: Terms) -> timedelta | Share:
    if type(value) is str and value.endswith("%"):
        share = value[:-1].strip()
        if not (share.isascii() and share.isdigit() and len(share) < 4 and 1 <= int(share) <= 100):
            raise InvalidField("window", "as a share must be 1% to 100%")
        return Share(int(share))
    return _NONE if value is None else rules.span(value, "window", _NONE, MAX_DELAY)


def _flag(name: str) -> Callable[[Any, Terms], bool]:
    def rule(value: Any, _: Terms) -> bool:
        if value is not None and type(value) is not bool:
            raise InvalidField(name, f"must be true or false, not {rules.kind_of(value)}")
        return bool(value)

    return rule


def _choice(name: str, unset: StrEnum) -> Callable[[Any, Terms], StrEnum]:
    kinds = type(unset)

    def rule(value: Any, _: Terms) -> StrEnum:
        if value is None:
            return unset
        if type(value) is not str or value not in [kind.value for kind in kinds]:
            raise InvalidField(name, f"must be one of {', '.join(kinds)}")
        return kinds(value)

    return rule


def _shape(unset: StrEnum) -> Mapping[str, Any]:
    return {"type": ["string", "null"], "enum": [*map(str, type(unset)), None], "default": unset}


class RuleSchema(Strict):
    """When a schedule fires; also what a preview takes. One of `cron` and `rrule` must be there."""

    cron = Ruled(
        _text("cron", RULE_LIMIT),
        "A cron expression of five fields; ours: six with seconds first, names, `L`, `#`, `W`, "
        "`@daily` and the like, `@every 90s`, `CRON_TZ=` before it.",
        _TEXT,
    )
    rrule = Ruled(
        _rrule,
        "An RFC 5545 recurrence rule, with DTSTART, RDATE and EXDATE lines if need be.",
        _TEXT,
    )
    dtstart = Ruled(
        _instant("dtstart"),
        "Where an rrule starts, ISO 8601. Absent is now, and the first invocation is immediate.",
        _INSTANT,
    )
    timezone = Ruled(
        lambda value, _: "UTC" if value is None else rules.text(value, "timezone", 100),
        "Ours: the IANA time zone in which the rule is read, UTC unless said. A time that a clock "
        "change leaves out moves to the first instant after it; one that comes twice fires once.",
        {**_TEXT, "examples": ["Europe/Amsterdam"]},
    )
    start_at = Ruled(_instant("start_at"), "Ours: nothing fires before.", _INSTANT)
    end_at = Ruled(_instant("end_at"), "Ours: nothing fires after.", _INSTANT)
    max_runs = Ruled(
        lambda value, _: None if value is None else rules.whole(value, "max_runs", 1, MOST_RUNS),
        "Ours: how many occurrences become tasks at most.",
        {"type": ["integer", "null"], "minimum": 1},
    )
    window = Ruled(
        _window,
        "Ours: each call is made within so long after its instant, always at the same place in it "
        "for one schedule and instant; so many schedules of one minute do not fall due together. "
        "`25%` is a share of the time until the occurrence after.",
        {**_SPAN, "examples": ["5m", 300, "25%"]},
    )


class ScheduleSchema(RuleSchema, ApartSchema):
    """A schedule to create, or with `partial` what to change of one."""

    request = nested(RequestSchema, "What to call.", required=True)
    name = Ruled(
        lambda value, _: rules.name(value),
        "At most 500 characters, to find the schedule by; several may have one name.",
        {"type": ["string", "null"], "maxLength": rules.NAME_LIMIT},
    )
    description = Ruled(
        _description,
        "At most 500 characters for people.",
        {"type": ["string", "null"], "maxLength": DESCRIPTION_LIMIT},
    )
    queue = Ruled(
        lambda value, _: rules.queue(value),
        "The queue of its tasks, `default` unless said.",
        {"type": ["string", "null"], "maxLength": rules.QUEUE_LIMIT},
    )
    paused = Ruled(
        _flag("paused"),
        "While true nothing fires, and what was made but not yet called is taken back.",
        {"type": ["boolean", "null"]},
    )
    paused_until = Ruled(
        _instant("paused_until"), "Ours: a pause that ends by itself, then.", _INSTANT
    )
    overlap = Ruled(
        _choice("overlap", Overlap.QUEUE_ONE),
        "Ours: an occurrence that comes while the task of the one before is not over waits for its "
        "end (queue_one; later ones are skipped while one waits), runs beside (allow), is left out "
        "(skip), or cancels it (cancel_other) unless its call is in flight.",
        _shape(Overlap.QUEUE_ONE),
    )
    catch_up = Ruled(
        _choice("catch_up", CatchUp.LATEST),
        "Ours: of the occurrences that an outage left undone the latest is made up for, none, or "
        "all up to 100.",
        _shape(CatchUp.LATEST),
    )
    catch_up_window = Ruled(
        _span("catch_up_window", timedelta(hours=1)),
        "Ours: nothing older is made up for; one hour unless said.",
        _SPAN,
    )
    timeout = timeout_of(
        "Ours: the total time of each call, 0.1 s to 900 s, in seconds or as `90s`."
    )
    retry = nested(
        RetrySchema,
        "Ours: the retry policy of its tasks; null or absent is Mergent's, 3 attempts.",
        allow_none=True,
    )
    tags = tags_of("Ours: up to 20 words of up to 100 characters, put on each of its tasks.")
    on_success = told_of(
        "on_success",
        "Ours: a URL that is told, by a signed call with retries of its own, when a task of it has succeeded.",
    )
    on_failure = told_of("on_failure", "Ours: the same when a task of it has failed for good.")
    on_attempt = told_of("on_attempt", "Ours: the same for every attempt, whatever its end.")
    on_failing = told_of(
        "on_failing",
        "Ours: a URL that is called once `failing_after` of its tasks in a row have failed for good.",
    )
    on_recovered = told_of("on_recovered", "Ours: the same once a task has succeeded after that.")
    failing_after = Ruled(
        lambda value, _: (
            FAILING_AFTER
            if value is None
            else rules.whole(value, "failing_after", 1, MOST_FAILURES)
        ),
        f"Ours: so many failures in a row, {FAILING_AFTER} unless said.",
        {"type": ["integer", "null"], "minimum": 1, "maximum": MOST_FAILURES},
    )
    pause_when_failing = Ruled(
        _flag("pause_when_failing"),
        "Ours: then the schedule is also paused; resumed, it is after each failure until a task succeeds.",
        {"type": ["boolean", "null"]},
    )


def _count(value: Any, _: Terms) -> int:
    if type(value) is str and value.isascii() and value.isdigit() and len(value) < 6:
        value = int(value)
    return rules.whole(value, "n", 1, PREVIEW_MOST)


class PreviewSchema(RuleSchema):
    """A rule whose next instants are wanted."""

    n = Ruled(
        _count,
        f"How many, 1 to {PREVIEW_MOST}; {PREVIEW_DEFAULT} unless said.",
        {"type": "integer", "minimum": 1, "maximum": PREVIEW_MOST},
    )


class CountSchema(Strict):
    """The query parameters of a schedule's preview."""

    n = PreviewSchema._declared_fields["n"]


def _limit(value: Any, _: Terms) -> int:
    if not (
        value.isascii() and value.isdigit() and len(value) < 6 and 1 <= int(value) <= MOST_LIMIT
    ):
        raise InvalidField("limit", f"must be a whole number from 1 to {MOST_LIMIT}")
    return int(value)


class ScheduleListSchema(Strict):
    """The query parameters of a list of schedules, each at most once."""

    limit = Ruled(
        _limit,
        f"Schedules a page, 1 to {MOST_LIMIT}; {DEFAULT_LIMIT} unless said.",
        {"type": "integer", "minimum": 1, "maximum": MOST_LIMIT},
    )
    cursor = Ruled(
        _text("cursor", 500),
        "Where to go on: the X-Next-Cursor of the page before, with the same other parameters.",
        {"type": "string"},
    )
    name = Ruled(lambda value, _: rules.name(value), "The schedule's name.", {"type": "string"})


class ScheduleReader:
    """Turns what was sent into fields of schedules, by the terms of an installation."""

    def __init__(self, terms: Terms) -> None:
        self.schema = ScheduleSchema(terms)

    def fields(self, data: Any) -> dict[str, Any]:
        """The fields of a new schedule. Raises Rejected with all that is wrong."""
        return load(self.schema, data)

    def changes(self, data: Any) -> dict[str, Any]:
        """Fields of a schedule to change; `request` holds a dict of its own changes. Raises Rejected."""
        changes = load(self.schema, data, partial=True)
        if not changes:
            raise Rejected([Fault("", "names nothing to change")])
        return changes

"""What a list of tasks is asked for: filters, page size, cursor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from werkzeug.datastructures import MultiDict

from api.mergent import rules
from api.mergent.dump import STATES, STATUS, instant
from api.mergent.errors import Fault, Rejected
from api.mergent.schemas import Ruled, Strict, load
from timeball.errors import InvalidField
from timeball.ids import id_bytes
from timeball.model.task import State
from timeball.store.lists import Filter
from timeball.urls import URL_LIMIT

DEFAULT_LIMIT = 100
MOST_LIMIT = 1000
IDS_LIMIT = 100

_STRING = {"type": "string"}
_INSTANT = {"type": "string", "format": "date-time"}
_MILLISECOND = timedelta(milliseconds=1)

Bounds = tuple[datetime | None, datetime | None]
"""From the first instant on, before the second; None is open."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A list as asked for. `ids` is None without that filter; `purpose` names the list for its cursors."""

    filter: Filter
    ids: tuple[bytes, ...] | None
    limit: int
    cursor: str | None
    purpose: str


def _limit(value: str) -> int:
    if not (
        value.isascii() and value.isdigit() and len(value) < 6 and 1 <= int(value) <= MOST_LIMIT
    ):
        raise InvalidField("limit", f"must be a whole number from 1 to {MOST_LIMIT}")
    return int(value)


def _ids(value: str) -> tuple[bytes, ...]:
    parts = value.split(",", IDS_LIMIT)
    if len(parts) > IDS_LIMIT:
        raise InvalidField("id", f"must be at most {IDS_LIMIT} ids")
    found = [id_bytes(part.strip()) for part in parts]
    if None in found:
        raise InvalidField("id", "must be task ids of 36 characters, comma-separated")
    return tuple(dict.fromkeys(i for i in found if i is not None))


def _status(value: str) -> State:
    if value not in STATES:
        raise InvalidField("status", f"must be one of {', '.join(STATES)}")
    return STATES[value]


def _bounds(value: str, field: str) -> Bounds:
    first, slash, second = value.partition("/")
    if not slash:
        at = rules.instant(value, field)
        return at, None if at is None else at + _MILLISECOND
    return (
        None if first in ("", "..") else rules.instant(first, field),
        None if second in ("", "..") else rules.instant(second, field),
    )


class ListSchema(Strict):
    """The query parameters of a list of tasks, each at most once. Those not in Mergent's docs are ours."""

    limit = Ruled(
        lambda value, _: _limit(value),
        f"Tasks a page, 1 to {MOST_LIMIT}; {DEFAULT_LIMIT} unless said.",
        {"type": "integer", "minimum": 1, "maximum": MOST_LIMIT},
    )
    cursor = Ruled(
        lambda value, _: rules.text(value, "cursor", 500),
        "Where to go on: the X-Next-Cursor of the page before, with the same other parameters.",
        _STRING,
    )
    after = Ruled(
        lambda value, _: rules.text(value, "after", 500),
        "Another name of `cursor`, which some clients of Mergent's use with X-Cursor-After.",
        _STRING,
    )
    id = Ruled(
        lambda value, _: _ids(value), f"Up to {IDS_LIMIT} task ids, comma-separated.", _STRING
    )
    status = Ruled(
        lambda value, _: _status(value),
        "Where the tasks stand. Queued tasks come in the order they are due, ended ones last ended first.",
        {"type": "string", "enum": list(STATES)},
    )
    queue = Ruled(lambda value, _: rules.queue(value), "The queue's name.", _STRING)
    name = Ruled(lambda value, _: rules.name(value), "The task's name.", _STRING)
    tag = Ruled(
        lambda value, _: rules.text(value, "tag", rules.TAG_LIMIT), "One of its tags.", _STRING
    )
    url = Ruled(
        lambda value, _: rules.text(value, "url", URL_LIMIT),
        "What `request.url` begins with.",
        _STRING,
    )
    host = Ruled(
        lambda value, _: rules.text(value, "host", 300).lower(),
        "The host that `request.url` calls, with its port where one is written.",
        _STRING,
    )
    created_at = Ruled(
        lambda value, _: _bounds(value, "created_at"),
        "An instant, or two with a slash: from the first on, before the second; `..` is open.",
        _STRING,
    )
    created_after = Ruled(
        lambda value, _: rules.instant(value, "created_after"), "Made then or later.", _INSTANT
    )
    created_before = Ruled(
        lambda value, _: rules.instant(value, "created_before"), "Made before then.", _INSTANT
    )
    scheduled_for = Ruled(
        lambda value, _: _bounds(value, "scheduled_for"),
        "As `created_at`, of `scheduled_for`; a task without one counts by `created_at`.",
        _STRING,
    )
    scheduled_after = Ruled(
        lambda value, _: rules.instant(value, "scheduled_after"),
        "Scheduled for then or later.",
        _INSTANT,
    )
    scheduled_before = Ruled(
        lambda value, _: rules.instant(value, "scheduled_before"),
        "Scheduled for before then.",
        _INSTANT,
    )


class FilterSchema(ListSchema):
    """Those parameters of a list that choose tasks, for what is done to all of them."""

    class Meta(Strict.Meta):
        exclude = ("limit", "cursor", "after", "id")


_SCHEMA = ListSchema()
_FILTER = FilterSchema()


def dump_filter(wanted: Filter) -> dict[str, str]:
    """A filter as `read_filter` reads it."""
    given = {
        "status": None if wanted.state is None else STATUS[wanted.state],
        "queue": wanted.queue,
        "name": wanted.name,
        "tag": wanted.tag,
        "url": wanted.url,
        "host": wanted.host,
        "created_after": instant(wanted.since),
        "created_before": instant(wanted.until),
        "scheduled_after": instant(wanted.planned_since),
        "scheduled_before": instant(wanted.planned_until),
    }
    return {name: value for name, value in given.items() if value is not None}


def read(parameters: MultiDict[str, str]) -> Wanted:
    """The list that query parameters ask for. Raises Rejected with all that is wrong."""
    many = [key for key, values in parameters.lists() if len(values) > 1]
    if many:
        raise Rejected([Fault(key[:100], "is there more than once: give it once") for key in many])
    given: dict[str, Any] = load(_SCHEMA, parameters.to_dict())
    limit, after = given.pop("limit", DEFAULT_LIMIT), given.pop("after", None)
    cursor = given.pop("cursor", after)
    purpose = repr(sorted(given.items()))
    return Wanted(_filter(given), given.get("id"), limit, cursor, purpose)


def read_filter(value: Any, field: str) -> Filter:
    """A filter as JSON: an object with the parameters of a list that choose tasks. Raises Rejected."""
    if type(value) is not dict:
        raise InvalidField(field, f"must be an object, not {rules.kind_of(value)}")
    faults = [
        Fault(f"{field}.{name[:100]}", f"must be a string, not {rules.kind_of(given)}")
        for name, given in value.items()
        if type(given) is not str
    ]
    if faults:
        raise Rejected(faults)
    try:
        return _filter(load(_FILTER, value))
    except Rejected as wrong:
        raise Rejected([Fault(f"{field}.{f.param}", f.message) for f in wrong.faults]) from None


def _filter(given: dict[str, Any]) -> Filter:
    since, until = _both(given, "created_at", "created_after", "created_before")
    planned_since, planned_until = _both(
        given, "scheduled_for", "scheduled_after", "scheduled_before"
    )
    return Filter(
        state=given.get("status"),
        queue=given.get("queue"),
        name=given.get("name"),
        tag=given.get("tag"),
        url=given.get("url"),
        host=given.get("host"),
        since=since,
        until=until,
        planned_since=planned_since,
        planned_until=planned_until,
    )


def _both(given: dict[str, Any], between: str, after: str, before: str) -> Bounds:
    """The narrowest bounds of three ways to say them."""
    first, second = given.get(between, (None, None))
    return (
        max((at for at in (first, given.get(after)) if at is not None), default=None),
        min((at for at in (second, given.get(before)) if at is not None), default=None),
    )

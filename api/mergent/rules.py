"""The rule of each field of a task. Pure: a value as JSON gave it goes in, a value of the house comes out.

Each raises InvalidField with the field's dotted path and a phrase that follows it ("must be ..."). The schemas
and the quick path of a create both call these, and so cannot disagree.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime, timedelta
from typing import Any

from api.body import dump_json
from timeball.egress import Policy, check_url
from timeball.errors import InvalidField
from timeball.headers import check_headers
from timeball.model.task import BodyKind, Method, Priority
from timeball.timing.durations import parse_duration, parse_instant

NAME_LIMIT = 500
KEY_LIMIT = 200
QUEUE_LIMIT = 100
TAG_LIMIT = 100
TAGS_LIMIT = 20
LEAST_TIMEOUT = timedelta(seconds=0.1)
MOST_TIMEOUT = timedelta(seconds=900)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_QUEUE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}").fullmatch
_METHODS = {str(method): method for method in Method}


class TooLarge(InvalidField):
    """A body beyond the limit: 413 where it is the only task of a request."""


def text(value: Any, field: str, limit: int) -> str:
    """A line of text of 1 to `limit` characters, none of them a control character."""
    if type(value) is not str:
        raise InvalidField(field, f"must be a string, not {kind_of(value)}")
    if not 0 < len(value) <= limit:
        raise InvalidField(field, f"must have 1 to {limit} characters; this one has {len(value)}")
    if not value.isprintable() and _CONTROL(value):
        raise InvalidField(field, "must not hold control characters")
    return value


def name(value: Any) -> str | None:
    """What deduplicates live tasks."""
    return None if value is None else text(value, "name", NAME_LIMIT)


def queue(value: Any) -> str:
    """The name of a queue; null is `default`."""
    if value is None:
        return "default"
    if type(value) is not str:
        raise InvalidField("queue", f"must be a string, not {kind_of(value)}")
    if not _QUEUE(value):
        raise InvalidField(
            "queue", f"must be 1 to {QUEUE_LIMIT} letters, digits, _ . : or -, like emails.high"
        )
    return value


def priority(value: Any) -> Priority:
    """Who goes first when more is due than can be called; null is normal."""
    if value is None:
        return Priority.NORMAL
    try:
        return Priority(value)
    except ValueError:
        raise InvalidField("priority", f"must be one of {', '.join(Priority)}") from None


def key(value: Any, field: str) -> str | None:
    """A key that tasks share, for their order or their slots."""
    return None if value is None else text(value, field, KEY_LIMIT)


def tags(value: Any) -> tuple[str, ...]:
    """Words by which a task can be found; each once."""
    if value is None:
        return ()
    if type(value) is not list:
        raise InvalidField("tags", f"must be a list of strings, not {kind_of(value)}")
    if len(value) > TAGS_LIMIT:
        raise InvalidField("tags", f"must be at most {TAGS_LIMIT}; there are {len(value)}")
    return tuple(dict.fromkeys([text(tag, f"tags.{i}", TAG_LIMIT) for i, tag in enumerate(value)]))


def instant(value: Any, field: str = "scheduled_for") -> datetime | None:
    """An RFC 3339 date-time."""
    if value is None:
        return None
    if type(value) is not str:
        raise InvalidField(
            field, f"must be a date-time like 2026-05-26T12:00:00Z, not {kind_of(value)}"
        )
    return parse_instant(value, field)


def delay(value: Any) -> timedelta | None:
    """A wait, as text with its unit."""
    if value is None:
        return None
    if type(value) is not str:
        raise InvalidField("delay", f"must be a string like 90s or PT5M, not {kind_of(value)}")
    return parse_duration(value, "delay")


def span(value: Any, field: str, least: timedelta, most: timedelta) -> timedelta:
    """A duration within bounds, as text with its unit or as a number of seconds."""
    if type(value) is str:
        found = parse_duration(value, field)
    elif type(value) in (int, float):
        seconds = float(value)
        if not 0 <= seconds <= 1e9:
            raise InvalidField(field, _bounds(least, most))
        found = timedelta(milliseconds=round(seconds * 1000))
    else:
        raise InvalidField(
            field, f"must be a number of seconds or a string like 90s, not {kind_of(value)}"
        )
    if not least <= found <= most:
        raise InvalidField(field, _bounds(least, most))
    return found


def _bounds(least: timedelta, most: timedelta) -> str:
    return f"must be from {least.total_seconds():g} s to {most.total_seconds():.12g} s"


def timeout(value: Any) -> timedelta | None:
    """The total time that the call may take."""
    return None if value is None else span(value, "timeout", LEAST_TIMEOUT, MOST_TIMEOUT)


def url(value: Any, policy: Policy) -> str:
    """The address to call, as it will be sent."""
    if type(value) is not str:
        raise InvalidField("request.url", f"must be a string, not {kind_of(value)}")
    return check_url(value, policy).url


def callback(value: Any, field: str, policy: Policy) -> str | None:
    """The address that is told of an end; null is none."""
    if value is None:
        return None
    if type(value) is not str:
        raise InvalidField(field, f"must be a string, not {kind_of(value)}")
    try:
        return check_url(value, policy).url
    except InvalidField as wrong:
        raise InvalidField(field, wrong.message) from None


def method(value: Any) -> Method:
    """One of the seven methods; null is POST."""
    if value is None:
        return Method.POST
    found = _METHODS.get(value) if type(value) is str else None
    if found is None:
        raise InvalidField("request.method", f"must be one of {', '.join(_METHODS)}")
    return found


def headers(value: Any) -> tuple[tuple[str, str], ...]:
    """The headers of the call, each once."""
    if not value and (value is None or type(value) is dict):
        return ()
    if type(value) is not dict:
        raise InvalidField("request.headers", f"must be an object of strings, not {kind_of(value)}")
    for key, given in value.items():
        if type(given) is not str:
            raise InvalidField(
                f"request.headers.{key[:100]}", f"must be a string, not {kind_of(given)}"
            )
    found = check_headers(value)
    if len(found) > 1 and len({key.lower() for key, _ in found}) < len(found):
        seen: set[str] = set()
        for key, _ in found:
            if key.lower() in seen:
                raise InvalidField(f"request.headers.{key}", "is there twice: give it once")
            seen.add(key.lower())
    return found


def body(value: Any, limit_bytes: int) -> tuple[bytes, BodyKind]:
    """A text as it is, or an object or list as its JSON text."""
    if type(value) is str:
        found = (value.encode(), BodyKind.TEXT)
    elif type(value) in (dict, list):
        found = (dump_json(value), BodyKind.JSON)
    elif value is None:
        return b"", BodyKind.TEXT
    else:
        raise InvalidField(
            "request.body",
            f"must be a string, or an object or list that is sent as JSON, not {kind_of(value)}",
        )
    if len(found[0]) > limit_bytes:
        raise TooLarge("request.body", f"must have at most {limit_bytes} bytes")
    return found


def body_base64(value: Any, limit_bytes: int) -> tuple[bytes, BodyKind]:
    """Bytes that are no text, in base64 with its padding (RFC 4648, section 4)."""
    if type(value) is not str:
        raise InvalidField("request.body_base64", f"must be a string, not {kind_of(value)}")
    try:
        raw = base64.b64decode(value.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise InvalidField(
            "request.body_base64", "must be base64 with its padding (RFC 4648, section 4)"
        ) from None
    if len(raw) > limit_bytes:
        raise TooLarge("request.body_base64", f"must have at most {limit_bytes} bytes")
    return raw, BodyKind.BASE64


def whole(value: Any, field: str, least: int, most: int) -> int:
    """A whole number within bounds."""
    if type(value) is not int or not least <= value <= most:
        raise InvalidField(field, f"must be a whole number from {least} to {most}")
    return value


def share(value: Any, field: str) -> float:
    """A number from 0 to 1."""
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise InvalidField(field, "must be a number from 0 to 1")
    return float(value)


def kind_of(value: Any) -> str:
    """What JSON calls a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "that")

"""What a task may look like when it is sent: the schemas are the documented truth.

A body is written in one of three ways: `request.body` as a string (sent as it is), `request.body` as an object or
a list (sent as its JSON text), or `request.body_base64` (sent as the bytes that it decodes to).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from marshmallow import (
    RAISE,
    Schema,
    ValidationError,
    fields,
    post_load,
    pre_load,
    validates_schema,
)

from api.mergent import rules
from api.mergent.errors import Fault, Rejected
from timeball.egress import PUBLIC_ONLY, Policy
from timeball.errors import InvalidField
from timeball.model.retry import RetryPolicy
from timeball.model.task import BodyKind, Method, Priority, Request

MAX_ATTEMPTS = 100
MAX_DOUBLINGS = 30
LEAST_BACKOFF, MOST_BACKOFF = timedelta(seconds=1), timedelta(days=7)
LEAST_AGE, MOST_AGE = timedelta(seconds=1), timedelta(days=366)

UNKNOWN_LIMIT = 8
"""More fields that do not exist than this are not named one by one."""

_UNKNOWN = "is no field here"
_LONGEST_SLIP = 24
"""A longer name is nobody's slip for one of ours."""
_MESSAGES = {"unknown": _UNKNOWN, "type": "must be an object"}


@dataclass(frozen=True, slots=True)
class Terms:
    """What of a task's rules is up to the installation."""

    policy: Policy = PUBLIC_ONLY
    body_limit_bytes: int = 1024 * 1024


class _Found(str):
    """A message that knows the whole path of its field, and whether it is about size."""

    __slots__ = ("path", "too_large")
    path: str
    too_large: bool

    def __new__(cls, path: str, message: str, too_large: bool = False) -> _Found:
        made = super().__new__(cls, message)
        made.path, made.too_large = path, too_large
        return made


class Ruled(fields.Field[Any]):
    """A field that one rule checks; `about` and `shape` (JSON Schema) are for the documentation.

    Null goes to the rule like any other value, since for most fields it means "as if absent".
    """

    default_error_messages = {"required": "is required"}  # noqa: RUF012 - marshmallow's

    def __init__(
        self,
        rule: Callable[[Any, Terms], Any],
        about: str,
        shape: Mapping[str, Any],
        *,
        required: bool = False,
    ) -> None:
        metadata = {"description": about, **shape}
        super().__init__(required=required, allow_none=True, metadata=metadata)
        self.rule = rule

    def deserialize(
        self,
        value: Any,
        attr: str | None = None,
        data: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        if value is None:
            return self._deserialize(value, attr, data)
        return super().deserialize(value, attr, data, **kwargs)

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Any:
        try:
            return self.rule(value, cast(Strict, self.parent).terms)
        except InvalidField as wrong:
            too_large = isinstance(wrong, rules.TooLarge)
            raise ValidationError(_Found(wrong.field, wrong.message, too_large)) from None


class Strict(Schema):
    """A schema that refuses fields it does not have."""

    error_messages = _MESSAGES

    class Meta:
        unknown = RAISE

    terms: Terms = Terms()

    @pre_load
    def _not_endless(self, data: Any, **_: Any) -> Any:
        # marshmallow takes a time that grows with the square of the unknown fields
        if isinstance(data, Mapping) and len(data) > len(self.fields) + UNKNOWN_LIMIT:
            raise ValidationError(f"must not have {len(data)} fields: most of them are unknown")
        return data


def timeout_of(about: str) -> Ruled:
    """A field for the total time of a call."""
    shape = {"type": ["string", "number", "null"]}
    return Ruled(lambda value, _: rules.timeout(value), about, shape)


def tags_of(about: str) -> Ruled:
    """A field for tags."""
    shape = {"type": ["array", "null"], "items": {"type": "string"}, "maxItems": rules.TAGS_LIMIT}
    return Ruled(lambda value, _: rules.tags(value), about, shape)


def told_of(name: str, about: str) -> Ruled:
    """A field for a URL that is told of an end."""
    shape = {"type": ["string", "null"]}
    return Ruled(lambda value, terms: rules.callback(value, name, terms.policy), about, shape)


def nested(schema: type[Strict], about: str, **options: Any) -> fields.Nested:
    """A field that is an object of its own."""
    messages: dict[str, Any] = {"null": "must be an object, not null", "required": "is required"}
    return fields.Nested(
        schema, error_messages=messages, metadata={"description": about}, **options
    )


class RequestSchema(Strict):
    """The HTTP request that is made."""

    url = Ruled(
        lambda value, terms: rules.url(value, terms.policy),
        "The address to call: http or https, at most 2,048 characters.",
        {"type": "string", "examples": ["https://example.com/hello"]},
        required=True,
    )
    method = Ruled(
        lambda value, _: rules.method(value),
        "Ours: the HTTP method, POST unless said.",
        {"type": ["string", "null"], "enum": [*map(str, Method), None]},
    )
    headers = Ruled(
        lambda value, _: rules.headers(value),
        "Headers as an object of strings: at most 50, 8,192 bytes in all.",
        {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
    )
    body = Ruled(
        lambda value, terms: rules.body(value, terms.body_limit_bytes),
        "The body: a string, sent as it is; or (ours) an object or list, sent as its JSON text.",
        {"type": ["string", "object", "array", "null"]},
    )
    body_base64 = Ruled(
        lambda value, terms: rules.body_base64(value, terms.body_limit_bytes),
        "Ours: the body as base64, for bytes that are no text. Not together with `body`.",
        {"type": ["string", "null"], "contentEncoding": "base64"},
    )

    @validates_schema
    def _one_body(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("body", (b"",))[0] and data.get("body_base64", (b"",))[0]:
            message = "cannot be given together with request.body"
            raise ValidationError(_Found("request.body_base64", message))

    @post_load
    def _build(
        self, data: dict[str, Any], partial: bool | None = None, **_: Any
    ) -> Request | dict[str, Any]:
        """A Request, or of a change only what it changes."""
        text, encoded = data.pop("body", None), data.pop("body_base64", None)
        if text is not None or encoded is not None:
            none = (b"", BodyKind.TEXT)
            body, kind = encoded if encoded is not None and encoded[0] else text or encoded or none
            data |= {"body": body, "body_kind": kind}
        return data if partial else Request(**data)


def _span(field: str, least: timedelta, most: timedelta) -> Callable[[Any, Terms], timedelta]:
    return lambda value, _: rules.span(value, field, least, most)


_SPAN: Mapping[str, Any] = {"type": ["string", "number"], "examples": ["90s", 90, "PT1M30S"]}
_DEFAULT = RetryPolicy()


class RetrySchema(Strict):
    """Exponential back-off in the terms of Cloud Tasks; whatever is absent has its default."""

    max_attempts = Ruled(
        lambda value, _: rules.whole(value, "retry.max_attempts", 1, MAX_ATTEMPTS),
        "Attempts in all, 1 to 100; 1 never retries. Default 10.",
        {"type": "integer", "minimum": 1, "maximum": MAX_ATTEMPTS},
    )
    min_backoff = Ruled(
        _span("retry.min_backoff", LEAST_BACKOFF, MOST_BACKOFF),
        "The first wait, 1 s to 7 days. Default 10 s.",
        _SPAN,
    )
    max_backoff = Ruled(
        _span("retry.max_backoff", LEAST_BACKOFF, MOST_BACKOFF),
        "The longest wait, 1 s to 7 days. Default 1 h, or `min_backoff` when that is longer.",
        _SPAN,
    )
    max_doublings = Ruled(
        lambda value, _: rules.whole(value, "retry.max_doublings", 0, MAX_DOUBLINGS),
        "How often the wait doubles before it grows by the last step, 0 to 30. Default 9.",
        {"type": "integer", "minimum": 0, "maximum": MAX_DOUBLINGS},
    )
    jitter = Ruled(
        lambda value, _: rules.share(value, "retry.jitter"),
        "The share of a wait that chance may add or take, 0 to 1. Default 0.2.",
        {"type": "number", "minimum": 0, "maximum": 1},
    )
    max_age = Ruled(
        lambda value, _: (
            None if value is None else rules.span(value, "retry.max_age", LEAST_AGE, MOST_AGE)
        ),
        "No attempt begins later than this after the first due time, 1 s to 366 days. Default none.",
        {"type": ["string", "number", "null"]},
    )

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> RetryPolicy:
        least = data.get("min_backoff", _DEFAULT.min_backoff)
        most = data.setdefault("max_backoff", max(least, _DEFAULT.max_backoff))
        if most < least:
            message = "must not be shorter than retry.min_backoff"
            raise ValidationError(_Found("retry.max_backoff", message))
        return RetryPolicy(**data)


class ApartSchema(Strict):
    """What sets a task, or the tasks of a schedule, apart from others of its queue; has a `request` too."""

    priority = Ruled(
        lambda value, _: rules.priority(value),
        "Ours: `high`, `normal` or `low`; who waits long enough goes with the high ones.",
        {"type": ["string", "null"], "enum": [*map(str, Priority), None]},
    )
    concurrency_key = Ruled(
        lambda value, _: rules.key(value, "concurrency_key"),
        "Ours: tasks of a queue with one key share its `key_concurrency` slots, and keys take turns.",
        {"type": ["string", "null"], "maxLength": rules.KEY_LIMIT},
    )
    ordering_key = Ruled(
        lambda value, _: rules.key(value, "ordering_key"),
        "Ours: tasks of a queue with one key are called one after the other, in the order they came.",
        {"type": ["string", "null"], "maxLength": rules.KEY_LIMIT},
    )

    def __init__(self, terms: Terms | None = None, **options: Any) -> None:
        super().__init__(**options)
        if terms is not None:
            self.terms = terms
            request = cast(fields.Nested, self.fields["request"])
            cast(Strict, request.schema).terms = terms

    @validates_schema
    def _one_key(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("concurrency_key") is not None and data.get("ordering_key") is not None:
            message = (
                "cannot be given together with concurrency_key: ordered tasks run one at a time"
            )
            raise ValidationError(_Found("ordering_key", message))


class TaskSchema(ApartSchema):
    """A task to create, or with `partial` what to change of one."""

    request = nested(RequestSchema, "What to call.", required=True)
    name = Ruled(
        lambda value, _: rules.name(value),
        "At most 500 characters; a live task of the same name is answered instead of a second one.",
        {"type": ["string", "null"], "maxLength": rules.NAME_LIMIT},
    )
    queue = Ruled(
        lambda value, _: rules.queue(value),
        "The queue, `default` unless said: letters, digits and _ . : - up to 100.",
        {"type": ["string", "null"], "maxLength": rules.QUEUE_LIMIT},
    )
    scheduled_for = Ruled(
        lambda value, _: rules.instant(value),
        "When to call, ISO 8601; without an offset it is UTC. Absent or past is now.",
        {"type": ["string", "null"], "format": "date-time"},
    )
    delay = Ruled(
        lambda value, _: rules.delay(value),
        "A wait such as `90s`, `2h45m` or `PT5M`, added to `scheduled_for` or else to now.",
        {"type": ["string", "null"], "examples": ["90s", "PT5M"]},
    )
    timeout = timeout_of(
        "Ours: the total time of the call, 0.1 s to 900 s, in seconds or as `90s`."
    )
    retry = nested(
        RetrySchema,
        "Ours: the retry policy; null or absent is Mergent's table of 9 attempts.",
        allow_none=True,
    )
    tags = tags_of("Ours: up to 20 words of up to 100 characters, to find the task by.")

    on_success = told_of(
        "on_success",
        "Ours: a URL that is told, by a signed call with retries of its own, when the task has succeeded.",
    )
    on_failure = told_of("on_failure", "Ours: the same when the task has failed for good.")
    on_attempt = told_of("on_attempt", "Ours: the same for every attempt, whatever its end.")


def load(schema: Strict, data: Any, *, partial: bool = False) -> dict[str, Any]:
    """What a schema makes of a value. Raises Rejected with all that is wrong."""
    try:
        return cast(dict[str, Any], schema.load(data, partial=partial))
    except ValidationError as wrong:
        raise Rejected(list(_flatten(wrong.messages, schema, ()))) from None


def _flatten(messages: Any, schema: Schema | None, path: tuple[str, ...]) -> Iterable[Fault]:
    """marshmallow's nested messages as a flat list."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            if inner == [_UNKNOWN]:
                names = schema.fields if schema is not None else ()
                yield Fault(".".join((*path, str(key)[:100])), did_you_mean(str(key), names))
                continue
            field = schema.fields.get(key) if schema is not None else None
            below = field.schema if isinstance(field, fields.Nested) else None
            yield from _flatten(inner, below, path if key == "_schema" else (*path, str(key)))
        return
    for message in messages:
        if isinstance(message, _Found):
            yield Fault(message.path, str(message), message.too_large)
        else:
            yield Fault(".".join(path), str(message))


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """The phrase for a field that does not exist, with the one that was likely meant."""
    if len(wrong) > _LONGEST_SLIP:
        return _UNKNOWN
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])|[-\s]+", "_", wrong).lower()
    close = difflib.get_close_matches(plain, list(names), n=1, cutoff=0.6)
    return _UNKNOWN + (f": did you mean {close[0]}?" if close else "")

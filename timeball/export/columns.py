"""What a column of a source is, and how a value from JSON becomes a value of that column.

Kinds are fewer than types on purpose: the same segment means the same rows in SQLite, PostgreSQL and MySQL.
"""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what only names a column does without SQLAlchemy, which takes 15 MB
    from sqlalchemy.types import TypeEngine

MAX_TEXT = 4096
"""The longest text a rule may compare with, in characters."""


class Kind(StrEnum):
    """What can be done with a column."""

    TEXT = "text"
    """Characters: VARCHAR, TEXT, ENUM."""
    INTEGER = "integer"
    """Whole numbers. MySQL's TINYINT(1) is one too."""
    NUMBER = "number"
    """Decimals and floats."""
    BOOLEAN = "boolean"
    """True or false; 1 or 0 in SQLite."""
    TIME = "time"
    """An instant: DATETIME, TIMESTAMP. Those without a zone are UTC by declaration."""
    DATE = "date"
    """A day; compared as its midnight in UTC."""
    UUID = "uuid"
    """The UUID type of PostgreSQL."""
    JSON = "json"
    """A JSON document."""
    BYTES = "bytes"
    """Binary; exported as lower-case hex."""
    OTHER = "other"
    """Anything else (arrays, ranges, intervals): exported as the database writes it."""


class Times(StrEnum):
    """How a source keeps instants."""

    NATIVE = "native"
    """The database's own type; in SQLite the same as `iso`."""
    ISO = "iso"
    """ISO 8601 text, with a space or a T, with or without fraction and offset."""
    EPOCH_S = "epoch_s"
    """Seconds since 1970."""
    EPOCH_MS = "epoch_ms"
    """Milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Column:
    """A reflected column. `type` is the database's name for it; `times` says how a TIME or DATE is kept."""

    name: str
    kind: Kind
    type: str
    nullable: bool = True
    times: Times | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """Everything from `low` to `high`; None means no end; an open end is not part of it."""

    low: datetime | int | Decimal | None = None
    high: datetime | int | Decimal | None = None
    low_open: bool = False
    high_open: bool = False


Value = str | int | Decimal | bool | uuid.UUID | Range


def kind_of(type_: TypeEngine[object]) -> Kind:
    """The kind of a reflected SQLAlchemy type."""
    from sqlalchemy import types
    from sqlalchemy.dialects import mysql

    table: tuple[tuple[type | tuple[type, ...], Kind], ...] = (
        (types.Boolean, Kind.BOOLEAN),
        (types.Integer, Kind.INTEGER),
        (types.DateTime, Kind.TIME),
        (types.Date, Kind.DATE),
        (types.Uuid, Kind.UUID),
        (types.JSON, Kind.JSON),
        ((types.String, types.Enum), Kind.TEXT),
        (types.Numeric, Kind.NUMBER),
        (types.Float, Kind.NUMBER),
        ((types.LargeBinary, types.BINARY, types.VARBINARY, mysql.BIT), Kind.BYTES),
    )
    return next((kind for classes, kind in table if isinstance(type_, classes)), Kind.OTHER)


def stored_as(value: object) -> Times | None:
    """How a raw value of SQLite seems to keep an instant; None when it cannot be one.

    Numbers from 1e11 on are taken for milliseconds: as seconds they would lie after the year 5100.
    """
    if isinstance(value, int | float):
        return Times.EPOCH_MS if abs(value) >= 1e11 else Times.EPOCH_S
    try:
        datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return None
    return Times.ISO


_INSTANT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?P<clock>[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)


def instant(value: object) -> tuple[datetime, bool]:
    """An ISO 8601 text as (instant in UTC, whether it names a whole day); no offset means UTC.

    Raises ValueError in words.
    """
    match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            "must be an ISO 8601 date or time such as 2026-05-26 or 2026-05-26T12:00:00Z"
        )
    try:
        at = datetime.fromisoformat(match[0].upper())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is no date that exists") from None
    if not 2 <= at.year <= 9998:
        raise ValueError("must lie between the years 2 and 9998")
    return at, match["clock"] is None


def day(value: object) -> Range:
    """The day that an ISO 8601 text names or lies in, in the offset it is written with."""
    at, _ = instant(value)
    text = str(value)
    offset = datetime.fromisoformat(text.upper()).utcoffset() or timedelta(0)
    midnight = (at + offset).replace(hour=0, minute=0, second=0, microsecond=0) - offset
    return Range(midnight, midnight + timedelta(days=1), high_open=True)


def moment(value: object) -> Range:
    """The instant that an ISO 8601 text names; the whole day, if it names a day only."""
    at, whole_day = instant(value)
    return day(value) if whole_day else Range(at, at)


def text(value: object) -> str:
    """A text to compare with. Raises ValueError in words."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError("must be a text")
    if len(value) > MAX_TEXT:
        raise ValueError(f"must have at most {MAX_TEXT} characters")
    if "\0" in value:
        raise ValueError("must not hold the character U+0000")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode, without lone surrogates") from None
    return value


def number(value: object) -> int | Decimal:
    """A finite number, from a JSON number or its decimal text. Raises ValueError in words."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("must be a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    if isinstance(value, str) and not re.fullmatch(
        r"[+-]?[0-9]{1,40}([.][0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", value
    ):
        raise ValueError("must be a number")
    try:
        exact = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise ValueError("must be a number") from None
    if exact and not -40 <= exact.adjusted() <= 40:
        raise ValueError("must be zero or between 1e-40 and 1e40")
    whole = int(exact)
    return whole if whole == exact and abs(whole) < 2**63 else exact


def coerce(kind: Kind, value: object) -> Value:
    """A JSON value as one that a column of this kind can equal. Raises ValueError in words."""
    if value is None:
        raise ValueError("must not be null: use is_set or is_not_set")
    match kind:
        case Kind.TEXT:
            return text(value)
        case Kind.INTEGER:
            whole = 1 if value is True else 0 if value is False else number(value)
            if not isinstance(whole, int):
                raise ValueError("must be a whole number of at most 63 bits")
            return whole
        case Kind.NUMBER:
            return number(value)
        case Kind.BOOLEAN:
            return _boolean(value)
        case Kind.TIME | Kind.DATE:
            return moment(value)
        case Kind.UUID:
            try:
                return uuid.UUID(text(value))
            except ValueError:
                raise ValueError("must be a UUID") from None
        case _:
            raise ValueError("cannot be compared with a column of this type")


def _boolean(value: object) -> bool:
    if value in ("true", "false"):
        return value == "true"
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise ValueError("must be true or false")

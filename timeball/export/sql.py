"""A segment as SQL: one SELECT whose every value is bound, and whose every name comes from reflection.

The shape is always `WHERE chain AND NOT deleted AND (rule AND|OR rule ...)`: tenant and soft-delete stand outside
the group, so no OR can reach around them.

- Instants are compared in UTC. In PostgreSQL and MySQL the column is compared as it is, so that its index serves.
  SQLite keeps text; it is turned into whole microseconds since 1970, exactly, whether it has a space or a T, a
  fraction, a Z or an offset (julianday() would round to milliseconds). Epoch numbers are compared as numbers. Text
  that is no time fits no rule about times, as NULL does.
- A DATE is compared as its midnight in UTC.
- `is_not` and `does_not_contain` hold for NULL; every other rule but `is_not_set` does not.
- Text is compared by its bytes, in MySQL too, whose own `=` ignores case and trailing spaces.
- Which ends of a range count is said in `timeball.export.segments`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.types import NullType

from timeball.export.columns import Column, Kind, Range, Times, coerce
from timeball.export.databases import describe
from timeball.export.failures import ExportFailed
from timeball.export.rules import Operator, Rule, Segment
from timeball.export.sources import Source

Condition = sa.ColumnElement[bool]
Side = sa.ColumnElement[Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def select(
    source: Source,
    table: sa.Table,
    shown: Sequence[Column],
    segment: Segment | None,
    now: datetime,
    dialect: str,
    *,
    copy: bool = False,
) -> sa.Select[Any]:
    """The rows of the source's chain that fit the segment: the columns `shown`, in the source's order.

    `now` (aware) is what relative rules count from; a retry must pass the same one. `dialect` is SQLAlchemy's
    name. With `copy` the values are as PostgreSQL's COPY shall write them; otherwise as the driver gives them.
    """
    statement = sa.select(*(_shown(table.c[c.name], c, dialect, copy).label(c.name) for c in shown))
    statement = statement.where(*_where(source, table, segment, now, dialect))
    for name in source.order_by:
        column = table.c[name.removeprefix("-")]
        statement = statement.order_by(column.desc() if name.startswith("-") else column.asc())
    return statement


def count(
    source: Source, table: sa.Table, segment: Segment | None, now: datetime, dialect: str
) -> sa.Select[Any]:
    """How many rows `select` would give."""
    counted = sa.select(sa.func.count()).select_from(table)
    return counted.where(*_where(source, table, segment, now, dialect))


def _where(
    source: Source, table: sa.Table, segment: Segment | None, now: datetime, dialect: str
) -> list[Condition]:
    found = scope(source, table, dialect)
    if segment is not None:
        rules = [_rule(table, rule, now, dialect) for rule in segment.rules]
        found.append(sa.and_(*rules) if segment.every else sa.or_(*rules))
    return found


def _shown(cell: sa.Column[Any], column: Column, dialect: str, copy: bool) -> Side:
    """The column as it is exported, without SQLAlchemy's own conversions.

    PostgreSQL writes what would cost more, or fail, in Python: RFC 3339 (the session's DateStyle is ISO; to_char
    would cost more), days and instants out of Python's range, arrays, documents with all their digits.
    """
    if dialect == "postgresql":
        if column.kind is Kind.TIME:
            zoned = getattr(cell.type, "timezone", False)
            at = sa.func.timezone("UTC", cell) if zoned else cell
            iso = sa.func.replace(sa.cast(at, sa.Text()), " ", "T", type_=sa.Text())
            return sa.case(
                (sa.func.isfinite(cell), iso.concat("Z")), else_=sa.cast(cell, sa.Text())
            )
        if column.kind is Kind.BYTES and isinstance(cell.type, sa.LargeBinary):
            return sa.func.encode(cell, "hex")
        if column.kind in (Kind.DATE, Kind.JSON, Kind.OTHER, Kind.BYTES):
            return sa.cast(cell, sa.Text())
        if column.kind is Kind.BOOLEAN and copy:
            return sa.cast(cell, sa.Text())
    return sa.type_coerce(cell, NullType())


def scope(source: Source, table: sa.Table, dialect: str) -> list[Condition]:
    """What holds for every row of an export: it is the chain's own, and not deleted.

    A flag or number marks a row as deleted when it is neither NULL nor 0, a text when it is not empty, and any
    other column when it is not NULL. Raises ExportFailed when the chain column cannot hold a chain's number.
    """
    found: list[Condition] = []
    if source.chain_column:
        owner = table.c[source.chain_column]
        column = describe(source, owner, dialect)
        if column.kind not in (Kind.INTEGER, Kind.NUMBER, Kind.TEXT):
            raise ExportFailed(f"chain_column {column.name!r} holds neither whole numbers nor text")
        found.append(_equal(owner, column.kind, [coerce(column.kind, source.chain)], dialect))
    if source.deleted_column:
        mark = table.c[source.deleted_column]
        kind = describe(source, mark, dialect).kind
        kept: Condition = mark.is_(None)
        if kind is Kind.BOOLEAN:
            kept = sa.or_(kept, mark == sa.false())
        elif kind in (Kind.INTEGER, Kind.NUMBER):
            kept = sa.or_(kept, mark == sa.literal(0, sa.Integer()))
        elif kind is Kind.TEXT:
            kept = sa.or_(kept, _text(mark, dialect) == _text_value("", dialect))
        found.append(kept)
    return found


def _rule(table: sa.Table, rule: Rule, now: datetime, dialect: str) -> Condition:
    column = table.c.get(rule.column)
    if column is None:
        raise ExportFailed(f"column {rule.column!r} does not exist any more")
    if rule.operator is Operator.IS_SET:
        return column.is_not(None)
    if rule.operator is Operator.IS_NOT_SET:
        return column.is_(None)
    values = rule.values
    if rule.span is not None:
        now = now.astimezone(UTC)
        if rule.operator is Operator.RELATIVE_LESS_THAN:
            values = (Range(rule.span.before(now), now, low_open=True),)
        elif rule.operator is Operator.RELATIVE_MORE_THAN:
            values = (Range(high=rule.span.before(now)),)
        else:
            values = (Range(now, rule.span.after(now), low_open=True),)
    if rule.operator in (Operator.CONTAINS, Operator.DOES_NOT_CONTAIN):
        found = _contains(column, str(values[0]), dialect)
    elif isinstance(values[0], Range):
        found = sa.or_(*(_within(column, rule, v, dialect) for v in values if isinstance(v, Range)))
    else:
        found = _equal(column, rule.kind, values, dialect)
    if rule.operator in (Operator.IS_NOT, Operator.DOES_NOT_CONTAIN):
        return sa.func.coalesce(sa.not_(found), sa.true())
    return found


def _equal(column: Side, kind: Kind, values: Sequence[object], dialect: str) -> Condition:
    if kind is Kind.TEXT:
        return _text(column, dialect).in_([_text_value(str(v), dialect) for v in values])
    if kind is Kind.BOOLEAN:
        return sa.or_(*(column == (sa.true() if v else sa.false()) for v in values))
    return column.in_([_number(v, dialect) if kind is not Kind.UUID else v for v in values])


def _contains(column: Side, part: str, dialect: str) -> Condition:
    side = _text(column, dialect)
    if dialect in ("mysql", "mariadb"):  # LOCATE on bytes: LIKE would need them in a character set
        return sa.func.locate(_text_value(part, dialect), side) > 0
    return side.contains(part, autoescape=True)


def _text(column: Side, dialect: str) -> Side:
    """The column as text that compares by its bytes."""
    if dialect in ("mysql", "mariadb"):
        return sa.cast(sa.cast(column, mysql.CHAR(charset="utf8mb4")), sa.BINARY())
    if dialect == "postgresql" and type(column.type) not in (sa.TEXT, sa.VARCHAR):
        return sa.cast(
            column, sa.Text()
        )  # an enum is not comparable with text, citext ignores case
    return sa.type_coerce(column, sa.Text())


def _text_value(value: str, dialect: str) -> Side:
    bound = sa.literal(value, sa.Text())
    return sa.cast(bound, sa.BINARY()) if dialect in ("mysql", "mariadb") else bound


def _number(value: object, dialect: str) -> Side:
    """A bound number, wide enough that no driver or cast can narrow it to the column's type."""
    if isinstance(value, int):
        return sa.literal(value, sa.BigInteger())
    if dialect == "sqlite":  # which has no decimals
        return sa.literal(float(str(value)), sa.Double())
    return sa.literal(value, sa.Numeric(asdecimal=True))


def _within(column: Side, rule: Rule, window: Range, dialect: str) -> Condition:
    side, bound = column, _binder(dialect)
    if rule.times is not None:
        side, bound = _instant(column, rule.kind, rule.times, dialect)
    ends: list[Condition] = []
    if window.low is not None:
        low = bound(window.low)
        ends.append(side > low if window.low_open else side >= low)
    if window.high is not None:
        high = bound(window.high)
        ends.append(side < high if window.high_open else side <= high)
    return sa.and_(*ends)


def _binder(dialect: str) -> Callable[[Any], Side]:
    return lambda value: _number(value, dialect)


def _instant(
    column: Side, kind: Kind, times: Times, dialect: str
) -> tuple[Side, Callable[[Any], Side]]:
    """The column as something that orders as instants do, and how to bind an instant beside it."""
    if times in (Times.EPOCH_S, Times.EPOCH_MS):
        unit = timedelta(seconds=1) if times is Times.EPOCH_S else timedelta(milliseconds=1)
        return sa.type_coerce(column, sa.Numeric()), lambda at: _number(_epoch(at, unit), dialect)
    if dialect == "sqlite":
        return _sqlite_micros(column), lambda at: sa.literal(
            (at - _EPOCH) // timedelta(microseconds=1), sa.BigInteger()
        )
    if dialect == "postgresql":
        if times is Times.ISO:
            column = sa.case(
                (
                    sa.type_coerce(column, sa.Text()).regexp_match(_ISO),
                    sa.cast(column, sa.TIMESTAMP(timezone=True)),
                )
            )
        elif not getattr(column.type, "timezone", False):
            return column, lambda at: sa.literal(at.replace(tzinfo=None), sa.TIMESTAMP())
        return column, lambda at: sa.literal(at, sa.TIMESTAMP(timezone=True))
    if times is Times.ISO:
        column = _mysql_instant(column)
    return column, lambda at: sa.cast(
        sa.literal(at.replace(tzinfo=None).isoformat(" "), sa.String()), mysql.DATETIME(fsp=6)
    )


_ISO = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?$"
)


def _epoch(at: datetime, unit: timedelta) -> int | Decimal:
    micros = (at - _EPOCH) // timedelta(microseconds=1)
    exact = Decimal(micros) / (unit // timedelta(microseconds=1))
    return int(exact) if exact == int(exact) else exact


def _sqlite_micros(column: Side) -> Side:
    """Microseconds since 1970 of an ISO 8601 text, as an integer; NULL when SQLite cannot read it.

    strftime('%s') alone is exact for whole seconds only, so the fraction is cut out and added.
    """
    text = sa.type_coerce(column, sa.Text())
    tail = sa.func.substr(text, -6)
    fraction = sa.func.substr(text, 20, 1) == "."
    zone = sa.case((sa.func.substr(tail, 1, 1).in_(["+", "-"]), tail), else_="")
    whole = sa.case((fraction, sa.func.substr(text, 1, 19).concat(zone)), else_=text)
    seconds = sa.cast(sa.func.strftime("%s", whole), sa.Integer())
    micros = sa.func.round(sa.cast(sa.func.substr(text, 20, 7), sa.Double()) * 1_000_000)
    return seconds * 1_000_000 + sa.case((fraction, sa.cast(micros, sa.Integer())), else_=0)


def _mysql_instant(column: Side) -> Side:
    """An ISO 8601 text as a DATETIME(6) in UTC; NULL when it is none. CAST itself would drop the offset."""
    text = sa.cast(column, mysql.CHAR(charset="utf8mb4"))
    clock = sa.func.replace(
        sa.func.regexp_substr(
            text, "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?)?"
        ),
        "T",
        " ",
    )
    naive = sa.cast(clock, mysql.DATETIME(fsp=6))
    offset = sa.func.regexp_substr(text, "[+-][0-9]{2}:[0-9]{2}$")
    ahead = sa.func.addtime(naive, sa.func.concat("-", sa.func.substr(offset, 2)))
    behind = sa.func.addtime(naive, sa.func.substr(offset, 2))
    shifted = sa.case((sa.func.substr(offset, 1, 1) == "+", ahead), else_=behind)
    return sa.case(
        (sa.not_(text.regexp_match(_ISO)), sa.null()),
        (sa.func.char_length(offset) > 0, sa.cast(shifted, mysql.DATETIME(fsp=6))),
        else_=naive,
    )

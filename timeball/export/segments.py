"""Which rows of an index an export reads: the segment of the Spaaza dialect, checked and typed.

Operators and their parameters follow the public "Segment filter reference"; where it is silent, these are ours:

- `is_any_of` (values), `is_set`, `is_not_set`, `is_less_than` and `is_greater_than` (value), `relative_more_than`
  and `relative_next` (time_factor, time_amount).
- A date without a clock names its whole day (UTC, or the offset written). `is_date` is always the day.
  `is_after_date` leaves out the instant or day it names, `is_before_date` too; `is_between_date` and
  `is_between_number` hold both ends; `is_less_than` and `is_greater_than` leave theirs out.
- `relative_less_than` N units: now - N < x <= now. `relative_more_than`: x <= now - N. `relative_next`:
  now < x <= now + N. Months and years are those of the calendar.
- Text is compared exactly: letter case, accents and trailing spaces count.

Every fault is an InvalidField whose path names the rule: `trigger.segment.rules[2].operator`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from timeball.errors import InvalidField
from timeball.export import columns as col
from timeball.export.columns import Column, Kind, Range, Times, Value
from timeball.export.rules import Operator, Rule, Segment, Span
from timeball.export.sources import Source

MAX_RULES = 100
MAX_VALUES = 1000


_PARAMETERS: Mapping[Operator, tuple[str, ...]] = {
    Operator.IS: ("value",),
    Operator.IS_NOT: ("value",),
    Operator.IS_ANY_OF: ("values",),
    Operator.CONTAINS: ("value",),
    Operator.DOES_NOT_CONTAIN: ("value",),
    Operator.IS_SET: (),
    Operator.IS_NOT_SET: (),
    Operator.IS_DATE: ("value",),
    Operator.IS_AFTER_DATE: ("start_date",),
    Operator.IS_BEFORE_DATE: ("end_date",),
    Operator.IS_BETWEEN_DATE: ("start_date", "end_date"),
    Operator.IS_BETWEEN_NUMBER: ("min", "max"),
    Operator.IS_LESS_THAN: ("value",),
    Operator.IS_GREATER_THAN: ("value",),
    Operator.RELATIVE_LESS_THAN: ("time_factor", "time_amount"),
    Operator.RELATIVE_MORE_THAN: ("time_factor", "time_amount"),
    Operator.RELATIVE_NEXT: ("time_factor", "time_amount"),
}
_DATE_OPERATORS = frozenset(o for o in Operator if "date" in o or o.startswith("relative_"))
_NUMBER_OPERATORS = frozenset(
    {Operator.IS_BETWEEN_NUMBER, Operator.IS_LESS_THAN, Operator.IS_GREATER_THAN}
)
_RULE_KEYS = {"field_name", "field_type", "operator", "nested", "nesting_path"}.union(
    *_PARAMETERS.values()
)
_SEGMENT_KEYS = {"entity", "index", "join", "chain_id", "rules"}

_FIELD_TYPES: Mapping[str, frozenset[Kind]] = {
    "date": frozenset({Kind.TIME, Kind.DATE}),
    "keyword": frozenset(Kind),
    "text": frozenset(Kind),
    "boolean": frozenset({Kind.BOOLEAN, Kind.INTEGER}),
    **dict.fromkeys(
        ("number", "integer", "long", "float", "double"), frozenset({Kind.INTEGER, Kind.NUMBER})
    ),
}
"""The kinds of column that a `field_type` may name; only date and keyword are documented."""

_LONGEST = {
    "second": 10**9,
    "minute": 10**8,
    "hour": 10**6,
    "day": 365_000,
    "week": 52_000,
    "month": 12_000,
    "year": 1000,
}
"""The largest amount of each unit: about a thousand years, so that no window leaves the calendar."""


def parse_segment(
    data: object, source: Source, known: Sequence[Column], path: str = "trigger.segment"
) -> Segment:
    """The segment in the JSON value `data`, typed by the columns of its source.

    Raises InvalidField with a path below `path`. It never answers a segment that means all rows by mistake:
    unknown keys, empty rules and another chain's id are faults.
    """
    if not isinstance(data, Mapping):
        raise InvalidField(path, "must be an object")
    for key in data:
        if key not in _SEGMENT_KEYS:
            raise InvalidField(f"{path}.{str(key)[:80]}", "is no part of a segment")
    if data.get("entity", "people") != "people":
        raise InvalidField(f"{path}.entity", "must be people")
    if data.get("index") != source.index:
        raise InvalidField(f"{path}.index", f"must be the exported index, {source.index}")
    chain = data.get("chain_id")
    if isinstance(chain, bool) or not isinstance(chain, int) or chain != source.chain:
        raise InvalidField(f"{path}.chain_id", f"must be the task's chain, {source.chain}")
    join = data.get("join")
    if join not in ("all", "any"):
        raise InvalidField(f"{path}.join", "must be all or any")
    rules = data.get("rules")
    if not isinstance(rules, list) or not 1 <= len(rules) <= MAX_RULES:
        raise InvalidField(f"{path}.rules", f"must be a list of 1 to {MAX_RULES} rules")
    by_name = {c.name: c for c in known}
    return Segment(
        every=join == "all",
        rules=tuple(
            _rule(rule, source, by_name, f"{path}.rules[{i}]") for i, rule in enumerate(rules)
        ),
    )


def _rule(data: object, source: Source, known: Mapping[str, Column], path: str) -> Rule:
    if not isinstance(data, Mapping):
        raise InvalidField(path, "must be an object")
    for key in data:
        if key not in _RULE_KEYS:
            raise InvalidField(f"{path}.{str(key)[:80]}", "is no part of a rule")
    if data.get("nested") or data.get("nesting_path"):
        raise InvalidField(f"{path}.nested", "nested fields are not supported for SQL sources")
    name = data.get("field_name")
    column = known.get(name) if isinstance(name, str) else None
    if column is None:
        raise InvalidField(f"{path}.field_name", f"must be a field of the index {source.index}")
    field_type = data.get("field_type")
    if not isinstance(field_type, str) or field_type not in _FIELD_TYPES:
        raise InvalidField(f"{path}.field_type", f"must be one of {', '.join(_FIELD_TYPES)}")
    operator = data.get("operator")
    if not isinstance(operator, str) or operator not in list(Operator):
        raise InvalidField(f"{path}.operator", f"must be one of {', '.join(Operator)}")
    operator = Operator(operator)
    for key in sorted(_RULE_KEYS.intersection(data) & set().union(*_PARAMETERS.values())):
        if key not in _PARAMETERS[operator] and data[key] is not None:
            raise InvalidField(f"{path}.{key}", f"has no meaning for {operator}")
    kind, times = column.kind, column.times
    if (field_type == "date" or operator in _DATE_OPERATORS) and times is None:
        kind, times = _as_time(column, source, path)
    if kind not in _FIELD_TYPES[field_type]:
        raise InvalidField(f"{path}.field_type", f"does not fit: the field holds {kind}")
    if operator in _NUMBER_OPERATORS and kind not in (Kind.INTEGER, Kind.NUMBER):
        raise InvalidField(f"{path}.operator", f"needs a number, and the field holds {kind}")
    if operator in (Operator.CONTAINS, Operator.DOES_NOT_CONTAIN) and kind is not Kind.TEXT:
        raise InvalidField(f"{path}.operator", f"needs a text, and the field holds {kind}")
    values, span = _operand(operator, kind, data, path)
    return Rule(column.name, operator, kind, times, values, span)


def _as_time(column: Column, source: Source, path: str) -> tuple[Kind, Times]:
    """How a column that is not declared as a time is read as one: by the source's word."""
    if column.kind is Kind.TEXT and source.times is Times.ISO:
        return Kind.TIME, Times.ISO
    if column.kind in (Kind.INTEGER, Kind.NUMBER) and source.times in (
        Times.EPOCH_S,
        Times.EPOCH_MS,
    ):
        return Kind.TIME, source.times
    raise InvalidField(f"{path}.operator", f"needs a date, and the field holds {column.kind}")


def _operand(
    operator: Operator, kind: Kind, data: Mapping[str, Any], path: str
) -> tuple[tuple[Value, ...], Span | None]:
    def read(key: str, parse: Callable[[object], Any]) -> Any:
        if data.get(key) is None:
            raise InvalidField(f"{path}.{key}", f"must be given for {operator}")
        try:
            return parse(data[key])
        except ValueError as error:
            raise InvalidField(f"{path}.{key}", str(error)) from None

    match operator:
        case Operator.IS_SET | Operator.IS_NOT_SET:
            return (), None
        case Operator.IS | Operator.IS_NOT:
            return (read("value", lambda v: col.coerce(kind, v)),), None
        case Operator.IS_ANY_OF:
            values = read("values", _some)
            found: list[Value] = []
            for i, value in enumerate(values):
                try:
                    found.append(col.coerce(kind, value))
                except ValueError as error:
                    raise InvalidField(f"{path}.values[{i}]", str(error)) from None
            return tuple(found), None
        case Operator.CONTAINS | Operator.DOES_NOT_CONTAIN:
            part = read("value", col.text)
            if not part:
                raise InvalidField(f"{path}.value", "must not be empty")
            return (part,), None
        case Operator.IS_DATE:
            return (read("value", col.day),), None
        case Operator.IS_AFTER_DATE:
            start: Range = read("start_date", col.moment)
            return (Range(start.high, low_open=not start.high_open),), None
        case Operator.IS_BEFORE_DATE:
            return (Range(high=read("end_date", col.moment).low, high_open=True),), None
        case Operator.IS_BETWEEN_DATE:
            start, end = read("start_date", col.moment), read("end_date", col.moment)
            if start.low > end.low:
                raise InvalidField(f"{path}.end_date", "must not come before start_date")
            return (Range(start.low, end.high, high_open=end.high_open),), None
        case Operator.IS_BETWEEN_NUMBER:
            low, high = read("min", col.number), read("max", col.number)
            if low > high:
                raise InvalidField(f"{path}.max", "must not be less than min")
            return (Range(low, high),), None
        case Operator.IS_LESS_THAN:
            return (Range(high=read("value", col.number), high_open=True),), None
        case Operator.IS_GREATER_THAN:
            return (Range(low=read("value", col.number), low_open=True),), None
        case _:
            unit = read("time_factor", _unit)
            return (), Span(unit, read("time_amount", lambda v: _amount(v, _LONGEST[unit])))


def _some(value: object) -> list[object]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_VALUES:
        raise ValueError(f"must be a list of 1 to {MAX_VALUES} values")
    return value


def _unit(value: object) -> str:
    unit = value.removesuffix("s") if isinstance(value, str) else ""
    if unit not in _LONGEST:
        raise ValueError(f"must be one of {', '.join(_LONGEST)}")
    return unit


def _amount(value: object, longest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= longest:
        raise ValueError(f"must be a whole number from 1 to {longest}")
    return value

"""The rules of a segment as rows of a form, and as words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import request

from api.dashboard import forms, shown
from api.dashboard.forms import Form
from api.mergent.errors import Rejected
from timeball.errors import InvalidField
from timeball.export.columns import Column, Kind
from timeball.export.rules import Operator

ROWS, MORE_ROWS, MOST_ROWS = 3, 3, 30
PARTS = ("field", "operator", "first", "second")

_OPERANDS: Mapping[Operator, tuple[str, ...]] = {
    Operator.IS_ANY_OF: ("values",),
    Operator.IS_SET: (),
    Operator.IS_NOT_SET: (),
    Operator.IS_AFTER_DATE: ("start_date",),
    Operator.IS_BEFORE_DATE: ("end_date",),
    Operator.IS_BETWEEN_DATE: ("start_date", "end_date"),
    Operator.IS_BETWEEN_NUMBER: ("min", "max"),
    Operator.RELATIVE_LESS_THAN: ("time_amount", "time_factor"),
    Operator.RELATIVE_MORE_THAN: ("time_amount", "time_factor"),
    Operator.RELATIVE_NEXT: ("time_amount", "time_factor"),
}
"""What the two fields of a row are called in a rule; where nothing stands, the first is its value."""

WORDS: Mapping[Operator, str] = {
    Operator.IS_DATE: "is on the day",
    Operator.IS_AFTER_DATE: "is after",
    Operator.IS_BEFORE_DATE: "is before",
    Operator.IS_BETWEEN_DATE: "is between the dates",
    Operator.IS_BETWEEN_NUMBER: "is between the numbers",
    Operator.RELATIVE_LESS_THAN: "is within the last",
    Operator.RELATIVE_MORE_THAN: "is longer ago than",
    Operator.RELATIVE_NEXT: "is within the next",
}
"""Operators whose own names say less."""

_DATES = frozenset(WORDS) - {Operator.IS_BETWEEN_NUMBER}
_TYPES = {
    Kind.TIME: "date",
    Kind.DATE: "date",
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "number",
    Kind.NUMBER: "number",
}


def words_of(operator: Operator) -> str:
    """An operator in words."""
    return WORDS.get(operator, operator.replace("_", " "))


def fields(rows: int) -> list[str]:
    """The names of the form's fields."""
    return ["join", *(f"rule-{i}-{part}" for i in range(rows) for part in PARTS)]


def typed(names: Sequence[str], rows: int) -> Form:
    """What was sent: the fields named, the rules, and an empty place for what is wrong with each."""
    form = forms.typed(request.form, [*names, *fields(rows)])
    form.values |= {f"rule-{i}": "" for i in range(rows)}
    return form


def rows_sent() -> int:
    """How many rows the form has; more, when more were asked for."""
    text = request.form.get("rows", "")
    rows = int(text) if text.isascii() and text.isdigit() and len(text) < 3 else ROWS
    return min(MOST_ROWS, max(1, rows) + (MORE_ROWS if "more" in request.form else 0))


def blank(rows: int = ROWS) -> dict[str, str]:
    """The fields of rules that nobody has typed yet."""
    return {**dict.fromkeys(fields(rows), ""), **{f"rule-{i}": "" for i in range(rows)}}


def filled(segment: Mapping[str, Any]) -> tuple[dict[str, str], int]:
    """A segment as the fields of the form, and the number of rows."""
    rules = segment["rules"]
    rows = min(MOST_ROWS, len(rules) + 1)
    out = {**blank(rows), "join": segment["join"]}
    for i, rule in enumerate(rules[:rows]):
        operator = Operator(rule["operator"])
        out[f"rule-{i}-field"], out[f"rule-{i}-operator"] = rule["field_name"], operator
        for part, name in zip(PARTS[2:], _OPERANDS.get(operator, ("value",)), strict=False):
            out[f"rule-{i}-{part}"] = _as_typed(rule.get(name))
    return out, rows


def _as_typed(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_as_typed(v) for v in value)
    return (
        str(value).lower() if isinstance(value, bool) else str(value if value is not None else "")
    )


def segment(
    form: Form, rows: int, known: Sequence[Column], chain: int, index: str
) -> dict[str, Any] | None:
    """The segment of the form as the API's JSON; None when no rule was typed."""
    kinds = {column.name: column.kind for column in known}
    rules = [_rule(form, i, kinds) for i in _used(form, rows)]
    if not rules:
        return None
    return {
        "entity": "people",
        "index": index,
        "join": form["join"] or "all",
        "chain_id": chain,
        "rules": rules,
    }


def _used(form: Form, rows: int) -> list[int]:
    """The rows in which something was typed."""
    return [i for i in range(rows) if any(form[f"rule-{i}-{part}"].strip() for part in _SAID)]


_SAID = ("field", "first", "second")


def _rule(form: Form, row: int, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    field, first, second = (form[f"rule-{row}-{part}"] for part in _SAID)
    operator = form[f"rule-{row}-operator"] or Operator.IS
    kind = kinds.get(field, Kind.OTHER)
    by_date = operator in _DATES
    rule: dict[str, Any] = {
        "field_name": field,
        "field_type": "date" if by_date else _TYPES.get(kind, "keyword"),
        "operator": operator,
    }
    names = _OPERANDS.get(Operator(operator), ("value",)) if operator in list(Operator) else ()
    for name, text in zip(names, (first, second), strict=False):
        if name == "values":
            rule[name] = forms.words(text)
        elif name == "time_amount":
            amount = text.strip()
            rule[name] = int(amount) if re.fullmatch("[0-9]{1,9}", amount) else amount
        else:
            rule[name] = text if kind is Kind.TEXT and not by_date else text.strip()
    if second.strip() and len(names) < 2:
        rule["max"] = second  # refused, in the API's own words, where it has no meaning
    return rule


def reject(form: Form, rows: int, error: InvalidField | Rejected) -> None:
    """Put what is wrong with a segment beside the row that it is about."""
    used = _used(form, rows)
    match = None
    if isinstance(error, InvalidField):
        match = re.search(r"segment\.rules\[([0-9]+)\](?:\.(.*))?$", error.field)
    if match is None:
        form.reject(error)
        return
    message = f"{(match[2] or '').replace('_', ' ')} {error}".strip()
    form.faults.setdefault(f"rule-{used[int(match[1])]}", []).append(message)


def in_words(segment: Mapping[str, Any]) -> str:
    """A segment as a phrase: `country is NL, and created_date is within the last 1 day`."""
    said = []
    for rule in segment["rules"]:
        operator = Operator(rule["operator"])
        operands = [_as_typed(rule.get(n)) for n in _OPERANDS.get(operator, ("value",))]
        between = " and " if operator.startswith("is_between") else " "
        said.append(f"{rule['field_name']} {words_of(operator)} {between.join(operands)}".strip())
    return shown.line((", and " if segment["join"] == "all" else ", or ").join(said), 400)

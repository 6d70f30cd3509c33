"""40 segments over 7 types of column, against a filter in plain Python, in eight ways of keeping the rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.export.conftest import PLACES
from tests.export.shop import CHAIN, NOW, Row, mine
from timeball.export import sql
from timeball.export.databases import opened, reflect
from timeball.export.reading import batches
from timeball.export.run import Plan, run_export
from timeball.export.segments import parse_segment
from timeball.export.sources import Source

Keep = Callable[[Row], object]
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def rule(field: str, type_: str, operator: str, **more: Any) -> dict[str, Any]:
    return {"field_name": field, "field_type": type_, "operator": operator, **more}


def days(operator: str, **more: Any) -> dict[str, Any]:
    return rule("created_at", "date", operator, **more)


def born(operator: str, **more: Any) -> dict[str, Any]:
    return rule("born", "date", operator, **more)


def known(pick: Keep, test: Callable[[Any], object]) -> Keep:
    return lambda r: pick(r) is not None and test(pick(r))


def created(test: Callable[[datetime], object]) -> Keep:
    return known(lambda r: r.created_at, test)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def birth(test: Callable[[datetime], object]) -> Keep:
    return known(lambda r: r.born and midnight(r.born), test)


NL = rule("country", "keyword", "is", value="NL")
CASES: dict[str, tuple[str, list[dict[str, Any]], Keep]] = {
    "text is": ("all", [NL], lambda r: r.country == "NL"),
    "text is not": ("all", [rule("country", "keyword", "is_not", value="NL")], lambda r: r.country != "NL"),
    "text is empty": ("all", [rule("country", "keyword", "is", value="")], lambda r: r.country == ""),
    "text is a number": ("all", [rule("country", "keyword", "is", value=100)], lambda r: r.country == "100"),
    "text any of": (
        "all",
        [rule("country", "keyword", "is_any_of", values=["NL", "日本語", "O'Neil", "gone"])],
        lambda r: r.country in ("NL", "日本語", "O'Neil"),
    ),
    "text contains %": (
        "all",
        [rule("country", "text", "contains", value="0%")],
        known(lambda r: r.country, lambda c: "0%" in c),
    ),
    "text contains _": (
        "all",
        [rule("country", "text", "contains", value="a_b")],
        known(lambda r: r.country, lambda c: "a_b" in c),
    ),
    "text contains case": (
        "all",
        [rule("country", "text", "contains", value="wolf")],
        known(lambda r: r.country, lambda c: "wolf" in c),
    ),
    "text contains escape": (
        "all",
        [rule("country", "text", "contains", value="/sl")],
        known(lambda r: r.country, lambda c: "/sl" in c),
    ),
    "text contains backslash": (
        "all",
        [rule("country", "text", "contains", value="k\\s")],
        known(lambda r: r.country, lambda c: "k\\s" in c),
    ),
    "text contains accent": (
        "all",
        [rule("country", "text", "contains", value="ï")],
        known(lambda r: r.country, lambda c: "ï" in c),
    ),
    "text does not contain": (
        "all",
        [rule("country", "text", "does_not_contain", value="a")],
        lambda r: r.country is None or "a" not in r.country,
    ),
    "text is set": ("all", [rule("country", "keyword", "is_set")], lambda r: r.country is not None),
    "text is not set": ("all", [rule("country", "keyword", "is_not_set")], lambda r: r.country is None),
    "integer is": ("all", [rule("points", "number", "is", value=7)], lambda r: r.points == 7),
    "integer is text": ("all", [rule("points", "keyword", "is", value="7")], lambda r: r.points == 7),
    "integer is not": ("all", [rule("points", "integer", "is_not", value=7)], lambda r: r.points != 7),
    "integer any of": (
        "all",
        [rule("points", "long", "is_any_of", values=[1, 2, 3.0, -4])],
        lambda r: r.points in (1, 2, 3, -4),
    ),
    "integer between": (
        "all",
        [rule("points", "number", "is_between_number", min=3, max=9)],
        known(lambda r: r.points, lambda p: 3 <= p <= 9),
    ),
    "integer below a fraction": (
        "all",
        [rule("points", "number", "is_less_than", value=6.5)],
        known(lambda r: r.points, lambda p: p < 6.5),
    ),
    "decimal is": (
        "all",
        [rule("amount", "number", "is_any_of", values=["12.25", 0, 4.5, -1.25, 20])],
        lambda r: r.amount in (Decimal("12.25"), 0, Decimal("4.5"), Decimal("-1.25"), 20),
    ),
    "decimal between": (
        "all",
        [rule("amount", "number", "is_between_number", min="-1.5", max="19.99")],
        known(lambda r: r.amount, lambda a: Decimal("-1.5") <= a <= Decimal("19.99")),
    ),
    "decimal above": (
        "all",
        [rule("amount", "double", "is_greater_than", value=30.01)],
        known(lambda r: r.amount, lambda a: a > Decimal("30.01")),
    ),
    "float below": (
        "all",
        [rule("score", "float", "is_less_than", value=2.25)],
        known(lambda r: r.score, lambda s: s < 2.25),
    ),
    "float is": ("all", [rule("score", "double", "is", value=2.25)], lambda r: r.score == 2.25),
    "boolean is": ("all", [rule("active", "boolean", "is", value=True)], lambda r: r.active is True),
    "boolean is not": (
        "all",
        [rule("active", "boolean", "is_not", value=True)],
        lambda r: r.active is not True,
    ),
    "time on a day": (
        "all",
        [days("is_date", value="2026-05-25")],
        created(lambda c: at("2026-05-25T00:00Z") <= c < at("2026-05-26T00:00Z")),
    ),
    "time on a day elsewhere": (
        "all",
        [days("is_date", value="2026-05-25T23:00:00+05:30")],
        created(lambda c: at("2026-05-25T00:00+05:30") <= c < at("2026-05-26T00:00+05:30")),
    ),
    "time after an instant": (
        "all",
        [days("is_after_date", start_date="2026-05-26T12:00:00.250000Z")],
        created(lambda c: c > NOW),
    ),
    "time after a day": (
        "all",
        [days("is_after_date", start_date="2026-05-25")],
        created(lambda c: c >= at("2026-05-26T00:00Z")),
    ),
    "time before an instant": (
        "all",
        [days("is_before_date", end_date="2026-05-26T14:00:00.25+02:00")],
        created(lambda c: c < NOW),
    ),
    "time between": (
        "all",
        [days("is_between_date", start_date="2026-05-21", end_date="2026-05-25")],
        created(lambda c: at("2026-05-21T00:00Z") <= c < at("2026-05-26T00:00Z")),
    ),
    "time is an instant": (
        "all",
        [days("is", value="2026-05-26T12:00:00.25Z")],
        lambda r: r.created_at == NOW,
    ),
    "time is not an instant": (
        "all",
        [days("is_not", value="2026-05-26T12:00:00.25Z")],
        lambda r: r.created_at != NOW,
    ),
    "time in the last day": (
        "all",
        [days("relative_less_than", time_factor="day", time_amount=1)],
        created(lambda c: NOW - DAY < c <= NOW),
    ),
    "time longer ago": (
        "all",
        [days("relative_more_than", time_factor="hours", time_amount=3)],
        created(lambda c: c <= NOW - timedelta(hours=3)),
    ),
    "time in the next day": (
        "all",
        [days("relative_next", time_factor="day", time_amount=1)],
        created(lambda c: NOW < c <= NOW + DAY),
    ),
    "time in the last month": (
        "all",
        [days("relative_less_than", time_factor="month", time_amount=1)],
        created(lambda c: at("2026-04-26T12:00:00.25+00:00") < c <= NOW),
    ),
    "date on a day": ("all", [born("is_date", value="2026-05-21")], lambda r: r.born == date(2026, 5, 21)),
    "date after noon": (
        "all",
        [born("is_after_date", start_date="2026-05-21T12:00:00Z")],
        birth(lambda b: b > at("2026-05-21T12:00Z")),
    ),
    "date between": (
        "all",
        [born("is_between_date", start_date="2026-05-21", end_date="2026-05-24")],
        birth(lambda b: at("2026-05-21T00:00Z") <= b < at("2026-05-25T00:00Z")),
    ),
    "date in the last two days": (
        "all",
        [born("relative_less_than", time_factor="day", time_amount=2)],
        birth(lambda b: NOW - 2 * DAY < b <= NOW),
    ),
    "all of three": (
        "all",
        [
            rule("active", "boolean", "is", value=False),
            rule("points", "number", "is_greater_than", value=4),
            days("is_set"),
        ],
        lambda r: r.active is False and r.points is not None and r.points > 4 and r.created_at,
    ),
    "any of three": (
        "any",
        [NL, rule("points", "number", "is", value=3), born("is_not_set")],
        lambda r: r.country == "NL" or r.points == 3 or r.born is None,
    ),
    "any with a hole": (
        "any",
        [rule("country", "keyword", "is_not_set"), rule("country", "keyword", "is_set")],
        lambda r: True,
    ),
}  # fmt: skip


def segment(join: str, rules: list[dict[str, Any]]) -> str:
    return json.dumps(
        {"entity": "people", "index": "users", "join": join, "chain_id": CHAIN, "rules": rules}
    )


def test_there_are_at_least_forty_segments_over_seven_types() -> None:
    fields = {r["field_name"] for _, rules, _ in CASES.values() for r in rules}
    assert len(CASES) >= 40
    assert fields == {"country", "points", "amount", "score", "active", "created_at", "born"}


@pytest.mark.parametrize("where", PLACES)
def test_each_segment_gives_the_rows_that_python_picks(
    where: str, place: Callable[[str], Source]
) -> None:
    source = place(where)
    wrong = {}
    with opened(source) as connection:
        table, shown = reflect(source, connection)
        for name, (join, rules, keep) in CASES.items():
            parsed = parse_segment(json.loads(segment(join, rules)), source, shown)
            statement = sql.select(source, table, shown, parsed, NOW, connection.dialect.name)
            found = sorted(row[0] for batch in batches(connection, statement) for row in batch)
            expected = [r.id for r in mine() if keep(r)]
            if found != expected:
                wrong[name] = (len(found), len(expected), sorted(set(found) ^ set(expected))[:5])
    assert not wrong


@pytest.mark.parametrize("where", PLACES)
def test_the_file_holds_the_rows_that_python_picks(
    where: str, place: Callable[[str], Source], out: Path
) -> None:
    source = place(where)
    for i, name in enumerate(("text is not", "text contains backslash", "time before an instant")):
        join, rules, keep = CASES[name]
        result = run_export(Plan(str(i), 1, segment=segment(join, rules)), source, NOW, out)
        with result.path.open(newline="", encoding="utf-8") as file:
            found = sorted(int(row["id"]) for row in csv.DictReader(file))
        assert found == [r.id for r in mine() if keep(r)]
        assert result.rows == len(found)


def test_no_segment_of_the_list_is_trivial() -> None:
    everything = len(mine())
    for name, (_, _, keep) in CASES.items():
        if name != "any with a hole":
            assert 0 < sum(1 for r in mine() if keep(r)) < everything, name

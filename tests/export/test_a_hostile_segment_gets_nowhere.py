"""Nothing in a segment becomes SQL text, reaches another chain, or means all rows by mistake."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.export.conftest import PLACES
from tests.export.shop import CHAIN, NOW, STRANGER, TEXTS, mine
from timeball.errors import InvalidField
from timeball.export.columns import Column, Kind, Times
from timeball.export.run import Plan, run_export
from timeball.export.segments import parse_segment
from timeball.export.sources import Source

COLUMNS = (
    Column("country", Kind.TEXT, "TEXT"),
    Column("points", Kind.INTEGER, "INTEGER"),
    Column("amount", Kind.NUMBER, "NUMERIC"),
    Column("active", Kind.BOOLEAN, "BOOLEAN"),
    Column("created_at", Kind.TIME, "DATETIME", times=Times.ISO),
    Column("photo", Kind.BYTES, "BLOB"),
)
SOURCE = Source(chain=CHAIN, index="users", table="members", url="sqlite:////nowhere")
GOOD = {"field_name": "country", "field_type": "keyword", "operator": "is", "value": "NL"}
WHOLE = {"entity": "people", "index": "users", "join": "all", "chain_id": CHAIN, "rules": [GOOD]}


def parse(data: object) -> object:
    return parse_segment(data, SOURCE, COLUMNS)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"entity": "orders"}, "entity"),
        ({"index": "vouchers"}, "index"),
        ({"index": None}, "index"),
        ({"join": "ALL"}, "join"),
        ({"join": "any) OR (1=1"}, "join"),
        ({"join": ["any"]}, "join"),
        ({"chain_id": STRANGER}, "chain_id"),
        ({"chain_id": str(CHAIN)}, "chain_id"),
        ({"chain_id": float(CHAIN)}, "chain_id"),
        ({"chain_id": True}, "chain_id"),
        ({"chain_id": [CHAIN, STRANGER]}, "chain_id"),
        ({"rules": []}, "rules"),
        ({"rules": None}, "rules"),
        ({"rules": {"0": GOOD}}, "rules"),
        ({"rules": [GOOD] * 101}, "rules"),
        ({"rulez": [GOOD]}, "rulez"),
        ({"rules": [GOOD, "1=1"]}, "rules[1]"),
    ],
)
def test_a_segment_that_is_not_as_documented_is_refused(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse(WHOLE | change)
    assert caught.value.field == f"trigger.segment.{path}"


@pytest.mark.parametrize("data", [None, [], "all", 1, [WHOLE]])
def test_a_segment_is_an_object(data: object) -> None:
    with pytest.raises(InvalidField) as caught:
        parse(data)
    assert caught.value.field == "trigger.segment"


POINTS = {"field_name": "points", "field_type": "number"}
TIME = {"field_name": "created_at", "field_type": "date"}
HOSTILE_RULES: list[tuple[dict[str, Any], str]] = [
    ({"field_name": "chain_id"}, "field_name"),
    ({"field_name": "country; DROP TABLE members"}, "field_name"),
    ({"field_name": 'country" OR 1=1 --'}, "field_name"),
    ({"field_name": "Country"}, "field_name"),
    ({"field_name": "country "}, "field_name"),
    ({"field_name": "members.country"}, "field_name"),
    ({"field_name": "соuntry"}, "field_name"),
    ({"field_name": ""}, "field_name"),
    ({"field_name": None}, "field_name"),
    ({"field_name": ["country"]}, "field_name"),
    ({"field_name": {"country": 1}}, "field_name"),
    ({"field_type": None}, "field_type"),
    ({"field_type": "sql"}, "field_type"),
    ({"field_type": ["keyword"]}, "field_type"),
    ({"field_type": "number"}, "field_type"),
    ({"operator": "= 1 OR"}, "operator"),
    ({"operator": "IS"}, "operator"),
    ({"operator": ["is"]}, "operator"),
    ({"operator": {}}, "operator"),
    ({"operator": None}, "operator"),
    ({"operator": "is_between_number", "value": None, "min": 1, "max": 2}, "operator"),
    ({"operator": "is_date"}, "operator"),
    ({"value": None}, "value"),
    ({"value": ["NL"]}, "value"),
    ({"value": {"$ne": ""}}, "value"),
    ({"value": True}, "value"),
    ({"value": "a\0b"}, "value"),
    ({"value": "\ud800"}, "value"),
    ({"value": "x" * 4097}, "value"),
    ({"operator": "contains", "value": ""}, "value"),
    ({"operator": "contains", "value": ["%"]}, "value"),
    ({"min": 1}, "min"),
    ({"sql": "1=1"}, "sql"),
    ({"nested": True}, "nested"),
    ({"nesting_path": "orders"}, "nested"),
    ({"operator": "is_any_of", "value": None, "values": []}, "values"),
    ({"operator": "is_any_of", "value": None, "values": "NL"}, "values"),
    ({"operator": "is_any_of", "value": None, "values": ["NL"] * 1001}, "values"),
    ({"operator": "is_any_of", "value": None, "values": ["NL", None]}, "values[1]"),
    (POINTS | {"value": "abc"}, "value"),
    (POINTS | {"value": "1 OR 1=1"}, "value"),
    (POINTS | {"value": "١٢"}, "value"),
    (POINTS | {"value": "1_000"}, "value"),
    (POINTS | {"value": float("nan")}, "value"),
    (POINTS | {"value": float("inf")}, "value"),
    (POINTS | {"value": 10**400}, "value"),
    (POINTS | {"value": 2**63}, "value"),
    (POINTS | {"value": 1.5}, "value"),
    (POINTS | {"value": "1e999"}, "value"),
    (POINTS | {"operator": "contains", "value": "1"}, "operator"),
    (POINTS | {"operator": "is_between_number", "value": None, "min": 1}, "max"),
    (POINTS | {"operator": "is_between_number", "value": None, "min": 2, "max": 1}, "max"),
    (POINTS | {"field_type": "date", "operator": "is_date", "value": "2026-05-26"}, "operator"),
    ({"field_name": "active", "field_type": "boolean", "value": "yes"}, "value"),
    ({"field_name": "active", "field_type": "boolean", "value": 2}, "value"),
    ({"field_name": "photo", "value": "ff"}, "value"),
    (TIME | {"operator": "is_date", "value": "yesterday"}, "value"),
    (TIME | {"operator": "is_date", "value": "2026-02-30"}, "value"),
    (TIME | {"operator": "is_date", "value": "2026-05-26' OR '1'='1"}, "value"),
    (TIME | {"operator": "is_date", "value": "0001-01-01T00:00:00Z"}, "value"),
    (TIME | {"operator": "is_date", "value": 20260526}, "value"),
    (TIME | {"operator": "is_after_date", "value": None, "start_date": "9999-12-31"}, "start_date"),
    (TIME | {"operator": "is_before_date", "value": None}, "end_date"),
    (
        TIME | {"operator": "is_between_date", "value": None}
        | {"start_date": "2026-05-26", "end_date": "2026-05-25"},
        "end_date",
    ),
    (TIME | {"operator": "contains", "value": "2026"}, "operator"),
]  # fmt: skip
for factor, amount, wrong in [
    ("fortnight", 1, "time_factor"),
    ("days; --", 1, "time_factor"),
    (["day"], 1, "time_factor"),
    ("day", 0, "time_amount"),
    ("day", -1, "time_amount"),
    ("day", 1.5, "time_amount"),
    ("day", "1", "time_amount"),
    ("day", True, "time_amount"),
    ("year", 10**9, "time_amount"),
]:
    more = {"value": None, "time_factor": factor, "time_amount": amount}
    HOSTILE_RULES.append((TIME | {"operator": "relative_less_than"} | more, wrong))


@pytest.mark.parametrize(("change", "path"), HOSTILE_RULES)
def test_a_wrong_rule_is_named_by_its_index(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse(WHOLE | {"rules": [GOOD, GOOD, GOOD | change]})
    assert caught.value.field == f"trigger.segment.rules[2].{path}"
    assert "DROP" not in caught.value.message


@pytest.mark.parametrize("where", PLACES)
def test_no_value_reaches_out_of_its_place(
    where: str, place: Callable[[str], Source], out: Path
) -> None:
    """Each hostile text finds exactly the rows that hold it; none is SQL, a wildcard or a placeholder."""
    texts = [t for t in TEXTS if t] + [
        "' OR '1'='1",
        "\\' OR 1=1 -- ",
        "x') OR (1=1",
        "%",
        "_",
        "E'\\\\",
    ]
    rules = [{**GOOD, "operator": "contains", "value": text} for text in texts]
    for i, some in enumerate((rules, rules[-6:])):
        segment = json.dumps(WHOLE | {"join": "any", "rules": some})
        result = run_export(Plan(str(i), 1, segment=segment), place(where), NOW, out)
        held = [rule["value"] for rule in some]
        expected = [r.id for r in mine() if r.country and any(v in r.country for v in held)]
        assert ids(result.path) == expected


@pytest.mark.parametrize("where", PLACES)
def test_no_or_leaks_another_chains_rows_or_deleted_ones(
    where: str, place: Callable[[str], Source], out: Path
) -> None:
    everything = [GOOD | {"operator": o, "value": None} for o in ("is_set", "is_not_set")]
    others = GOOD | {"field_name": "chain_id", "field_type": "number", "value": STRANGER}
    segment = json.dumps(WHOLE | {"join": "any", "rules": [*everything, others]})
    result = run_export(Plan("1", 1, segment=segment), place(where), NOW, out)
    assert ids(result.path) == [r.id for r in mine()]


NAMES = (
    'we"ird',
    "per%cent",
    "%s",
    "%(x)",
    "semi;colon",
    "sp ace",
    "日本",
    "a.b",
    "select",
    "q?m:n",
    "'; --",
)


@pytest.mark.parametrize("where", ["sqlite", "postgres", "mariadb"])
def test_hostile_column_names_are_only_names(
    where: str, request: pytest.FixtureRequest, tmp_path: Path, out: Path
) -> None:
    url = (
        f"sqlite:///{tmp_path}/odd.db" if where == "sqlite" else request.getfixturevalue(where).url
    )
    engine = sa.create_engine(url)
    table = sa.Table("odd;'\"%s", sa.MetaData(), *(sa.Column(n, sa.String(9)) for n in NAMES))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO {quoted(engine, table)} VALUES ({cells(0)})"))
        connection.execute(sa.text(f"INSERT INTO {quoted(engine, table)} VALUES ({cells(1)})"))
    engine.dispose()
    source = Source(chain=CHAIN, index="users", table=table.name, url=url, order_by=("-sp ace",))
    rules = [GOOD | {"field_name": name, "value": f"v{i}0"} for i, name in enumerate(NAMES)]
    plan = Plan("1", 1, segment=json.dumps(WHOLE | {"rules": rules}))
    with run_export(plan, source, NOW, out).path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [list(NAMES), [f"v{i}0" for i in range(len(NAMES))]]


def quoted(engine: sa.Engine, table: sa.Table) -> str:
    return engine.dialect.identifier_preparer.format_table(table).replace("%%", "%")


def cells(row: int) -> str:
    return ", ".join(f"'v{i}{row}'" for i in range(len(NAMES)))


def test_a_hidden_column_is_neither_exported_nor_searched(sqlite: Source, out: Path) -> None:
    from dataclasses import replace

    for source in (
        replace(sqlite, denied=("country",)),
        replace(sqlite, allowed=("id", "points")),
    ):
        header = run_export(Plan("1", 1), source, NOW, out).path.read_text().splitlines()[0]
        assert "country" not in header
        with pytest.raises(InvalidField) as caught:
            run_export(Plan("2", 1, segment=json.dumps(WHOLE)), source, NOW, out)
        assert caught.value.field == "trigger.segment.rules[0].field_name"


def ids(path: Path) -> list[int]:
    with path.open(newline="", encoding="utf-8") as file:
        return sorted(int(row["id"]) for row in csv.DictReader(file))

"""CSV and JSON hold every value, in one form whatever the database."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from math import isfinite
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export import servers
from tests.export.conftest import PLACES
from tests.export.shop import NOW, Row, mine
from timeball.export.columns import Column, Kind, Times
from timeball.export.formats import CsvWriter, Format, JsonWriter, Sink, defused, rfc3339
from timeball.export.run import ExportResult, Plan, run_export
from timeball.export.sources import Source

SHOWN = ("id", "country", "points", "amount", "score", "active", "created_at", "born")


def export(source: Source, out: Path, **changes: object) -> ExportResult:
    plan = replace(Plan("1", 1), **changes)
    return run_export(plan, replace(source, allowed=SHOWN, order_by=("id",)), NOW, out)


def known_times(where: str) -> bool:
    """Whether the column is declared as a time, so that its values are written as one."""
    return where not in ("postgresql-lettered", "mariadb-lettered", "sqlite-epoch_ms")


def cells(row: Row, found: dict[str, object]) -> dict[str, object]:
    """The row as it must be found; numbers that only differ in trailing zeros are the same."""
    expected = {name: getattr(row, name) for name in SHOWN}
    expected["created_at"] = row.created_at and rfc3339(row.created_at)
    expected["born"] = row.born and row.born.isoformat()
    for name in ("amount", "score", "points", "id"):
        if found[name] not in (None, ""):
            found[name] = Decimal(str(found[name]))
    return expected


@pytest.mark.parametrize("where", PLACES)
def test_csv_holds_every_value(where: str, place: Callable[[str], Source], out: Path) -> None:
    data = export(place(where), out).path.read_bytes().decode("utf-8")
    assert data.endswith("\r\n")
    assert not data.startswith("\ufeff")
    found = list(csv.DictReader(io.StringIO(data, newline="")))
    assert [int(f["id"]) for f in found] == [r.id for r in mine()]
    for row, line in zip(mine(), found, strict=True):
        expected = cells(row, line)
        expected["active"] = {None: "", True: "true", False: "false"}[row.active]
        if where.startswith("mariadb"):
            line["active"] = {"": "", "1": "true", "0": "false"}[line["active"]]
        for name in SHOWN:
            if name != "created_at" or known_times(where):
                assert line[name] == ("" if expected[name] is None else expected[name]), row.id


@pytest.mark.parametrize("where", PLACES)
def test_json_holds_every_value(where: str, place: Callable[[str], Source], out: Path) -> None:
    data = export(place(where), out, format=Format.JSON).path.read_bytes()
    found = json.loads(data, parse_float=Decimal)
    assert [f["id"] for f in found] == [r.id for r in mine()]
    assert data.count(b"\n") == len(found) + 2
    for row, line in zip(mine(), found, strict=True):
        expected = cells(row, line)
        for name in SHOWN:
            if name != "created_at" or known_times(where):
                assert line[name] == expected[name], row.id


@pytest.mark.parametrize("where", ["sqlite-spaced", "postgresql-native", "mariadb-native"])
@pytest.mark.parametrize("kind", list(Format))
def test_an_export_of_nothing_is_whole(
    where: str, kind: Format, place: Callable[[str], Source], out: Path
) -> None:
    result = export(replace(place(where), chain=99), out, format=kind)
    assert result.rows == 0
    text = result.path.read_bytes().decode()
    assert json.loads(text) == [] if kind is Format.JSON else text == ",".join(SHOWN) + "\r\n"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("where", ["sqlite-spaced", "postgresql-native"])
def test_what_is_told_of_the_file_is_true(
    where: str, packed: bool, place: Callable[[str], Source], out: Path
) -> None:
    result = export(place(where), out, gzip=packed)
    data = result.path.read_bytes()
    assert result.size_bytes == len(data)
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert result.rows == len(mine())
    assert result.key == "1764/1/1/User_Export-1.csv" + (".gz" if packed else "")
    assert result.path == out / result.key
    plain = gzip.decompress(data) if packed else data
    assert len(list(csv.reader(io.StringIO(plain.decode(), newline="")))) == result.rows + 1


@pytest.mark.parametrize("where", ["sqlite-spaced", "postgresql-native", "mariadb-native"])
def test_formulas_are_left_alone_unless_asked(
    where: str, place: Callable[[str], Source], out: Path
) -> None:
    assert b",=SUM(A1)," in export(place(where), out).path.read_bytes()
    safe = export(place(where), out, csv_safe=True).path.read_bytes()
    assert b",'=SUM(A1)," in safe
    assert b",=SUM(A1)," not in safe
    assert re.search(rb",-\d", safe)  # numbers stay numbers


def test_copy_and_cursor_agree_on_every_type_of_postgresql(
    postgres: servers.Server, out: Path
) -> None:
    engine = sa.create_engine(postgres.url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TYPE mood AS ENUM ('glad', 'so so')"))
        connection.exec_driver_sql("""
            CREATE TABLE zoo (id int, naive timestamp, zoned timestamptz, day date, clock time, gap interval,
                raw bytea, doc json, docb jsonb, list text[], who uuid, feel mood, big numeric, tiny float4,
                wide float8, yes boolean, note text, fixed char(5), addr inet)""")
        connection.exec_driver_sql(r"""
            INSERT INTO zoo VALUES
            (1, '2026-05-26 12:00:00.5', '2026-05-26 12:00:00.123456+02', '2026-05-26', '12:30', '1 day 2 hours',
             '\xdeadbeef', '{"a": [1,
             2.5000000000000000001]}', '{"b": null}', '{a,"b,c",NULL}',
             '7b1cf5a6-68c6-4b1e-a7f8-5b4c0f1f7f10', 'so so', 12345678901234567890.123456789, 0.1,
             1e100, true, 'x', 'ab', '10.0.0.1'),
            (2, 'infinity', '-infinity', 'infinity', '00:00', '0', '', 'null', '1', '{}', NULL, NULL, 'NaN', 'NaN',
             'Infinity', false, '', '', '::1'),
            (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
             NULL, NULL)""")
    engine.dispose()
    source = Source(chain=1, index="zoo", table="zoo", url=postgres.url, order_by=("id",))
    copied = run_export(Plan("1", 1), source, NOW, out).path.read_text()
    cursor = run_export(Plan("2", 1, csv_safe=True), source, NOW, out).path.read_text()

    def read(text: str) -> list[list[str]]:
        rows = list(csv.reader(io.StringIO(text, newline="")))
        return [[c.removeprefix("'").lower().replace("infinity", "inf") for c in r] for r in rows]

    assert read(copied) == read(cursor)
    first = next(csv.DictReader(io.StringIO(copied, newline="")))
    assert first["naive"] == "2026-05-26T12:00:00.5Z"
    assert first["zoned"] == "2026-05-26T10:00:00.123456Z"
    assert first["raw"] == "deadbeef"
    assert first["list"] == '{a,"b,c",NULL}'
    found = orjson.loads(run_export(Plan("3", 1, Format.JSON), source, NOW, out).path.read_bytes())
    assert found[0]["doc"] == {"a": [1, 2.5]}
    assert found[0]["docb"] == {"b": None}
    assert found[0]["yes"] is True
    assert found[1]["big"] is None
    assert found[1]["naive"] == "infinity"
    assert set(found[2].values()) == {3, None}
    assert b"12345678901234567890.123456789" in (out / "1/3/1/Zoo_Export-3.json").read_bytes()


def test_a_lone_column_of_nulls_keeps_its_rows(postgres: servers.Server, out: Path) -> None:
    engine = sa.create_engine(postgres.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE lone (note text)")
        connection.exec_driver_sql("INSERT INTO lone VALUES (NULL), (''), ('x')")
    engine.dispose()
    source = Source(chain=1, index="lone", table="lone", url=postgres.url)
    data = run_export(Plan("1", 1), source, NOW, out).path.read_text()
    assert list(csv.reader(io.StringIO(data, newline=""))) == [["note"], [""], [""], ["x"]]


def test_writers_take_what_drivers_give() -> None:
    columns = [
        Column(k, Kind(k), k) for k in ("number", "bytes", "json", "other", "uuid", "boolean")
    ]
    row = (Decimal("1E+3"), b"\xff\x00", {"a": 1}, timedelta(hours=1), uuid.UUID(int=7), 1)
    file = io.BytesIO()
    for writer in (CsvWriter(Sink(file), columns), JsonWriter(Sink(file), columns)):
        writer.begin()
        writer.rows([row, (None,) * 6])
        writer.end()
        assert writer.count == 2
    plain, _, rest = file.getvalue().partition(b"[")
    assert (
        b'\r\n1000,ff00,"{""a"":1}",1:00:00,00000000-0000-0000-0000-000000000007,true\r\n' in plain
    )
    assert plain.endswith(b",,,,,\r\n")
    assert orjson.loads(b"[" + rest)[0] == {
        "number": 1000,
        "bytes": "ff00",
        "json": {"a": 1},
        "other": "1:00:00",
        "uuid": "00000000-0000-0000-0000-000000000007",
        "boolean": True,
    }


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 5, 26, 12, tzinfo=UTC), "2026-05-26T12:00:00Z"),
        (datetime(2026, 5, 26, 12), "2026-05-26T12:00:00Z"),  # noqa: DTZ001 - as a database gives it
        (datetime(2026, 5, 26, 12, 0, 0, 120_000, tzinfo=UTC), "2026-05-26T12:00:00.12Z"),
        (datetime(2026, 5, 26, 12, tzinfo=timezone(timedelta(hours=2))), "2026-05-26T10:00:00Z"),
    ],
)
def test_an_instant_is_rfc_3339_in_utc(at: datetime, text: str) -> None:
    assert rfc3339(at) == text


def test_words_in_a_column_of_numbers_are_words(tmp_path: Path, out: Path) -> None:
    """SQLite keeps in a column of numbers whatever it is given."""
    path = tmp_path / "loose.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE loose (id INTEGER PRIMARY KEY, amount NUMERIC)")
        database.execute("INSERT INTO loose VALUES (1, 2.5), (2, 'a1'), (3, NULL), (4, '1e')")
        database.commit()
    source = Source(chain=1, index="users", table="loose", url=f"sqlite:///{path}")
    plan = Plan("1", 1, Format.JSON)
    rows = json.loads(run_export(plan, source, NOW, out).path.read_bytes())
    assert [row["amount"] for row in rows] == [2.5, "a1", None, "1e"]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_text_that_may_be_a_formula_stays_one(begin: str) -> None:
    text = f"{begin}cmd|' /C calc'!A0"
    assert defused(text) == "'" + text
    assert defused("plain " + text) == "plain " + text


TEXTS = st.text(st.sampled_from('a,"\n\r \t\u2028é') | st.characters(codec="utf-8"), max_size=6)
CELLS = st.one_of(
    st.none(), st.integers(), st.floats(), st.integers(-(2**70), 2**70), TEXTS, st.just("")
)
ALIKE = st.sampled_from([st.integers(0, 9), st.floats(), TEXTS, st.none() | st.integers(), CELLS])
"""What the values of one column are: of one type, as most are, or of any."""


@given(st.data())
@settings(max_examples=300)
def test_csv_is_what_the_csv_module_would_write(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 4))
    values = st.tuples(*(data.draw(ALIKE) for _ in range(width)))
    batches = data.draw(st.lists(st.lists(values, max_size=5), max_size=3))
    file, expected = io.BytesIO(), io.StringIO(newline="")
    writer = CsvWriter(Sink(file), [Column(f"c{i}", Kind.OTHER, "") for i in range(width)])
    writer.begin()
    for batch in batches:
        writer.rows(batch)
    rows = [row for batch in batches for row in batch]
    assert writer.count == len(rows)
    # but for the form of a float's exponent, which is that of JSON
    known = [[_json(v) if type(v) is float and isfinite(v) else v for v in row] for row in rows]
    csv.writer(expected, lineterminator="\r\n").writerows([[f"c{i}" for i in range(width)], *known])
    assert file.getvalue().decode() == expected.getvalue()


def _json(value: float) -> str:
    text = orjson.dumps(value).decode()
    assert float(text) == value
    return text


ODD_TIMES = st.lists(st.tuples(st.integers(0, 18), st.sampled_from(" -T\n:9x")), max_size=2).map(
    lambda odd: _changed("2026-05-26 12:00:00", odd)
)


def _changed(text: str, odd: list[tuple[int, str]]) -> str:
    for place, character in odd:
        text = text[:place] + character + text[place + 1 :]
    return text


@given(st.lists(ODD_TIMES | st.just("2026-05-26 12:00"), min_size=1, max_size=4))
@settings(max_examples=500)
def test_times_all_in_one_move_are_as_one_by_one(texts: list[str]) -> None:
    """A null among them makes each be looked at by itself."""
    column = Column("at", Kind.TIME, "DATETIME", times=Times.ISO)
    together, apart = (io.BytesIO(), io.BytesIO())
    for file, rows in ((together, texts), (apart, [*texts, None])):
        JsonWriter(Sink(file), [column]).rows([(text,) for text in rows])
    assert together.getvalue() == apart.getvalue().removesuffix(b',\n{"at":null}')

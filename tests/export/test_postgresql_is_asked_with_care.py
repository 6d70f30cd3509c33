"""What PostgreSQL is sent is quoted as it reads it, and what it says of values goes no further."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.export import servers
from tests.export.shop import NOW
from timeball.export.failures import ExportFailed
from timeball.export.run import Plan, run_export
from timeball.export.sources import Source

PLAN = Plan("7", 1)


def test_a_value_that_cannot_be_read_is_not_quoted(postgres: servers.Server, out: Path) -> None:
    engine = sa.create_engine(postgres.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE basis (id int, note text)")
        connection.exec_driver_sql("INSERT INTO basis VALUES (1, 'hush-hush')")
        connection.exec_driver_sql("CREATE VIEW wrong AS SELECT id, note::int AS note FROM basis")
    engine.dispose()
    source = Source(chain=1, index="users", table="wrong", url=postgres.url)
    with pytest.raises(ExportFailed, match="cannot be read as its column's type") as caught:
        run_export(PLAN, source, NOW, out)
    assert caught.value.code == "22P02"
    assert "hush" not in repr(caught.value)


@pytest.mark.parametrize("strings", ["on", "off"])
def test_copy_quotes_its_values_as_the_connection_needs(
    postgres: servers.Server, out: Path, strings: str
) -> None:
    """A server that still reads backslashes in plain literals is where careless quoting breaks."""
    role = f"strings_{strings}"
    hostile = ["\\' OR TRUE --", "'; DROP TABLE spies; --", "%(a)s %s %%", "$1 \\", "𝕏é"]
    engine = sa.create_engine(postgres.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN")
        connection.exec_driver_sql(f"ALTER ROLE {role} SET standard_conforming_strings = {strings}")
        connection.exec_driver_sql(f"CREATE TABLE spies_{strings} (id int, note text)")
        connection.exec_driver_sql(f"GRANT SELECT ON spies_{strings} TO {role}")
        connection.execute(
            sa.text(f"INSERT INTO spies_{strings} VALUES (:id, :note)"),
            [{"id": i, "note": note} for i, note in enumerate(hostile)],
        )
    engine.dispose()
    url = postgres.url.replace("postgres@", f"{role}@")
    source = Source(chain=1, index="users", table=f"spies_{strings}", url=url)
    for i, note in enumerate(hostile):
        rules = [{"field_name": "note", "field_type": "keyword", "operator": "is", "value": note}]
        segment = json.dumps({"index": "users", "join": "any", "chain_id": 1, "rules": rules})
        result = run_export(Plan(str(i), 1, segment=segment), source, NOW, out)
        with result.path.open(newline="", encoding="utf-8") as file:
            assert list(csv.reader(file)) == [["id", "note"], [str(i), note]]

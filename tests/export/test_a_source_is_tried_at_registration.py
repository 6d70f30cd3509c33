"""A source is checked in words, opened read-only, and never tells its password."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.export import servers
from tests.export.conftest import PLACES
from timeball.errors import InvalidField
from timeball.export.columns import Kind, Times
from timeball.export.databases import columns, opened, probe
from timeball.export.failures import ExportFailed, ExportUnavailable
from timeball.export.sources import Source, from_json, resolve, to_json

SECRET = "pa55-w0rd"
GOOD: dict[str, Any] = {
    "chain": 1764,
    "index": "wallet-ledger",
    "table": "ledger",
    "url": f"postgresql://me:{SECRET}@127.0.0.1:1/shop",
}


def test_a_source_survives_json() -> None:
    source = from_json(
        GOOD
        | {"times": "epoch_ms", "order_by": ["-id"], "denied": ["password"], "prefix": "Wallet"}
    )
    assert from_json(json.loads(json.dumps(to_json(source)))) == source
    assert source.times is Times.EPOCH_MS


def test_a_file_is_named_after_the_index_unless_told() -> None:
    assert from_json(GOOD).file_prefix == "WalletLedger"
    assert from_json(GOOD | {"prefix": "Wallet"}).file_prefix == "Wallet"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"chain": "1764"}, "chain"),
        ({"chain": True}, "chain"),
        ({"index": "Users!"}, "index"),
        ({"index": "../x"}, "index"),
        ({"table": ""}, "table"),
        ({"url": None}, "url"),
        ({"url_env": "SHOP_URL"}, "url"),
        ({"url": None, "url_env": "TIMEBALL_SECRET"}, "url_env"),
        ({"url": None, "url_env": "A B"}, "url_env"),
        ({"times": "unix"}, "times"),
        ({"prefix": "../../etc/cron.d/x"}, "prefix"),
        ({"order_by": "id"}, "order_by"),
        ({"chain_colum": "chain_id"}, "chain_colum"),
    ],
)
def test_what_is_not_as_it_must_be_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        from_json(GOOD | change)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "url",
    [
        f"not a url {SECRET}",
        f"oracle://me:{SECRET}@host/db",
        f"mysql://me:{SECRET}@host/db?local_infile=1",
        f"mysql://me:{SECRET}@host/db?init_command=DROP",
        f"postgresql://me:{SECRET}@host/db?options=-c%20x",
        f"postgresql://me:{SECRET}@host:port/db",
        f"sqlite:///relative-{SECRET}.db",
        "sqlite://",
        f"sqlite:////{SECRET}.db?mode=rwc",
    ],
)
def test_a_url_that_cannot_be_opened_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(InvalidField) as caught:
        resolve(from_json(GOOD | {"url": url}))
    assert caught.value.field == "url"
    assert SECRET not in str(caught.value)


def test_a_url_may_come_from_the_environment() -> None:
    source = from_json(GOOD | {"url": None, "url_env": "SHOP_URL"})
    assert resolve(source, {"SHOP_URL": "mysql://a@b/c"}).drivername == "mysql+pymysql"
    with pytest.raises(InvalidField, match="SHOP_URL, which is not set"):
        resolve(source, {})


def test_the_password_is_in_no_repr_and_no_message() -> None:
    source = from_json(GOOD)
    assert SECRET not in repr(source)
    with pytest.raises(InvalidField) as caught:
        probe(source)
    assert caught.value.field == "url"
    assert "does not answer" in caught.value.message
    assert SECRET not in repr(caught.value) + str(caught.value.__cause__)


@pytest.mark.parametrize("where", PLACES)
def test_the_columns_are_told(where: str, place: Callable[[str], Source]) -> None:
    kinds = {c.name: c.kind for c in probe(place(where))}
    assert kinds["id"] is Kind.INTEGER
    assert kinds["country"] is Kind.TEXT
    assert kinds["amount"] is Kind.NUMBER
    assert kinds["score"] is Kind.NUMBER
    assert kinds["born"] is Kind.DATE
    assert kinds["active"] in (Kind.BOOLEAN, Kind.INTEGER)  # MariaDB has no booleans
    if where not in ("postgresql-lettered", "mariadb-lettered", "sqlite-epoch_ms"):  # declared so
        assert kinds["created_at"] is Kind.TIME
    assert columns(place(where)) == probe(place(where))


@pytest.mark.parametrize("where", ["sqlite-spaced", "postgresql-native", "mariadb-native"])
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"table": "nowhere"}, "table"),
        ({"table": "members; DROP TABLE members"}, "table"),
        ({"chain_column": "chain"}, "chain_column"),
        ({"chain_column": "born"}, "chain_column"),
        ({"deleted_column": "deleted"}, "deleted_column"),
        ({"order_by": ("-nothing",)}, "order_by"),
        ({"allowed": ("id", "secret")}, "allowed"),
        ({"denied": ("secret",)}, "denied"),
    ],
)
def test_a_probe_names_the_field_at_fault(
    where: str, change: dict[str, Any], field: str, place: Callable[[str], Source]
) -> None:
    with pytest.raises(InvalidField) as caught:
        probe(replace(place(where), **change))
    assert caught.value.field == field


@pytest.mark.parametrize("stored", ["spaced", "epoch_s"])
@pytest.mark.parametrize("told", list(Times))
def test_a_probe_looks_at_how_sqlite_keeps_times(
    stored: str, told: Times, place: Callable[[str], Source]
) -> None:
    source = replace(place(f"sqlite-{stored}"), times=told)
    if stored == told or (stored == "spaced" and told in (Times.NATIVE, Times.ISO)):
        probe(source)
        return
    with pytest.raises(InvalidField) as caught:
        probe(source)
    assert caught.value.field == "times"
    assert "2026" not in caught.value.message


@pytest.mark.parametrize("where", ["sqlite-spaced", "postgresql-native", "mariadb-native"])
def test_a_source_is_read_only(where: str, place: Callable[[str], Source]) -> None:
    source = place(where)
    with (
        opened(source) as connection,
        pytest.raises(sa.exc.DBAPIError, match=r"read-?only|READ ONLY"),
    ):
        connection.execute(sa.text(f"DELETE FROM {source.table}"))


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "no.db"
    source = Source(chain=1, index="users", table="t", url=f"sqlite:///{path}")
    with pytest.raises(InvalidField, match="cannot be opened"):
        probe(source)
    assert not path.exists()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "no.db"
    path.write_bytes(b"anything else, long enough to be no header" * 30)
    with pytest.raises(ExportFailed, match="no SQLite database"):
        columns(Source(chain=1, index="users", table="t", url=f"sqlite:///{path}"))


def test_a_locked_file_is_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "busy.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (id INTEGER)")
    plain = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: plain(*a, **k | {"timeout": 0.05}))
    other = plain(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ExportUnavailable, match="busy"):
        columns(Source(chain=1, index="users", table="t", url=f"sqlite:///{path}"))
    other.close()


def test_a_user_without_rights_is_told(postgres: servers.Server) -> None:
    engine = sa.create_engine(postgres.url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE hidden (id int, note text)"))
        connection.execute(sa.text("CREATE ROLE nobody LOGIN"))
    engine.dispose()
    url = postgres.url.replace("postgres@", f"nobody:{SECRET}@")
    source = Source(chain=1, index="users", table="hidden", url=url)
    with pytest.raises(InvalidField) as caught:
        probe(source)
    assert "may not read" in caught.value.message
    assert SECRET not in caught.value.message


def test_a_wrong_password_is_told(mariadb: servers.Server) -> None:
    url = mariadb.url.replace("root@", f"stranger:{SECRET}@")
    with pytest.raises(InvalidField) as caught:
        probe(Source(chain=1, index="users", table="t", url=url))
    assert "refused the user name or password" in caught.value.message
    assert SECRET not in caught.value.message

"""A source's database: opened read-only, reflected, and tried at registration.

SQLite is opened with `mode=ro`, PostgreSQL with `default_transaction_read_only`, MySQL and MariaDB with
`SET SESSION TRANSACTION READ ONLY`; each statement has a time limit, and the session's zone is UTC.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool
from sqlalchemy.types import NullType

from timeball.egress import PUBLIC_ONLY, Policy
from timeball.errors import InvalidField
from timeball.export.columns import Column, Kind, Times, kind_of, stored_as
from timeball.export.failures import ExportError, ExportFailed, of_database
from timeball.export.reach import PORTS, confine, connect_anywhere
from timeball.export.sources import Source, family, resolve

PROBE_TIMEOUT = timedelta(seconds=15)
STATEMENT_TIMEOUT = timedelta(hours=2)


@contextmanager
def opened(
    source: Source, timeout: timedelta = STATEMENT_TIMEOUT, policy: Policy = PUBLIC_ONLY
) -> Iterator[sa.Connection]:
    """A read-only connection of its own, with UTC as the session's zone; closed at the end.

    `timeout` bounds one statement; `policy` says where a confined source may lead. Raises InvalidField for the
    URL, ExportError when it does not open.
    """
    url = resolve(source)
    try:
        engine = _engine(url, timeout)
        if source.confined and (kind := family(url)) in PORTS:
            confine(engine, url, kind, policy)
        elif family(url) == "mysql":
            connect_anywhere(engine)
    except Exception as error:
        raise of_database(error) from None
    try:
        try:
            connection = engine.connect()
        except Exception as error:
            raise of_database(error) from None
        try:
            yield connection
        finally:
            with suppress(Exception):  # of a lost connection even the farewell fails
                connection.close()
    finally:
        engine.dispose()


def _engine(url: URL, timeout: timedelta) -> sa.Engine:
    kind = family(url)
    if kind == "sqlite":
        path = f"file:{quote(url.database or '')}?mode=ro"

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(path, uri=True, timeout=10, check_same_thread=False)
            connection.executescript("PRAGMA query_only=ON; PRAGMA case_sensitive_like=ON;")
            return connection

        return sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)
    ms = int(timeout.total_seconds() * 1000)
    if kind == "postgresql":
        arguments: dict[str, object] = {
            "connect_timeout": 10,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "client_encoding": "utf8",
        }
        session = [
            "SET default_transaction_read_only = on",
            f"SET statement_timeout = {ms}",
            "SET TimeZone = 'UTC'",
            "SET DateStyle = 'ISO, MDY'",
            "SET IntervalStyle = 'postgres'",
            "SET bytea_output = 'hex'",
            "SET extra_float_digits = 1",
        ]
    else:
        arguments = {"connect_timeout": 10, "read_timeout": ms // 1000 + 10, "charset": "utf8mb4"}
        session = [
            "SET SESSION TRANSACTION READ ONLY",
            "SET SESSION time_zone = '+00:00'",
            "SET SESSION net_write_timeout = 600",
            "SET SESSION sql_mode = ''",
        ]
    engine = sa.create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)

    @sa.event.listens_for(engine, "connect", insert=True)
    def prepare(connection: Any, _record: object) -> None:
        with closing(connection.cursor()) as cursor:
            for statement in session:
                cursor.execute(statement)
            if kind == "mysql":
                mariadb = "mariadb" in str(connection.get_server_info()).lower()
                limit = (
                    f"max_statement_time = {ms / 1000}" if mariadb else f"max_execution_time = {ms}"
                )
                cursor.execute(f"SET SESSION {limit}")
        connection.commit()

    return engine


def reflect(source: Source, connection: sa.Connection) -> tuple[sa.Table, tuple[Column, ...]]:
    """The table as it stands now, and the columns that exist for callers, in the table's order.

    Raises ExportFailed when the table or a column named by the source is gone.
    """
    dialect = connection.dialect.name
    schema, _, name = (
        source.table.rpartition(".") if dialect != "sqlite" else ("", "", source.table)
    )
    try:
        table = sa.Table(
            name, sa.MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False
        )
    except Exception as error:
        raise of_database(error) from None
    for role, column in _named(source):
        if column not in table.c:
            raise ExportFailed(f"{role} {column!r} is no column of {source.table!r}")
    shown = tuple(
        describe(source, c, dialect)
        for c in table.c
        if (not source.allowed or c.name in source.allowed) and c.name not in source.denied
    )
    if not shown:
        raise ExportFailed("no column of the table may be exported")
    return table, shown


def _named(source: Source) -> Iterator[tuple[str, str]]:
    if source.chain_column:
        yield "chain_column", source.chain_column
    if source.deleted_column:
        yield "deleted_column", source.deleted_column
    yield from (("order_by", name.removeprefix("-")) for name in source.order_by)
    yield from (("allowed", name) for name in source.allowed)
    yield from (("denied", name) for name in source.denied)


def describe(source: Source, column: sa.Column[Any], dialect: str) -> Column:
    """A reflected column in our words. SQLite has no type for times: there the source says how they are kept."""
    kind = kind_of(column.type)
    if dialect == "sqlite" and isinstance(column.type, NullType):
        kind = Kind.TEXT
    times: Times | None = None
    if kind in (Kind.TIME, Kind.DATE):
        times = Times.NATIVE
        if dialect == "sqlite":  # where a DATE is a text, however the instants beside it are kept
            iso = kind is Kind.DATE or source.times is Times.NATIVE
            times = Times.ISO if iso else source.times
    return Column(
        name=str(column.name),
        kind=kind,
        type=str(column.type.compile()) if not isinstance(column.type, NullType) else "",
        nullable=bool(column.nullable),
        times=times,
    )


def columns(source: Source, policy: Policy = PUBLIC_ONLY) -> tuple[Column, ...]:
    """The columns that exist for callers, reflected now. Raises InvalidField or ExportError."""
    with opened(source, PROBE_TIMEOUT, policy) as connection:
        return reflect(source, connection)[1]


def probe(source: Source, policy: Policy = PUBLIC_ONLY) -> tuple[Column, ...]:
    """Try the source as registration does: open, reflect, check the columns, look at how times are kept.

    Raises InvalidField with the field at fault; no message holds a part of the URL or a row's value.
    """
    try:
        with opened(source, PROBE_TIMEOUT, policy) as connection:
            try:
                table, shown = reflect(source, connection)
            except ExportFailed as error:
                named = next((r for r, _ in _named(source) if error.message.startswith(r)), "table")
                raise InvalidField(named, error.message) from None
            if source.chain_column:
                owner = describe(source, table.c[source.chain_column], connection.dialect.name)
                if owner.kind not in (Kind.INTEGER, Kind.NUMBER, Kind.TEXT):
                    raise InvalidField("chain_column", "must hold whole numbers or text")
            try:
                _read_one(table, shown, connection)
            except ExportFailed as error:
                raise InvalidField("table", error.message) from None
            _sample_times(table, shown, connection)
    except ExportError as error:
        raise InvalidField("url_env" if source.url_env else "url", error.message) from None
    return shown


def _read_one(table: sa.Table, shown: tuple[Column, ...], connection: sa.Connection) -> None:
    """Reflection may succeed where reading is not allowed, so read."""
    cells = (sa.type_coerce(table.c[c.name], NullType()) for c in shown)
    try:
        connection.execute(sa.select(*cells).limit(1)).first()
    except Exception as error:
        raise of_database(error) from None


def _sample_times(
    table: sa.Table, shown: tuple[Column, ...], connection: sa.Connection, rows: int = 200
) -> None:
    for column in shown:
        if column.times in (None, Times.NATIVE):
            continue
        cell = sa.type_coerce(table.c[column.name], NullType())
        query = sa.select(cell).where(cell.is_not(None)).limit(rows)
        try:
            found = {stored_as(value) for (value,) in connection.execute(query)}
        except Exception as error:
            raise of_database(error) from None
        if wrong := sorted(str(f or "something else") for f in found if f is not column.times):
            raise InvalidField(
                "times",
                f"is {column.times}, but column {column.name!r} holds {' and '.join(wrong)}",
            )

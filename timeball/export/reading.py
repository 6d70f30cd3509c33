"""Rows out of a database, batch by batch, in constant memory and under one snapshot.

One statement reads everything, so what it sees is one snapshot in all three databases. The ways, from fast to
slow: PostgreSQL's COPY, which writes the CSV itself; SQLite's own cursor; a server-side cursor.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import sqlalchemy as sa

from timeball.export.failures import ExportError, of_database

BATCH = 500
"""Rows per batch. Few enough to stay in the processor's cache while they are turned and written: with 2000 the
same work takes half as long again."""


def batches(
    connection: sa.Connection, statement: sa.Select[Any]
) -> Generator[Sequence[Sequence[Any]]]:
    """The statement's rows as the driver gives them. Raises ExportError.

    Closing it early ends the read. From MySQL that costs the connection: its protocol knows no other way but to
    receive the rest and throw it away.
    """
    raw = connection.dialect.name == "sqlite"
    try:
        if (
            not raw
        ):  # with this option SQLAlchemy would take the first rows into a buffer of its own
            connection = connection.execution_options(stream_results=True, max_row_buffer=8 * BATCH)
        if connection.dialect.name == "postgresql":
            _leave_decimals(connection)
        result = connection.execute(statement)
        try:
            if raw and result.cursor is not None:
                while rows := result.cursor.fetchmany(BATCH):
                    yield rows
            else:
                partitions = result.partitions(
                    BATCH
                )  # kept: at its end it closes the cursor itself
                for rows in partitions:
                    yield rows
        except GeneratorExit:
            if connection.dialect.name in ("mysql", "mariadb"):
                connection.invalidate()
            raise
        finally:
            result.close()
    except ExportError:
        raise
    except Exception as error:
        raise of_database(error) from None


def _leave_decimals(connection: sa.Connection) -> None:
    """Have decimals left as the text that came, which is how they are written; a Decimal each costs 1 us."""
    from psycopg.types.string import TextLoader

    driver: Any = connection.connection.driver_connection
    driver.adapters.register_loader("numeric", TextLoader)


def copied(connection: sa.Connection, statement: sa.Select[Any]) -> Generator[list[bytes]]:
    """The statement's rows as CSV lines that PostgreSQL wrote, each ending in LF. Raises ExportError.

    COPY takes no parameters in the protocol. psycopg merges them on the client, each through libpq's own quoting
    for this connection (its `ClientCursor` does the same), so a value cannot end its literal.
    """
    compiled = statement.compile(
        dialect=connection.dialect, compile_kwargs={"render_postcompile": True}
    )
    try:
        driver: Any = connection.connection.driver_connection
        take = driver.pgconn.get_copy_data
        with (
            driver.cursor() as cursor,
            # params must be given, even if empty: they are what turns the compiled %% into %
            cursor.copy(f"COPY ({compiled}) TO STDOUT (FORMAT csv)", compiled.params) as stream,
        ):
            # One message is one row: PostgreSQL manual, "Message Formats", CopyData. What libpq holds is taken at
            # once and handed on before read() waits for more: a batch may be small, but half of the work of
            # waiting is saved, for while a batch is written the next one comes in.
            lines: list[bytes] = []
            size = 1
            while size >= 0:
                size, line = take(1)
                if lines and (size == 0 or len(lines) >= BATCH):
                    yield lines
                    lines = []
                if size == 0 and not (line := stream.read()):
                    break
                if line:
                    lines.append(line)
            if size < 0:
                _end(driver.pgconn)
            if lines:
                yield lines
    except ExportError:
        raise
    except Exception as error:
        raise of_database(error) from None


def _end(pgconn: Any) -> None:
    """Take the results that follow the last row of a COPY. Raises the driver's error if it did not end well."""
    from psycopg import errors, pq

    while result := pgconn.get_result():
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise errors.error_from_result(result)

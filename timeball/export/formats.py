"""Rows as files: CSV and JSON, written as they come, in constant memory.

CSV is RFC 4180 in UTF-8 without a byte order mark: CRLF, a header, NULL as an empty field. An empty text may be
written as `""`. JSON is one array with one object a line. In both a time is RFC 3339 in UTC with a Z and only as
many digits of fraction as it has, binary is lower-case hex, and a decimal keeps every digit.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

import orjson

from timeball.export.columns import Column, Kind, Times
from timeball.export.failures import of_disk

Cell = Callable[[Any], Any]


class Format(StrEnum):
    """What the file is; the name is its extension too."""

    CSV = "csv"
    """Comma-separated values, with a header."""
    JSON = "json"
    """One array of objects."""


class Sink:
    """A file being written: counts its bytes and hashes them. Raises ExportError when the disk will not take them.

    With `gzip` what is counted and hashed is the compressed file, as it will be fetched.
    """

    def __init__(self, file: BinaryIO, *, gzip: bool = False) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._pack = zlib.compressobj(5, zlib.DEFLATED, 31) if gzip else None
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        self._put(self._pack.compress(data) if self._pack else data)

    def finish(self) -> None:
        """Write what is held back, and wait until the disk has it."""
        if self._pack:
            self._put(self._pack.flush())
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise of_disk(error) from None

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self.size_bytes += len(data)
        try:
            self._file.write(data)
        except OSError as error:
            raise of_disk(error) from None


class Writer(Protocol):
    """Writes rows to a sink: `begin` once, `rows` for each batch, `end` once."""

    count: int
    """Rows written so far."""

    def begin(self) -> None: ...
    def rows(self, batch: Sequence[Sequence[Any]]) -> None: ...
    def end(self) -> None: ...


class CsvWriter:
    """CSV of raw driver values. `safe` puts an apostrophe before text that a spreadsheet would run."""

    def __init__(self, sink: Sink, columns: Sequence[Column], *, safe: bool = False) -> None:
        self.count = 0
        self._sink = sink
        self._names = [defused(c.name) if safe else c.name for c in columns]
        self._cells = [(i, cell) for i, c in enumerate(columns) if (cell := _csv_cell(c, safe))]

    def begin(self) -> None:
        self._write([self._names])

    def rows(self, batch: Sequence[Sequence[Any]]) -> None:
        self._write(_converted(batch, self._cells))
        self.count += len(batch)

    def copied(self, lines: Sequence[bytes | memoryview]) -> None:
        """Take rows that PostgreSQL wrote as CSV, each with its LF."""
        block = b"".join(lines)
        if b'"' in block:  # a quoted field may hold an LF of its own
            block = b"\r\n".join([bytes(line[:-1]) for line in lines]) + b"\r\n"
        else:
            block = block.replace(b"\n", b"\r\n")
        self._sink.write(block)
        self.count += len(lines)

    def end(self) -> None:
        pass

    def _write(self, rows: Iterable[Sequence[Any]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        self._sink.write(text.getvalue().encode())


class JsonWriter:
    """One JSON array of raw driver values, one object a line."""

    def __init__(self, sink: Sink, columns: Sequence[Column]) -> None:
        self.count = 0
        self._sink = sink
        self._names = [c.name for c in columns]
        self._cells = [(i, cell) for i, c in enumerate(columns) if (cell := _json_cell(c))]

    def begin(self) -> None:
        self._sink.write(b"[")

    def rows(self, batch: Sequence[Sequence[Any]]) -> None:
        names, dumps = self._names, orjson.dumps
        lines = [
            dumps(dict(zip(names, row, strict=True)), _json_other)
            for row in _converted(batch, self._cells)
        ]
        self._sink.write((b",\n" if self.count else b"\n") + b",\n".join(lines))
        self.count += len(batch)

    def end(self) -> None:
        self._sink.write(b"\n]\n")


def _converted(
    batch: Sequence[Sequence[Any]], cells: Sequence[tuple[int, Cell]]
) -> Iterable[Sequence[Any]]:
    """The batch with some columns converted. Turning it on its side twice is cheaper than touching each row."""
    if not cells or not batch:
        return batch
    turned: list[Iterable[Any]] = list(zip(*batch, strict=True))
    for i, cell in cells:
        turned[i] = map(cell, turned[i])
    return zip(*turned, strict=True)


def rfc3339(at: datetime) -> str:
    """An instant as RFC 3339 in UTC; naive ones are UTC by declaration."""
    if at.tzinfo is not None:
        at = at.astimezone(UTC).replace(tzinfo=None)
    text = at.isoformat()
    return (text.rstrip("0") if at.microsecond else text) + "Z"


def _iso(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) == 19 and value[10] in " T" and value[4] == "-" and value[13] == ":":
            return f"{value[:10]}T{value[11:]}Z"
        try:
            return rfc3339(datetime.fromisoformat(value))
        except (ValueError, OverflowError):
            return value
    return rfc3339(value) if isinstance(value, datetime) else value


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive ones are UTC here, and quicker


def _epoch(unit: timedelta) -> Cell:
    def convert(value: Any) -> Any:
        if not isinstance(value, int | float):
            return value
        try:
            return rfc3339(_EPOCH + value * unit)
        except (ValueError, OverflowError):
            return value

    return convert


def _time_cell(column: Column) -> Cell:
    if column.times is Times.EPOCH_S:
        return _epoch(timedelta(seconds=1))
    if column.times is Times.EPOCH_MS:
        return _epoch(timedelta(milliseconds=1))
    return _iso


def _csv_cell(column: Column, safe: bool) -> Cell | None:
    match column.kind:
        case Kind.TIME:
            return _time_cell(column)
        case Kind.BOOLEAN:
            return lambda v: "true" if v == 1 else "false" if v == 0 else v
        case Kind.NUMBER:
            return lambda v: format(v, "f") if isinstance(v, Decimal) else v
        case Kind.BYTES | Kind.TEXT | Kind.JSON | Kind.OTHER if safe:
            return lambda v: defused(_plain(v))
        case Kind.BYTES | Kind.JSON | Kind.OTHER:
            return _plain
        case _:
            return None


def _json_cell(column: Column) -> Cell | None:
    match column.kind:
        case Kind.TIME:
            return _time_cell(column)
        case Kind.BOOLEAN:
            return lambda v: bool(v) if v in (0, 1) else v
        case Kind.BYTES | Kind.OTHER:
            return _plain
        case Kind.JSON:
            return _document
        case _:
            return None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return value.hex()
    if isinstance(value, dict | list):
        return orjson.dumps(value, _json_other).decode()
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _document(value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return _plain(value)
    return orjson.Fragment(value)


def _json_other(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f")) if value.is_finite() else None
    if isinstance(value, date):
        return value.isoformat()
    return _plain(value)


def defused(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula: OWASP, "CSV Injection"."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value

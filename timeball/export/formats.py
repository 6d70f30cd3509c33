"""Rows as files: CSV and JSON, written as they come, in constant memory.

CSV is RFC 4180 in UTF-8 without a byte order mark: CRLF, a header, NULL as an empty field. An empty text may be
written as `""`. JSON is one array with one object a line. In both a time is RFC 3339 in UTC with a Z and only as
many digits of fraction as it has, binary is lower-case hex, and a decimal keeps every digit.
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import repeat
from math import isfinite
from typing import Any, BinaryIO, Protocol

import orjson

from timeball.export.columns import Column, Kind, Times
from timeball.export.failures import of_disk

Cells = Callable[[Sequence[Any]], Iterable[Any]]
"""Turns one column of a batch into what is written."""


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
        self._cells = [_csv_cells(c, safe) for c in columns]

    def begin(self) -> None:
        self._write([self._names])

    def rows(self, batch: Sequence[Sequence[Any]]) -> None:
        self._write(batch, self._cells)
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

    def _write(
        self, rows: Sequence[Sequence[Any]], cells: Iterable[Cells | None] = repeat(None)
    ) -> None:
        if not rows:
            return
        # Column by column, at half the cost of the csv module, which looks at each character of each field.
        texts = [
            _fields(column if cell is None else list(cell(column)))
            for column, cell in zip(zip(*rows, strict=True), cells, strict=False)
        ]
        if len(texts) == 1:  # a lone empty field would be an empty line, which readers skip
            texts = [[field or '""' for field in texts[0]]]
        lines = map(",".join, zip(*texts, strict=True))
        self._sink.write(("\r\n".join(lines) + "\r\n").encode())


def _fields(column: Sequence[Any]) -> Sequence[str]:
    """The fields of a column, quoted where they must be; those of a column of one plain type by a short way."""
    types = set(map(type, column))
    if types <= _NUMBERS:
        fields = _numbers(column, types)
        if fields is not None:
            return fields
    if types != _TEXT:
        column = [_field(value) for value in column]
    together = "".join(column)
    if '"' in together or "," in together or "\n" in together or "\r" in together:
        return [_quoted(field) if _special(field) else field for field in column]
    return column


_NUMBERS, _TEXT = {int, float, type(None)}, {str}
_special = re.compile('[",\r\n]').search


def _numbers(column: Sequence[Any], types: set[type]) -> Sequence[str] | None:
    try:
        text = orjson.dumps(column)[1:-1]
    except TypeError:  # a whole number beyond 64 bits
        return None
    if float in types and b"n" in text:  # null, which may stand for NaN or an infinity
        return None
    return text.replace(b"null", b"").decode().split(",")


def _field(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is float and isfinite(value):
        return orjson.dumps(value).decode()
    return "" if value is None else str(value)


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


class JsonWriter:
    """One JSON array of raw driver values, one object a line.

    With `spelled`, numbers may come as texts that the database wrote as such.
    """

    def __init__(self, sink: Sink, columns: Sequence[Column], *, spelled: bool = False) -> None:
        self.count = 0
        self._sink = sink
        self._names = [c.name for c in columns]
        self._seam = b"},{" + orjson.dumps(columns[0].name) + b":"
        self._cells = [
            (i, cell) for i, c in enumerate(columns) if (cell := _json_cells(c, spelled))
        ]

    def begin(self) -> None:
        self._sink.write(b"[")

    def rows(self, batch: Sequence[Sequence[Any]]) -> None:
        names = self._names
        # One dump for all: thrice as fast as one a row. What begins a row cannot occur within a text, whose quotes
        # are escaped; within a document of its own the line break does no harm.
        whole = orjson.dumps(
            [dict(zip(names, row, strict=True)) for row in _converted(batch, self._cells)],
            _json_other,
        )
        lines = whole[1:-1].replace(self._seam, self._seam.replace(b",", b",\n", 1))
        self._sink.write((b",\n" if self.count else b"\n") + lines)
        self.count += len(batch)

    def end(self) -> None:
        self._sink.write(b"\n]\n")


def _converted(
    batch: Sequence[Sequence[Any]], cells: Sequence[tuple[int, Cells]]
) -> Iterable[Sequence[Any]]:
    """The batch with some columns converted. Turning it on its side twice is cheaper than touching each row."""
    if not cells or not batch:
        return batch
    turned: list[Any] = list(zip(*batch, strict=True))
    for i, cell in cells:
        turned[i] = cell(turned[i])
    return zip(*turned, strict=True)


def rfc3339(at: datetime) -> str:
    """An instant as RFC 3339 in UTC; naive ones are UTC by declaration."""
    if at.tzinfo is not None:
        at = at.astimezone(UTC).replace(tzinfo=None)
    text = at.isoformat()
    return (text.rstrip("0") if at.microsecond else text) + "Z"


def _times(column: Sequence[Any]) -> Iterable[Any]:
    """ISO texts and datetimes as RFC 3339; the commonest texts, of whole seconds, by a short way."""
    types = set(map(type, column))
    if types == {str} and (whole := _whole_seconds(column)):
        return whole
    if not types <= {str, type(None)}:
        return map(_time, column)
    return [
        v.replace(" ", "T", 1) + "Z"
        if v is not None and len(v) == 19 and v[10] == " " and v[4] == "-"
        else v
        if v is not None and len(v) == 20 and v[10] == "T" and v[19] == "Z"
        else _time(v)
        for v in column
    ]


def _whole_seconds(column: Sequence[str]) -> Sequence[str] | None:
    """Texts like 2026-05-26 12:00:00 as RFC 3339, all in one move; None when there is another among them."""
    together, n = "".join(column), len(column)
    if (
        set(map(len, column)) == {19}
        and together[4::19] == "-" * n
        and together[10::19] == " " * n
        and together.count(" ") == n
        and "\n" not in together
    ):
        return ("Z\n".join(column) + "Z").replace(" ", "T").split("\n")
    return None


def _time(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return rfc3339(datetime.fromisoformat(value))
        except (ValueError, OverflowError):
            return value
    return rfc3339(value) if isinstance(value, datetime) else value


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive ones are UTC here, and quicker


def _epochs(unit: timedelta) -> Cells:
    def convert(value: Any) -> Any:
        if not isinstance(value, int | float):
            return value
        try:
            return rfc3339(_EPOCH + value * unit)
        except (ValueError, OverflowError):
            return value

    return lambda column: map(convert, column)


class _Words(dict[object, object]):
    """A table of replacements; what it does not know stays."""

    def __missing__(self, key: object) -> object:
        return key


_TRUTH_TEXT = _Words({0: "false", 1: "true"})
_TRUTH = _Words({0: False, 1: True})


def _decimals(column: Sequence[Any]) -> Iterable[Any]:
    """Decimals without an exponent."""
    if Decimal not in set(map(type, column)):
        return column
    return [format(v, "f") if isinstance(v, Decimal) else v for v in column]


def _json_numbers(column: Sequence[Any]) -> Iterable[Any]:
    """Numbers that the database wrote, with all their digits; NaN and the infinities are no JSON."""
    if str not in set(map(type, column)):
        return column
    raw = orjson.Fragment
    return [(raw(v) if v[-1] <= "9" else None) if type(v) is str else v for v in column]


def _common(column: Column) -> Cells | None:
    if column.kind is Kind.TIME:
        if column.times is Times.EPOCH_S:
            return _epochs(timedelta(seconds=1))
        if column.times is Times.EPOCH_MS:
            return _epochs(timedelta(milliseconds=1))
        return _times
    if column.kind in (Kind.BYTES, Kind.OTHER):
        return lambda cells: map(_plain, cells)
    return None


def _csv_cells(column: Column, safe: bool) -> Cells | None:
    match column.kind:
        case Kind.BYTES | Kind.TEXT | Kind.JSON | Kind.OTHER if safe:
            return lambda cells: (defused(_plain(v)) for v in cells)
        case Kind.BOOLEAN:
            return lambda cells: map(_TRUTH_TEXT.__getitem__, cells)
        case Kind.NUMBER:
            return _decimals
        case Kind.JSON:
            return lambda cells: map(_plain, cells)
        case _:
            return _common(column)


def _json_cells(column: Column, spelled: bool) -> Cells | None:
    match column.kind:
        case Kind.BOOLEAN:
            return lambda cells: map(_TRUTH.__getitem__, cells)
        case Kind.NUMBER if spelled:
            return _json_numbers
        case Kind.JSON:
            return lambda cells: map(_document, cells)
        case _:
            return _common(column)


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


_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How formulas begin; the last four are the full-width forms, which some take for the others."""


def defused(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula: OWASP, "CSV Injection"."""
    if isinstance(value, str) and value.startswith(_FORMULAS):
        return "'" + value
    return value

"""One export: rows of a source, through a segment, into a file that is whole or not there.

The file grows as `.part-<uuid>` beside its final name, which belongs to one attempt of one task, and takes that
name by one rename after the disk has it all. A process that dies leaves a part file; the janitor of
`timeball.export.storage` removes it. Publishing the result (the pointer flip) is the caller's.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import orjson
import sqlalchemy as sa

from timeball.egress import PUBLIC_ONLY, Policy
from timeball.export import reading, sql
from timeball.export.databases import opened, reflect
from timeball.export.failures import ExportFailed, ExportStopped, of_disk
from timeball.export.formats import CsvWriter, Format, JsonWriter, Sink, Writer
from timeball.export.segments import parse_segment
from timeball.export.sources import Source
from timeball.export.stopping import stoppable

STEP = 10_000
"""Rows between two reports of progress: some twenty a second."""
MIN_FREE_BYTES = 16 * 1024 * 1024
"""An export does not start on a disk with less space than this."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one attempt is to write. `segment` is the task's JSON text, or None for all rows of the chain."""

    task: str
    attempt: int
    format: Format = Format.CSV
    segment: str | None = None
    gzip: bool = False
    csv_safe: bool = False
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ExportResult:
    """A finished file. `key` is its path below `out_dir`, with slashes: chain/task/attempt/name."""

    key: str
    path: Path
    rows: int
    size_bytes: int
    sha256: str
    seconds: float

    @property
    def name(self) -> str:
        return self.path.name


def file_name(plan: Plan, source: Source) -> str:
    """The documented form of a name: Wallet_Export-12345.csv."""
    ending = ".gz" if plan.gzip else ""
    return f"{source.file_prefix}_Export-{plan.task}.{plan.format}{ending}"


def run_export(
    plan: Plan,
    source: Source,
    now: datetime,
    out_dir: Path,
    on_progress: Callable[[int, int], None] = lambda rows, size_bytes: None,
    should_stop: Callable[[], bool] = lambda: False,
    policy: Policy = PUBLIC_ONLY,
) -> ExportResult:
    """Write the file and return what it is; or leave nothing behind and raise.

    `now` (aware) is what relative rules count from: the first attempt's, in each retry too. After every STEP
    rows, and after the last, `on_progress(rows, size_bytes)` is called, then `should_stop()`; what they raise
    passes through unchanged. `should_stop` is also asked by a thread, for a first row may take hours. `policy`
    says where a confined source may lead. Raises ExportFailed, ExportUnavailable and ExportStopped, and
    InvalidField when the segment does not fit the table any more.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", plan.task):
        raise ValueError(f"not fit for a path: {plan.task!r}")
    begun = time.monotonic()
    name = file_name(plan, source)
    key = f"{source.chain}/{plan.task}/{plan.attempt}/{name}"
    final = out_dir / key
    with opened(source, policy=policy) as connection:
        table, shown = reflect(source, connection)
        dialect = connection.dialect.name
        segment = None
        if plan.segment is not None:
            segment = parse_segment(orjson.loads(plan.segment), source, shown)
        # A lone empty field would be an empty line, which readers skip; and only Python defuses text.
        copy = (
            dialect == "postgresql"
            and plan.format is Format.CSV
            and not plan.csv_safe
            and len(shown) > 1
        )
        statement = sql.select(source, table, shown, segment, now, dialect, copy=copy)
        with _part(final) as file:
            sink = Sink(file, gzip=plan.gzip)
            writer: Writer
            if plan.format is Format.JSON:
                writer = JsonWriter(sink, shown, spelled=dialect == "postgresql")
            else:
                writer = CsvWriter(sink, shown, safe=plan.csv_safe)
            writer.begin()
            with (
                stoppable(connection, should_stop),
                closing(_written(connection, statement, writer, copy)) as steps,
            ):
                for _ in steps:
                    on_progress(writer.count, sink.size_bytes)
                    if plan.max_bytes is not None and sink.size_bytes > plan.max_bytes:
                        raise ExportFailed(
                            f"the file grew past {plan.max_bytes} bytes, the most that is allowed here"
                        )
                    if should_stop():
                        raise ExportStopped("the export was stopped")
            writer.end()
            sink.finish()
    return ExportResult(
        key, final, writer.count, sink.size_bytes, sink.sha256, time.monotonic() - begun
    )


def _written(
    connection: sa.Connection, statement: sa.Select[tuple[object, ...]], writer: Writer, copy: bool
) -> Generator[None]:
    """Write batch after batch, with a pause after every STEP rows and at the end."""
    told = 0
    if copy and isinstance(writer, CsvWriter):
        with closing(reading.copied(connection, statement)) as blocks:
            for lines in blocks:
                writer.copied(lines)
                if writer.count - told >= STEP:
                    told = writer.count
                    yield
    else:
        with closing(reading.batches(connection, statement)) as batches:
            for rows in batches:
                writer.rows(rows)
                if writer.count - told >= STEP:
                    told = writer.count
                    yield
    if writer.count > told:
        yield


@contextmanager
def _part(final: Path) -> Iterator[BinaryIO]:
    """A part file that becomes `final` at the end of the block, or is gone if the block raises."""
    part = final.with_name(f".part-{uuid.uuid4().hex}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(final.parent).free < MIN_FREE_BYTES:
            raise ExportFailed("the disk is full: less than 16 MiB are free", "ENOSPC")
        file = part.open("xb", buffering=1024 * 1024)
    except OSError as error:
        raise of_disk(error) from None
    try:
        try:
            yield file
        finally:
            with suppress(OSError):  # the last flush fails again on a full disk; `finish` has told
                file.close()
        try:
            part.replace(final)
            folder = os.open(final.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise of_disk(error) from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise

"""The product's own tasks and attempts as indexes, so that an export works before any source is registered.

A project's rows are read from the store page by page into a SQLite file beside the results, which is then a
source like any other: the same segments, the same formats.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.export.columns import Column, Kind, Times
from timeball.export.failures import ExportFailed, ExportStopped
from timeball.export.sources import Source
from timeball.ids import id_text
from timeball.model.attempt import Attempt
from timeball.model.task import Task
from timeball.store.lists import Filter

PAGE = 500

_TYPES = {Kind.TEXT: "TEXT", Kind.INTEGER: "INTEGER", Kind.TIME: "DATETIME"}


def _columns(**kinds: Kind) -> tuple[Column, ...]:
    return tuple(
        Column(name, kind, _TYPES[kind], True, Times.ISO if kind is Kind.TIME else None)
        for name, kind in kinds.items()
    )


COLUMNS = {
    "tasks": _columns(
        id=Kind.TEXT,
        name=Kind.TEXT,
        queue=Kind.TEXT,
        state=Kind.TEXT,
        method=Kind.TEXT,
        url=Kind.TEXT,
        tags=Kind.TEXT,
        schedule=Kind.TEXT,
        attempts=Kind.INTEGER,
        scheduled_for=Kind.TIME,
        due_at=Kind.TIME,
        created_at=Kind.TIME,
        started_at=Kind.TIME,
        ended_at=Kind.TIME,
    ),
    "attempts": _columns(
        task=Kind.TEXT,
        number=Kind.INTEGER,
        outcome=Kind.TEXT,
        status=Kind.INTEGER,
        error=Kind.TEXT,
        worker=Kind.TEXT,
        total_us=Kind.INTEGER,
        started_at=Kind.TIME,
        next_at=Kind.TIME,
    ),
}
"""The columns of each own index; never bodies or headers, which may hold secrets."""


def source(chain: int, index: str, path: Path) -> Source:
    """An own index as it stands in the file that `fill` wrote."""
    url = f"sqlite:///{path.resolve()}"
    return Source(chain=chain, index=index, table=index, url=url, prefix=index[:-1].capitalize())


def fill(
    house: House, project: str, index: str, path: Path, should_stop: Callable[[], bool]
) -> None:
    """Write an own index of a project into a new SQLite file, oldest rows last.

    Raises ExportStopped when told to stop, ExportFailed when the disk will not take it.
    """
    columns = COLUMNS[index]
    words = ", ".join(f"{c.name} {c.type}" for c in columns)
    places = ", ".join("?" * len(columns))
    insert = f"INSERT INTO {index} VALUES ({places})"  # noqa: S608 - names of ours
    try:
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA journal_mode=OFF")
            database.execute("PRAGMA synchronous=OFF")
            database.execute(f"CREATE TABLE {index} ({words})")
            for tasks in _pages(house, project):
                if should_stop():
                    raise ExportStopped("the export was stopped")
                database.executemany(insert, _rows(house, project, index, tasks))
                database.commit()
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "")
        words = "the disk is full, or the folder for exports cannot be written"
        raise ExportFailed(words, code) from None


def _rows(
    house: House, project: str, index: str, tasks: list[Task]
) -> Iterator[tuple[object, ...]]:
    for task in tasks:
        if index == "tasks":
            yield _task(task)
        elif task.attempt:
            log = intake.attempts(house, project, task.id)
            yield from (_attempt(task, attempt) for attempt in log)


def _pages(house: House, project: str) -> Iterator[list[Task]]:
    cursor: str | None = None
    while True:
        page = intake.find(house, project, Filter(), PAGE, cursor)
        yield page.tasks
        cursor = page.cursor
        if cursor is None:
            return


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%d %H:%M:%S.%f")


def _task(task: Task) -> tuple[object, ...]:
    return (
        id_text(task.id),
        task.name,
        task.queue,
        task.state.value,
        task.request.method.value,
        task.request.url,
        ",".join(task.tags) or None,
        task.schedule,
        task.attempt,
        _instant(task.scheduled_for),
        _instant(task.due_at),
        _instant(task.created_at),
        _instant(task.started_at),
        _instant(task.ended_at),
    )


def _attempt(task: Task, attempt: Attempt) -> tuple[object, ...]:
    return (
        id_text(task.id),
        attempt.number,
        attempt.outcome.value,
        attempt.status,
        attempt.error,
        attempt.worker,
        attempt.timing.total_us or None,
        _instant(attempt.started_at),
        _instant(attempt.next_at),
    )

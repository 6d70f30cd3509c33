"""How an export ends badly, in words that are safe to show.

TimeballError
└── ExportError             an export did not end in a file
    ├── ExportFailed        trying again would fail again: a table is gone, no permission, the disk is full
    ├── ExportUnavailable   trying again may help: the database does not answer, a timeout, a deadlock
    └── ExportStopped       the caller asked to stop

A message of a driver may quote row values, host names or a whole URL. So none is passed on: a failure is
known by its code, and its sentence is ours.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Mapping

from timeball.errors import TimeballError


class ExportError(TimeballError):
    """An export did not end in a file. `code` is the driver's own code, for the log: never a value."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class ExportFailed(ExportError):
    """Trying again would fail again: the task ends in ERROR."""


class ExportUnavailable(ExportError):
    """Trying again may help: the task may be retried."""


class ExportStopped(ExportError):
    """The caller asked to stop; nothing was published."""


_AWAY = "the database does not answer, or the connection was lost"
_SLOW = "the database took too long, and the statement was stopped"
_BUSY = "the database is too busy, or another transaction is in the way"
_LOGIN = "the database refused the user name or password"
_DENIED = "the database user may not read this table"
_NO_TABLE = "the table or view does not exist"
_NO_COLUMN = "a column does not exist any more"
_NO_DATABASE = "the database does not exist"
_NO_FILE = "the database file cannot be opened"
_CORRUPT = "the database file is damaged, or is no SQLite database"
_BAD_VALUE = "a stored value cannot be read as its column's type"
_OTHER = "the database refused the statement"

# SQLSTATE codes and classes: PostgreSQL manual, appendix A. The longest prefix wins.
_POSTGRESQL: Mapping[str, tuple[type[ExportError], str]] = {
    "08": (ExportUnavailable, _AWAY),
    "28": (ExportFailed, _LOGIN),
    "3D": (ExportFailed, _NO_DATABASE),
    "42501": (ExportFailed, _DENIED),
    "42P01": (ExportFailed, _NO_TABLE),
    "42703": (ExportFailed, _NO_COLUMN),
    "22": (ExportFailed, _BAD_VALUE),
    "40": (ExportUnavailable, _BUSY),
    "53": (ExportUnavailable, _BUSY),
    "55": (ExportUnavailable, _BUSY),
    "57014": (ExportUnavailable, _SLOW),
    "57P": (ExportUnavailable, _AWAY),
    "58": (ExportUnavailable, _AWAY),
}

# Error numbers of MySQL and MariaDB, server (1xxx, 3xxx) and client (2xxx).
_MYSQL: Mapping[int, tuple[type[ExportError], str]] = {
    **dict.fromkeys(
        (2002, 2003, 2005, 2006, 2013, 2055, 1053, 1077, 1927), (ExportUnavailable, _AWAY)
    ),
    **dict.fromkeys((1317, 1969, 3024, 1028), (ExportUnavailable, _SLOW)),
    **dict.fromkeys((1040, 1203, 1205, 1213, 1226), (ExportUnavailable, _BUSY)),
    **dict.fromkeys((1044, 1142, 1143, 1370), (ExportFailed, _DENIED)),
    **dict.fromkeys((1045, 1698, 1130), (ExportFailed, _LOGIN)),
    **dict.fromkeys((1051, 1146, 1356), (ExportFailed, _NO_TABLE)),
    **dict.fromkeys((1292, 1366, 1411), (ExportFailed, _BAD_VALUE)),
    1049: (ExportFailed, _NO_DATABASE),
    1054: (ExportFailed, _NO_COLUMN),
}

# Primary result codes: sqlite.org/rescode.html
_SQLITE: Mapping[int, tuple[type[ExportError], str]] = {
    sqlite3.SQLITE_BUSY: (ExportUnavailable, _BUSY),
    sqlite3.SQLITE_LOCKED: (ExportUnavailable, _BUSY),
    sqlite3.SQLITE_INTERRUPT: (ExportUnavailable, _SLOW),
    sqlite3.SQLITE_IOERR: (ExportUnavailable, "the database file cannot be read"),
    sqlite3.SQLITE_CANTOPEN: (ExportFailed, _NO_FILE),
    sqlite3.SQLITE_CORRUPT: (ExportFailed, _CORRUPT),
    sqlite3.SQLITE_NOTADB: (ExportFailed, _CORRUPT),
    sqlite3.SQLITE_AUTH: (ExportFailed, _DENIED),
    sqlite3.SQLITE_PERM: (ExportFailed, _DENIED),
}

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DISK_DENIED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG}
)


def of_database(error: Exception) -> ExportError:
    """The failure that an error of SQLAlchemy or of a driver stands for."""
    from sqlalchemy import exc  # 10 MB, which beat and whoever only names a failure does without

    if isinstance(error, ExportError):
        return error
    if isinstance(error, exc.NoSuchTableError):
        return ExportFailed(_NO_TABLE)
    if isinstance(error, exc.NoSuchModuleError | ImportError):
        return ExportFailed("the driver for this kind of database is not installed")
    cause: BaseException = error
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause)
    state = getattr(cause, "sqlstate", None)
    if type(cause).__module__.startswith("psycopg"):
        return _of_postgresql(cause, state if isinstance(state, str) else None)
    number = cause.args[0] if cause.args else None
    if isinstance(number, int) and type(cause).__module__.startswith("pymysql"):
        kind, message = _MYSQL.get(number, (ExportFailed, _OTHER))
        return kind(message, str(number))
    if isinstance(cause, OSError | EOFError | exc.TimeoutError):
        return ExportUnavailable(_AWAY, type(cause).__name__)
    return ExportFailed(_OTHER, type(cause).__name__)


def _of_postgresql(error: BaseException, state: str | None) -> ExportError:
    if state is None:  # libpq's own errors carry no code; those of a login do not either
        if "authentication failed" in str(error) or "no password supplied" in str(error):
            return ExportFailed(_LOGIN)
        if "does not exist" in str(error):
            return ExportFailed(_NO_DATABASE)
        if type(error).__name__ in {"OperationalError", "ConnectionTimeout", "InterfaceError"}:
            return ExportUnavailable(_AWAY)
        return ExportFailed(_OTHER, type(error).__name__)
    for length in (5, 3, 2):
        if found := _POSTGRESQL.get(state[:length]):
            return found[0](found[1], state)
    return ExportFailed(_OTHER, state)


def _of_sqlite(error: sqlite3.Error) -> ExportError:
    number: int | None = getattr(error, "sqlite_errorcode", None)
    text, code = str(error), getattr(error, "sqlite_errorname", "")
    if number is not None and (found := _SQLITE.get(number & 0xFF)):
        return found[0](found[1], code)
    if text.startswith("no such table"):
        return ExportFailed(_NO_TABLE, code)
    if text.startswith("no such column"):
        return ExportFailed(_NO_COLUMN, code)
    if text.startswith("Could not decode to UTF-8"):
        return ExportFailed("a stored text is not UTF-8", code)
    return ExportFailed(_OTHER, code)


def of_disk(error: OSError) -> ExportError:
    """The failure that an error of the file being written stands for."""
    code = errno.errorcode.get(error.errno or 0, "")
    if error.errno in _DISK_FULL:
        return ExportFailed("the disk is full, or the file grew past a limit of the system", code)
    if error.errno in _DISK_DENIED:
        return ExportFailed("the folder for exports cannot be written", code)
    return ExportUnavailable("the file could not be written", code)

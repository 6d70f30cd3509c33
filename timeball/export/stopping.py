"""Stopping a statement that has not given its first row: a sort or a join may take hours before it does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from timeball.export.failures import ExportError, ExportStopped

LOOK_SECONDS = 0.5


@contextmanager
def stoppable(connection: sa.Connection, should_stop: Callable[[], bool]) -> Iterator[None]:
    """While the block runs, `should_stop` is asked twice a second; once it says so, the statement is broken off.

    Raises ExportStopped in place of the error that this causes.
    """
    over, stopped = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            if should_stop():
                stopped.set()
                with suppress(Exception):  # the connection may have gone by itself
                    _break_off(connection)
                return

    thread = threading.Thread(target=watch, name="stopping", daemon=True)
    thread.start()
    try:
        yield
    except ExportError:
        if stopped.is_set():
            raise ExportStopped("the export was stopped") from None
        raise
    finally:
        over.set()
        thread.join(10)


def _break_off(connection: sa.Connection) -> None:
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.interrupt()
    elif connection.dialect.name == "postgresql":
        driver.cancel_safe(timeout=5)
    else:  # its protocol has no word for it: without its peer the server ends the statement when it next writes
        driver._sock.shutdown(socket.SHUT_RDWR)

"""Senders that are slow: how long a body may take, and how it is ended when it takes longer.

A WSGI server gives no deadline for bodies, and no way to end a read that waits for one. So a thread of this
module looks once a second which reads are overdue, finds their connections among those of the process (all that is
known of them is the address of the peer; the kernel tells which wait for an answer), and shuts them for reading:
the read ends, and so does the request. Who reads pays 0.7 us. When all turns are taken, the bound is a second.
"""

from __future__ import annotations

import os
import queue
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.exceptions import ServiceUnavailable

from timeball import logs

TURNS = 24
"""Bodies read at once. Each holds a thread, and `timeball api` has 32: the rest stay free for requests without."""
READ_SECONDS = 10.0
BYTES_PER_SECOND = 64 * 1024
"""A body has `READ_SECONDS`, and a second more for each so many bytes that were promised."""
HURRY_SECONDS = 1.0
LOOK_SECONDS = 1.0
_TURN_SECONDS = 0.1
_WAIT_SECONDS = 1.5

_SENT_MS, _RECEIVED_MS = 44, 52
"""Where `tcp_info` has the milliseconds since something was last sent and last received."""

log = logs.get(__name__)


class Turn:
    """The right to read a body. `since` is 0 while nobody has it; `late` is when the read is overdue."""

    __slots__ = ("late", "peer", "since")

    def __init__(self) -> None:
        self.peer = ""
        self.since = self.late = 0.0


class Turns:
    """All turns of a process, and the thread that ends what is overdue."""

    def __init__(self, turns: int = TURNS) -> None:
        self._free: queue.SimpleQueue[Turn] = queue.SimpleQueue()  # a tenth of a semaphore's cost
        self._all = [Turn() for _ in range(turns)]
        for turn in self._all:
            self._free.put(turn)
        self._patient: dict[str, int] = {}
        self._watched_by = 0
        self._lock = threading.Lock()

    def take(self, environ: dict[str, Any], length: int) -> Turn:
        """A turn to read. Raises ServiceUnavailable when too many senders are slow."""
        try:
            turn = self._free.get(timeout=_TURN_SECONDS)
        except queue.Empty:
            self.cut(HURRY_SECONDS)
            try:
                turn = self._free.get(timeout=_WAIT_SECONDS)
            except queue.Empty:
                message = "too many bodies are being sent slowly: try again"
                raise ServiceUnavailable(message, retry_after=1) from None
        turn.peer = environ.get("REMOTE_ADDR", "")
        now = time.monotonic()
        turn.since, turn.late = now, now + READ_SECONDS + length / BYTES_PER_SECOND
        if self._watched_by != os.getpid():
            self._watch()
        return turn

    def give(self, turn: Turn) -> None:
        """Give a turn back."""
        turn.since = 0.0
        self._free.put(turn)

    @contextmanager
    def patient(self, environ: dict[str, Any]) -> Iterator[None]:
        """While an answer to this peer takes long by our own doing, none of its connections is shut."""
        peer = environ.get("REMOTE_ADDR", "")
        with self._lock:
            self._patient[peer] = self._patient.get(peer, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._patient[peer] -= 1
                if not self._patient[peer]:
                    del self._patient[peer]

    def cut(self, after: float | None = None) -> int:
        """End reads that are overdue, or that have lasted so many seconds. Answers how many it ended."""
        now = time.monotonic()
        overdue: dict[str, float] = {}
        for turn in self._all:
            since, peer = turn.since, turn.peer
            late = turn.late if after is None else since + after
            if since and now >= late and peer not in self._patient:
                overdue[peer] = min(overdue.get(peer, now), now - since)
        shut = sum(_shut(connection, overdue) for connection in _connections()) if overdue else 0
        if shut:
            log.warning("slow senders were cut off", connections=shut, peers=sorted(overdue)[:10])
        return shut

    def _watch(self) -> None:
        with self._lock:
            if self._watched_by == os.getpid():
                return
            self._watched_by = os.getpid()
        threading.Thread(target=self._look, name="slow-senders", daemon=True).start()

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self.cut()
            except Exception as error:  # it must not end: nobody would notice
                log.error("slow senders could not be looked for", exc_info=error)


def _connections() -> Iterator[socket.socket]:
    """Every socket of this process, each as a duplicate that is closed after its turn."""
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            connection = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with connection:
            yield connection


def _shut(connection: socket.socket, overdue: dict[str, float]) -> bool:
    """Shut a connection for reading if it is one of an overdue peer, whose request has had no answer so long."""
    try:
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        seconds = overdue.get(connection.getpeername()[0].removeprefix("::ffff:"))
        if seconds is None:
            return False
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        (sent_ms,) = struct.unpack_from("I", told, _SENT_MS)
        (received_ms,) = struct.unpack_from("I", told, _RECEIVED_MS)
        if sent_ms < seconds * 900 or received_ms > sent_ms:
            return False
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        return False
    return True


turns = Turns()

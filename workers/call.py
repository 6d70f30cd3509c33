"""The HTTP call: libcurl's multi interface on an epoll, and what a finished call looks like.

A `Caller` belongs to one process and keeps its connections between calls. Nothing here knows the store.

libcurl can tell which descriptor it waits for, and be told which one is ready. That costs five calls from C into
Python and 9 of 30 us a call, so it is not asked: the sockets are made here, and each stands in an epoll of its
own from then on, edge by edge. Whenever any of them moves, libcurl looks at all calls of its pool at once, half a
microsecond each, and most of the time there is something to do for a good part of them.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pycurl

from timeball import __version__
from timeball.dispatch.traces import Trace
from timeball.model.attempt import Outcome
from timeball.store.codec import Claimed
from timeball.store.via import Via
from workers.curl_words import explain, is_status, no_status, set_method
from workers.pool import Line, Pool, Pools
from workers.trust import trust

USER_AGENT = f"Timeball/{__version__}"
_EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
_HEADERS_MOST = 200


class Guard(Protocol):
    """Decides which addresses may be called (timeball.egress.Policy)."""

    def allows(self, host: str, ip: str, port: int) -> bool: ...


@dataclass(slots=True)
class Prepared:
    """A claimed task made ready to send. `lines` are whole header lines; `timeout_ms` is the total."""

    claimed: Claimed
    started_ms: float
    url: str
    host: str
    method: str
    lines: list[bytes]
    body: bytes
    timeout_ms: int
    via: Via | None = None
    """How the call goes out where it does not go straight."""
    refused: tuple[Outcome, str] | None = None
    """How and why the call ends without being made."""
    trace: Trace | None = None  # that is to tell of the call


@dataclass(slots=True)
class Called:
    """A call that ended. `raw_headers` is the last header block.

    `times_us` are microseconds from the start until the name was found, the connection was there, TLS was
    agreed, the first byte came, and the end; the first three are 0 on a connection that was open already.
    """

    prepared: Prepared
    outcome: Outcome
    status: int | None
    raw_headers: bytes
    body: bytes
    body_cut: bool
    times_us: tuple[int, int, int, int, int]
    error: str | None


class _Slot:
    """One libcurl handle with its buffers; used again and again."""

    __slots__ = (
        "blocked",
        "caller",
        "curl",
        "free",
        "getinfo",
        "headers",
        "kept",
        "line",
        "opened",
        "over",
        "place",
        "pool",
        "prepared",
        "proxy_host",
        "received",
        "room",
        "setopt",
        "timeout_ms",
        "url",
        "via",
    )

    def __init__(self, caller: Caller, free: list[_Slot]) -> None:
        self.caller, self.free = caller, free
        self.curl = pycurl.Curl()
        self.setopt, self.getinfo = self.curl.setopt, self.curl.getinfo
        self.headers: list[bytes] = []
        self.kept: list[bytes] = []
        self.received = self.room = self.timeout_ms = 0
        self.over = self.opened = False
        self.url = ""
        self.blocked: str | None = None
        self.prepared: Prepared | None = None
        self.line, self.place = Line([]), 0
        self.pool = caller.pools.all[0]
        self.via: Via | None = None
        self.proxy_host: str | None = None
        self._configure()

    def _configure(self) -> None:
        curl, caller = self.curl, self.caller
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")  # no proxy from the environment
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.HTTP09_ALLOWED, 0)
        curl.setopt(pycurl.USERAGENT, USER_AGENT)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, caller.connect_timeout_ms)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self.open_socket)
        curl.setopt(pycurl.HEADERFUNCTION, self.headers.append)  # libcurl ends at 300 kB
        curl.setopt(pycurl.WRITEFUNCTION, self.take_body)
        if caller.trusted is not None:
            curl.setopt(pycurl.CAINFO, caller.trusted.name)

    def go(self, via: Via | None) -> None:
        """Go out this way from now on. libcurl shares no connection between ways."""
        curl, self.via = self.curl, via
        self.proxy_host = via.proxy_host if via is not None and via.proxy else None
        curl.setopt(pycurl.PROXY, (via and via.proxy) or "")
        curl.setopt(pycurl.HTTPPROXYTUNNEL, int(self.proxy_host is not None))
        for option, pem in (
            (pycurl.SSLCERT_BLOB, via and via.certificate),
            (pycurl.SSLKEY_BLOB, via and via.key),
        ):
            if pem:
                curl.setopt(option, pem)
            else:
                curl.unsetopt(option)

    def answer(self) -> tuple[bytes, bytes]:
        """How the status line begins, and the last block of headers."""
        raw = b"".join(self.headers[: _HEADERS_MOST + 1])
        last = raw.rfind(b"\nHTTP/")  # what comes before was a 1xx answer
        return raw[last + 1 : last + 14], raw[raw.find(b"\n", last + 1) + 1 :]

    def times_us(self) -> tuple[int, int, int, int, int]:
        """`Called.times_us` of the call that ended."""
        asked = self.getinfo
        if not self.opened:
            return 0, 0, 0, asked(pycurl.STARTTRANSFER_TIME_T), asked(pycurl.TOTAL_TIME_T)
        return (
            asked(pycurl.NAMELOOKUP_TIME_T),
            asked(pycurl.CONNECT_TIME_T),
            asked(pycurl.APPCONNECT_TIME_T),
            asked(pycurl.STARTTRANSFER_TIME_T),
            asked(pycurl.TOTAL_TIME_T),
        )

    def take_body(self, chunk: bytes) -> int | None:
        size = len(chunk)
        self.received += size
        if self.room > 0:
            self.kept.append(chunk if size <= self.room else chunk[: self.room])
            self.room -= size
        if self.received > self.caller.read_bytes:
            self.over = True
            return 0  # anything but the size ends the transfer
        return None

    def open_socket(self, _purpose: int, address: Any) -> Any:
        assert self.prepared is not None
        host = self.prepared.host if self.proxy_host is None else self.proxy_host
        ip, port = address.addr[0], address.addr[1]
        if not self.caller.guard.allows(host, _text(ip), port):
            self.blocked = f"{_text(ip)} port {port} is not an allowed target"
            return pycurl.SOCKET_BAD
        self.opened = True
        made = socket.socket(address.family, address.socktype, address.protocol)
        self.pool.sockets.register(made.fileno(), _EDGES)
        return made


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


class Caller:
    """Many calls at once in one thread.

    `start` adds one; `wait` moves all of them on and hands over those that ended. Other file descriptors may
    be watched in the same wait with `watch`.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        connect_timeout_ms: int,
        keep_bytes: int,
        read_bytes: int,
        ca_file: str | None = None,
    ) -> None:
        self.guard = guard
        self.connect_timeout_ms = connect_timeout_ms
        self.keep_bytes, self.read_bytes = keep_bytes, read_bytes
        self.trusted = None if ca_file is None else trust(ca_file)
        self.busy = 0
        self._unmade: list[Prepared] = []
        self._posts: list[_Slot] = []
        self._others: list[_Slot] = []
        self._slots: dict[Any, _Slot] = {}  # by handle: its own attributes are dear to look up
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[], None]] = {}
        self.pools = Pools()
        for pool in self.pools.all:
            self.watch(pool.sockets.fileno(), pool.see_edges)

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """Call `ready` from `wait` whenever `fd` can be read."""
        self._watched[fd] = ready
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """End a watch; a closed descriptor is no error."""
        if self._watched.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def start(self, prepared: Prepared) -> None:
        """Begin a call. Its end is handed over by a later `wait`."""
        if prepared.refused is not None:
            self._unmade.append(prepared)
            return
        post = prepared.method == "POST"
        free = self._posts if post else self._others
        slot = free.pop() if free else self._new_slot(free)
        setopt = slot.setopt
        slot.room, slot.received = self.keep_bytes, 0
        slot.over = slot.opened = False
        try:
            if slot.url != prepared.url:
                setopt(pycurl.URL, prepared.url)
                slot.url = prepared.url
            if slot.timeout_ms != prepared.timeout_ms:
                setopt(pycurl.TIMEOUT_MS, prepared.timeout_ms)
                slot.timeout_ms = prepared.timeout_ms
            if slot.via is not prepared.via:
                slot.go(prepared.via)
            setopt(pycurl.HTTPHEADER, prepared.lines)
            if post:
                setopt(pycurl.POSTFIELDS, prepared.body)
            else:
                set_method(slot.curl, prepared.method, prepared.body)
        except (pycurl.error, ValueError, TypeError):
            # one request that cannot be sent must not end the calls of all others; its handle is half set
            self._slots.pop(slot.curl).curl.close()
            prepared.refused = Outcome.UNREACHABLE, "the request is none that can be sent"
            self._unmade.append(prepared)
            return
        slot.prepared = prepared
        self.busy += 1
        line = slot.line = self.pools.line(prepared.host)
        place = slot.place = line.place()
        line.busy[place] += 1
        pool = slot.pool = line.pools[place]
        pool.busy += 1
        pool.moved, pool.begun = True, time.monotonic()
        pool.add(slot.curl)

    def push(self) -> None:
        """Let calls that were started be sent now, and not in the next wait."""
        for pool in self.pools.all:
            if pool.moved:
                pool.perform()  # begins to connect
                pool.perform()  # sends, when the endpoint is near or the connection was there

    def _new_slot(self, free: list[_Slot]) -> _Slot:
        slot = _Slot(self, free)
        self._slots[slot.curl] = slot
        return slot

    def wait(self, seconds: float) -> list[Called]:
        """Move all calls on for at most `seconds`, less when something happened; hand over the ended."""
        if self._unmade:
            seconds = 0.0
        elif self.busy:
            now = time.monotonic()
            for pool in self.pools.all:
                if pool.busy:
                    seconds = min(seconds, pool.patience(now))
        # epoll counts whole milliseconds and rounds up what Python gives it; 0 only polls
        for fd, _ in self._epoll.poll(max(0.0, seconds), 16):
            if ready := self._watched.get(fd):
                ready()
        if self._unmade:
            unmade, self._unmade = self._unmade, []
            return [_not_made(prepared) for prepared in unmade]
        if not self.busy:
            return []
        now, ended = time.monotonic(), []
        for pool in self.pools.all:
            if pool.busy and (pool.moved or now >= pool.due):
                pool.moved = False
                pool.perform()
                ended += self._collect(pool)
        return ended

    def in_flight(self) -> list[Prepared]:
        """The calls that have begun and not ended."""
        made = [slot.prepared for slot in self._slots.values() if slot.prepared is not None]
        return [*made, *self._unmade]

    def abandon(self) -> list[Prepared]:
        """Cut every call that is still in flight; what their endpoints saw is unknown."""
        left, self._unmade = self._unmade, []
        for slot in [s for s in self._slots.values() if s.prepared is not None]:
            assert slot.prepared is not None
            left.append(slot.prepared)
            self._reset(slot)
        return left

    def close(self) -> None:
        """Close every connection."""
        self.abandon()
        for pool in self.pools.all:
            pool.close()
        self._epoll.close()
        if self.trusted is not None:
            self.trusted.close()

    def _collect(self, pool: Pool) -> list[Called]:
        ended: list[Called] = []
        while True:
            queued, good, bad = pool.multi.info_read(512)
            ended += [self._end(curl, 0, "") for curl in good]
            ended += [self._end(curl, code, message) for curl, code, message in bad]
            if not queued:
                return ended

    def _end(self, curl: Any, code: int, message: str) -> Called:
        slot = self._slots[curl]
        prepared = slot.prepared
        assert prepared is not None
        status = slot.getinfo(pycurl.RESPONSE_CODE) or None
        begins, headers = slot.answer()
        outcome, error = (Outcome.ANSWERED, None) if code == 0 else _judge(slot, code, message)
        answered = outcome is Outcome.ANSWERED or outcome is Outcome.TOO_LARGE
        if answered and not is_status(begins):
            answered, (outcome, error) = False, no_status(begins)
        called = Called(
            prepared,
            outcome,
            status if answered else None,
            headers,
            b"".join(slot.kept) if slot.kept else b"",
            slot.received > self.keep_bytes,
            slot.times_us(),
            error,
        )
        self._reset(slot)
        return called

    def _reset(self, slot: _Slot) -> None:
        slot.pool.remove(slot.curl)
        slot.pool.busy -= 1
        slot.line.busy[slot.place] -= 1
        slot.prepared = slot.blocked = None
        slot.headers.clear()
        slot.kept.clear()
        slot.free.append(slot)
        self.busy -= 1


def _not_made(prepared: Prepared) -> Called:
    """The end of a call that was not made."""
    assert prepared.refused is not None
    outcome, why = prepared.refused
    return Called(prepared, outcome, None, b"", b"", False, (0, 0, 0, 0, 0), why)


def _judge(slot: _Slot, code: int, message: str) -> tuple[Outcome, str]:
    if slot.blocked is not None:
        return Outcome.BLOCKED, slot.blocked
    if slot.over:
        return Outcome.TOO_LARGE, f"the response is larger than {slot.caller.read_bytes} bytes"
    return explain(code, message)

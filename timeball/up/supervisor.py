"""The supervisor: one thread, one loop, which sleeps until a signal, a line of log or a timer wakes it."""

from __future__ import annotations

import contextlib
import heapq
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

from timeball.up import sessions
from timeball.up.console import Console
from timeball.up.keeper import GuardKeeper
from timeball.up.lines import Lines
from timeball.up.program import Child, Probe, Program, adopt_orphans, said

BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0)
"""Waits before the restarts of a program that keeps dying; the last one repeats."""

STEADY_SECONDS = 10.0
"""A program that has run this long has not failed to start: its back-off begins anew."""

FAILED_STARTS = 5
"""So many deaths of one program before everything was ready once, and `up` gives up with its last words."""

LEFTOVER_SECONDS = 0.5
"""How long the children of a dead program may take to end before they are killed."""

SECOND_SIGNAL_SECONDS = 0.3
"""Two signals closer than this are one: wrappers such as make pass on what the terminal has sent as well."""

PROBE_EVERY_SECONDS = 0.05
PROBE_LIMIT_SECONDS = 3.0
PIDS_EVERY_SECONDS = 1.0
WAITING_EVERY_SECONDS = 8.0
"""How often `up` says what it still waits for; a healthy start is over before the first time."""

TICK_SECONDS = 0.05
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Runs programs until it is told to stop.

    `on_ready` is called once, when every program is ready for the first time; `on_pids` whenever the processes of
    the roles have changed, from then on. `leftovers` are files that the guard removes if this process is killed.
    `hold` is a descriptor that the guard keeps open until all is gone.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        console: Console,
        *,
        on_ready: Callable[[], None],
        on_pids: Callable[[Mapping[str, list[int]]], None],
        leftovers: Sequence[Path] = (),
        hold: int | None = None,
    ) -> None:
        self._children = {program.name: Child(program) for program in programs}
        self._console = console
        self._on_ready = on_ready
        self._on_pids = on_pids
        self._guard = GuardKeeper(leftovers, hold)
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._was_ready = False
        self._pids: dict[str, list[int]] = {}
        self._stop_asked_at: float | None = None
        self._killing = False
        self._failed = False
        self._done = False
        self._flush_set = False

    # -- the loop ---------------------------------------------------------------------------------

    def run(self) -> int:
        """Start everything, keep it running, and return when all of it has gone.

        The answer is the exit code: 0 after an orderly stop, 1 when a program could not be started or when
        something had to be killed at once.
        """
        adopt_orphans()
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        old_wakeup = signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        for number in (*_STOPPING, signal.SIGCHLD):
            signal.signal(number, _noted)
        self._selector.register(wake_read, selectors.EVENT_READ, lambda: self._signals(wake_read))
        try:
            self._start_guard()
            self._start_waiting()
            self._after(WAITING_EVERY_SECONDS, self._tell_waiting)
            while not self._done:
                self._turn()
        finally:
            self._guard.release(done=self._done)
            signal.set_wakeup_fd(old_wakeup)
            # All has gone: a late signal must not turn a good end into a bad one.
            for number in _STOPPING:
                signal.signal(number, signal.SIG_IGN)
            self._selector.close()
            wake_read.close()
            wake_write.close()
        return 1 if self._failed or self._killing else 0

    def _turn(self) -> None:
        wait = None
        if self._timers:
            wait = max(0.0, self._timers[0][0] - time.monotonic())
        for key, _ in self._selector.select(wait):
            key.data()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        if self._console.waiting and not self._flush_set:
            self._flush_set = True
            self._after(TICK_SECONDS, self._flush)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), action))

    def _flush(self) -> None:
        self._flush_set = False
        self._console.flush()

    def _signals(self, wake: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in wake.recv(4096):
                if number in _STOPPING:
                    self._asked_to_stop(signal.Signals(number))
        self._reap()

    def _start_guard(self) -> None:
        if self._stop_asked_at is not None:
            return
        try:
            self._guard.start(self._children.values())
        except OSError as error:
            self._console.say(f"cannot start the guard: {error}")
            self._after(BACKOFF_SECONDS[-1], self._start_guard)

    # -- starting ---------------------------------------------------------------------------------

    def _start_waiting(self) -> None:
        """Start each program that waits for nothing more."""
        if self._stop_asked_at is not None:
            return
        ready = {name for name, child in self._children.items() if child.ready}
        for child in self._children.values():
            idle = child.session is None and not child.ready and child.failures == 0
            if idle and child.program.needs <= ready:
                self._start(child)

    def _start(self, child: Child) -> None:
        if self._stop_asked_at is not None or child.running:
            return
        try:
            child.start(time.monotonic())
        except OSError as error:
            self._console.say(f"cannot start {child.program.name}: {error}")
            child.failures += 1
            self._give_up_or_retry(child)
            return
        assert child.process is not None
        assert child.process.stdout is not None
        self._guard.watch(child)
        lines = Lines(child.process.stdout.fileno(), lambda line: self._line(child, line))
        stream = child.process.stdout
        os.set_blocking(stream.fileno(), False)

        def read() -> None:
            if not lines.read():
                self._selector.unregister(stream)
                stream.close()

        self._selector.register(stream, selectors.EVENT_READ, read)
        if child.program.probe is not None:
            self._probe(child, child.program.probe)
        elif not child.program.once:
            self._is_ready(child)

    def _line(self, child: Child, line: bytes) -> None:
        if line.strip():
            child.last_line = line.decode("utf-8", "replace").strip()
        self._console.relay(child.program.name, line)

    def _probe(self, child: Child, probe: Probe) -> None:
        """Ask the program whether it works, again and again until it says so."""
        process = child.process
        if process is None or child.ready or self._stop_asked_at is not None:
            return
        unix = isinstance(probe.address, str)
        family = (
            socket.AF_UNIX
            if unix
            else socket.AF_INET6
            if ":" in probe.address[0]
            else socket.AF_INET
        )
        trial = socket.socket(family, socket.SOCK_STREAM)
        trial.setblocking(False)
        trial.connect_ex(probe.address)
        state = {"open": True}

        def close(*, worked: bool) -> None:
            if not state["open"]:
                return
            state["open"] = False
            self._selector.unregister(trial)
            trial.close()
            if child.process is not process:
                return
            if worked:
                self._is_ready(child)
            else:
                self._after(PROBE_EVERY_SECONDS, lambda: self._probe(child, probe))

        def write() -> None:
            try:
                trial.sendall(probe.request)
                self._selector.modify(trial, selectors.EVENT_READ, read)
            except OSError:
                close(worked=False)

        def read() -> None:
            try:
                answer = trial.recv(2048)
                child.last_answer = answer.partition(b"\r\n\r\n")[2] or answer
                close(worked=answer.startswith(probe.expects))
            except OSError:
                close(worked=False)

        self._selector.register(trial, selectors.EVENT_WRITE, write)
        self._after(PROBE_LIMIT_SECONDS, lambda: close(worked=False))

    def _tell_waiting(self) -> None:
        if self._was_ready or self._stop_asked_at is not None:
            return
        for child in self._children.values():
            if not child.ready and child.running:
                words = child.last_answer.decode("utf-8", "replace").strip()[:300]
                self._console.say(f"waiting for {child.program.name}{words and ': ' + words}")
        self._after(WAITING_EVERY_SECONDS, self._tell_waiting)

    def _is_ready(self, child: Child) -> None:
        child.ready = True
        self._start_waiting()
        if not self._was_ready and all(c.ready for c in self._children.values()):
            self._was_ready = True
            self._watch_pids()
            self._on_ready()
        elif self._was_ready:
            self._note_pids()

    # -- dying and restarting ---------------------------------------------------------------------

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self._ended(pid, os.waitstatus_to_exitcode(status))
        if self._stop_asked_at is not None:
            self._go_on_stopping()

    def _ended(self, pid: int, code: int) -> None:
        if self._guard.ended(pid, code):
            if self._stop_asked_at is None:
                self._after(BACKOFF_SECONDS[0], self._start_guard)
            return
        for child in self._children.values():
            if child.process is not None and child.process.pid == pid:
                child.ended(code)
                self._after_end(child, code)
                return

    def _after_end(self, child: Child, code: int) -> None:
        name = child.program.name
        if self._stop_asked_at is not None:
            return
        if child.program.once and code == 0:
            self._sweep(child, lambda: None)
            self._is_ready(child)
            return
        if time.monotonic() - child.started_at >= STEADY_SECONDS:
            child.failures = 0
        child.failures += 1
        self._console.say(f"{name} ended: {said(code)}")
        self._sweep(child, lambda: self._give_up_or_retry(child))

    def _sweep(self, child: Child, then: Callable[[], None]) -> None:
        """End what a dead program left of its session, before anything new starts in its place."""
        session, since = child.session, time.monotonic()
        if session is not None and not child.cleared:
            sessions.send(session, signal.SIGTERM)

        def look() -> None:
            if self._stop_asked_at is not None:
                return
            if child.cleared:
                self._guard.forget(session or 0)
                then()
                return
            if time.monotonic() - since > LEFTOVER_SECONDS:
                child.kill()
            self._after(TICK_SECONDS, look)

        look()

    def _give_up_or_retry(self, child: Child) -> None:
        if not self._was_ready and child.failures >= FAILED_STARTS:
            words = f": {child.last_line}" if child.last_line else ""
            self._console.say(f"{child.program.name} does not start{words}")
            self._failed = True
            self._stop()
            return
        wait = BACKOFF_SECONDS[min(child.failures, len(BACKOFF_SECONDS)) - 1]
        self._console.say(f"{child.program.name} starts again in {wait:g} s")
        self._after(wait, lambda: self._start(child))

    # -- telling which processes run --------------------------------------------------------------

    def _watch_pids(self) -> None:
        # Pools replace their own processes without a word to us, so the list is looked at by the clock.
        if self._stop_asked_at is None:
            self._note_pids()
            self._after(PIDS_EVERY_SECONDS, self._watch_pids)

    def _note_pids(self) -> None:
        found: dict[str, list[int]] = {"up": [os.getpid()]}
        for child in self._children.values():
            if not child.program.once:
                found.setdefault(child.program.role, []).extend(child.pids())
        if found != self._pids:
            self._pids = found
            self._on_pids(found)

    # -- stopping ---------------------------------------------------------------------------------

    def _asked_to_stop(self, number: signal.Signals) -> None:
        if self._stop_asked_at is None:
            self._console.say(f"{number.name}: stopping, calls in flight finish; again to kill")
            self._stop()
            return
        again = time.monotonic() - self._stop_asked_at >= SECOND_SIGNAL_SECONDS
        if again and number != signal.SIGHUP and not self._killing:
            self._console.say(f"{number.name} again: killing")
            self._killing = True
            for child in self._children.values():
                child.kill()
            self._go_on_stopping()

    def _stop(self) -> None:
        if self._stop_asked_at is None:
            self._stop_asked_at = time.monotonic()
            self._stop_turn()

    def _stop_turn(self) -> None:
        self._go_on_stopping()
        if not self._done:
            self._after(TICK_SECONDS, self._stop_turn)

    def _go_on_stopping(self) -> None:
        """Ask the lowest phase that still runs to stop, and kill what has used up its patience."""
        left = [child for child in self._children.values() if not child.cleared]
        if not left:
            self._done = True
            return
        phase = min(child.program.stop_phase for child in left)
        now = time.monotonic()
        for child in left:
            if child.program.stop_phase != phase:
                continue
            if child.asked_at is None:
                child.ask(now)
            patience = LEFTOVER_SECONDS if not child.running else child.program.patience_seconds
            if self._killing or now - (child.asked_at or now) > patience:
                child.kill()


def _noted(_number: int, _frame: object) -> None:
    """A signal handler that does nothing: the number arrives through the wake-up descriptor."""

"""A program that the supervisor runs, and the life of its process.

Each process leads a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone and so that
its children can be found and ended when it dies without them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from timeball.up import sessions

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


@dataclass(frozen=True, slots=True)
class Probe:
    """How to see from outside that a program works: send `request`, expect an answer that begins with `expects`.

    `address` is a host and port, or the path of a unix socket.
    """

    address: tuple[str, int] | str
    request: bytes
    expects: bytes

    @classmethod
    def http(cls, host: str, port: int, path: str, expects: bytes = b"HTTP/1.1 2") -> Probe:
        """A GET that must be answered with 2xx."""
        request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
        return cls((host, port), request.encode(), expects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program. It starts once all that it `needs` are ready, and stops by phases, lowest first.

    A program that runs `once` is ready when it has exited with 0 and is not started again.
    """

    name: str
    role: str
    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    probe: Probe | None = None
    once: bool = False
    stop_phase: int = 0
    patience_seconds: float = 1.5
    """How long it may take to stop when asked, before it is killed."""
    goes_last: bool = False
    """The store: after a kill of the supervisor, too, it goes after all others."""


class Child:
    """The process of a program, through its restarts."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.session: int | None = None
        self.ready = False
        self.failures = 0
        self.started_at = 0.0
        self.asked_at: float | None = None
        self.last_line = ""
        self.last_answer = b""

    @property
    def running(self) -> bool:
        """Whether the main process lives, as far as is known."""
        return self.process is not None

    @property
    def cleared(self) -> bool:
        """Whether no process of the program is left. A session that is empty is forgotten at once: its number
        may be used again."""
        if self.process is None and self.session is not None and not sessions.members(self.session):
            self.session = None
        return self.process is None and self.session is None

    def start(self, now: float) -> None:
        """Start the process. Its output is one pipe, `process.stdout`. Raises OSError when it cannot."""
        self.process = subprocess.Popen(
            self.program.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd=self.program.cwd,
            env=dict(self.program.environment),
            start_new_session=True,
            # Safe here: the supervisor has one thread. The store has no such tie: the guard ends it last.
            preexec_fn=None if self.program.goes_last else tied_to(os.getpid()),
        )
        self.session = self.process.pid
        self.started_at = now
        self.asked_at = None

    def ended(self, code: int) -> None:
        """Note that the main process has ended, and was reaped."""
        assert self.process is not None
        self.process.returncode = code
        self.process = None
        self.ready = self.program.once and code == 0

    def ask(self, now: float) -> None:
        """Ask the main process to stop; its children are its own affair."""
        if self.process is not None:
            sessions.tell(self.process.pid, signal.SIGTERM)
        elif self.session is not None:
            sessions.send(self.session, signal.SIGTERM)
        self.asked_at = now

    def kill(self) -> None:
        """Kill every process of the program."""
        if self.session is not None:
            sessions.send(self.session, signal.SIGKILL)

    def pids(self) -> list[int]:
        """The main process first, then its children where they are known."""
        if self.process is None:
            return []
        return [self.process.pid, *sessions.descendants(self.process.pid)]


def tied_to(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes the program: have the kernel ask it to stop when `parent` dies."""
    if _libc is None:
        return None
    prctl = _libc.prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)

    return tie


def adopt_orphans() -> None:
    """Make the grandchildren of this process its own when their parents die, so that it can reap them (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def said(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"

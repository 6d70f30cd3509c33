"""Sessions of processes: each program that `up` starts leads one, so that it can be ended with all its children.

A session survives the death of its leader, and a child cannot leave it by accident (only by `setsid`), so it is
what remains to hold on to when a leader was killed. Kept to the standard library: the guard imports it too.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

_PROC = Path("/proc")
HAS_PROC = (_PROC / "self" / "stat").exists()


def members(session: int) -> list[int]:
    """The living processes of a session, zombies left out. Without `/proc`: the leader's group as one entry."""
    if not HAS_PROC:
        try:
            os.killpg(session, 0)
        except (ProcessLookupError, PermissionError):
            return []
        return [session]
    found = []
    for entry in os.listdir(_PROC):
        if entry.isdigit():
            state = _state(int(entry))
            if state is not None and state[1] == session and state[0] not in "ZX":
                found.append(int(entry))
    return sorted(found)


def send(session: int, number: signal.Signals) -> None:
    """Send a signal to every process of a session; those that have gone meanwhile are passed over."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, number)
    if HAS_PROC:
        for pid in members(session):
            tell(pid, number)


def tell(pid: int, number: signal.Signals) -> None:
    """Send a signal to one process, if it still lives."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def descendants(pid: int) -> list[int]:
    """The children of a process, their children and so on, nearest first; empty without `/proc`."""
    found: list[int] = []
    wave = [pid]
    while wave:
        wave = [child for parent in wave for child in _children(parent)]
        found += wave
    return found


def started_at(pid: int) -> int | None:
    """When a process began, in clock ticks since boot: with its id, a name that is never reused."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])


def _state(pid: int) -> tuple[str, int] | None:
    """The state letter and the session of a process (proc(5), fields 3 and 6 of `stat`)."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[3])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(_PROC / str(pid) / "task"):
            text = (_PROC / str(pid) / "task" / thread / "children").read_text()
            found += [int(child) for child in text.split()]
    except OSError:
        pass
    return sorted(found)

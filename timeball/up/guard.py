"""The guard: a tiny process that ends everything when `up` itself is killed.

A parent that dies by SIGKILL cannot clean up, so it keeps this process beside it and holds the only write end of
its standard input. The lines say which sessions live; the end of the input without a `bye` says that the parent
is dead. Then the guard does what the parent would have done, only faster: ask, wait, kill, and the store last.

    + SESSION LAST    a session began; LAST is 1 for the store, which goes after all others
    - SESSION         it is gone
    bye               the parent ends in order and needs no guard
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence

from timeball.up import sessions

PATIENCE_SECONDS = 2.5
"""How long calls in flight may take to end once the parent is dead."""

STORE_PATIENCE_SECONDS = 1.5
"""How long the store may take to write its file out. Killed after that, it still loses nothing that it answered:
it hands each write to the kernel before it answers."""


def main(leftovers: Sequence[str]) -> int:
    """Watch until the input ends. `leftovers` are files that no longer tell the truth once all is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: dict[int, bool] = {}
    for line in iter(sys.stdin.readline, ""):
        words = line.split()
        if words == ["bye"]:
            return 0
        if len(words) == 3 and words[0] == "+":
            watched[int(words[1])] = words[2] == "1"
        elif len(words) == 2 and words[0] == "-":
            watched.pop(int(words[1]), None)
    end([session for session, last in watched.items() if not last], PATIENCE_SECONDS)
    end([session for session, last in watched.items() if last], STORE_PATIENCE_SECONDS)
    for path in leftovers:
        with contextlib.suppress(OSError):
            os.unlink(path)
    return 0


def end(watched: Iterable[int], patience_seconds: float) -> None:
    """Ask the leaders to stop, wait, then kill whatever is left of their sessions."""
    watched = list(watched)
    for session in watched:
        # The leader alone: a pool's workers would drop their calls, while their leader lets them finish.
        sessions.tell(session, signal.SIGTERM)
    if _wait(lambda: not any(map(sessions.members, watched)), patience_seconds):
        return
    for session in watched:
        sessions.send(session, signal.SIGKILL)
    _wait(lambda: not any(map(sessions.members, watched)), 0.5)


def _wait(condition: Callable[[], bool], limit_seconds: float) -> bool:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

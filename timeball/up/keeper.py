"""The guard as the supervisor sees it: started, told of every session, and let go in the end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import timeball
from timeball.up.program import Child


class GuardKeeper:
    """Starts the guard, and tells it what it would have to end. `leftovers` and `hold` as of Supervisor."""

    def __init__(self, leftovers: Sequence[Path], hold: int | None) -> None:
        self._leftovers = leftovers
        self._hold = hold
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None

    def start(self, children: Iterable[Child]) -> None:
        """Raises OSError."""
        root = Path(timeball.__file__).parent.parent
        read, write = os.pipe()
        # Written before it lives, so that there is no instant at which it knows of nothing.
        for child in children:
            if child.session is not None:
                os.write(write, _watch(child))
        try:
            self._process = subprocess.Popen(
                # Without site-packages it starts in 20 ms and stays small.
                [sys.executable, "-S", "-P", "-m", "timeball.up.guard", *map(str, self._leftovers)],
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": str(root), "PATH": os.environ.get("PATH", os.defpath)},
                pass_fds=() if self._hold is None else (self._hold,),
                start_new_session=True,
            )
        except OSError:
            os.close(write)
            raise
        finally:
            os.close(read)
        self._pipe = write

    def ended(self, pid: int, code: int) -> bool:
        """Whether the process that has ended is the guard."""
        if self._process is None or pid != self._process.pid:
            return False
        self._process.returncode = code
        self._process = None
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        return True

    def watch(self, child: Child) -> None:
        """Tell it of a program that was started."""
        self._tell(_watch(child))

    def forget(self, session: int) -> None:
        """Tell it of a session that is gone."""
        self._tell(b"- %d\n" % session)

    def _tell(self, line: bytes) -> None:
        if self._pipe is not None:
            with contextlib.suppress(OSError):  # it died: SIGCHLD is on its way
                os.write(self._pipe, line)

    def release(self, *, done: bool) -> None:
        """Let it go: with nothing to do when all is done, else to end what is left."""
        if self._pipe is None:
            return
        if done:
            self._tell(b"bye\n")
        os.close(self._pipe)
        self._pipe = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)


def _watch(child: Child) -> bytes:
    return b"+ %d %d\n" % (child.session or 0, child.program.goes_last)

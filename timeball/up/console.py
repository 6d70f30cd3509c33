"""What `up` shows: the lines of all its programs, each behind the program's name, and its own words.

Writing never blocks: a terminal stopped with Ctrl-S, or a reader that sleeps, must not stop the supervisor, whose
programs would then stop at their full log pipes. What does not fit into the buffer is dropped, and counted.
"""

from __future__ import annotations

import json
import os
import re
import select
import time

MAX_LINE_BYTES = 8192
BUFFER_BYTES = 1 << 20
_CHUNK_BYTES = 4096  # PIPE_BUF: what a pipe that select() calls writable takes without blocking
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_COLOURS = {
    "up": "1",
    "redis": "31",
    "api": "32",
    "worker": "36",
    "beat": "33",
    "inbox": "35",
    "flower": "34",
    "key": "2",
}


class Console:
    """A non-blocking writer of prefixed lines to one file descriptor.

    `as_json` passes JSON lines through as they are and wraps all others, so that the whole stream is one JSON
    object a line. `colour` keeps colours; without it they are taken out of the programs' lines too.
    """

    def __init__(self, descriptor: int, *, as_json: bool, colour: bool, width: int = 7) -> None:
        self._descriptor = descriptor
        self._as_json = as_json
        self._colour = colour and not as_json
        self._width = width
        self._buffer = bytearray()
        self._dropped = 0

    @property
    def waiting(self) -> bool:
        """Whether something is left to write once the reader takes it."""
        return bool(self._buffer)

    def say(self, text: str, name: str = "up") -> None:
        """Write words of the supervisor's own, or one line of a program."""
        for line in text.splitlines():
            self._put(self._shape(name, line))
        self.flush()

    def relay(self, name: str, raw: bytes) -> None:
        """Write one line that a program wrote, whatever bytes it holds."""
        line = raw[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r\n")
        if line.strip():
            self._put(self._shape(name, line))
            self.flush()

    def flush(self) -> None:
        """Write as much as the reader takes now."""
        while self._buffer:
            try:
                if not select.select([], [self._descriptor], [], 0)[1]:
                    return
                written = os.write(self._descriptor, self._buffer[:_CHUNK_BYTES])
            except BlockingIOError:
                return
            except (OSError, ValueError):
                self._buffer.clear()  # nobody reads any more: the product runs on
                return
            del self._buffer[:written]
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._put(self._shape("up", f"{dropped} log lines were dropped: nobody read them"))

    def drain(self, limit_seconds: float) -> None:
        """Write the rest, waiting for the reader no longer than the limit."""
        deadline = time.monotonic() + limit_seconds
        self.flush()
        while self._buffer and time.monotonic() < deadline:
            select.select([], [self._descriptor], [], 0.05)
            self.flush()

    def _put(self, line: str) -> None:
        data = line.encode() + b"\n"
        if len(self._buffer) + len(data) > BUFFER_BYTES:
            self._dropped += 1
        else:
            self._buffer += data

    def _shape(self, name: str, line: str) -> str:
        if self._as_json:
            if line.startswith("{") and line.endswith("}"):
                return line
            return json.dumps({"role": name, "event": _ANSI.sub("", line)}, ensure_ascii=False)
        if not self._colour:
            return f"{name:<{self._width}} | {_ANSI.sub('', line)}"
        paint = _COLOURS.get(name.partition("-")[0], "37")
        return f"\x1b[{paint}m{name:<{self._width}} |\x1b[0m {line}\x1b[0m"

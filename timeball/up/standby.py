"""An exporter that has nothing to do yet: `python -m timeball.up.standby COMMAND...`.

The libraries of an exporter take 70 MB, and most installations export now and then or never. So this small
process stands on the roll in its place until an export is there, and then becomes the command: the same process,
so that whoever started it sees no difference. It speaks to the store by itself, for a client's library alone would
double its size; with a store that is reached in another way than by a socket or plain TCP it does not wait.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from urllib.parse import unquote, urlsplit

from timeball import settings
from timeball.store import keys

LOOK_SECONDS = 0.5
SIGN_LOOKS = 4
"""It signs the roll each so many looks."""
STORE_SECONDS = 5.0
AWAY_SECONDS = 15.0

ROLL = keys.prefix(0) + "roll"
WAITING = tuple(f"lanes:{keys.EXPORT}{priority}" for priority in ("", ":h", ":l"))
"""Keys of a shard that are there while exports wait."""


class Refused(Exception):
    """The store answered with an error."""


class Store:
    """A connection that sends commands one by one. Raises OSError and Refused."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(STORE_SECONDS)
            self._socket.connect(unquote(parts.path))
        else:
            address = (parts.hostname or "localhost", parts.port or 6379)
            self._socket = socket.create_connection(address, STORE_SECONDS)
        self._file = self._socket.makefile("rb")
        if parts.password:
            user = [unquote(parts.username)] if parts.username else []
            self("AUTH", *user, unquote(parts.password))
        number = parts.path.strip("/") if parts.scheme == "redis" else ""
        if number:
            self("SELECT", number)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def __call__(self, *words: str) -> list[bytes]:
        """Send a command; answers its simple parts."""
        raw = [word.encode() for word in words]
        self._socket.sendall(
            b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in raw)
        )
        return self._answer()

    def _answer(self) -> list[bytes]:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the store went away")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Refused(rest.decode(errors="replace"))
        if kind == b"*":
            return [part for _ in range(int(rest)) for part in self._answer()]
        return [self._file.read(int(rest) + 2)[:-2]] if kind == b"$" else [rest]


def wait(redis_url: str, shards: int, who: str) -> None:
    """Stand on the roll until an export waits; or until the store refuses, or has been away for long.

    Then the exporter meets the same trouble, and says so in its log.
    """
    wanted = [keys.prefix(shard) + key for shard in range(shards) for key in WAITING]
    heard = time.monotonic()
    while time.monotonic() - heard < AWAY_SECONDS:
        with contextlib.suppress(OSError), Store(redis_url) as store:
            looks = 0
            while True:
                if looks % SIGN_LOOKS == 0:
                    seconds, micros = store("TIME")
                    at = int(seconds) + int(micros) / 1e6
                    store("HSET", ROLL, who, json.dumps({"processes": 0, "at": at}))
                if any(store("EXISTS", key) != [b"0"] for key in wanted):
                    return
                looks, heard = looks + 1, time.monotonic()
                time.sleep(LOOK_SECONDS)
        time.sleep(LOOK_SECONDS)


def main(command: list[str]) -> None:
    """Wait, then become the command."""
    loaded = settings.load()
    who = f"exporter:{socket.gethostname()}:{os.getpid()}"

    def stop(*_: object) -> None:
        with contextlib.suppress(OSError, Refused), Store(loaded.redis_url) as store:
            store("HDEL", ROLL, who)
        os._exit(0)

    if urlsplit(loaded.redis_url).scheme in ("unix", "redis"):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        with contextlib.suppress(Refused):
            wait(loaded.redis_url, loaded.shards, who)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606 - our own command line


if __name__ == "__main__":
    main(sys.argv[1:])

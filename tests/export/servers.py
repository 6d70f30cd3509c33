"""Private PostgreSQL and MariaDB servers from the machine's own packages, on unix sockets in a temp folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa


@dataclass(frozen=True)
class Server:
    """A running server: the URL of its superuser, and the process."""

    url: str
    process: subprocess.Popen[bytes]


def missing_postgres() -> str | None:
    """Why no PostgreSQL can be started here, or None."""
    return None if _postgres_bin() else "no PostgreSQL server is installed (apt: postgresql)"


def missing_mariadb() -> str | None:
    """Why no MariaDB can be started here, or None."""
    found = _which("mariadbd") and _which("mariadb-install-db")
    return None if found else "no MariaDB server is installed (apt: mariadb-server)"


def _postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def postgres() -> Iterator[Server]:
    """PostgreSQL with an empty database; as the user postgres when we are root, which it refuses."""
    binaries = _postgres_bin()
    assert binaries
    with _folder("pg") as folder:
        drop: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data = folder / "data"
        first = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(
            [*drop, binaries / "initdb", "-D", data, *first],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        command = [*drop, binaries / "postgres", "-D", data, "-k", folder, "-F"]
        command += ["-c", "listen_addresses=", "-c", "max_connections=30"]
        url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
        with _running(command, folder, url, signal.SIGINT) as server:  # the fast shutdown
            yield server


@contextmanager
def mariadb() -> Iterator[Server]:
    """MariaDB with one empty database."""
    with _folder("my") as folder:
        user = ["--user=root"] if os.geteuid() == 0 else []
        install, daemon = _which("mariadb-install-db"), _which("mariadbd")
        assert install
        assert daemon
        data, socket = folder / "data", folder / "sock"
        quick = ["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M"]
        first = ["--skip-test-db", "--auth-root-authentication-method=normal"]
        subprocess.run(
            [install, "--no-defaults", f"--datadir={data}", *first, *user, *quick],
            check=True,
            capture_output=True,
        )
        command = [
            daemon,
            "--no-defaults",
            f"--datadir={data}",
            f"--socket={socket}",
            *user,
            *quick,
        ]
        command += ["--skip-networking", "--innodb-flush-log-at-trx-commit=0"]
        url = f"mariadb+pymysql://root@/mysql?unix_socket={socket}"
        with _running(command, folder, url) as server:
            engine = sa.create_engine(url)
            with engine.begin() as connection:
                connection.execute(sa.text("CREATE DATABASE shop CHARACTER SET utf8mb4"))
            engine.dispose()
            yield Server(url.replace("/mysql?", "/shop?"), server.process)


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    """A folder with a path short enough for a socket, and one that another user may enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"timeball-{name}-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(
    command: list[object], folder: Path, url: str, stop: signal.Signals = signal.SIGTERM
) -> Iterator[Server]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=output, cwd=folder
        )
    try:
        engine = sa.create_engine(url)
        _eventually(lambda: engine.connect().close(), process, log)
        engine.dispose()
        yield Server(url, process)
    finally:
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _eventually(
    connect: Callable[[], None], process: subprocess.Popen[bytes], log: Path, seconds: float = 30
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            connect()
        except sa.exc.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return

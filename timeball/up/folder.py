"""The data folder of `up`: one run at a time, its secrets, and what other commands need to know of it.

lock             held by the run (and by its guard, until the last process of the run has gone)
run.json         settings and addresses of the run, for `--data`; gone when nothing runs
secret           the master secret, made at the first start
api_key          the development key, so that each start prints the same
flower_password  of the user `timeball`
login            where the dashboard lets in, once and for 15 minutes; new at each start
redis.conf, redis.pid, redis.sock, appendonlydir/   the embedded store
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from timeball.errors import ConfigError
from timeball.up import sessions

STALE_LOCK_SECONDS = 12.0
"""How long a new run waits for the remains of a killed one: its guard needs up to 5 s."""


class Folder:
    """The data folder. Everything in it is readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: int | None = None

    @property
    def run_file(self) -> Path:
        return self.path / "run.json"

    @property
    def secret_file(self) -> Path:
        return self.path / "secret"

    @property
    def key_file(self) -> Path:
        return self.path / "api_key"

    @property
    def login_file(self) -> Path:
        """Path and query at which the dashboard lets in once; of this run or, until it has one, of the last."""
        return self.path / "login"

    def login_path(self) -> str:
        """What follows the API's address in the link to the dashboard."""
        return self.login_file.read_text().strip() if self.login_file.exists() else "/dashboard"

    @property
    def lock_descriptor(self) -> int:
        """The descriptor that holds the lock, to be handed to the guard."""
        assert self._lock is not None, "the folder is not open"
        return self._lock

    def open(self) -> None:
        """Make the folder if need be and lock it.

        Raises ConfigError when it cannot be written, or when another `up` runs on it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError([f"cannot use {self.path} as the data folder: {reason}"]) from error
        deadline = time.monotonic() + STALE_LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").split()
                if _lives(holder) or time.monotonic() > deadline:
                    os.close(descriptor)
                    raise ConfigError([self._taken(holder)]) from None
                time.sleep(0.1)  # its parent was killed; the guard is still ending the rest
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {sessions.started_at(os.getpid())}".encode(), 0)
        self._lock = descriptor

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kept_word(self, name: str) -> str:
        """The secret word kept in the file `name`, made at the first call. 43 characters."""
        path = self.path / name
        with contextlib.suppress(FileNotFoundError):
            word = path.read_text().strip()
            if word:
                return word
        word = secrets.token_urlsafe(32)
        write_atomically(path, word + "\n")
        return word

    def last_port(self, role: str, wanted: int) -> int | None:
        """The port that a role had the last time, if the same one was wanted then."""
        try:
            told = json.loads((self.path / "ports").read_text())[role]
        except (OSError, ValueError, KeyError):
            return None
        return int(told["found"]) if told["wanted"] == wanted else None

    def keep_ports(self, found: Mapping[str, tuple[int, int]]) -> None:
        """Remember, for each role, the wanted port and the one found."""
        told = {
            role: {"wanted": wanted, "found": number} for role, (wanted, number) in found.items()
        }
        write_atomically(self.path / "ports", json.dumps(told) + "\n")

    def _taken(self, holder: list[str]) -> str:
        who = f" (process {holder[0]})" if holder else ""
        return (
            f"timeball up already runs on {self.path}{who}: "
            "stop it, or name another folder with --data"
        )


def write_atomically(path: Path, text: str) -> None:
    """Put a file of mode 0600 in place at once: a reader sees the old text or the new, never half."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # no link is followed
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(beside, path)


def write_run(folder: Folder, environment: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """Tell other commands how to reach this run: `environment` holds its settings, `facts` its addresses."""
    text = json.dumps({"environment": dict(environment), "facts": dict(facts)}, indent=1)
    write_atomically(folder.run_file, text + "\n")


def read_run(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The settings and the addresses of the `up` that runs on the folder `path`.

    Raises ConfigError when none runs there.
    """
    folder = Folder(path)
    try:
        told = json.loads(folder.run_file.read_text())
        environment, facts = dict(told["environment"]), dict(told["facts"])
    except FileNotFoundError:
        raise ConfigError(
            [f"no timeball up runs on {folder.path}: start one with: timeball up --data {path}"]
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError([f"cannot read {folder.run_file}: {error}"]) from error
    return environment, facts


def _lives(holder: list[str]) -> bool:
    """Whether the process that wrote itself into a lock file is still the same one."""
    if len(holder) != 2 or not holder[0].isdigit():
        return False
    if not sessions.HAS_PROC:
        try:
            os.kill(int(holder[0]), 0)
        except ProcessLookupError:
            return False
        return True
    return str(sessions.started_at(int(holder[0]))) == holder[1]

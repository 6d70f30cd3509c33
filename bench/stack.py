"""The product, started as a user starts it, and what its processes cost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import redis

PROGRAM = Path(sys.executable).parent / "timeball"
ROLES = ("api", "worker", "exporter", "beat", "redis", "flower", "inbox", "up")


def free_port() -> int:
    """A TCP port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds by role, at one moment."""

    at: float
    by_role: dict[str, float]

    def since(self, before: Cost) -> dict[str, float]:
        """CPU seconds used since `before`, by role."""
        return {
            role: max(0.0, used - before.by_role.get(role, 0.0))
            for role, used in self.by_role.items()
        }


def tree(pids: Sequence[int]) -> list[psutil.Process]:
    """The living processes of `pids` and all their descendants."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            for member in [process, *process.children(recursive=True)]:
                found[member.pid] = member
        except psutil.NoSuchProcess:
            continue
    return list(found.values())


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """User and system time of those of `processes` that live."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


@dataclass
class Stack:
    """`timeball up` in a data folder of its own, as a context manager.

    `data` keeps the folder when given; otherwise a fresh one is made and removed. `settings` are `TIMEBALL_*`
    variables. What the processes print goes to `log`.
    """

    workers: int = 2
    beats: int = 1
    flower: bool = False
    data: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    ready_seconds: float = 60.0
    program: Path = PROGRAM

    def __post_init__(self) -> None:
        self.port = free_port()
        self._own = self.data is None
        self._process: subprocess.Popen[bytes] | None = None
        self._said: dict[str, Any] = {}

    def __enter__(self) -> Stack:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Stack:
        """Start it; returns when the ready file is there. Raises RuntimeError with its last words."""
        if self.data is None:
            self.data = Path(tempfile.mkdtemp(prefix="timeball-"))
        self.ready_file.unlink(missing_ok=True)
        command = [str(self.program), "up"]
        command += ["--data", str(self.data / "house"), "--port", str(self.port)]
        command += ["--ready-file", str(self.ready_file)]
        command += ["--workers", str(self.workers), "--beats", str(self.beats)]
        command += [] if self.flower else ["--no-flower"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TIMEBALL_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, **self.settings},
                start_new_session=True,
            )
        deadline = time.monotonic() + self.ready_seconds
        while not self.ready_file.exists():
            if self._process.poll() is not None:
                raise RuntimeError(f"timeball up ended at once:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"timeball up was not ready in time:\n{self.last_words()}")
            time.sleep(0.05)
        self.said()
        return self

    def stop(self, *, keep: bool = False) -> None:
        """Stop it as Ctrl-C does, then see that nothing is left; with `keep` the data folder stays."""
        process = self._process
        if process is not None:
            members = tree([process.pid, *(pid for pids in self.pids().values() for pid in pids)])
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            _, alive = psutil.wait_procs(members, timeout=5)
            for member in alive:
                if member.is_running():
                    member.kill()
            self._process = None
        if self._own and not keep and self.data is not None:
            shutil.rmtree(self.data, ignore_errors=True)
            self.data = None

    @property
    def ready_file(self) -> Path:
        """What `timeball up` writes when it is ready."""
        assert self.data
        return self.data / "ready.json"

    @property
    def log(self) -> Path:
        """What the processes print."""
        assert self.data
        return self.data / "up.out"

    def last_words(self, lines: int = 30) -> str:
        """The end of what the processes printed."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def said(self) -> dict[str, Any]:
        """What the ready file says now: it is rewritten when a child is restarted."""
        for _ in range(100):
            try:
                found = json.loads(self.ready_file.read_text())
            except (OSError, ValueError):
                time.sleep(0.01)
                continue
            self._said = found
            break
        return self._said

    @property
    def url(self) -> str:
        """Where the API listens, without a slash at the end."""
        return str(self._said["url"]).rstrip("/")

    @property
    def key(self) -> str:
        """The API key of the first project."""
        return str(self._said["api_key"])

    def pids(self) -> dict[str, list[int]]:
        """Process ids by role, fresh."""
        if self.data is None or not self.ready_file.exists():
            return {}
        return {role: list(pids) for role, pids in self.said().get("pids", {}).items()}

    @property
    def redis_url(self) -> str:
        """Where the store listens."""
        return str(self._said["redis_url"])

    def redis(self) -> redis.Redis:
        """A connection to the store."""
        url = self.redis_url
        if url.startswith("unix://"):
            return redis.Redis(unix_socket_path=urlsplit(url).path)
        return redis.Redis.from_url(url)

    def by_role(self) -> dict[str, list[psutil.Process]]:
        """Every process of the stack, under the role of its nearest named ancestor."""
        named = {pid: role for role, pids in self.pids().items() for pid in pids}
        found: dict[str, list[psutil.Process]] = {role: [] for role in ROLES}
        seen: set[int] = set()
        # The supervisor comes last, so that it keeps only what no other role claims.
        for role in ROLES:
            for pid, own in named.items():
                if own != role:
                    continue
                for process in tree([pid]):
                    if process.pid not in seen and named.get(process.pid, role) == role:
                        seen.add(process.pid)
                        found.setdefault(role, []).append(process)
        return found

    def cost(self) -> Cost:
        """CPU seconds used so far, by role."""
        return Cost(time.time(), {role: cpu_seconds(ps) for role, ps in self.by_role().items()})

    def resident(self) -> dict[str, tuple[int, int]]:
        """Resident and proportional bytes by role. The second counts a shared page once over its sharers."""
        found = {}
        for role, processes in self.by_role().items():
            rss = pss = 0
            for process in processes:
                try:
                    full = process.memory_full_info()
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
                rss += full.rss
                pss += getattr(full, "pss", full.rss)
            found[role] = (rss, pss)
        return found

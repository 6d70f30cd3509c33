"""The product as a person runs it: `timeball up` in a folder of its own, watched from outside.

Every process that `up` starts stands in the data folder, and `up` itself in the folder above it: so what is left
of a run is known by where it stands, even when its parents have gone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.conftest import eventually

PROGRAM = Path(sys.executable).parent / "timeball"
READY_SECONDS = 60.0
"""How long a start may take before a test gives up on it; how long it should take is a test's own matter."""

STOP_SECONDS = 10.0
KILLED_SECONDS = 10.0
"""The guard's own patience adds up to 5 s: calls in flight, the store, and what a kill takes."""


class Product:
    """One `timeball up`. Use it as a context: it ends with SIGTERM, and everything must have gone with it."""

    def __init__(
        self,
        folder: Path,
        *words: str,
        flower: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.ready_file = self.folder / "ready.json"
        self.words = (*words, *(("--flower-port", "0") if flower else ("--no-flower",)))
        self.environment = {
            **{name: value for name, value in os.environ.items() if "TIMEBALL" not in name},
            **(environment or {}),
        }
        self.ready_seconds = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Product:
        try:
            self.start()
        except BaseException:
            self.clear()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.process is not None and self.process.poll() is None:
                self.stop(signal.SIGTERM)
        finally:
            self.clear()

    # -- its life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until the ready file is there."""
        self.ready_file.unlink(missing_ok=True)
        command = [str(PROGRAM), "up", "--data", "data", "--ready-file", "ready.json"]
        command += ["--port", "0", "--inbox-port", "0", *self.words]
        begun = time.monotonic()
        with self.told.open("wb") as told, self.log.open("ab") as log:
            self.process = process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )
        eventually(
            lambda: self.ready_file.exists() or process.poll() is not None,
            within=READY_SECONDS,
            every=0.01,
        )
        self.ready_seconds = time.monotonic() - begun
        assert process.poll() is None, f"timeball up ended at once:\n{self.last_words()}"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to `up` alone, as a terminal or a service manager does."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """Ask it to stop, see that all has gone in time, and answer the seconds it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.send(number)
        code = self.process.wait(STOP_SECONDS + 5)
        self.gone(within=max(0.5, begun + STOP_SECONDS - time.monotonic()))
        assert code == 0, f"timeball up ended with {code}:\n{self.last_words()}"
        return time.monotonic() - begun

    def kill(self) -> None:
        """Kill `up` itself, which cannot be caught."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def gone(self, within: float) -> None:
        """Wait until no process of this run is left."""
        eventually(lambda: not self.left(), within=within, every=0.1)

    def left(self) -> list[psutil.Process]:
        """The living processes that stand in this run's folders."""
        found = []
        for process in psutil.process_iter():
            try:
                stands = process.cwd()
                if Path(stands).is_relative_to(self.folder) and process.status() != "zombie":
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                continue
        return found

    def clear(self) -> None:
        """Kill what is left, so that a failed test harms no other."""
        for process in self.left():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        if self.process is not None:
            self.process.wait()

    # -- what it says -----------------------------------------------------------------------------

    @property
    def told(self) -> Path:
        """What it printed for people: the READY block."""
        return self.folder / "told"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    @property
    def facts(self) -> dict[str, Any]:
        """What the ready file says now."""
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found

    def pids(self, role: str) -> list[int]:
        """The processes of a role, as the ready file has them now."""
        found: list[int] = self.facts["pids"].get(role, [])
        return found

    @property
    def url(self) -> str:
        return str(self.facts["url"])

    @property
    def key(self) -> str:
        return str(self.facts["api_key"])

    @property
    def inbox(self) -> str:
        return str(self.facts["inbox_url"])

    # -- what is asked of it ----------------------------------------------------------------------

    def ask(self, method: str, path: str, value: Any = None) -> requests.Response:
        """A request with the development key."""
        return requests.request(
            method,
            self.url + path,
            json=value,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=10,
        )

    def ready(self) -> bool:
        """Whether the API is there and has nothing to complain of."""
        try:
            return self.ask("GET", "/readyz").status_code == 200
        except requests.ConnectionError:
            return False

    def create(self, url: str, body: str = "x", **fields: Any) -> dict[str, Any]:
        """A task that must be taken."""
        answer = self.ask("POST", "/v2/tasks", {"request": {"url": url, "body": body}, **fields})
        assert answer.status_code == 201, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def get(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """A task as it is now."""
        answer = self.ask("GET", f"/v2/tasks/{task['id']}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def received(self, path: str) -> list[dict[str, Any]]:
        """What the inbox has recorded under a path, newest first."""
        answer = requests.get(self.inbox + path, headers={"Accept": "application/json"}, timeout=10)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command of the same program, in the same folder."""
        return subprocess.run(
            [str(PROGRAM), *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=30,
        )

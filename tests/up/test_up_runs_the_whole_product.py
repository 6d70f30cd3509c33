"""`timeball up`, whole: from nothing to the first call, through kills and restarts, to nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import eventually
from tests.up.fakes import alive
from timeball.dispatch.house import House

pytestmark = pytest.mark.stack

CLI = [sys.executable, "-c", "from timeball.cli import main; main()"]
ROLES = {"up", "api", "worker", "exporter", "beat", "redis", "flower", "inbox"}


@dataclass
class Up:
    process: subprocess.Popen[str]
    ready_file: Path
    log: Path
    data: Path

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found

    def pids(self) -> list[int]:
        return [pid for pids in self.facts["pids"].values() for pid in pids]

    def submit(self, path: str, **more: Any) -> requests.Response:
        return requests.post(
            self.facts["url"] + "/v2/tasks",
            headers={"Authorization": f"Bearer {self.facts['api_key']}"},
            json={"request": {"url": self.facts["inbox_url"] + path, "body": "x"}, **more},
            timeout=10,
        )

    def received(self, path: str) -> list[dict[str, Any]]:
        url = self.facts["inbox_url"] + path
        try:
            answer = requests.get(url, headers={"Accept": "application/json"}, timeout=5)
        except requests.ConnectionError:  # it was killed a moment ago
            return []
        found: list[dict[str, Any]] = answer.json()
        return found

    def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """The seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - begun


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("TIMEBALL_")}


@contextlib.contextmanager
def up(tmp_path: Path, *words: str, **settings: str) -> Iterator[Up]:
    ready_file, log, data = tmp_path / "ready.json", tmp_path / "log", tmp_path / "data"
    argv = [*CLI, "up", "--data", str(data), "--ready-file", str(ready_file)]
    argv += ["--port", "0", "--inbox-port", "0", "--flower-port", "0", *words]
    ready_file.unlink(missing_ok=True)  # of a run that was killed
    with log.open("a") as out:
        process = subprocess.Popen(
            argv,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            env={**_environment(), **settings},
        )
    run = Up(process, ready_file, log, data)
    left: list[int] = []
    try:
        eventually(lambda: ready_file.exists() or process.poll() is not None, within=60)
        assert process.poll() is None, log.read_text()
        left = run.pids()
        yield run
    finally:
        if process.poll() is None:
            with contextlib.suppress(OSError):
                left += run.pids()
            process.send_signal(signal.SIGTERM)
        process.wait(20)
        eventually(lambda: not any(map(alive, left)))


def test_the_printed_command_makes_a_call_that_arrives_and_is_signed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    with up(tmp_path) as run:
        assert set(run.facts["pids"]) == ROLES
        text = eventually(lambda: re.search(r"Try: (curl .*\\\n.*)\n", run.log.read_text()))
        done = subprocess.run(
            ["sh", "-c", text[1] + " -sS -w '\\n%{http_code}'"], capture_output=True
        )
        assert done.stdout.splitlines()[-1] == b"201", done
        (received,) = eventually(lambda: run.received("/hello"), within=2)
        assert received["signatures"] == {"mergent": "valid", "webhook": "valid"}
        assert received["body"] == "Hello from Timeball"

        shown = subprocess.run([*CLI, "info", "--data", run.data], capture_output=True, text=True)
        assert text[1] in shown.stdout
        made = subprocess.run(
            [*CLI, "keys", "create", "--project", "shop", "--json", "--data", run.data],
            capture_output=True,
        )
        assert json.loads(made.stdout)["key"].startswith("tb_")
        _its_own_ports_are_closed_to_calls(run)
        _nobody_else_may_read(run.data)
        _a_second_one_is_refused(run)
        assert requests.get(run.facts["flower_url"], timeout=5).status_code == 401


def _nobody_else_may_read(data: Path) -> None:
    """Whatever the folder's own mode: the store's files hold bodies and headers."""
    found = [path for path in data.rglob("*") if not path.is_socket()]
    assert any(path.suffix == ".aof" for path in found)
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def _its_own_ports_are_closed_to_calls(run: Up) -> None:
    facts = run.facts
    answer = requests.post(
        facts["url"] + "/v2/tasks",
        headers={"Authorization": f"Bearer {facts['api_key']}"},
        json={"request": {"url": facts["url"] + "/v2/tasks"}},
        timeout=5,
    )
    assert answer.status_code == 422


def _a_second_one_is_refused(run: Up) -> None:
    again = [*CLI, "up", "--data", str(run.data), "--ready-file", str(run.ready_file)]
    done = subprocess.run(again, capture_output=True, text=True, env=_environment())
    assert done.returncode == 2
    assert "already runs on" in done.stderr
    assert run.ready_file.exists(), "the first one's ready file is not touched"


def test_calls_in_flight_finish_and_the_next_start_goes_on(tmp_path: Path) -> None:
    with up(tmp_path, "--no-flower") as run:
        facts = run.facts
        assert facts["flower_url"] is None
        slow = run.submit("/slow?delay=2").json()["id"]
        later = run.submit("/later", delay="4s").json()["id"]
        eventually(lambda: run.received("/slow"))
        pids = run.pids()
        assert run.stop() < 10
        assert run.process.returncode == 0
        assert not any(map(alive, pids))
        assert not run.ready_file.exists()
    with up(tmp_path, "--no-flower") as run:
        assert run.facts["api_key"] == facts["api_key"]
        auth = {"Authorization": f"Bearer {facts['api_key']}"}
        task = requests.get(f"{run.facts['url']}/v2/tasks/{slow}", headers=auth, timeout=5).json()
        assert task["status"] == "success"
        (received,) = eventually(lambda: run.received("/later"))
        assert received["task"] == later
        assert run.received("/slow") == []


def test_a_killed_part_comes_back_and_its_processes_are_told(tmp_path: Path) -> None:
    with up(tmp_path, "--beats", "2", "--no-flower") as run:
        assert len(run.facts["pids"]["beat"]) == 2
        for role in ("redis", "worker", "api", "beat", "inbox"):
            before = run.facts["pids"]
            os.kill(before[role][0], signal.SIGKILL)
            eventually(lambda role=role, before=before: _is_new(run, role, before), within=10)
        assert eventually(lambda: _submits(run), within=15)
        eventually(lambda: run.received("/after"), within=10)
        assert all(map(alive, run.pids()))


def _is_new(run: Up, role: str, before: dict[str, list[int]]) -> bool:
    now = run.facts["pids"]
    return len(now[role]) == len(before[role]) and before[role][0] not in now[role]


def _submits(run: Up) -> bool:
    try:
        return run.submit("/after").status_code == 201
    except requests.RequestException:
        return False


def test_kill_9_of_the_parent_leaves_no_process_and_loses_nothing(tmp_path: Path) -> None:
    with up(tmp_path, "--no-flower") as run:
        tasks = [run.submit("/kept", delay="3s").json()["id"] for _ in range(50)]
        pids = run.pids()
        run.process.kill()
        run.process.wait()
        eventually(lambda: not any(map(alive, pids)), within=5)
    with up(tmp_path, "--no-flower") as run:
        eventually(lambda: len(run.received("/kept")) >= 50, within=20)
        assert {r["task"] for r in run.received("/kept")} == set(tasks)


def test_a_redis_of_the_users_own_is_used(tmp_path: Path, house: House) -> None:
    url = house.settings.redis_url
    with up(tmp_path, "--no-flower", TIMEBALL_REDIS_URL=url, TIMEBALL_LOG_FORMAT="json") as run:
        assert run.facts["redis_url"] == url
        assert run.facts["pids"]["redis"] == []
        assert run.submit("/hello").status_code == 201
        eventually(lambda: run.received("/hello"))
        assert not (run.data / "redis.conf").exists()
        lines = run.log.read_text().partition("\n\n")[0].splitlines()
        assert all(json.loads(line)["role"] for line in lines)

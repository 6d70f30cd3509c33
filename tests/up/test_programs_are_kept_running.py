"""The supervisor starts programs in order, and again when they die, with nothing of the dead one left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.conftest import eventually
from tests.up.fakes import alive, running


def test_a_killed_program_starts_again_and_its_orphans_are_ended(tmp_path: Path) -> None:
    with running(tmp_path, {"api": {}, "worker": {}}) as run:
        before = run.ready("api", "worker")
        os.kill(before["worker"][0], signal.SIGKILL)
        eventually(lambda: set(run.pids()["worker"]).isdisjoint(before["worker"]))
        after = run.ready("worker")
        assert after["api"] == before["api"]
        assert not any(map(alive, before["worker"]))
        run.process.send_signal(signal.SIGTERM)
        code, output = run.end()
    assert code == 0
    assert "worker ended: killed by SIGKILL" in output
    assert "worker  | worker lives" in output


def test_a_program_waits_for_those_it_needs(tmp_path: Path) -> None:
    once = ["sh", "-c", "sleep 0.3; touch done"]
    plan = {"key": {"argv": once, "once": True}, "api": {"needs": ["key"]}}
    with running(tmp_path, plan) as run:
        eventually(lambda: (tmp_path / "done").exists())
        run.ready("api")
        run.process.send_signal(signal.SIGTERM)
        code, output = run.end()
    assert code == 0
    assert "READY" in output


def test_a_program_that_never_starts_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    plan = {"redis": {"stop_phase": 1}, "api": {"how": "dies", "probe": 1}}
    with running(tmp_path, plan) as run:
        code, output = run.end()
    assert code == 1
    assert output.count("api ended: exit code 3") >= 4
    assert "api does not start: cannot start: the reason" in output
    assert run.said() == ["redis"]


def test_a_new_child_of_a_program_is_told(tmp_path: Path) -> None:
    respawn = (
        "import subprocess, sys, time\n"
        "while True: subprocess.run([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])"
    )
    plan = {"pool": {"argv": ["python3", "-S", "-c", respawn]}}
    with running(tmp_path, plan) as run:
        main, child = run.ready("pool")["pool"]
        os.kill(child, signal.SIGKILL)
        eventually(lambda: len(run.pids()["pool"]) == 2 and run.pids()["pool"][1] != child)
        assert run.pids()["pool"][0] == main


def test_an_idle_supervisor_costs_next_to_nothing(tmp_path: Path) -> None:
    with running(tmp_path, {"api": {}}) as run:
        run.ready("api")
        before = _ticks(run.process.pid)
        time.sleep(2)
        assert _ticks(run.process.pid) - before <= 4, "of 200 ticks of 10 ms"


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])

"""Ctrl-C ends everything in order; a second one at once; and a killed supervisor leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.up.fakes import alive, running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_store_goes_last(tmp_path: Path, number: signal.Signals) -> None:
    plan = {"redis": {"stop_phase": 2, "goes_last": True}, "inbox": {"stop_phase": 1}, "api": {}}
    with running(tmp_path, plan) as run:
        pids = run.ready(*plan)
        run.process.send_signal(number)
        code, _ = run.end()
        assert code == 0
        assert run.said() == ["api", "inbox", "redis"]
        assert not any(alive(pid) for found in pids.values() for pid in found)


def test_a_program_that_does_not_stop_is_killed_when_its_patience_ends(tmp_path: Path) -> None:
    plan = {
        "redis": {"stop_phase": 1, "goes_last": True},
        "worker": {"how": "deaf", "patience_seconds": 0.5},
    }
    with running(tmp_path, plan) as run:
        pids = run.ready(*plan)
        begun = time.monotonic()
        run.process.send_signal(signal.SIGINT)
        code, _ = run.end()
        assert 0.5 < time.monotonic() - begun < 3
        assert code == 0
        assert run.said() == ["worker", "redis"]
        assert not any(alive(pid) for found in pids.values() for pid in found)


def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    plan = {
        "redis": {"stop_phase": 1, "how": "deaf", "goes_last": True},
        "worker": {"how": "deaf", "patience_seconds": 60},
    }
    with running(tmp_path, plan) as run:
        pids = run.ready(*plan)
        run.process.send_signal(signal.SIGINT)
        eventually(lambda: run.said() == ["worker"])
        time.sleep(0.4)
        begun = time.monotonic()
        run.process.send_signal(signal.SIGINT)
        code, output = run.end()
        assert time.monotonic() - begun < 5, "of a patience of 60"
        assert code == 1
        assert "again: killing" in output
        assert not any(alive(pid) for found in pids.values() for pid in found)


def test_two_signals_at_the_same_time_count_as_one(tmp_path: Path) -> None:
    with running(tmp_path, {"api": {}}) as run:
        run.ready("api")
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        run.process.send_signal(signal.SIGTERM)
        code, output = run.end()
        assert code == 0
        assert "killing" not in output


def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    plan = {"redis": {"stop_phase": 1, "goes_last": True}, "api": {}, "worker": {"how": "deaf"}}
    leftover = tmp_path / "leftover"
    leftover.touch()
    with running(tmp_path, plan) as run:
        pids = run.ready(*plan)
        run.process.send_signal(signal.SIGKILL)
        left = [pid for found in pids.values() for pid in found]
        eventually(lambda: not any(map(alive, left)), within=5)
        assert run.said()[-1] == "redis", "the store was asked, and last"
        eventually(lambda: not leftover.exists())


def test_nothing_is_left_when_the_supervisor_is_killed_after_its_guard(tmp_path: Path) -> None:
    plan = {"redis": {"goes_last": True}, "api": {}}
    with running(tmp_path, plan) as run:
        pids = run.ready(*plan)
        first = eventually(run.guard)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: run.guard() not in (None, first))
        run.process.send_signal(signal.SIGKILL)
        left = [pid for found in pids.values() for pid in found]
        eventually(lambda: not any(map(alive, left)), within=5)

"""A worker that stops, or is given up for dead, with an export in hand."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import eventually
from tests.spaaza.conftest import Spaaza
from tests.spaaza.held import held_up, messages
from timeball.dispatch import export_files, upkeep
from timeball.dispatch.house import House
from timeball.model.export import LogLine
from timeball.model.project import Project
from timeball.store import chains, keys, pumps
from timeball.store import exports as store
from workers import export as job


def test_a_stopping_worker_gives_it_back(
    api: Spaaza, house: House, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, stop = api.create(), threading.Event()
    with held_up(house, monkeypatch, stop=stop):
        stop.set()
        eventually(lambda: "the worker was asked to stop" in str(messages(api, made)))
    assert api.code(made) == "INPROGRESS"
    assert work() == 1
    assert api.code(made) == "DONE"


def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever claims is told that there is nothing, and the store hears nothing of its heartbeat."""
    monkeypatch.setattr(pumps, "claim", lambda *_, **__: pumps.Claim(0, -1, 0, 0, []))


def give_up(house: House, pump: str | bytes) -> None:
    """As a beat does with a worker whose heartbeat is old: its lease ends, and its task waits again."""
    prefix = keys.prefix(0)
    house.client.zadd(f"{prefix}pumps:e", {pump: 1})
    for _ in range(2):  # it is watched first
        pumps.rescue(
            house.client, prefix, 1, silence_ms=0, watch_ms=0, max_lost=5, horizon_ms=0, kind="e"
        )


def test_a_worker_given_up_for_dead_publishes_nothing(
    api: Spaaza, house: House, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api.create()
    prefix = keys.prefix(0)
    real = job.run_export
    with held_up(house, monkeypatch) as go:
        # As a rescue leaves it: the lease is gone, and the task waits again.
        [pump] = pumps.awake(house.client, prefix, keys.EXPORT)
        silence(monkeypatch)
        give_up(house, pump)
        monkeypatch.undo()
        monkeypatch.setattr(job, "run_export", real)
        assert work() == 1
        first = api.download(made)
        go.set()
    assert api.code(made) == "DONE"
    assert api.download(made) == first
    files = [p for p in export_files.spool(house.settings).rglob("*") if p.is_file()]
    assert len(files) == 1


def test_a_part_file_lives_as_long_as_the_lease_of_its_run(
    api: Spaaza, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api.create()
    root = export_files.spool(house.settings)
    old = (datetime.now(UTC) - timedelta(hours=2)).timestamp()
    with held_up(house, monkeypatch) as go:
        [part] = [p for p in root.rglob("*") if p.is_file()]
        dead = root / "1764" / str(made["id"]) / "7" / ".part-of-another-run"
        dead.parent.mkdir()
        dead.touch()
        for path in (part, part.parent):
            os.utime(path, (old, old))
        export_files.sweep(house, 10)
        assert part.exists()
        assert not dead.exists()
        [pump] = pumps.awake(house.client, keys.prefix(0), keys.EXPORT)
        silence(monkeypatch)
        monkeypatch.setattr(upkeep, "SILENCE_MS", 0)
        monkeypatch.setattr(upkeep, "WATCH_MS", 0)
        house.client.zadd(f"{keys.prefix(0)}pumps:e", {pump: 1})
        upkeep.rescue(house, 10)
        assert part.exists()
        upkeep.rescue(house, 10)
        eventually(lambda: not part.exists())
        go.set()
    assert api.code(made) == "INPROGRESS"
    assert not [p for p in root.rglob("*") if p.is_file()]


def test_one_that_its_workers_died_with_says_so(api: Spaaza, house: House, chain: Project) -> None:
    made = api.create()
    prefix = keys.prefix(0)
    for n in range(5):
        assert pumps.claim(house.client, prefix, f"p{n}", 1, 9, 9, kind=keys.EXPORT).tasks
        assert api.code(made) == "INPROGRESS"
        give_up(house, f"p{n}")
    assert api.code(made) == "ERROR"
    words = "the worker died with it 5 times in a row: it is given up"
    assert messages(api, made) == [words]
    say_two_lines(house, made)
    assert [line["message"] for line in api.get(made, log_limit=1)["logs"]] == [words]
    paged = [api.get(made, log_limit=1, offset=n)["logs"][0]["message"] for n in range(3)]
    assert paged == [words, "second", "first"]


def say_two_lines(house: House, made: dict[str, Any]) -> None:
    """Two lines in the log of an export."""
    prefix = keys.prefix(0)
    project = chains.find(house.client, made["chain"])
    export_id = store.id_of(house.client, prefix, project, made["id"])
    for words in ("first", "second"):
        at = datetime.now(UTC)
        store.note(house.client, prefix, export_id, at, LogLine(at, "info", words))

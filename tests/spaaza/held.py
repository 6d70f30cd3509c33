"""An exporter that is held up in mid-run, and what the log of an export says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.spaaza.conftest import Spaaza
from timeball.dispatch.house import House
from workers import export as job
from workers.export import Exporter


@contextmanager
def held_up(
    house: House, monkeypatch: pytest.MonkeyPatch, *, stop: threading.Event | None = None
) -> Iterator[threading.Event]:
    """An exporter at work in a thread, held after its first rows until the event is set."""
    go, reached = threading.Event(), threading.Event()
    real = job.run_export

    def slow(
        plan: Any, source: Any, now: Any, out: Any, progress: Any, should_stop: Any, policy: Any
    ) -> Any:
        def wait() -> bool:
            reached.set()
            while not go.wait(0.02):
                if should_stop():
                    return True
            return bool(should_stop())

        return real(plan, source, now, out, progress, wait, policy)

    monkeypatch.setattr(job, "run_export", slow)
    ended = stop or threading.Event()
    exporter = Exporter(house, 0, "slow", ended.is_set)
    thread = threading.Thread(target=exporter.run)
    thread.start()
    try:
        assert reached.wait(10)
        yield go
    finally:
        go.set()
        thread.join(20)
        assert not thread.is_alive()
        monkeypatch.setattr(job, "run_export", real)


def messages(api: Spaaza, task: dict[str, Any]) -> list[str]:
    return [line["message"] for line in api.get(task, log_limit=200)["logs"] or []]

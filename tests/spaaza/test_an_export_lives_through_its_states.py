"""READY, INPROGRESS, DONE, ERROR: what moves an export on, and what is seen of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.spaaza.conftest import Spaaza
from timeball.dispatch import export_files, exports, sources, upkeep
from timeball.dispatch.house import House
from timeball.export.failures import ExportUnavailable
from timeball.model.export import LogLine, Repeat
from timeball.model.project import Project
from timeball.store import chains, clock, keys, pumps
from timeball.store import exports as store
from workers import ending
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


def test_a_poll_sees_ready_inprogress_done(
    api: Spaaza, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api.create()
    assert api.code(made) == "READY"
    with held_up(house, monkeypatch) as go:
        now = api.get(made)
        assert now["state"]["code"] == "INPROGRESS"
        assert now["state"]["last_run_date"] != "0001-01-01T00:00:00Z"
        assert now["result"] == ""
        assert api("GET", f"/tasks/{made['id']}/download_url").status_code == 409
        go.set()
    assert api.code(made) == "DONE"


def test_cancelling_one_that_waits(api: Spaaza, work: Callable[[], int]) -> None:
    made = api.create()
    answer = api("POST", f"/tasks/{made['id']}/cancel").json
    assert answer["state"]["code"] == "ERROR"
    assert "cancelled before it ran" in messages(api, made)
    assert work() == 0
    assert api("POST", f"/tasks/{made['id']}/cancel").status_code == 200


def test_cancelling_one_that_runs_leaves_no_file(
    api: Spaaza, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api.create()
    with held_up(house, monkeypatch):
        assert api("POST", f"/tasks/{made['id']}/cancel").status_code == 200
        eventually(lambda: api.code(made) == "ERROR")
    assert "cancelled while it ran" in messages(api, made)
    assert not [p for p in export_files.spool(house.settings).rglob("*") if p.is_file()]


def test_one_that_is_done_cannot_be_cancelled(api: Spaaza, work: Callable[[], int]) -> None:
    made = api.create()
    work()
    assert api("POST", f"/tasks/{made['id']}/cancel").status_code == 409


def test_a_deleted_one_is_gone_with_its_file(
    api: Spaaza, work: Callable[[], int], house: House
) -> None:
    made = api.create()
    work()
    assert api("DELETE", f"/tasks/{made['id']}").status_code == 204
    assert api("GET", f"/tasks/{made['id']}").status_code == 404
    root = export_files.spool(house.settings)
    assert list(root.rglob("*.csv"))
    old = (datetime.now(UTC) - timedelta(minutes=2)).timestamp()
    for path in root.rglob("*"):
        os.utime(path, (old, old))
    export_files.sweep(house, 10)
    assert not list(root.rglob("*.csv"))
    assert not house.client.keys("tb:{0}:x*")


def test_a_source_that_is_gone_ends_in_error(
    api: Spaaza, work: Callable[[], int], house: House, chain: Project
) -> None:
    made = api.create()
    sources.remove(house, chain.id, "users")
    work()
    assert api.code(made) == "ERROR"
    assert "there is no source for the index 'users'" in messages(api, made)


def test_a_table_that_is_gone_ends_in_error(
    api: Spaaza, work: Callable[[], int], shop: Path
) -> None:
    made = api.create()
    shop.unlink()
    work()
    assert api.code(made) == "ERROR"
    assert str(shop) not in str(api.get(made))
    assert "the database file cannot be opened" in messages(api, made)


def test_a_full_disk_ends_in_error_and_leaves_nothing(
    api: Spaaza, work: Callable[[], int], house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("timeball.export.run.MIN_FREE_BYTES", 2**62)
    made = api.create()
    work()
    assert api.code(made) == "ERROR"
    assert "the disk is full" in messages(api, made)[0]
    assert not [p for p in export_files.spool(house.settings).rglob("*") if p.is_file()]


def test_a_failure_for_a_while_is_tried_again_with_longer_waits(
    api: Spaaza, work: Callable[[], int], house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise ExportUnavailable("the database does not answer")

    made, real = api.create(), job.run_export
    monkeypatch.setattr(job, "run_export", away)
    for wait in ending.RETRY_WAITS[:3]:
        assert work() == 1
        assert api.code(made) == "INPROGRESS"
        assert work() == 0
        clock.advance(house.client, 1, wait)
    monkeypatch.setattr(job, "run_export", real)
    assert work() == 1
    assert api.code(made) == "DONE"
    assert messages(api, made).count("the database does not answer") == 3


def test_in_the_end_it_is_given_up(
    api: Spaaza, work: Callable[[], int], house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise ExportUnavailable("the database does not answer")

    made = api.create()
    monkeypatch.setattr(job, "run_export", away)
    for wait in (*ending.RETRY_WAITS, timedelta(0)):
        assert work() == 1
        clock.advance(house.client, 1, wait)
    assert work() == 0
    assert api.code(made) == "ERROR"
    assert messages(api, made)[0] == "the database does not answer; tried 5 times"


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


def test_a_worker_given_up_for_dead_publishes_nothing(
    api: Spaaza, house: House, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api.create()
    prefix = keys.prefix(0)
    real = job.run_export
    with held_up(house, monkeypatch) as go:
        # As a rescue leaves it: the lease is gone, and the task waits again.
        [pump] = pumps.awake(house.client, prefix, keys.EXPORT)
        house.client.zadd(f"{prefix}pumps:e", {pump: 1})
        monkeypatch.setattr(pumps, "claim", lambda *_, **__: (_ for _ in ()).throw(AssertionError))
        for _ in range(3):
            pumps.rescue(
                house.client,
                prefix,
                1,
                silence_ms=0,
                watch_ms=0,
                max_lost=5,
                horizon_ms=0,
                kind="e",
            )
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
        monkeypatch.setattr(pumps, "claim", lambda *_, **__: (_ for _ in ()).throw(AssertionError))
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


@pytest.mark.parametrize("settings", [{"exports_max_bytes": 1000}], indirect=True)
def test_a_file_past_the_limit_ends_in_error_and_says_so(
    api: Spaaza, work: Callable[[], int], house: House
) -> None:
    made = api.create()
    work()
    assert api.code(made) == "ERROR"
    line = api.get(made)["logs"][0]
    assert line["level"] == "error"
    assert "grew past 1000 bytes" in line["message"]
    assert not [p for p in export_files.spool(house.settings).rglob("*") if p.is_file()]


def test_execute_runs_one_of_later_now_and_only_once(
    api: Spaaza, house: House, work: Callable[[], int]
) -> None:
    made = api.create(trigger={"once": "2099-01-01T00:00:00Z"})
    worker = threading.Timer(0.3, work)
    worker.start()
    answer = api("POST", f"/tasks/{made['id']}/execute")
    worker.join()
    assert answer.status_code == 200
    assert list(answer.json) == ["code", "last_run_date", "last_modified", "created_date"]
    assert answer.json["code"] == "DONE"
    clock.advance(house.client, 1, timedelta(days=365 * 100))
    assert work() == 0


def test_execute_answers_202_when_it_takes_long(
    api: Spaaza, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports.execute, "__defaults__", (timedelta(seconds=0.2),))
    made = api.create()
    with held_up(house, monkeypatch):
        answer = api("POST", f"/tasks/{made['id']}/execute")
        assert (answer.status_code, answer.json["code"]) == (202, "INPROGRESS")
    assert api.code(made) == "DONE"
    assert messages(api, made).count("done") == 1  # it joined the run


def test_execute_tells_of_an_error(api: Spaaza, work: Callable[[], int], shop: Path) -> None:
    made = api.create()
    shop.unlink()
    worker = threading.Timer(0.2, work)
    worker.start()
    assert api("POST", f"/tasks/{made['id']}/execute").json["code"] == "ERROR"
    worker.join()


def test_executing_one_that_is_done_makes_a_new_file(
    api: Spaaza, work: Callable[[], int], house: House
) -> None:
    made = api.create()
    work()
    old = api("GET", f"/tasks/{made['id']}/download_url").json["url"]
    worker = threading.Timer(0.2, work)
    worker.start()
    assert api("POST", f"/tasks/{made['id']}/execute").json["code"] == "DONE"
    worker.join()
    assert api("GET", old).status_code == 410
    assert api.download(made)


def test_a_repeating_one_is_ready_again(api: Spaaza, house: House, work: Callable[[], int]) -> None:
    made = api.create(trigger={"repeat": "daily"})
    assert work() == 1
    now = api.get(made)
    assert now["state"]["code"] == "READY"
    assert now["state"]["last_run_date"] != "0001-01-01T00:00:00Z"
    assert now["trigger"] == made["trigger"]
    assert api.download(made)
    assert work() == 0
    clock.advance(house.client, 1, timedelta(days=1))
    assert work() == 1
    assert messages(api, made).count("done") == 2


def test_a_repeating_one_goes_on_after_an_error(
    api: Spaaza, house: House, work: Callable[[], int], shop: Path
) -> None:
    made = api.create(trigger={"repeat": "weekly"})
    hidden = shop.rename(shop.with_suffix(".gone"))
    work()
    assert api.code(made) == "ERROR"
    hidden.rename(shop)
    clock.advance(house.client, 1, timedelta(days=7))
    assert work() == 1
    assert api.code(made) == "READY"


@pytest.mark.parametrize(
    ("repeat", "first", "at", "wanted"),
    [
        ("daily", "2026-03-28T08:00", "2026-03-28T08:00", "2026-03-29T08:00"),
        ("daily", "2026-03-28T08:00", "2026-05-01T09:00", "2026-05-02T08:00"),
        ("weekly", "2026-01-01T00:00", "2026-01-07T23:59", "2026-01-08T00:00"),
        ("monthly", "2026-01-31T10:00", "2026-01-31T10:00", "2026-02-28T10:00"),
        ("monthly", "2026-01-31T10:00", "2026-02-28T10:00", "2026-03-31T10:00"),
        ("monthly", "2028-01-31T10:00", "2028-02-01T10:00", "2028-02-29T10:00"),
        ("monthly", "2026-01-15T10:00", "2031-06-15T09:59", "2031-06-15T10:00"),
        ("monthly", "2026-05-01T10:00", "2020-01-01T00:00", "2026-05-01T10:00"),
    ],
)
def test_the_next_occurrence(repeat: str, first: str, at: str, wanted: str) -> None:
    def instant(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert Repeat(repeat).after(instant(first), instant(at)) == instant(wanted)


def test_lists_are_filtered_and_paged(api: Spaaza, work: Callable[[], int]) -> None:
    done = [api.create(target={"campaign": n % 2}) for n in range(4)]
    work()
    waiting = api.create(trigger={"once": "2099-01-01T00:00:00Z"})
    ids = [task["id"] for task in reversed([*done, waiting])]

    def listed(**query: Any) -> list[int]:
        return [task["id"] for task in api("GET", "/tasks", query_string=query).json]

    assert listed() == ids
    assert listed(limit=2) == ids[:2]
    assert listed(limit=2, offset=3) == ids[3:]
    assert listed(limit=0) == []
    assert listed(status="READY") == [waiting["id"]]
    assert listed(status="DONE", campaign_id=1) == [done[3]["id"], done[1]["id"]]
    assert listed(action="export") == ids
    assert listed(action="mail") == []


def test_the_log_is_paged(api: Spaaza, work: Callable[[], int]) -> None:
    made = api.create()
    work()
    assert messages(api, made) == ["done", "begun"]
    assert [line["message"] for line in api.get(made, log_limit=1)["logs"]] == ["done"]
    assert [line["message"] for line in api.get(made, offset=1)["logs"]] == ["begun"]
    assert api.get(made, log_limit=0)["logs"] is None


def test_it_is_known_though_its_record_is_past_retention(
    api: Spaaza, house: House, chain: Project, work: Callable[[], int]
) -> None:
    made = api.create()
    work()
    clock.advance(house.client, 1, timedelta(days=4))
    upkeep.prune(house, 10)
    assert not house.client.keys("tb:{0}:t:*")
    export_files.sweep(house, 10)
    assert api.code(made) == "DONE"
    assert api.download(made)
    worker = threading.Timer(0.2, work)
    worker.start()
    assert api("POST", f"/tasks/{made['id']}/execute").json["code"] == "DONE"
    worker.join()
    assert api.download(made)
    clock.advance(house.client, 1, timedelta(days=40))
    upkeep.prune(house, 10)
    export_files.sweep(house, 10)
    assert api("GET", f"/tasks/{made['id']}").status_code == 404
    assert not house.client.keys("tb:{0}:x*")


def test_one_that_its_workers_died_with_says_so(api: Spaaza, house: House, chain: Project) -> None:
    made = api.create()
    prefix = keys.prefix(0)
    for n in range(5):
        assert pumps.claim(house.client, prefix, f"p{n}", 1, 9, 9, kind=keys.EXPORT).tasks
        assert api.code(made) == "INPROGRESS"
        house.client.zadd(f"{prefix}pumps:e", {f"p{n}": 1})
        for _ in range(2):
            pumps.rescue(
                house.client,
                prefix,
                1,
                silence_ms=0,
                watch_ms=0,
                max_lost=5,
                horizon_ms=0,
                kind="e",
            )
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

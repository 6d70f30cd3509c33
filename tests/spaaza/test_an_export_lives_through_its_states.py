"""READY, INPROGRESS, DONE, ERROR: what moves an export on, and what is seen of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.spaaza.conftest import Spaaza
from tests.spaaza.held import held_up, messages
from timeball.dispatch import export_files, exports, sources, upkeep
from timeball.dispatch.house import House
from timeball.export.failures import ExportUnavailable
from timeball.model.export import Repeat
from timeball.model.project import Project
from timeball.store import clock
from workers import ending
from workers import export as job


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

"""What cannot be written whole is not written: on a full disk it ends in ERROR, and its log says why."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.spaaza.conftest import Spaaza
from timeball.dispatch import export_files, exports, intake, own
from timeball.dispatch.house import House
from timeball.export.failures import ExportStopped
from timeball.model.project import Project
from timeball.model.task import Draft, Request

LIMIT_BYTES = 400_000


@contextmanager
def small_disk() -> Iterator[None]:
    """No file of this process grows past the limit: a write then fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(house: House, chain: Project) -> None:
    """Tasks enough that a file of them does not fit."""
    request = Request(f"https://example.com/{'x' * 60}")
    for _ in range(4):
        intake.submit(house, chain.id, [Draft(project=chain.id, request=request)] * 1000)


@pytest.mark.parametrize("target", [{}, {"export_format": "json"}])
def test_an_export_that_does_not_fit_says_so(
    api: Spaaza,
    work: Callable[[], int],
    house: House,
    chain: Project,
    target: dict[str, str],
) -> None:
    fill(house, chain)
    made = api.create("tasks", target=target)
    with small_disk():
        assert work() == 1
    now = api.get(made)
    assert now["state"]["code"] == "ERROR"
    assert now["logs"][0]["level"] == "error"
    assert now["logs"][0]["message"].startswith("the disk is full")
    assert api("GET", f"/tasks/{made['id']}/download_url").status_code == 409
    assert not [p for p in export_files.spool(house.settings).rglob("*") if p.is_file()]


def test_when_there_is_room_again_it_is_done(
    api: Spaaza, work: Callable[[], int], house: House, chain: Project
) -> None:
    made = api.create("tasks", trigger={"repeat": "daily"})
    fill(house, chain)
    with small_disk():
        work()
    assert api.code(made) == "ERROR"
    exports.start(house, chain.id, made["id"])
    assert work() == 1
    assert api.code(made) == "READY"
    assert api.download(made).count(b"\n") > 4000


def test_an_own_index_that_is_told_to_stop_is_no_empty_file(
    house: House, chain: Project, tmp_path: Path
) -> None:
    with pytest.raises(ExportStopped):
        own.fill(house, chain.id, "tasks", tmp_path / "own.db", lambda: True)

"""Downloads: in parts, unchanged or not, for an hour, until retention ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.spaaza.conftest import Spaaza
from timeball.dispatch import export_files
from timeball.dispatch.house import House
from timeball.store import clock


@pytest.fixture
def done(api: Spaaza, work: Callable[[], int]) -> dict[str, object]:
    """A task whose file is there."""
    made = api.create()
    work()
    return made


def link(api: Spaaza, task: dict[str, object]) -> str:
    return str(api("GET", f"/tasks/{task['id']}/download_url").json["url"])


def test_the_whole_file_and_its_headers(api: Spaaza, done: dict[str, object]) -> None:
    answer = api("GET", link(api, done), headers={"Authorization": ""})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.data).hexdigest()}"'
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Accept-Ranges"] == "bytes"
    name = f"User_Export-{done['id']}.csv"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={name}"
    assert api.get(done)["logs"][0]["sha256"] == hashlib.sha256(answer.data).hexdigest()


def test_parts_and_what_is_known_already(api: Spaaza, done: dict[str, object]) -> None:
    url = link(api, done)
    whole = api("GET", url)
    part = api("GET", url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.data) == (206, whole.data[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole.data)}"
    rest = api("GET", url, headers={"Range": "bytes=-5"})
    assert (rest.status_code, rest.data) == (206, whole.data[-5:])
    past = api("GET", url, headers={"Range": f"bytes={len(whole.data)}-"})
    assert (past.status_code, past.headers["Content-Range"]) == (416, f"bytes */{len(whole.data)}")
    stale = api("GET", url, headers={"Range": "bytes=10-19", "If-Range": '"another"'})
    assert (stale.status_code, stale.data) == (200, whole.data)
    head = api("HEAD", url)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.data))
    again = api("GET", url, headers={"If-None-Match": whole.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=0-0,2-3", "bytes=x-", "bytes", ""])
def test_parts_that_nobody_can_send_are_the_whole_file(
    api: Spaaza, done: dict[str, object], wanted: str
) -> None:
    url = link(api, done)
    answer = api("GET", url, headers={"Range": wanted})
    assert (answer.status_code, answer.data) == (200, api("GET", url).data)


def test_a_link_is_good_for_an_hour(api: Spaaza, done: dict[str, object], house: House) -> None:
    url = link(api, done)
    clock.advance(house.client, 1, timedelta(minutes=59))
    assert api("GET", url).status_code == 200
    clock.advance(house.client, 1, timedelta(minutes=2))
    assert api("GET", url).status_code == 404
    assert api("GET", link(api, done)).status_code == 200


@pytest.mark.parametrize("change", ["token", "name", "key", "none"])
def test_a_changed_link_gives_nothing(api: Spaaza, done: dict[str, object], change: str) -> None:
    path, _, token = link(api, done).partition("?token=")
    urls = {
        "token": f"{path}?token={token[:-2]}xx",
        "name": f"/files/User_Export-1000.csv?token={token}",
        "key": f"{path}?token=x{token}",
        "none": path,
    }
    assert api("GET", urls[change]).status_code == 404


def test_after_retention_the_file_is_gone(
    api: Spaaza, done: dict[str, object], house: House
) -> None:
    clock.advance(house.client, 1, timedelta(days=7) - timedelta(minutes=30))
    url = link(api, done)
    clock.advance(house.client, 1, timedelta(minutes=31))
    export_files.sweep(house, 10)
    assert api("GET", url).status_code == 410
    assert api("GET", f"/tasks/{done['id']}/download_url").status_code == 410
    assert api.get(done)["state"]["code"] == "DONE"

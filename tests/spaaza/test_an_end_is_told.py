"""`target.notify`: a call of ours, with the usual signatures and retries, once a run has ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson

from tests.spaaza.conftest import Spaaza
from timeball.dispatch import export_files, exports, intake
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.task import Task
from timeball.store.lists import Filter

NOTIFY = {"url": "https://example.com/ready", "headers": {"X-Kind": "export"}}


def calls(house: House, project: Project) -> list[Task]:
    found = intake.find(house, project.id, Filter(queue="default"), 100, None)
    return found.tasks


def test_a_call_tells_of_the_file(
    api: Spaaza, work: Callable[[], int], house: House, chain: Project, key: str
) -> None:
    made = api.create(target={"notify": NOTIFY})
    assert made["target"]["notify"] == NOTIFY
    work()
    [call] = calls(house, chain)
    assert call.request.url == NOTIFY["url"]
    assert dict(call.request.headers)["X-Kind"] == "export"
    assert call.key_id == key.partition(":")[0]
    said = orjson.loads(call.request.body)
    assert (said["id"], said["code"]) == (made["id"], "DONE")
    assert said["result"] == f"User_Export-{made['id']}.csv"
    assert said["bytes"] == len(api.download(made))


def test_an_error_is_told_too(
    api: Spaaza, work: Callable[[], int], house: House, chain: Project, shop: Path
) -> None:
    api.create(target={"notify": NOTIFY})
    shop.unlink()
    work()
    [call] = calls(house, chain)
    assert orjson.loads(call.request.body)["code"] == "ERROR"


def test_it_is_told_once_though_the_worker_died_before_it_could_note_that(
    api: Spaaza, work: Callable[[], int], house: House, chain: Project
) -> None:
    made = api.create(target={"notify": NOTIFY})
    work()
    export = exports.get(house, chain.id, made["id"])
    house.client.hset(b"tb:{0}:x:" + export.id, "owed", 1)
    export_files.sweep(house, 10)
    assert len(calls(house, chain)) == 1
    assert not house.client.hexists(b"tb:{0}:x:" + export.id, "owed")


def test_what_is_told_where_is_checked_as_a_tasks_request_is(
    api: Spaaza, work: Callable[[], int], house: House, chain: Project
) -> None:
    """What is sent must be what was checked: a URL that libcurl cannot read would end all calls of a pump."""
    headers = {"content-type": "application/x-end", "X-Empty": ""}
    made = api.create(
        target={"notify": {"url": "http://Ex\u00c4mple.com/\u00e4", "headers": headers}}
    )
    assert made["target"]["notify"]["url"] == "http://xn--exmple-cua.com/%C3%A4"
    work()
    [call] = calls(house, chain)
    assert call.request.url.isascii()
    assert dict(call.request.headers) == headers, "one content type, and no second one of ours"
    for wrong in ({"X-A": "1", "x-a": "2"}, {"X-A": 1}, [], {"Host": "x"}, {"X-A": "a\r\nB: c"}):
        task = {
            "chain": 1764,
            "target": {
                "action": "export",
                "export_index": "users",
                "notify": {**NOTIFY, "headers": wrong},
            },
            "trigger": {},
        }
        answer = api("POST", "/tasks", task)
        assert answer.status_code == 422, wrong
        assert "target.notify.headers" in answer.json["error"]["fields"]


def test_the_values_of_secret_headers_are_not_shown(
    api: Spaaza, work: Callable[[], int], house: House, chain: Project
) -> None:
    headers = {"Authorization": "Bearer s3cret", "X-Token": "{{secret.T}}", "X-Plain": "plain"}
    made = api.create(target={"notify": {**NOTIFY, "headers": headers}})
    for shown in (made, api.get(made), api("GET", "/tasks").json[0]):
        told = shown["target"]["notify"]["headers"]
        assert told["Authorization"].startswith("hidden:")
        assert (told["X-Token"], told["X-Plain"]) == ("{{secret.T}}", "plain")
        assert "s3cret" not in str(shown)
    work()
    [call] = calls(house, chain)
    assert dict(call.request.headers)["Authorization"] == "Bearer s3cret"

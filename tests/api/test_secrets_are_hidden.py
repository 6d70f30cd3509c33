"""Header values that are for the endpoint alone are shown as a digest, while the call carries them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.app import create_app
from api.door import App
from tests.api.conftest import URL, Api, Pump
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.ids import id_bytes
from timeball.settings import Settings
from timeball.store.projects import ApiKey, Project

SECRET = {
    "Authorization": "Bearer s3cret",
    "cookie": "session=s3cret",
    "X-Api-Key": "s3cret",
    "X-Auth-Token": "s3cret",
    "client-secret": "s3cret",
    "Signing-Key": "s3cret",
}
OPEN = {"Content-Type": "text/plain", "X-Keyboard": "shown", "X-Tokens": "shown"}


def kept(house: House, project: Project, task: dict[str, Any]) -> dict[str, str]:
    return dict(intake.get(house, project.id, id_bytes(task["id"]) or b"").request.headers)


def test_no_answer_shows_them(api: Api, house: House, project: Project, pump: Pump) -> None:
    task = api.create(request={"headers": {**SECRET, **OPEN}})
    batch = [{"request": {"url": URL, "headers": SECRET}}]
    for answer in (
        api("GET", f"/tasks/{task['id']}"),
        api("GET", "/tasks"),
        api("PATCH", f"/tasks/{task['id']}", {"name": "n"}),
        api("POST", "/tasks/batch-create", batch),
        api("POST", f"/tasks/{task['id']}/run"),
        api("POST", f"/tasks/{task['id']}/cancel"),
        api("GET", f"/tasks/{task['id']}/attempts"),
    ):
        assert answer.status_code < 300
        assert "s3cret" not in answer.text
    shown = task["request"]["headers"]
    assert {name: shown[name] for name in OPEN} == OPEN
    assert all(shown[name].startswith("hidden:") for name in SECRET)
    assert shown["X-Api-Key"] == shown["client-secret"] != shown["cookie"]
    assert kept(house, project, task) == {**SECRET, **OPEN}


def test_what_was_shown_can_be_sent_back(api: Api, house: House, project: Project) -> None:
    task = api.create(delay="1h", request={"headers": {**SECRET, **OPEN}})
    shown = task["request"]["headers"]
    sent = {**shown, "cookie": "new", "X-Keyboard": "new"}
    answer = api("PATCH", f"/tasks/{task['id']}", {"request": {"url": URL, "headers": sent}})
    assert answer.status_code == 200
    assert kept(house, project, task) == {**SECRET, **OPEN, "cookie": "new", "X-Keyboard": "new"}


def test_the_digest_cannot_be_had_without_the_master_secret(app: App, api: Api) -> None:
    import hashlib

    task = api.create(request={"headers": {"X-Api-Key": "a"}})
    shown = task["request"]["headers"]["X-Api-Key"].removeprefix("hidden:")
    assert shown not in hashlib.sha256(b"a").hexdigest()


def test_further_headers_are_hidden_where_they_are_named(
    settings: Settings, house: House, api_key: tuple[ApiKey, str]
) -> None:
    sent = {"X-Session": "s3cret", "X-Other": "open"}
    try:
        app = create_app(replace(settings, hidden_headers=("x-session",)))
        task = Api(app, api_key[1]).create(delay="1h", request={"headers": sent})
        assert task["request"]["headers"]["X-Session"].startswith("hidden:")
        assert task["request"]["headers"]["X-Other"] == "open"
    finally:
        app = create_app(settings)
    assert Api(app, api_key[1]).get(task)["request"]["headers"] == sent


def test_nothing_of_a_task_is_logged(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    request = {"url": URL + "?q=url-s3cret", "headers": SECRET | OPEN, "body": "body-s3cret"}
    task = api.create(delay="1h", request=request, name="name-s3cret")
    api("PATCH", f"/tasks/{task['id']}", {"request": {"body": "other-s3cret"}})
    api("POST", f"/tasks/{task['id']}/run")
    api("POST", "/tasks", {"request": {**request, "headers": {"Host": "bad-s3cret"}}})
    api("GET", "/tasks?cursor=cursor-s3cret")
    api("POST", "/tasks", raw=b'{"request": "broken-s3cret')
    api("DELETE", f"/tasks/{task['id']}")
    told = capsys.readouterr()
    assert "a task was changed" in told.out + told.err
    assert "s3cret" not in told.out + told.err

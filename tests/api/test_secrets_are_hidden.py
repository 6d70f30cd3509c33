"""Header values that are for the endpoint alone are shown as a digest, while the call carries them."""

from __future__ import annotations

from typing import Any

from api.door import App
from tests.api.conftest import URL, Api, Pump
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.ids import id_bytes
from timeball.store.projects import Project

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

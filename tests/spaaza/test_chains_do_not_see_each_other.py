"""What is one chain's is no other's: not its tasks, not its files, not its sources."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from werkzeug.test import Client

from tests.spaaza.conftest import Spaaza
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.store import projects, rotation


def test_a_foreign_task_is_not_found(
    api: Spaaza, stranger: Spaaza, work: Callable[[], int]
) -> None:
    made = api.create()
    work()
    path = f"/tasks/{made['id']}"
    for method, more in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("POST", "/execute"),
        ("GET", "/download_url"),
    ):
        assert stranger(method, path + more).status_code == 404
    assert stranger("GET", "/tasks").json == []
    assert api.code(made) == "DONE"


def test_a_foreign_source_is_not_an_index(stranger: Spaaza) -> None:
    task = {
        "chain": 1765,
        "target": {"action": "export", "export_index": "users"},
        "trigger": {},
    }
    answer = stranger("POST", "/tasks", task)
    assert answer.status_code == 422
    assert "target.export_index" in answer.json["error"]["fields"]


def test_a_foreign_segment_is_unknown(api: Spaaza, stranger: Spaaza) -> None:
    rule = {"field_name": "id", "field_type": "number", "operator": "is", "value": 1}
    segment = {"entity": "people", "index": "users", "join": "all", "chain_id": 1764}
    saved = api("POST", "/v2/segments", {"segment": {**segment, "rules": [rule]}}).json
    assert stranger("GET", f"/v2/segments/{saved['id']}").status_code == 404
    assert stranger("GET", "/v2/segments").json == []


def test_a_key_of_no_chain_speaks_mergent_and_cannot_export(
    api: Spaaza, stranger: Spaaza, house: House
) -> None:
    other = projects.create_project(house.client, house.vault, "plain")
    key = projects.create_key(house.client, house.vault, other.id)[1]
    api.headers = {"Authorization": f"Bearer {key}"}
    task = {
        "chain": 1764,
        "target": {"action": "export", "export_index": "users"},
        "trigger": {},
    }
    assert api("POST", "/tasks", task).status_code == 403
    assert api("GET", "/spaaza/tasks").status_code == 403


def test_a_mergent_key_of_the_chain_sees_an_export_as_a_task_and_cannot_bend_it(
    api: Spaaza, house: House, chain: Project, work: Callable[[], int]
) -> None:
    made = api.create(trigger={"once": "2099-01-01T00:00:00Z"})
    key = projects.create_key(house.client, house.vault, chain.id)[1]
    headers = {"Authorization": f"Bearer {key}"}
    [task] = Client(api.client.application).get("/v2/tasks", headers=headers).json
    assert (task["status"], task["queue"]) == ("queued", "exports")
    path = f"/v2/tasks/{task['id']}"
    change = {"request": {"url": "https://example.com"}}
    answer = Client(api.client.application).patch(path, json=change, headers=headers)
    assert answer.status_code == 409
    answer = Client(api.client.application).post(f"{path}/run", headers=headers)
    assert answer.status_code == 200
    assert work() == 1
    assert api.code(made) == "DONE"


def test_a_link_ends_with_its_key(
    api: Spaaza, work: Callable[[], int], house: House, key: str
) -> None:
    made = api.create()
    work()
    url = api("GET", f"/tasks/{made['id']}/download_url").json["url"]
    api.headers = {}
    assert api("GET", url).status_code == 200
    projects.revoke_key(house.client, key.partition(":")[0])
    assert api("GET", url).status_code == 404


def test_a_link_ends_with_the_rotation_of_its_key_and_the_new_key_makes_another(
    api: Spaaza, work: Callable[[], int], house: House, chain: Project, key: str
) -> None:
    made = api.create()
    work()
    path = f"/tasks/{made['id']}/download_url"
    url = api("GET", path).json["url"]
    none, old = timedelta(0), key.partition(":")[0]
    _, text = rotation.rotate_key(house.client, house.vault, chain.id, old, none)
    assert ":" in text, "as the old one it is id:secret"
    assert api("GET", url).status_code == 404
    api.headers = {"Authorization": f"Bearer {text}"}
    assert api("GET", api("GET", path).json["url"]).status_code == 200

"""Each role's user of Redis can do what the role does: the services of compose at work on a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import requests

from tests.conftest import eventually
from tests.dashboard.test_pages_show_the_project import PAGES
from tests.receiver import Answer, Receiver
from tests.unit.test_compose_needs_no_edit import SERVERS
from tests.up.composed import Composed

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def composed() -> Iterator[Composed]:
    with pytest.MonkeyPatch.context() as patch:
        services = ("api", "worker", "exporter", "beat", "flower")
        with Composed(SERVERS[0], patch, *services) as composed:
            yield composed


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(lambda r: Answer(status=500 if r.path.startswith("/bad") else 200)) as receiver:
        yield receiver


def test_all_that_the_product_does_is_allowed(composed: Composed, receiver: Receiver) -> None:
    def create(path: str, **fields: object) -> str:
        value = {"request": {"url": receiver.url + path, "body": "x"}, **fields}
        answer = composed.ask("POST", "/v2/tasks", value)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def done(method: str, path: str, value: object = None) -> None:
        answer = composed.ask(method, path, value)
        assert answer.status_code < 300, (path, answer.text)

    done("PUT", "/v2/secrets/WORD", {"value": "open sesame"})
    for path, limits in (("queues/default", {"rate": 100}), ("limits", {"concurrency": 50})):
        done("PATCH", f"/v2/{path}", limits)
    headers = {"X-Word": "{{secret.WORD}}"}
    create("/now", on_success=receiver.url + "/told", tags=["a"], ordering_key="o")
    create("/bad", retry={"max_attempts": 1}, on_failure=receiver.url + "/failed")
    later = create("/later", delay="1h", name="n", priority="high")
    rule = {"cron": "* * * * * *", "request": {"url": receiver.url + "/tick", "headers": headers}}
    done("POST", "/v2/schedules", rule)
    done("PATCH", f"/v2/tasks/{later}", {"delay": "2h"})
    done("POST", "/v2/tasks/bulk", {"action": "run", "filter": {"name": "n"}})
    wanted = {"/now", "/told", "/bad", "/failed", "/tick", "/later"}
    eventually(lambda: wanted <= {r.path for r in receiver.received}, within=30)
    assert "open sesame" in {r.headers.get("x-word") for r in receiver.received}
    done("POST", "/v2/tasks/bulk", {"action": "redrive", "filter": {"status": "failure"}})
    done("POST", "/v2/keys", {"label": "another"})
    for path in ("tasks", f"tasks/{later}/explain", "schedules", "bulk", "hosts", "keys", "limits"):
        done("GET", f"/v2/{path}")
    assert composed.refused() == []


def test_exports_are_written(composed: Composed) -> None:
    made = composed.run("keys", "create", "--chain", "1764", "--json")
    composed_key, composed.key = composed.key, json.loads(made)["key"]
    try:
        order = {
            "chain": 1764,
            "desc": "what Timeball did",
            "target": {"action": "export", "export_index": "tasks", "export_format": "csv"},
            "trigger": {"once": "2026-05-26T12:00:00Z"},
        }
        number = composed.ask("POST", "/tasks", order).json()["id"]
        eventually(lambda: "DONE" in composed.ask("GET", f"/tasks/{number}").text, within=30)
        link = composed.ask("GET", f"/tasks/{number}/download_url").json()["url"]
        path = re.sub(r"^https?://[^/]+", "", link)
        assert composed.ask("GET", path).status_code == 200
    finally:
        composed.key = composed_key
    assert composed.refused() == []


def test_the_dashboard_and_flower_are_shown(composed: Composed) -> None:
    link = composed.run("login").decode()
    visitor = requests.Session()
    here = f"http://127.0.0.1:{composed.ports['api']}"
    path = re.search(r"/dashboard/login\S+", link)
    assert path, link
    assert visitor.get(here + path[0], timeout=20).status_code == 200
    for page in PAGES:
        assert visitor.get(f"{here}/dashboard{page}", timeout=20).status_code == 200, page
    token = (composed.folder / "roles/api/metrics_token").read_text().strip()
    answer = requests.get(
        f"{here}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=20
    )
    assert "timeball_" in answer.text
    user, _, password = (
        (composed.folder / "roles/flower/flower_login").read_text().strip().partition(":")
    )
    flower = f"http://127.0.0.1:{composed.ports['flower']}"

    def workers() -> bool:
        try:
            found = requests.get(f"{flower}/workers?json=1", auth=(user, password), timeout=20)
        except requests.ConnectionError:
            return False
        return "worker@" in found.text and "exporter@" in found.text

    eventually(workers, within=30)
    assert composed.refused() == []


def test_a_pump_that_died_is_seen_to_and_the_store_is_saved(
    composed: Composed, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Answer(delay=1.0)
    value = {"request": {"url": receiver.url + "/slow"}}
    assert composed.ask("POST", "/v2/tasks", value).status_code == 201
    eventually(lambda: receiver.received)
    composed.processes["worker"].kill()
    composed.processes["worker"].wait()
    composed.start("worker")
    eventually(lambda: len(receiver.received) > 1, within=40)
    assert composed.run("backup", "-")[:2] == b"\x1f\x8b"
    composed.run("doctor")
    assert composed.refused() == []

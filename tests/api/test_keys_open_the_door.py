"""A request needs a live key with the right scope, as a Bearer token or by HTTP Basic."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from api import auth
from api.door import App
from tests.api.conftest import URL, Api
from timeball.dispatch.house import House
from timeball.model.project import Scope
from timeball.store import projects
from timeball.store.projects import ApiKey, Project


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


ROUTES = [
    ("GET", "/tasks"),
    ("POST", "/v2/tasks"),
    ("POST", "/tasks/batch-create"),
    *(
        (method, f"/v2/tasks/00000000-0000-7000-8000-000000000000{path}")
        for method, path in (
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("POST", "/run"),
            ("POST", "/cancel"),
            ("GET", "/attempts"),
        )
    ),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_key_nothing_is_possible(nobody: Api, method: str, path: str) -> None:
    for header in (
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Bearer tb_AAAAAAAA_" + "A" * 32,
        "Basic",
        "Basic !!!",
        "Basic /w==",
        basic("nonsense"),
        basic("tb_AAAAAAAA_" + "A" * 32, "x"),
        "Digest x",
        "Bearer \udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
        "Bearer " + "x" * 5000,
    ):
        answer = nobody(method, path, headers={"Authorization": header} if header else {})
        assert answer.status_code == 401, header
        assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")


def test_bearer_and_basic_are_the_same(nobody: Api, api_key: tuple[ApiKey, str]) -> None:
    key = api_key[1]
    for header in (f"Bearer {key}", f"bearer  {key}", basic(key)):
        answer = nobody("GET", "/tasks", headers={"Authorization": header})
        assert answer.status_code == 200
    assert nobody("GET", "/tasks", headers={"Authorization": basic(key, "x")}).status_code == 401


def test_the_first_quick_start_works_as_printed(nobody: Api, api_key: tuple[ApiKey, str]) -> None:
    # curl https://api.mergent.io/tasks -u <key>: -d "request[url]=..." -d delay=PT5M
    answer = nobody(
        "POST",
        "/tasks",
        raw=b"request[url]=https%3A%2F%2Fexample.com%2F%3Fa%3D1&request%5Bbody%5D=Hello%2C+world!"
        b"&request[headers][X-A]=b&delay=PT5M&tags[]=a&tags[]=b",
        headers={
            "Authorization": basic(api_key[1]),
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    assert answer.status_code == 201
    assert answer.json["request"] == {
        "url": "https://example.com/?a=1",
        "method": "POST",
        "headers": {"X-A": "b"},
        "body": "Hello, world!",
    }
    assert answer.json["tags"] == ["a", "b"]


def test_a_scope_is_needed(api_of: Callable[..., Api]) -> None:
    reader, writer = api_of("p", (Scope.READ,)), api_of("p", (Scope.WRITE,))
    task = writer.create()
    assert reader.get(task) == writer.get(task) == api_of("p", (Scope.ADMIN,)).get(task)
    assert reader("GET", f"/tasks/{task['id']}/attempts").status_code == 200
    for method, path in ROUTES:
        if method != "GET":
            answer = reader(method, path, {"request": {"url": URL}})
            assert answer.status_code == 403
            assert "write" in answer.json["message"]


def test_a_revoked_or_expired_key_opens_nothing(
    app: App, house: House, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, text = projects.create_key(house.client, house.vault, project.id)
    past = datetime.now(UTC) - timedelta(seconds=1)
    _, old = projects.create_key(house.client, house.vault, project.id, expires_at=past)
    assert Api(app, old)("GET", "/tasks").status_code == 401
    api = Api(app, text)
    assert api("GET", "/tasks").status_code == 200
    projects.revoke_key(house.client, key.id)
    begun = time.monotonic()
    monkeypatch.setattr(auth.time, "monotonic", lambda: begun + auth.KNOWN_FOR_SECONDS + 0.5)
    assert api("GET", "/tasks").status_code == 401


def test_what_is_known_of_keys_is_bounded(app: App, api: Api, house: House) -> None:
    known = app.door.doorman._known
    assert api("GET", "/tasks").status_code == 200
    assert len(known) == 1
    for n in range(50):
        Api(app, f"wrong{n}")("GET", "/tasks")
    assert len(known) == 1
    filler = next(iter(known.values()))
    known.update({n.to_bytes(4, "big"): filler for n in range(auth.KNOWN_LIMIT)})
    known.pop(next(iter(known)))
    assert api("GET", "/tasks").status_code == 200
    assert len(known) <= auth.KNOWN_LIMIT

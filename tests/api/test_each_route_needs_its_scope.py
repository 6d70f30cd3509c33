"""A probe over every route of the OpenAPI documents: without its scope a key gets nothing, nor does no key.

A route that is added is probed without a test being written.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson
import pytest
from werkzeug.test import Client, TestResponse

from api.app import create_app
from api.door import App
from api.openapi.serve import DOCUMENTS, written
from timeball.dispatch.house import House
from timeball.model.project import Scope
from timeball.settings import Settings
from timeball.store import chains, projects

PREFIX = {"mergent": ("/v2", ""), "spaaza": ("/spaaza",)}
ID = "00000000-0000-7000-8000-000000000000"

OPERATIONS = [
    (dialect, method.upper(), path)
    for dialect in DOCUMENTS
    for path, item in orjson.loads(written(dialect))["paths"].items()
    for method in sorted(item.keys() & {"get", "post", "put", "patch", "delete"})
    if "servers" not in item  # what stands beside the API has doors of its own
]


def needed(method: str, path: str) -> Scope:
    """The scope that a route must ask for: what opens more is for admins, other changes for writers."""
    if path.startswith(("/keys", "/signing-secrets")):
        return Scope.ADMIN
    if method == "GET" or path == "/schedules/preview":
        return Scope.READ
    return Scope.ADMIN if path.startswith(("/secrets", "/sources", "/limits")) else Scope.WRITE


LESSER = {Scope.READ: (), Scope.WRITE: (Scope.READ,), Scope.ADMIN: (Scope.READ, Scope.WRITE)}
"""For each scope those that do not include it."""


@pytest.fixture
def app(settings: Settings, house: House) -> App:
    return create_app(settings)


@pytest.fixture
def ask(app: App, house: House) -> Callable[..., TestResponse]:
    """Sends a request with a key of one scope, or without any."""
    chain = chains.ensure(house.client, house.vault, 7)

    def send(method: str, path: str, scope: Scope | None, pair: bool) -> TestResponse:
        headers = {}
        if scope is not None:
            _, text = projects.create_key(house.client, house.vault, chain.id, [scope], pair=pair)
            headers["Authorization"] = f"Bearer {text}"
        return Client(app).open(path, method=method, data=b"{}", headers=headers)

    return send


def test_every_route_is_probed() -> None:
    assert len(OPERATIONS) > 50


@pytest.mark.parametrize(("dialect", "method", "path"), OPERATIONS)
def test_a_route_needs_its_scope(
    ask: Callable[..., TestResponse], dialect: str, method: str, path: str
) -> None:
    scope, pair = needed(method, path), dialect == "spaaza"
    for prefix in PREFIX[dialect]:
        where = prefix + re.sub(r"{\w+}", ID, path)
        assert ask(method, where, None, pair).status_code == 401, where
        for lesser in LESSER[scope]:
            answer = ask(method, where, lesser, pair)
            assert answer.status_code == 403, (where, lesser, answer.text)
            assert scope.value in answer.text
        assert ask(method, where, scope, pair).status_code not in (401, 403), where

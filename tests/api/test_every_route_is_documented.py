"""The OpenAPI documents tell every route, and what they tell is what is taken and answered."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from werkzeug.test import Client

from api.door import App
from api.openapi.operation import template
from api.openapi.serve import DOCUMENTS, POLICY, undocumented, written
from tests.api.conftest import Api
from timeball.dispatch.house import House
from timeball.store import chains, projects

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi"

PREFIXES = {"mergent": ("/v2", ""), "spaaza": ("/spaaza", "/v2", "")}


@cache
def document(name: str) -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(written(name))
    return made


def operations(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    for path, item in document(name)["paths"].items():
        for method, operation in item.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield method.upper(), path, operation


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_document_is_openapi(name: str) -> None:
    validate(document(name))
    ids = [operation["operationId"] for _, _, operation in operations(name)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_committed_document_is_that_of_the_code(name: str) -> None:
    assert (COMMITTED / f"{name}.json").read_bytes() == written(name), "run: make openapi"


def test_every_route_is_documented(app: App) -> None:
    assert undocumented(app) == [], "add these to OPERATIONS of api/openapi"
    app.add_url_rule("/v2/secret", "secret", lambda: "", methods=["GET", "PUT"])
    assert undocumented(app) == ["GET /v2/secret", "PUT /v2/secret"]


def test_every_documented_route_is_there(app: App) -> None:
    there = {
        (method, template(rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    for name, prefixes in PREFIXES.items():
        for method, path, _ in operations(name):
            prefix = "" if document(name)["paths"][path].get("servers") else prefixes[0]
            assert (method, prefix + path) in there


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_operation_says_what_it_does(name: str) -> None:
    for method, path, operation in operations(name):
        assert 5 <= len(operation["summary"]) <= 120, f"{method} {path}: {operation['summary']}"
        for parameter in operation.get("parameters", ()):
            assert "schema" in parameter


def keep_to(name: str, schema: dict[str, Any], value: Any) -> None:
    """Fails where a value is not as a schema of a document says."""
    whole = {**schema, "components": document(name)["components"]}
    faults = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft202012Validator(whole).iter_errors(value)
    ]
    assert not faults, faults[:3]


def examples(name: str) -> list[tuple[str, str, str]]:
    return [
        (method, path, example)
        for method, path, operation in operations(name)
        for example in operation.get("requestBody", {})
        .get("content", {})
        .get("application/json", {})
        .get("examples", ())
    ]


def run(name: str, ask: Callable[..., Any], method: str, path: str, example: str) -> None:
    """Send an example, and compare what comes back with what is told."""
    operation = document(name)["paths"][path][method.lower()]
    content = operation["requestBody"]["content"]["application/json"]
    sent = content["examples"][example]["value"]
    keep_to(name, content["schema"], sent)
    answer = ask(sent)
    status, told = next(iter(operation["responses"].items()))
    assert str(answer.status_code) == status, answer.text
    keep_to(name, told["content"]["application/json"]["schema"], answer.json)


@pytest.mark.parametrize(("method", "path", "example"), examples("mergent"))
def test_examples_of_mergents_dialect_work(api: Api, method: str, path: str, example: str) -> None:
    request = {"url": "https://example.com"}
    made = {
        "task_id": lambda: api.create(delay="1h")["id"],
        "schedule_id": lambda: api(
            "POST", "/v2/schedules", {"request": request, "rrule": "FREQ=DAILY"}
        ).json["id"],
        "name": lambda: "orders",
        "secret": lambda: "A_TOKEN",
        "host": lambda: "example.com",
    }
    path_of = re.sub(r"{(\w+)}", lambda match: made[match[1]](), path)
    run("mergent", lambda sent: api(method, f"/v2{path_of}", sent), method, path, example)


@pytest.fixture
def chain(app: App, house: House) -> Api:
    """The API as a chain sees it."""
    project = chains.ensure(house.client, house.vault, 1764)
    return Api(app, projects.create_key(house.client, house.vault, project.id, pair=True)[1])


@pytest.mark.parametrize(("method", "path", "example"), examples("spaaza"))
def test_examples_of_spaazas_dialect_work(chain: Api, method: str, path: str, example: str) -> None:
    run("spaaza", lambda sent: chain(method, f"/spaaza{path}", sent), method, path, example)


def test_what_a_chain_reads_is_as_documented(chain: Api) -> None:
    known = {}
    for name, path in (("task_id", "/tasks"), ("segment_id", "/segments")):
        told = document("spaaza")["paths"][path]["post"]["requestBody"]["content"]
        for example in told["application/json"]["examples"].values():
            known[name] = str(chain("POST", f"/spaaza{path}", example["value"]).json["id"])
    for method, path, operation in operations("spaaza"):
        if method == "GET" and path not in ("/files/{name}", "/tasks/{task_id}/download_url"):
            filled = re.sub(r"{(\w+)}", lambda match: known[match[1]], path)
            answer = chain("GET", f"/spaaza{filled}")
            told = operation["responses"][str(answer.status_code)]
            keep_to("spaaza", told["content"]["application/json"]["schema"], answer.json)


def test_what_is_read_is_as_documented(api: Api) -> None:
    task = api.create(delay="1h", name="n", tags=["t"], request={"headers": {"Cookie": "a=b"}})
    schedule = api(
        "POST", "/v2/schedules", {"request": {"url": "https://example.com"}, "rrule": "FREQ=DAILY"}
    ).json
    bulk = api("POST", "/v2/tasks/bulk", {"action": "cancel", "filter": {"queue": "none"}}).json
    known = {
        "task_id": task["id"],
        "schedule_id": schedule["id"],
        "name": "default",
        "host": "example.com:8080",
        "bulk_id": bulk["id"],
    }
    for method, path, operation in operations("mergent"):
        if method != "GET" or path == "/metrics":
            continue
        prefix = "" if "servers" in document("mergent")["paths"][path] else "/v2"
        answer = api("GET", prefix + re.sub(r"{(\w+)}", lambda match: known[match[1]], path))
        told = operation["responses"][str(answer.status_code)]
        keep_to("mergent", told["content"]["application/json"]["schema"], answer.json)


def test_errors_are_as_documented(api: Api, nobody: Api) -> None:
    error = {"$ref": "#/components/schemas/Error"}
    for answer, status in (
        (nobody("GET", "/v2/tasks"), 401),
        (api("GET", f"/v2/tasks/{uuid.uuid4()}"), 404),
        (api("POST", "/v2/tasks", raw=b"{"), 400),
        (api("POST", "/v2/tasks", {"request": {"url": 1}, "nmae": 2}), 422),
        (api("GET", "/v2/tasks?limit=0"), 422),
    ):
        assert answer.status_code == status
        keep_to("mergent", error, answer.json)


def test_documents_and_their_page_are_served_to_anybody(app: App) -> None:
    client = Client(app)
    for name in DOCUMENTS:
        answer = client.get(f"/openapi/{name}.json")
        assert answer.mimetype == "application/json"
        assert answer.data == written(name)
    for path in ("/docs", "/docs/", "/docs/mergent", "/docs/spaaza"):
        page = client.get(path)
        assert page.status_code == 200
        assert page.headers["Content-Security-Policy"] == POLICY
        assert "unsafe" not in POLICY
        for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert address.startswith(("/", "data:,")), "nothing comes from another host"
            if address.startswith("/"):
                with client.get(address) as asset:
                    assert asset.status_code == 200
                    assert asset.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_comes_with_its_licence(app: App) -> None:
    client = Client(app)
    assert "Apache License" in client.get("/docs/static/LICENSE.swagger-ui.txt").text
    assert "SmartBear" in client.get("/docs/static/NOTICE.swagger-ui.txt").text

"""Requests made out of the OpenAPI documents, good and bad ones: no 5xx, nothing that is not documented.

A few examples a route each time; many with `-m soak`.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from api.app import create_app
from api.openapi.serve import DOCUMENTS, written
from tests.conftest import SECRET
from timeball.dispatch.house import open_house
from timeball.settings import Settings
from timeball.store import chains, projects

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
FEW, MANY = 3, 150


APART = {"/livez", "/readyz", "/metrics", "/files/{name}"}
"""These stand under another prefix, and have tests of their own."""

ROUTES = [
    (dialect, path, method)
    for dialect in DOCUMENTS
    for path, item in orjson.loads(written(dialect))["paths"].items()
    for method in item
    if path not in APART
]


@pytest.fixture(scope="module")
def schemas(redis_url: str) -> Iterator[dict[str, BaseSchema]]:
    """The documents as schemathesis reads them from the app, each with a key."""
    with_secret = Settings(redis_url=redis_url, secret=SECRET)
    house = open_house(with_secret)
    house.client.flushall()
    project, app = chains.ensure(house.client, house.vault, 1764), create_app(with_secret)
    found = {}
    for dialect in DOCUMENTS:
        pair = dialect == "spaaza"
        _, key = projects.create_key(house.client, house.vault, project.id, pair=pair)
        config = SchemathesisConfig.from_dict({"headers": {"Authorization": f"Bearer {key}"}})
        found[dialect] = schemathesis.openapi.from_wsgi(
            f"/openapi/{dialect}.json", app, config=config
        )
    yield found
    house.client.close()


def _try(schema: BaseSchema, path: str, method: str, examples: int) -> None:
    operation = schema[path][method]

    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    # without a body or a query there is nothing that could be against the document
    wrong = operation.body or operation.query
    for mode in GenerationMode if wrong else (GenerationMode.POSITIVE,):
        settings(
            max_examples=examples,
            deadline=None,
            derandomize=examples == FEW,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )(given(case=operation.as_strategy(generation_mode=mode))(check))()


@pytest.mark.parametrize(("dialect", "path", "method"), ROUTES)
def test_a_route_answers_as_documented(
    schemas: dict[str, BaseSchema], dialect: str, path: str, method: str
) -> None:
    _try(schemas[dialect], path, method, FEW)


@pytest.mark.soak
@pytest.mark.parametrize(("dialect", "path", "method"), ROUTES)
def test_a_route_answers_as_documented_for_long(
    schemas: dict[str, BaseSchema], dialect: str, path: str, method: str
) -> None:
    _try(schemas[dialect], path, method, MANY)

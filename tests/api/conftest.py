"""A client that speaks to the API as a user of one project does."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import hypothesis
import pytest
from werkzeug.test import Client, TestResponse

from api.app import create_app
from api.door import App
from timeball.dispatch.house import House
from timeball.model.attempt import Attempt, Outcome
from timeball.model.project import Scope
from timeball.model.task import State
from timeball.settings import Settings
from timeball.store import codec, projects, pumps
from timeball.store.codec import Claimed
from timeball.store.projects import ApiKey, Project

hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

URL = "https://example.com/hello"


class Api:
    """Requests with a key; `json` is sent as such, `raw` as it is. Asserts that every answer is well formed."""

    def __init__(self, app: App, key: str | None) -> None:
        self.client = Client(app)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __call__(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, Any] | None = None,
        **more: Any,
    ) -> TestResponse:
        sent = {**self.headers, **(headers or {})}
        if json is not None:
            raw = stdlib_json.dumps(json).encode()
            sent.setdefault("Content-Type", "application/json")
        answer = self.client.open(
            path, method=method, data=raw, headers=sent, query_string=query, **more
        )
        well_formed(answer)
        return answer

    def create(self, url: str = URL, **fields: Any) -> dict[str, Any]:
        """A task that must be taken."""
        request = {"url": url, **fields.pop("request", {})}
        answer = self("POST", "/v2/tasks", {"request": request, **fields})
        assert answer.status_code == 201, answer.text
        task: dict[str, Any] = answer.json
        return task

    def get(self, task: dict[str, Any]) -> dict[str, Any]:
        """A task as it is now."""
        answer = self("GET", f"/v2/tasks/{task['id']}")
        assert answer.status_code == 200
        now: dict[str, Any] = answer.json
        return now


def well_formed(answer: TestResponse) -> None:
    """What holds for every answer: JSON, or nothing with 204; errors in Mergent's shape; never a 500."""
    assert answer.status_code != 500, answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Request-Id"]
    if answer.status_code == 204:
        assert answer.data == b""
        return
    assert answer.mimetype == "application/json"
    if answer.status_code >= 400 and answer.request.path not in ("/readyz",):
        error_shape(answer.json)


def error_shape(error: Any) -> None:
    """`message`, `param`, `errors` as Mergent's clients can read them."""
    assert set(error) <= {"message", "param", "errors"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error.get("param", ""), str)
    if "errors" in error:
        assert isinstance(error["errors"], list)
        assert error["errors"]
        for fault in error["errors"]:
            assert set(fault) <= {"message", "param"}
            assert isinstance(fault["message"], str)


def params(answer: TestResponse) -> list[str]:
    """The fields that an error names."""
    return [fault.get("param", "") for fault in answer.json.get("errors", [])]


@pytest.fixture
def app(settings: Settings, house: House) -> App:
    """The app on the test's store."""
    return create_app(settings)


@pytest.fixture
def api(app: App, api_key: tuple[ApiKey, str]) -> Api:
    """The API as the test's project sees it."""
    return Api(app, api_key[1])


@pytest.fixture
def nobody(app: App) -> Api:
    """The API without a key."""
    return Api(app, None)


@pytest.fixture
def api_of(app: App, house: House) -> Callable[..., Api]:
    """Makes the API as another project, or another key, sees it."""

    def make(name: str = "other", scopes: tuple[Scope, ...] = tuple(Scope)) -> Api:
        project: Project = projects.create_project(house.client, house.vault, name)
        return Api(app, projects.create_key(house.client, house.vault, project.id, scopes)[1])

    return make


class Pump:
    """A pump that takes what is due and writes what a test says happened; no call is made."""

    def __init__(self, house: House, project: Project) -> None:
        self.house, self.prefix = house, house.prefix(project.id)

    def take(self, want: int = 1) -> list[Claimed]:
        """Claim what is due."""
        return pumps.claim(self.house.client, self.prefix, "pump", want, 1000, 1000).tasks

    def end(
        self, claimed: Claimed, state: State, entry: Attempt | None = None, due_ms: int = 0
    ) -> None:
        """Write the result of one claim."""
        attempt = entry or Attempt(claimed.attempt, Outcome.ANSWERED, datetime.now(UTC), 200)
        result = pumps.Finished(
            claimed.id,
            claimed.attempt,
            codec.STATE_CODES[state],
            due_ms,
            codec.encode_attempt(attempt),
        )
        assert pumps.finish(self.house.client, self.prefix, "pump", [result], {}) == [1]


@pytest.fixture
def pump(house: House, project: Project) -> Pump:
    """A pump of the test's project."""
    return Pump(house, project)

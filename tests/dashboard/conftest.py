"""A visitor of the dashboard, as a browser without script: it keeps cookies and sends the forms of its pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from api.app import create_app
from api.dashboard.desk import Desk
from api.door import App
from tests.api.conftest import Pump
from tests.dashboard.browsing import chromium as chromium
from tests.dashboard.browsing import installed as installed
from tests.dashboard.browsing import product as product
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.ids import id_text
from timeball.model.project import Project
from timeball.model.task import Draft, Request, Task
from timeball.model.visitor import Role, Visitor
from timeball.settings import Settings
from timeball.store import logins


class Browser:
    """Pages as one visitor sees them."""

    def __init__(self, app: App, house: House, role: Role | None = Role.ADMIN) -> None:
        self.client, self.csrf = Client(app), ""
        self.desk: Desk = app.extensions["dashboard"]
        if role is not None:
            link = logins.link_path(logins.make_link(house.client, Visitor("Ada", role)))
            assert self.get(link, status=303).headers["Location"].endswith("/dashboard")
            self.csrf = field(self.get("/dashboard").text, "csrf")

    def get(self, path: str, status: int = 200, **more: Any) -> TestResponse:
        """A page as it is now, checked to be safe."""
        self.desk.cache.forget()
        answer = self.client.get(path, headers={"Accept": "text/html"}, **more)
        assert answer.status_code == status, (answer.status_code, answer.text[:2000])
        safe(answer)
        return answer

    def post(self, path: str, status: int = 303, **fields: Any) -> TestResponse:
        """A form with its token, as the page would send it."""
        answer = self.client.post(path, data={"csrf": self.csrf, **fields})
        assert answer.status_code == status, (answer.status_code, answer.text[:2000])
        safe(answer)
        return answer

    def follow(self, path: str, **fields: Any) -> str:
        """Send a form; the text of the page where it leads."""
        return self.get(self.post(path, **fields).headers["Location"]).text


def safe(answer: TestResponse) -> None:
    """What holds for every page."""
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if answer.mimetype == "text/html":
        _Tags().feed(answer.text)


class _Tags(HTMLParser):
    """Refuses what the policy would, and what no page of ours has."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        assert tag not in {"img", "iframe", "object", "embed", "base", "style"}, tag
        assert tag != "script" or "src" in names, "an inline script"
        assert not any(n == "style" or n.startswith("on") for n in names), (tag, names)
        for name, value in attrs:
            if name in {"href", "src", "action"}:
                assert (value or "").startswith(("/dashboard", "http", "#", "data:,")), value


def field(page: str, name: str) -> str:
    """The value of a form's field."""
    found = re.search(rf'<input[^>]*name="{re.escape(name)}"[^>]*value="([^"]*)"', page)
    assert found, f"no field {name}"
    return unescape(found[1])


@pytest.fixture
def app(settings: Settings, house: House, project: Project) -> App:
    """The app on a store with one project."""
    return create_app(settings)


@pytest.fixture
def browser(app: App, house: House) -> Browser:
    """An admin's."""
    return Browser(app, house)


@pytest.fixture
def as_role(app: App, house: House) -> Callable[[Role], Browser]:
    """Makes somebody else's."""
    return lambda role: Browser(app, house, role)


@pytest.fixture
def pump(house: House, project: Project) -> Pump:
    """A pump of the test's project."""
    return Pump(house, project)


@pytest.fixture
def make(house: House, project: Project) -> Callable[..., Task]:
    """Makes a task."""

    def make(url: str = "https://example.com/hello", body: bytes = b"", **fields: Any) -> Task:
        request = Request(url, headers=fields.pop("headers", ()), body=body)
        draft = Draft(project=project.id, request=request, **fields)
        task = intake.submit(house, project.id, [draft])[0].task
        assert task is not None
        return task

    return make


def page_of(task: Task) -> str:
    """The path of a task's page."""
    return f"/dashboard/tasks/{id_text(task.id)}"

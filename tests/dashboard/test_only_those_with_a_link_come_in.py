"""Signing in by a link that works once, sessions, roles, forms of other sites."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from werkzeug.test import Client

from api.app import create_app
from api.door import App
from tests.conftest import environment
from tests.dashboard.conftest import Browser, page_of
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.task import State, Task
from timeball.model.visitor import Role, Visitor
from timeball.settings import Settings
from timeball.store import logins, projects

LINK = Visitor("Ada", Role.ADMIN)


def test_without_a_session_every_page_leads_to_the_sign_in(app: App, house: House) -> None:
    nobody = Browser(app, house, None)
    for path in ("", "/tasks", "/keys", "/system", "/tasks/new"):
        assert nobody.get(f"/dashboard{path}", 303).headers["Location"] == "/dashboard/login"
    assert "timeball login" in nobody.get("/dashboard/login", 401).text
    assert nobody.client.post("/dashboard/tasks", data={}).headers["Location"] == "/dashboard/login"
    live = nobody.client.get("/dashboard/live", headers={"X-Live": "1"})
    assert live.status_code == 401


def test_a_link_works_once(app: App, house: House) -> None:
    link = logins.link_path(logins.make_link(house.client, LINK))
    first, second = Browser(app, house, None), Browser(app, house, None)
    first.get(link, 303)
    first.get("/dashboard")
    assert "used already" in second.get(link, 401).text
    second.get("/dashboard", 303)


def test_a_link_ends_after_a_quarter_of_an_hour(house: House) -> None:
    logins.make_link(house.client, LINK)
    [key] = house.client.keys("*login:*")
    assert 890 < house.client.ttl(key) <= 900


def test_a_program_that_looks_at_a_link_does_not_use_it_up(app: App, house: House) -> None:
    link = logins.link_path(logins.make_link(house.client, LINK))
    guest = Browser(app, house, None)
    guest.client.head(link)
    guest.get(link, 303)


def test_too_many_wrong_links_are_refused_and_a_right_one_is_not(app: App, house: House) -> None:
    nobody = Browser(app, house, None)
    for _ in range(logins.TRIES_A_MINUTE):
        nobody.get("/dashboard/login?t=wrong", 401)
    answer = nobody.get("/dashboard/login?t=wrong", 429)
    assert answer.headers["Retry-After"] == "60"
    nobody.get(logins.link_path(logins.make_link(house.client, LINK)), 303)


def test_the_cookie_is_kept_from_scripts_and_other_sites(app: App, house: House) -> None:
    link = logins.link_path(logins.make_link(house.client, LINK))
    cookie = Client(app).get(link).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/dashboard" in cookie
    assert "Secure" not in cookie
    link = logins.link_path(logins.make_link(house.client, LINK))
    assert "Secure" in Client(app).get(link, base_url="https://x.y").headers["Set-Cookie"]


def test_signing_out_ends_copies_of_the_session_too(browser: Browser, app: App) -> None:
    cookie = browser.client.get_cookie("timeball_session", path="/dashboard")
    assert cookie is not None
    thief = Client(app)
    thief.set_cookie("timeball_session", cookie.value, path="/dashboard")
    assert thief.get("/dashboard").status_code == 200
    browser.post("/dashboard/logout")
    assert thief.get("/dashboard").status_code == 303


def test_a_session_of_another_secret_is_none(
    browser: Browser, settings: Settings, project: Project
) -> None:
    cookie = browser.client.get_cookie("timeball_session", path="/dashboard")
    assert cookie is not None
    other = Client(create_app(replace(settings, secret="x" * 40)))
    other.set_cookie("timeball_session", cookie.value, path="/dashboard")
    assert other.get("/dashboard").status_code == 303


@pytest.mark.parametrize("token", [None, "", "0" * 40])
def test_a_form_without_the_sessions_token_changes_nothing(
    browser: Browser, make: Callable[..., Task], house: House, project: Project, token: str | None
) -> None:
    task = make()
    data = {} if token is None else {"csrf": token}
    for path in (
        f"{page_of(task)}/cancel",
        "/dashboard/tasks",
        "/dashboard/keys",
        "/dashboard/dead",
    ):
        assert browser.client.post(path, data=data).status_code == 403
    assert intake.get(house, project.id, task.id).state is State.SCHEDULED
    other = Browser(browser.client.application, house)
    answer = browser.client.post(f"{page_of(task)}/cancel", data={"csrf": other.csrf})
    assert answer.status_code == 403


def test_a_viewer_looks_and_changes_nothing(
    as_role: Callable[[Role], Browser], make: Callable[..., Task]
) -> None:
    task, viewer = make(), as_role(Role.VIEWER)
    for path in ("", "/tasks", "/schedules", "/queues", "/dead", "/system"):
        page = viewer.get(f"/dashboard{path}").text
        forms = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"', page)
        assert [
            f
            for f in forms
            if f not in ("/dashboard/logout", "/dashboard/tasks", "/dashboard/dead")
        ] == []
    assert "TIMEBALL_SECRET" not in viewer.get("/dashboard/system").text
    for path in ("/keys", "/settings", "/audit", "/tasks/new", "/schedules/new"):
        viewer.get(f"/dashboard{path}", 403)
    viewer.post(f"{page_of(task)}/cancel", 403)
    viewer.post("/dashboard/tasks", 403, verb="delete")
    viewer.post("/dashboard/queues/default/pause", 403)


def test_an_operator_acts_and_keeps_from_keys(
    as_role: Callable[[Role], Browser], make: Callable[..., Task]
) -> None:
    task, operator = make(), as_role(Role.OPERATOR)
    operator.post(f"{page_of(task)}/cancel")
    operator.get("/dashboard/keys", 403)
    operator.post("/dashboard/keys", 403, scope="read")
    operator.get("/dashboard/audit", 403)


def test_every_write_is_in_the_audit_log(browser: Browser, make: Callable[..., Task]) -> None:
    task = make()
    browser.post(f"{page_of(task)}/cancel")
    browser.post("/dashboard/queues/default/pause")
    page = browser.get("/dashboard/audit").text
    for said in ("Ada", "sign in", "cancel task", "pause queue", "scheduled"):
        assert said in page, said


def test_a_key_is_shown_once_and_revoked(browser: Browser, house: House, project: Project) -> None:
    page = browser.post(
        "/dashboard/keys", 201, scope=["read", "write"], label="till", days="30"
    ).text
    match = re.search(r"tb_\w{8}_\w{32}", page)
    assert match is not None
    key = projects.authenticate(house.client, match[0])
    assert key is not None
    assert key.project == project.id
    assert match[0] not in browser.get("/dashboard/keys").text
    assert match[0] not in browser.get("/dashboard/audit").text
    browser.post(f"/dashboard/keys/{key.id}/revoke")
    assert projects.authenticate(house.client, match[0]) is None


def test_no_secret_is_on_the_settings_page(app: App, settings: Settings, house: House) -> None:
    page = Browser(app, house).get("/dashboard/settings").text
    assert settings.secret is not None
    assert settings.secret not in page
    assert "set, hidden" in page


def test_the_command_line_prints_a_link(app: App, house: House, settings: Settings) -> None:
    command = [sys.executable, "-c", "from timeball.cli import main; main()", "login"]
    done = subprocess.run(
        [*command, "--role", "viewer", "--name", "Grace"],
        env=environment(settings, TIMEBALL_PUBLIC_URL="https://tasks.example"),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    base, path, token = done.stdout.strip().partition("/dashboard/login?t=")
    assert base == "https://tasks.example"
    guest = Browser(app, house, None)
    guest.get(path + token, 303)
    page = guest.get("/dashboard").text
    assert "Grace" in page
    assert "signed in as viewer" in page

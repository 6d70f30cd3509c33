"""Signing in with a password: members, the admin of the settings, limits of tries, being signed out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from api.app import create_app
from api.door import App
from tests.conftest import environment
from tests.dashboard.conftest import Browser
from timeball.dispatch.house import House
from timeball.errors import InvalidField, NotFound
from timeball.model.project import Project
from timeball.model.visitor import Role, Visitor
from timeball.settings import Settings, load
from timeball.store import logins, members

PASSWORD = "correct horse battery"
GRACE = Visitor("Grace Hopper", Role.OPERATOR)


def sign_in(client: Client, name: str, password: str, **headers: str) -> TestResponse:
    return client.post(
        "/dashboard/login",
        data={"name": name, "password": password},
        headers={key.replace("_", "-"): value for key, value in headers.items()},
    )


def test_a_member_signs_in_with_his_role(app: App, house: House, project: Project) -> None:
    assert members.put(house.client, GRACE, PASSWORD)
    client = Client(app)
    assert sign_in(client, GRACE.name, "wrong").status_code == 401
    assert client.get("/dashboard").status_code == 303
    assert sign_in(client, GRACE.name, PASSWORD).headers["Location"] == "/dashboard"
    page = client.get("/dashboard").text
    assert "Grace Hopper" in page
    assert "signed in as operator" in page
    assert client.get("/dashboard/keys").status_code == 403
    assert logins.audit(house.client, 0, 1)[0].subject == "by a password"


def test_no_password_is_kept(house: House) -> None:
    members.put(house.client, GRACE, PASSWORD)
    [raw] = house.client.hvals("tb:{0}:members")
    assert PASSWORD.encode() not in raw
    other = Visitor("Other", Role.VIEWER)
    members.put(house.client, other, PASSWORD)
    hashes = {json.loads(r)["scrypt"][4] for r in house.client.hvals("tb:{0}:members")}
    assert len(hashes) == 2, "each has a salt of its own"


def test_the_admin_of_the_settings_signs_in(
    settings: Settings, house: House, project: Project
) -> None:
    with_password = Client(create_app(replace(settings, admin_password=PASSWORD)))
    assert sign_in(with_password, "admin", "wrong").status_code == 401
    assert sign_in(with_password, "admin", PASSWORD).status_code == 303
    assert with_password.get("/dashboard/settings").status_code == 200
    assert PASSWORD not in with_password.get("/dashboard/settings").text
    without = Client(create_app(settings))
    for password in ("", PASSWORD):
        assert sign_in(without, "admin", password).status_code == 401


def test_the_setting_is_read_from_a_file_too(tmp_path: Any) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    assert load({"TIMEBALL_ADMIN_PASSWORD_FILE": str(file)}).admin_password == PASSWORD


def test_too_many_tries_are_refused_even_with_the_right_password(app: App, house: House) -> None:
    members.put(house.client, GRACE, PASSWORD)
    client = Client(app)
    for _ in range(members.TRIES["address"]):
        assert sign_in(client, "x", "x").status_code == 401
    answer = sign_in(client, GRACE.name, PASSWORD)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "60"
    for key in house.client.keys("*logins:*"):
        assert 0 < house.client.ttl(key) <= 60
    for key in house.client.keys("*logins:pw:*"):
        house.client.delete(key)
    assert sign_in(client, GRACE.name, PASSWORD).status_code == 303


def test_another_sites_form_signs_nobody_in(app: App, house: House) -> None:
    members.put(house.client, GRACE, PASSWORD)
    for headers in (
        {"Sec_Fetch_Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        assert sign_in(Client(app), GRACE.name, PASSWORD, **headers).status_code == 403
    for headers in ({"Sec_Fetch_Site": "same-origin"}, {"Origin": "http://localhost"}):
        assert sign_in(Client(app), GRACE.name, PASSWORD, **headers).status_code == 303


def test_who_is_removed_or_changed_is_signed_out(app: App, house: House, project: Project) -> None:
    members.put(house.client, GRACE, PASSWORD)

    def enter() -> Client:
        client = Client(app)
        assert sign_in(client, GRACE.name, PASSWORD).status_code == 303
        return client

    first = enter()
    assert not members.put(house.client, Visitor(GRACE.name, Role.VIEWER), PASSWORD)
    assert first.get("/dashboard").status_code == 303
    second = enter()
    assert "signed in as viewer" in second.get("/dashboard").text
    members.remove(house.client, GRACE.name)
    app.extensions["dashboard"].sessions._alive.clear()  # as three seconds later
    assert second.get("/dashboard").status_code == 303
    assert sign_in(Client(app), GRACE.name, PASSWORD).status_code == 401
    with pytest.raises(NotFound):
        members.remove(house.client, GRACE.name)


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "x" * 61, "admin"])
def test_a_wrong_name_is_refused(house: House, name: str) -> None:
    with pytest.raises(InvalidField):
        members.put(house.client, Visitor(name, Role.VIEWER), PASSWORD)
    with pytest.raises(InvalidField, match="12"):
        members.put(house.client, GRACE, "too short")


def test_the_settings_page_makes_members_and_links(
    browser: Browser, app: App, house: House
) -> None:
    told = browser.follow(
        "/dashboard/settings/members", name=GRACE.name, password=PASSWORD, role="operator"
    )
    assert "Grace Hopper may sign in" in told
    assert sign_in(Client(app), GRACE.name, PASSWORD).status_code == 303
    browser.follow("/dashboard/settings/members/remove", name=GRACE.name)
    assert members.members(house.client) == []
    page = browser.post("/dashboard/settings/link", 201, name="Guest", role="viewer").text
    path = page[page.index("/dashboard/login?t=") :][:59]
    guest = Browser(app, house, None)
    guest.get(path, 303)
    assert "signed in as viewer" in guest.get("/dashboard").text
    log = browser.get("/dashboard/audit").text
    for verb in ("add member", "remove member", "make sign-in link"):
        assert verb in log
    assert PASSWORD not in log


def test_the_command_line_adds_and_removes(settings: Settings, house: House) -> None:
    def run(*words: str, said: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-c", "from timeball.cli import main; main()", "members", *words],
            env=environment(settings),
            input=said,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("add", "Ada", "--role", "admin", "--password-file", "-", said=PASSWORD + "\n")
    [row] = json.loads(run("list", "--json"))
    assert (row["name"], row["role"]) == ("Ada", "admin")
    assert members.check(house.client, "Ada", PASSWORD, None) == Visitor("Ada", Role.ADMIN)
    run("remove", "Ada")
    assert members.members(house.client) == []


def test_an_operator_changes_no_settings(as_role: Callable[[Role], Browser]) -> None:
    operator = as_role(Role.OPERATOR)
    paths = ("projects", "link", "members", "members/remove")
    for path in (
        *(f"settings/{p}" for p in paths),
        "project/retries",
        "project/limits",
        "project/name",
    ):
        operator.post(f"/dashboard/{path}", 403, name="x", role="admin", retries="off")

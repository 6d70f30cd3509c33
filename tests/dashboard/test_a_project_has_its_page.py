"""A project's page: limits, quotas, retention and secrets, each role seeing what it may."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from api.app import create_app
from tests.dashboard.conftest import Browser
from timeball.dispatch import queues
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.queue import Limits
from timeball.model.task import Task
from timeball.model.visitor import Role
from timeball.settings import Settings
from timeball.store import secrets, via

PAGE = "/dashboard/project"
SECRETS = f"{PAGE}/secrets"
VALUE = "s3cret-value"


def values(house: House, project: Project) -> dict[str, str]:
    return secrets.values(house.client, house.vault, project.id)


def test_a_secret_is_added_replaced_and_deleted_and_never_shown(
    browser: Browser, house: House, project: Project
) -> None:
    assert "timeball secrets set API_TOKEN --project" in browser.get(PAGE).text
    page = browser.follow(SECRETS, name="API_TOKEN", value=VALUE)
    assert "{{secret.API_TOKEN}}" in page
    assert values(house, project) == {"API_TOKEN": VALUE}
    page += browser.follow(SECRETS, name="API_TOKEN", value="another", replace="1")
    assert "is replaced" in page
    assert values(house, project) == {"API_TOKEN": "another"}
    page += browser.follow(f"{SECRETS}/remove", name="API_TOKEN")
    assert values(house, project) == {}
    log = browser.get("/dashboard/audit?what=secret").text
    for verb in ("set secret", "replace secret", "remove secret"):
        assert f"<td>{verb}</td>" in log, verb
    for text in (VALUE, "another"):
        assert text not in page + log


def test_a_secret_is_not_replaced_by_mistake(
    browser: Browser, house: House, project: Project
) -> None:
    browser.post(SECRETS, name="API_TOKEN", value=VALUE)
    wrong = browser.post(SECRETS, 422, name="API_TOKEN", value="other").text
    assert "already" in wrong
    browser.post(SECRETS, 404, name="OTHER", value="other", replace="1")
    browser.post(SECRETS, 422, name="lower", value="other")
    wrong = browser.post(SECRETS, 422, name="LINES", value="one\ntwo-of-it").text
    assert "two-of-it" not in wrong
    browser.post(f"{SECRETS}/remove", 404, name="OTHER")
    assert values(house, project) == {"API_TOKEN": VALUE}


def test_each_role_sees_what_it_may(
    browser: Browser, as_role: Callable[[Role], Browser], house: House, project: Project
) -> None:
    secrets.put(house.client, house.vault, project.id, "API_TOKEN", VALUE)
    via.put(house.client, house.vault, project.id, via.Via("http://user:pw@proxy.example:8080"))
    admin = browser.get(PAGE).text
    operator, viewer = as_role(Role.OPERATOR), as_role(Role.VIEWER)
    seen, looked = operator.get(PAGE).text, viewer.get(PAGE).text
    assert "API_TOKEN</td>" in admin
    assert "API_TOKEN</td>" in seen
    assert "API_TOKEN</td>" not in looked
    assert "has 1 secret." in looked
    assert "proxy.example" in seen
    assert "proxy.example" not in looked
    assert "user:pw" not in admin + seen
    for page in (seen, looked):
        assert VALUE not in page
        assert not re.search(f'action="{PAGE}', page), "a form"
        assert "Waiting tasks" in page
        assert "Kept now" in page
    for role in (operator, viewer):
        role.post(SECRETS, 403, name="MINE", value="x")
        role.post(f"{SECRETS}/remove", 403, name="API_TOKEN")
        role.post(f"{PAGE}/limits", 403, rate="1")
        role.post(f"{PAGE}/name", 403, name="mine")
    assert values(house, project) == {"API_TOKEN": VALUE}


def test_quotas_and_retention_tell_how_much_is_used(
    settings: Settings, house: House, project: Project, make: Callable[..., Task]
) -> None:
    told = replace(
        settings, quota_waiting_tasks=4, quota_schedules=0, retention_failed=timedelta(days=9)
    )
    browser = Browser(create_app(told), house)
    for _ in range(3):
        make(delay=timedelta(hours=1))
    page = browser.get(PAGE).text
    waiting = page[page.index('data-quota="Waiting tasks"') :]
    assert "75 % used" in waiting[: waiting.index("</tr>")]
    schedules = page[page.index('data-quota="Schedules"') :]
    assert "no limit" in schedules[: schedules.index("</tr>")]
    dead = page[page.index("<td>dead</td>") :]
    assert "9 d" in dead[: dead.index("</tr>")]
    assert "TIMEBALL_RETENTION_FAILED" in dead[: dead.index("</tr>")]


def test_limits_of_queues_are_named(
    browser: Browser, house: House, project: Project, make: Callable[..., Task]
) -> None:
    make(queue="mail")
    queues.set_limits(house, project.id, "mail", Limits(rate=5, paused=True))
    page = browser.get(PAGE).text
    assert "paused; 5 per 1 s" in page


@pytest.mark.parametrize("name", ["$(id)", "it's", "a b"])
def test_the_command_for_a_first_secret_can_be_pasted(browser: Browser, name: str) -> None:
    browser.follow(f"{PAGE}/name", name=name)
    page = browser.get(PAGE).text
    assert not re.search(r"--project [^&'\w]", page)

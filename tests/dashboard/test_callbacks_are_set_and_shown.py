"""Callbacks on the dashboard: in the forms of tasks and schedules, in their commands, on their pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.dashboard.conftest import Browser, field, page_of
from timeball.dispatch import intake, schedules
from timeball.dispatch.house import House
from timeball.ids import id_text
from timeball.model.project import Project
from timeball.model.task import Task
from timeball.store.lists import Filter

URL = {"request.url": "https://example.com/charge"}
TOLD = {
    "on_success": "https://example.com/charged",
    "on_failure": "https://example.com/charge-failed",
    "on_attempt": "https://example.com/tried",
}


def told(it: object) -> dict[str, str | None]:
    return {name: getattr(it, name) for name in TOLD}


def the_task(house: House, project: Project) -> Task:
    return intake.find(house, project.id, Filter(), 1, None).tasks[0]


def test_a_task_has_them_and_its_clone_too(
    browser: Browser, house: House, project: Project
) -> None:
    page = browser.follow("/dashboard/tasks/new", **URL, **TOLD)
    task = the_task(house, project)
    assert told(task) == TOLD
    for url in TOLD.values():
        assert f"<bdi>{url}</bdi>" in page
    assert "queue=callbacks" in page
    command = page[page.index("Make one like it") :]
    assert command.count("on_failure") == 3, "curl, Python and JavaScript"
    clone = browser.get(f"/dashboard/tasks/new?from={id_text(task.id)}").text
    assert {name: field(clone, name) for name in TOLD} == TOLD


@pytest.mark.parametrize("kind", ["tasks", "schedules"])
def test_the_commands_name_them_while_typing(browser: Browser, kind: str) -> None:
    rule = {"cron": "@daily"} if kind == "schedules" else {}
    page = browser.post(f"/dashboard/{kind}/preview", 200, **URL, **TOLD, **rule).text
    for url in TOLD.values():
        assert page.count(url) == 3, "curl, Python and JavaScript"
    wrong = browser.post(f"/dashboard/{kind}/preview", 200, **URL, on_attempt="ftp://x").text
    assert 'data-fault="on_attempt"' in wrong


def test_what_is_wrong_with_one_opens_its_fold(
    browser: Browser, house: House, project: Project
) -> None:
    page = browser.post("/dashboard/tasks/new", 422, **URL, on_failure="nowhere").text
    assert 'data-wrong="on_failure" hidden' not in page
    assert 'data-wrong="on_success" hidden' in page
    fold = page[: page.index("Callbacks: who is told")].rpartition("<details")[2]
    assert "open" in fold
    assert intake.find(house, project.id, Filter(), 1, None).tasks == []


def test_an_edit_takes_one_away_and_the_log_says_so(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    task = make(delay=None, scheduled_for=None, **TOLD)
    page = browser.get(f"{page_of(task)}/edit").text
    fields = {**URL, **{name: field(page, name) for name in TOLD}, "on_failure": ""}
    fields["request.url"] = field(page, "request.url")
    edit = {**fields, "edit": id_text(task.id)}
    preview = browser.post("/dashboard/tasks/preview", 200, **edit).text
    assert "-X PATCH" in preview
    assert "&#34;on_failure&#34;: null" in preview
    assert "on_success" not in preview
    browser.follow(f"{page_of(task)}/edit", **fields)
    assert told(the_task(house, project)) == {**TOLD, "on_failure": None}
    log = browser.get("/dashboard/audit?what=change").text
    assert TOLD["on_failure"] in log, "what it was before"


def test_a_schedule_has_them_and_its_edit_is_a_patch(
    browser: Browser, house: House, project: Project
) -> None:
    page = browser.follow("/dashboard/schedules/new", **URL, **TOLD, cron="0 9 * * *")
    assert f"<bdi>{TOLD['on_success']}</bdi>" in page
    [made] = schedules.find(house, project.id, None, 2, None).schedules
    assert told(made) == TOLD
    form = browser.get(f"/dashboard/schedules/{made.id}/edit").text
    fields = {
        **URL,
        **{name: field(form, name) for name in (*TOLD, "timezone", "catch_up_window")},
        "queue": "default",
        "overlap": made.overlap,
        "catch_up": made.catch_up,
        "priority": "normal",
        "cron": "0 10 * * *",
    }
    preview = browser.post("/dashboard/schedules/preview", 200, **fields, edit=made.id).text
    assert f"-X PATCH {browser.desk.door.settings.public_url or 'http://localhost'}" in preview
    assert "{&#34;cron&#34;: &#34;0 10 * * *&#34;}" in preview
    browser.follow(f"/dashboard/schedules/{made.id}/edit", **{**fields, "on_attempt": ""})
    now = schedules.get(house, project.id, made.id)
    assert told(now) == {**TOLD, "on_attempt": None}
    assert now.cron == "0 10 * * *"


def test_secrets_of_an_edit_are_not_in_the_log(browser: Browser, make: Callable[..., Task]) -> None:
    task = make(scheduled_for=None)
    fields = {**URL, "request.headers": "Authorization: Bearer s3cret\nX-Order: 7"}
    browser.follow(f"{page_of(task)}/edit", **fields)
    log = browser.get("/dashboard/audit?what=change").text
    assert "X-Order" in log
    assert "s3cret" not in log

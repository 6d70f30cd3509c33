"""What is typed into the field in the head of each page leads to what it names."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.dashboard.conftest import Browser
from timeball.dispatch import queues, schedules
from timeball.dispatch.house import House
from timeball.ids import id_text
from timeball.model.project import Project
from timeball.model.queue import Limits
from timeball.model.task import Request, Task


def found(browser: Browser, typed: str) -> str:
    return browser.get(f"/dashboard/find?q={quote(typed)}", status=303).headers["Location"]


@pytest.fixture
def known(house: House, project: Project, make: Callable[..., Task]) -> dict[str, str]:
    task = make("https://shop.example/orders", name="order 7", queue="orders", tags=("paid",))
    fields = {"cron": "0 9 * * *", "name": "nightly", "request": Request("https://a.example/")}
    return {
        "task": id_text(task.id),
        "schedule": schedules.create(house, project.id, fields).id,
    }


def test_ids_lead_to_what_they_name(browser: Browser, known: dict[str, str]) -> None:
    assert found(browser, known["task"]) == f"/dashboard/tasks/{known['task']}"
    assert found(browser, f" {known['schedule']} ") == f"/dashboard/schedules/{known['schedule']}"


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("https://shop.example/o", "url=https://shop.example/o"),
        ("order 7", "name=order+7"),
        ("orders", "queue=orders"),
        ("paid", "tag=paid"),
        ("Shop.example", "host=shop.example"),
    ],
)
@pytest.mark.usefixtures("known")
def test_other_words_lead_to_lists_that_have_a_row(
    browser: Browser, typed: str, query: str
) -> None:
    where = found(browser, typed)
    assert where == f"/dashboard/tasks?{query}"
    assert "order 7" in browser.get(where).text


@pytest.mark.usefixtures("known")
def test_a_schedule_is_found_by_its_name(browser: Browser) -> None:
    where = found(browser, "nightly")
    assert where == "/dashboard/schedules?name=nightly"
    assert "https://a.example/" in browser.get(where).text


@pytest.mark.usefixtures("project")
def test_what_nothing_is_called_is_said(browser: Browser) -> None:
    assert found(browser, "") == "/dashboard/tasks"
    where = found(browser, "<b>nobody</b>")
    page = browser.client.get(where).text
    assert "Nothing here is called &lt;b&gt;nobody&lt;/b&gt;" in page
    assert found(browser, "01a21948-8b00-7dbc-b47d-3e1d04eccdf9") == "/dashboard/tasks"


def test_a_queue_with_limits_is_listed_before_its_first_task(
    browser: Browser, house: House, project: Project
) -> None:
    queues.set_limits(house, project.id, "later", Limits(rate=5))
    assert "5 per 1 s" in browser.get("/dashboard/queues").text
    queues.set_limits(house, project.id, "never", Limits())
    assert "never" not in browser.get("/dashboard/queues/live").text
    assert found(browser, "later") == "/dashboard/tasks?queue=later"

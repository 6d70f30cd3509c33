"""Names, headers, bodies and answers of others are shown as text, with what hides in them made visible."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from tests.api.conftest import Pump
from tests.dashboard.conftest import Browser, page_of
from timeball.dispatch import schedules
from timeball.dispatch.house import House
from timeball.model.attempt import Attempt, Outcome
from timeball.model.project import Project
from timeball.model.task import Request, State, Task
from timeball.store import projects

SCRIPT = "<script>alert(1)</script>"
QUOTES = "\"'><img src=x onerror=alert(1)>{{7*7}}"
TURNED = "invoice\u202egnp.exe"
PAGES = (
    *("", "/tasks", "/dead", "/schedules", "/queues", "/hosts"),
    *("/keys", "/settings", "/system", "/audit"),
)


def test_nothing_of_a_task_becomes_markup(
    browser: Browser, make: Callable[..., Task], pump: Pump, house: House, project: Project
) -> None:
    hostile = make(
        f"https://example.com/{QUOTES}",
        name=f"{SCRIPT}{QUOTES}",
        tags=(SCRIPT, QUOTES),
        headers=(("X-Evil", SCRIPT + QUOTES),),
        body=(SCRIPT + QUOTES).encode(),
    )
    [claimed] = pump.take()
    attempt = Attempt(
        1,
        Outcome.ANSWERED,
        datetime.now(UTC),
        500,
        headers=(("X-Back", SCRIPT + QUOTES),),
        body=(SCRIPT + QUOTES).encode(),
        error=SCRIPT + QUOTES,
        worker=SCRIPT,
    )
    pump.end(claimed, State.DEAD, attempt)
    fields = {"cron": "* * * * *", "request": Request("https://x.y/"), "name": SCRIPT + QUOTES}
    schedule = schedules.create(house, project.id, {**fields, "description": SCRIPT + QUOTES})
    projects.create_key(house.client, house.vault, project.id, label=SCRIPT + QUOTES)
    projects.create_project(house.client, house.vault, SCRIPT + QUOTES)
    own = (page_of(hostile), page_of(hostile) + "/live", f"/dashboard/schedules/{schedule.id}")
    clone = f"/dashboard/tasks/new?from={page_of(hostile).rpartition('/')[2]}"
    edit = f"/dashboard/schedules/{schedule.id}/edit"
    for path in (*(f"/dashboard{p}" for p in PAGES), *own, clone, edit):
        page = browser.get(path).text
        assert "<script>alert" not in page, path
        assert "<img" not in page, path
    page = browser.get(own[0]).text
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6
    assert page.count("{{7*7}}") >= 6


def test_what_hides_is_made_visible(
    browser: Browser, make: Callable[..., Task], pump: Pump
) -> None:
    task = make(name=TURNED, body=b"a\x00b\x1b[31mred\x7f\tc\nd")
    assert "invoice⟨U+202E⟩gnp.exe" in browser.get("/dashboard/tasks").text
    page = browser.get(page_of(task)).text
    assert "\u202e" not in page
    assert "a␀b␛[31mred␡\tc\nd" in page
    [claimed] = pump.take()
    back = Attempt(1, Outcome.ANSWERED, datetime.now(UTC), 200, body=b"\xff\xfe\x00\x01 hello")
    pump.end(claimed, State.SUCCEEDED, back)
    assert "0000  ff fe 00 01 20 68" in browser.get(page_of(task)).text


def test_text_from_right_to_left_stays_in_its_place(
    browser: Browser, make: Callable[..., Task]
) -> None:
    make(name="שלום עולם")
    assert "<bdi>שלום עולם</bdi>" in browser.get("/dashboard/tasks").text


def test_hostile_queries_are_answered_in_words(browser: Browser) -> None:
    for query in (f"status={SCRIPT}", "cursor=zzz", "created_after=never", f"queue={QUOTES}"):
        page = browser.get(f"/dashboard/tasks?{query}").text
        assert 'role="alert"' in page, query
        assert "<script>alert" not in page
    browser.get("/dashboard/audit?from=-1")
    browser.get("/dashboard?period=<b>")

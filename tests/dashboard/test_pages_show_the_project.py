"""Each page can be opened, empty and full, and says what is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import Pump
from tests.dashboard.conftest import Browser, page_of
from timeball.dispatch import schedules
from timeball.dispatch.house import House
from timeball.ids import id_text
from timeball.model.attempt import Attempt, Outcome, Timing
from timeball.model.project import Project
from timeball.model.task import Draft, Request, State, Task
from timeball.model.visitor import Role
from timeball.store import codec, keys, pumps, roll, tasks
from timeball.store.codec import Claimed
from timeball.store.projects import create_project

PAGES = (
    "",
    "?period=24h",
    "?period=7d",
    "/live",
    "/tasks",
    "/tasks/new",
    "/schedules",
    "/schedules/new",
    "/queues",
    "/hosts",
    "/dead",
    "/keys",
    "/settings",
    "/system",
    "/audit",
)


@pytest.mark.parametrize("path", PAGES)
def test_each_page_opens_on_an_empty_store(browser: Browser, path: str) -> None:
    browser.get(f"/dashboard{path}")


@pytest.mark.parametrize("path", PAGES)
def test_each_page_opens_on_a_busy_one(
    browser: Browser,
    house: House,
    project: Project,
    make: Callable[..., Task],
    pump: Pump,
    path: str,
) -> None:
    make(name="dies", tags=("x",))
    [claimed] = pump.take()
    pump.end(claimed, State.DEAD, Attempt(1, Outcome.REFUSED, datetime.now(UTC), error="no"))
    make(name="waits", delay=timedelta(hours=1), queue="slow")
    fields = {
        "cron": "0 9 * * 1-5",
        "timezone": "Europe/Amsterdam",
        "request": Request("https://x.y/"),
    }
    schedules.create(house, project.id, fields)
    roll.sign_in(house.client, "worker", "here:1", {"processes": 2})
    browser.get(f"/dashboard{path}")


def test_a_browser_at_the_root_is_led_to_the_dashboard(browser: Browser) -> None:
    assert (
        browser.client.get("/", headers={"Accept": "text/html"}).headers["Location"] == "/dashboard"
    )
    assert browser.client.get("/", headers={"Accept": "*/*"}).status_code == 404


def counted(pump: Pump, claimed: Claimed, counters: dict[str, int]) -> None:
    """End a claim well, and count for the charts what a worker would."""
    entry = codec.encode_attempt(Attempt(1, Outcome.ANSWERED, datetime.now(UTC), 200))
    result = pumps.Finished(claimed.id, 1, codec.STATE_CODES[State.SUCCEEDED], 0, entry)
    project = claimed.lane.partition("/")[0]
    pumps.finish(pump.house.client, pump.prefix, "pump", [result], {project: counters})


def test_the_overview_counts(browser: Browser, make: Callable[..., Task], pump: Pump) -> None:
    make(delay=timedelta(hours=1))
    for _ in range(3):
        make()
    ended, _ = pump.take(2)
    counted(pump, ended, {"succeeded": 7, "d4": 6, "d9": 1, "l2": 7})
    page = browser.get("/dashboard/live").text
    for card, value in {"Waiting": 2, "Due now": 1, "In flight": 1, "Succeeded": 7}.items():
        assert re.search(f'data-card="{card}">{value}<', page), card
    assert "&lt; 16 ms" in page  # the median of the durations
    assert "&lt; 512 ms" in page  # their 95th percentile
    assert "&lt; 4 ms" in page  # lateness


def test_first_steps_tick_themselves_off_for_ever(
    browser: Browser, house: House, project: Project, make: Callable[..., Task], pump: Pump
) -> None:
    assert browser.get("/dashboard").text.count("data-step") == 3
    make()
    page = browser.get("/dashboard").text
    assert '<li class="done" data-step="Send a task">' in page
    assert '<li class="" data-step="Break the inbox">' in page
    counted(pump, pump.take()[0], {"retried": 1})
    fields = {"cron": "* * * * *", "request": Request("https://example.com/")}
    schedule = schedules.create(house, project.id, fields)
    assert "First steps" not in browser.get("/dashboard").text
    schedules.delete(house, project.id, schedule.id)
    assert "First steps" not in browser.get("/dashboard").text


def test_all_viewers_share_one_reading_of_the_store(
    browser: Browser, house: House, as_role: Callable[[Role], Browser]
) -> None:
    other = as_role(Role.VIEWER)
    browser.get("/dashboard/live")
    before = house.client.info("stats")["total_commands_processed"]
    for one in (browser, other) * 10:
        one.client.get("/dashboard/live")
    # INFO itself, and whether the sessions were ended
    assert house.client.info("stats")["total_commands_processed"] - before <= 4


def test_what_has_not_changed_is_not_sent_again(
    browser: Browser, make: Callable[..., Task], house: House
) -> None:
    roll.sign_in(house.client, "worker", "here:1", {"processes": 2})
    task = make(delay=timedelta(hours=5))
    for path in ("/dashboard/live", page_of(task) + "/live"):
        again = browser.get(path)
        while (
            again.status_code == 200
        ):  # a page says how long ago things were: a second may have passed
            text, tag = again.text, again.headers["ETag"]
            again = browser.client.get(path, headers={"If-None-Match": tag})
            assert again.text != text
        assert (again.status_code, again.data) == (304, b"")
    browser.post(f"{page_of(task)}/cancel")
    assert browser.client.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_a_task_page_tells_its_life(
    browser: Browser, make: Callable[..., Task], pump: Pump
) -> None:
    task = make(name="order 7", body=b'{"n": 1}', headers=(("X-Order", "7"),), tags=("paid",))
    [claimed] = pump.take()
    first = Attempt(
        1,
        Outcome.ANSWERED,
        datetime.now(UTC),
        503,
        Timing(1000, 3000, 9000, 20000, 21000),
        (("Content-Type", "text/plain"),),
        b"come back later",
        next_at=datetime.now(UTC) + timedelta(seconds=5),
    )
    due = datetime.now(UTC) + timedelta(seconds=5)
    pump.end(claimed, State.SCHEDULED, first, round(due.timestamp() * 1000))
    page = browser.get(page_of(task)).text
    for said in (
        "order 7",
        "retrying",
        "answered 503",
        "come back later",
        "X-Order",
        "paid",
        "tls 6 ms",
    ):
        assert said in page, said
    assert 'class="backoff"' in page
    assert browser.get(page_of(task) + "/live").text.count("<html") == 0


def test_an_export_is_shown_as_one(browser: Browser, house: House, project: Project) -> None:
    draft = Draft(project.id, Request("export:orders"), queue="exports")
    [taken], _ = tasks.submit(house.client, house.prefix(project.id), [draft], 60_000, keys.EXPORT)
    assert taken.task is not None
    assert ">export</span>" in browser.get("/dashboard/tasks").text
    page = browser.get(page_of(taken.task)).text
    assert "<b>export</b> <bdi>orders</bdi>" in page
    assert "Clone" not in page


def test_the_list_is_filtered_and_paged(browser: Browser, make: Callable[..., Task]) -> None:
    for n in range(60):
        make(f"https://example.com/{n}", name=f"n{n}", tags=("even",) if n % 2 == 0 else ())
    page = browser.get("/dashboard/tasks").text
    assert page.count('name="id"') == 50
    next_url = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert browser.get(next_url).text.count('name="id"') == 10
    assert browser.get("/dashboard/tasks?tag=even&status=queued").text.count('name="id"') == 30
    assert browser.get("/dashboard/tasks?name=n7").text.count('name="id"') == 1
    assert browser.get("/dashboard/tasks?url=https://example.com/5").text.count('name="id"') == 11
    assert "must be one of" in browser.get("/dashboard/tasks?status=nonsense").text


def test_a_schedule_is_told_in_words_with_its_next_runs(
    browser: Browser, house: House, project: Project
) -> None:
    fields = {
        "cron": "30 2 * * *",
        "timezone": "Europe/Amsterdam",
        "request": Request("https://x.y/"),
    }
    made = schedules.create(house, project.id, {**fields, "name": "nightly"})
    page = browser.get(f"/dashboard/schedules/{made.id}").text
    assert "At 02:30" in page
    assert page.count("Europe/Amsterdam") >= 2
    task = schedules.run(house, project.id, made.id)
    assert id_text(task.id) in browser.get(f"/dashboard/schedules/{made.id}").text


def test_projects_are_kept_apart_and_chosen(
    browser: Browser, house: House, make: Callable[..., Task]
) -> None:
    task = make(name="of the first")
    other = create_project(house.client, house.vault, "other")
    browser.get(f"/dashboard/choose?id={other.id}", status=303)
    assert "of the first" not in browser.get("/dashboard/tasks").text
    browser.get(page_of(task), status=404)


def test_what_is_not_there_is_told_so(browser: Browser) -> None:
    nobody = "00000000-0000-7000-8000-000000000000"
    for path in ("/nowhere", "/tasks/1", f"/tasks/{nobody}", f"/schedules/{nobody}"):
        browser.get(f"/dashboard{path}", status=404)


def test_the_list_counts_each_state(
    browser: Browser, make: Callable[..., Task], pump: Pump
) -> None:
    make(delay=timedelta(hours=1))
    for state in (State.DEAD, State.SUCCEEDED, State.SUCCEEDED):
        make(queue="done")
        [claimed] = pump.take()
        pump.end(claimed, state)
    page = browser.get("/dashboard/tasks?status=failure").text
    tabs = re.findall('<a href="([^"]+)"[^>]*>([a-z ]+) <b>([0-9]+)</b></a>', page)
    assert tabs == [
        ("/dashboard/tasks", "all", "4"),
        ("/dashboard/tasks?status=queued", "waiting", "1"),
        ("/dashboard/tasks?status=working", "in flight", "0"),
        ("/dashboard/tasks?status=success", "succeeded", "2"),
        ("/dashboard/tasks?status=failure", "dead", "1"),
        ("/dashboard/tasks?status=cancelled", "cancelled", "0"),
    ]
    assert page.count('aria-current="true">dead <b>') == 1
    narrowed = browser.get("/dashboard/tasks?queue=done").text
    assert '<a href="/dashboard/tasks?queue=done&amp;status=failure">dead</a>' in narrowed


def test_an_attempt_that_was_redirected_says_so(
    browser: Browser, make: Callable[..., Task], pump: Pump
) -> None:
    task = make()
    [claimed] = pump.take()
    headers = (("Location", "https://example.com/<b>"),)
    redirected = Attempt(1, Outcome.ANSWERED, datetime.now(UTC), 301, headers=headers)
    pump.end(claimed, State.DEAD, redirected)
    page = browser.get(page_of(task)).text
    assert (
        "redirects to &#39;https://example.com/&lt;b&gt;&#39;; redirects are not followed" in page
    )

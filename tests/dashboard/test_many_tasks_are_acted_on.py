"""From the list to a bulk: what fits is counted, one form begins it, its page shows how far it came."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest

from tests.api.conftest import Pump
from tests.dashboard.conftest import Browser, page_of
from timeball.dispatch import bulk, intake
from timeball.dispatch.house import House
from timeball.model.bulk import BulkState
from timeball.model.project import Project
from timeball.model.task import BodyKind, Request, State, Task
from timeball.model.visitor import Role
from timeball.store import keys, logins, pumps
from timeball.store.lists import Filter

HOUR = timedelta(hours=1)
HOSTILE = "<script>alert(1)</script>\"'>{{7*7}}"


@pytest.fixture
def work(house: House) -> Callable[[], None]:
    """What beat does."""
    fence = pumps.lead(house.client, keys.prefix(0), "beat", 3_600_000).fence
    return lambda: bulk.work(house, fence)


def states(house: House, project: Project) -> list[State]:
    return [t.state for t in intake.find(house, project.id, Filter(), 1000, None).tasks]


def test_a_whole_filter_is_cancelled(
    browser: Browser,
    make: Callable[..., Task],
    house: House,
    project: Project,
    work: Callable[[], None],
) -> None:
    for n in range(12):
        make(name=f"n{n}", queue="mail", delay=HOUR)
    make(queue="other", delay=HOUR)
    page = browser.get("/dashboard/tasks?queue=mail").text
    [link] = [unescape(h) for h in re.findall(r'href="([^"]*verb=cancel[^"]*)"', page)]
    asked = browser.get(link).text
    assert "Cancel 12 tasks" in asked
    assert asked.count("<b><bdi>mail</bdi></b>") == 1
    assert states(house, project) == [State.SCHEDULED] * 13
    location = browser.post("/dashboard/bulk", verb="cancel", queue="mail").headers["Location"]
    page = browser.get(location).text
    assert "0 of 12" in page
    assert ">Stop<" in page
    work()
    page = browser.get(location + "/live").text
    assert "data-done>12<" in page
    assert ">Stop<" not in page
    assert states(house, project).count(State.CANCELLED) == 12
    assert "Cancel 12" in browser.get("/dashboard/bulk").text
    verbs = [line.verb for line in logins.audit(house.client, 0, 5)]
    assert "bulk cancel" in verbs


def test_deleting_asks_for_the_word(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    make(delay=HOUR)
    answer = browser.follow("/dashboard/bulk", verb="delete", sure="")
    assert "type delete to confirm" in answer
    assert bulk.newest(house, project.id) == []
    browser.post("/dashboard/bulk", verb="delete", sure="delete")
    assert [b.by for b in bulk.newest(house, project.id)] == ["Ada"]


def test_a_bulk_is_stopped(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    make(delay=HOUR)
    location = browser.post("/dashboard/bulk", verb="run", rate="0,5").headers["Location"]
    assert "0.5 a second" in browser.get(location).text
    assert "Stopped" in browser.follow(location + "/stop")
    [one] = bulk.newest(house, project.id)
    assert (one.state, one.rate) == (BulkState.STOPPED, 0.5)


def test_wrong_questions_are_answered_in_words(browser: Browser) -> None:
    for query in ("verb=explode", "verb=cancel&status=failure", f"verb=run&status={HOSTILE}"):
        assert "<script>alert" not in browser.get(f"/dashboard/bulk/new?{query}", 422).text
    browser.get("/dashboard/bulk/nothing", 404)
    browser.get("/dashboard/bulk")
    assert "nothing to do" in browser.get("/dashboard/bulk/new?verb=run").text


def test_nothing_hostile_becomes_markup(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    make(HOSTILE_URL, name=HOSTILE, tags=(HOSTILE,), delay=HOUR)
    asked = {"verb": "run", "tag": HOSTILE}
    pages = [browser.get("/dashboard/bulk/new", query_string=asked).text]
    location = browser.post("/dashboard/bulk", **asked).headers["Location"]
    pages += [browser.get(path).text for path in (location, location + "/live", "/dashboard/bulk")]
    [task] = intake.find(house, project.id, Filter(), 10, None).tasks
    pages.append(browser.get(page_of(task) + "/edit").text)
    assert any("&lt;script&gt;alert(1)" in page for page in pages)
    for page in pages:
        assert "<script>alert" not in page
        assert "{{7*7}}" in page or HOSTILE[:8] not in page


HOSTILE_URL = "https://example.com/<img src=x onerror=alert(1)>"


def test_a_viewer_sees_bulks_and_begins_none(
    as_role: Callable[[Role], Browser], make: Callable[..., Task], browser: Browser
) -> None:
    task = make(delay=HOUR)
    location = browser.post("/dashboard/bulk", verb="run").headers["Location"]
    viewer = as_role(Role.VIEWER)
    assert ">Stop<" not in viewer.get(location).text
    viewer.get("/dashboard/bulk/new?verb=run", 403)
    viewer.post("/dashboard/bulk", 403, verb="run")
    viewer.post(location + "/stop", 403)
    viewer.get(page_of(task) + "/edit", 403)


def test_a_group_of_dead_tasks_is_redriven_with_a_rate(
    browser: Browser,
    make: Callable[..., Task],
    pump: Pump,
    house: House,
    project: Project,
    work: Callable[[], None],
) -> None:
    for n in range(6):
        make(f"https://{'a' if n % 2 else 'b'}.example/{n}")
    for claimed in pump.take(6):
        pump.end(claimed, State.DEAD)
    assert (
        "/dashboard/tasks?status=failure&amp;host=a.example" in browser.get("/dashboard/dead").text
    )
    fields = {"host": "a.example", "error": "answered 200", "all": "1", "rate": "100"}
    location = browser.post("/dashboard/dead", **fields).headers["Location"]
    work()
    assert "data-done>3<" in browser.get(location).text
    assert states(house, project).count(State.SCHEDULED) == 3
    wrong = browser.post("/dashboard/dead", 422, **{**fields, "host": "b.example", "rate": "x"})
    assert "rate must be" in wrong.text


def test_a_waiting_task_is_edited(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    secret = (("Authorization", "Bearer s3cret"), ("X-Order", "7"))
    task = make(
        "https://example.com/a", b"old", headers=secret, name="order", tags=("x",), delay=HOUR
    )
    path = page_of(task) + "/edit"
    page = browser.get(path).text
    assert "s3cret" not in page
    fields = form_of(page)
    assert browser.follow(path, **fields).count("Nothing was changed.") == 1
    fields |= {
        "request.url": "https://example.com/b",
        "request.body": "new",
        "name": "",
        "tags": "",
    }
    assert "The task is changed" in browser.follow(path, **fields)
    now = intake.get(house, project.id, task.id)
    assert (now.request.url, now.request.body, now.name, now.tags) == (
        "https://example.com/b",
        b"new",
        None,
        (),
    )
    assert now.request.headers == secret
    assert now.due_at == task.due_at
    wrong = browser.post(path, 422, **{**fields, "request.url": "ftp://x"}).text
    assert 'data-wrong="request.url" hidden' not in wrong
    preview = browser.post("/dashboard/tasks/preview", 200, **fields).text
    assert "-X PATCH" not in preview, "it is as it was saved"
    fields["request.url"] = "https://example.com/c"
    preview = browser.post("/dashboard/tasks/preview", 200, **fields).text
    assert "-X PATCH" in preview


def test_a_dead_task_is_edited_and_redriven(
    browser: Browser, make: Callable[..., Task], pump: Pump, house: House, project: Project
) -> None:
    task = make("https://example.com/typo")
    path = page_of(task) + "/edit"
    [claimed] = pump.take()
    browser.get(path, 409)  # in flight
    pump.end(claimed, State.DEAD)
    fields = form_of(browser.get(path).text)
    page = browser.follow(path, **{**fields, "request.url": "https://example.com/right"})
    assert "It is sent again" in page
    now = intake.get(house, project.id, task.id)
    assert (now.state, now.request.url) == (State.SCHEDULED, "https://example.com/right")
    [line] = [w for w in logins.audit(house.client, 0, 5) if w.verb == "redrive task"]
    assert "right" in line.after


def test_bytes_that_are_no_text_stay_when_the_rest_is_edited(
    browser: Browser, house: House, project: Project, make: Callable[..., Task]
) -> None:
    raw = b"\xff\x00\x01"
    task = make(delay=HOUR)
    request = {"body": raw, "body_kind": BodyKind.BASE64}
    intake.update(house, project.id, task.id, {"request": request})
    path = page_of(task) + "/edit"
    fields = form_of(browser.get(path).text)
    browser.post(path, **{**fields, "name": "named"})
    now = intake.get(house, project.id, task.id)
    assert (now.name, now.request.body) == ("named", raw)
    assert isinstance(now.request, Request)


def form_of(page: str) -> dict[str, str]:
    """The fields of the form, as a browser would send them back."""
    form = page.split("data-preview", 1)[1].split("</form>")[0]
    fields = {
        unescape(n): unescape(v)
        for n, v in re.findall(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', form)
    }
    for name, value in re.findall(
        r'<textarea[^>]*name="([^"]*)"[^>]*>\n(.*?)</textarea>', form, re.S
    ):
        fields[name] = unescape(value)
    for name, options in re.findall(r'<select[^>]*name="([^"]*)">(.*?)</select>', form, re.S):
        fields[name] = re.findall(r'value="([^"]*)" selected', options)[0]
    fields.pop("csrf", None)
    return fields

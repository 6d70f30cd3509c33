"""Forms: the API's rules say what is wrong beside its field; what is right is done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from api.dashboard import forms
from api.dashboard.task_form import FIELDS
from tests.api.conftest import Pump
from tests.dashboard.conftest import Browser, field, page_of
from timeball.dispatch import intake, queues, schedules
from timeball.dispatch.house import House
from timeball.ids import id_bytes, id_text
from timeball.model.attempt import Attempt, Outcome
from timeball.model.project import Project
from timeball.model.retry import RetryPolicy
from timeball.model.task import Method, Request, State, Task
from timeball.store.lists import Filter

NEW = "/dashboard/tasks/new"


def tasks_of(house: House, project: Project) -> list[Task]:
    return intake.find(house, project.id, Filter(), 100, None).tasks


def test_a_task_is_made(browser: Browser, house: House, project: Project) -> None:
    fields = {
        "request.url": "https://example.com/x",
        "request.method": "PUT",
        "request.headers": "X-Order: 7\r\nAuthorization: Bearer s3cret",
        "request.body": '{"n":\r\n1}',
        "name": "order 7",
        "queue": "orders",
        "tags": "a, b",
        "delay": "10m",
        "timeout": "5s",
        "retry.max_attempts": "3",
    }
    page = browser.follow(NEW, **fields)
    assert "The task is taken in" in page
    assert "s3cret" not in page
    [task] = tasks_of(house, project)
    assert task.request.method is Method.PUT
    assert task.request.body == b'{"n":\n1}'
    assert task.request.headers == (("X-Order", "7"), ("Authorization", "Bearer s3cret"))
    assert (task.name, task.queue, task.tags) == ("order 7", "orders", ("a", "b"))
    assert task.timeout == timedelta(seconds=5)
    assert task.due_at > datetime.now(UTC) + timedelta(minutes=9)
    assert "already" in browser.follow(NEW, **fields)


def test_what_is_wrong_stands_beside_its_field(
    browser: Browser, house: House, project: Project
) -> None:
    wrong = {
        "request.url": "ftp://example.com",
        "request.headers": "Host: x",
        "delay": "soon",
        "retry.max_attempts": "many",
        "name": "kept as typed",
    }
    page = browser.post(NEW, 422, **wrong).text
    for name in ("request.url", "request.headers", "delay", "retry.max_attempts"):
        assert f'data-wrong="{name}" hidden' not in page, name
    assert 'data-wrong="name" hidden' in page
    assert "kept as typed" in page
    assert (
        "must be written as Name: value" in browser.post(NEW, 422, **{"request.headers": "x"}).text
    )
    assert tasks_of(house, project) == []


def test_the_curl_is_shown_while_typing(browser: Browser) -> None:
    fields = {"request.url": "https://example.com/it's", "delay": "soon"}
    page = browser.post("/dashboard/tasks/preview", 200, **fields).text
    assert "curl -X POST" in page
    assert 'data-fault="delay"' in page


def test_a_clone_keeps_the_hidden_headers(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    task = make(headers=(("Authorization", "Bearer s3cret"),), body=b"x")
    source = id_text(task.id)
    page = browser.get(f"{NEW}?from={source}").text
    assert "s3cret" not in page
    hidden = page.split("Authorization: ")[1].split("\n")[0].split("<")[0]
    fields = {"request.url": task.request.url, "request.headers": f"Authorization: {hidden}"}
    where = browser.post(NEW, **fields, **{"from": source}).headers["Location"]
    made = id_bytes(where.rpartition("/")[2])
    assert made is not None
    assert intake.get(house, project.id, made).request.headers == task.request.headers


def test_a_clone_keeps_its_retries(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    policy = RetryPolicy(4, timedelta(seconds=2), timedelta(hours=2), 3, 0.5, timedelta(days=1))
    task = make(retry=policy, timeout=timedelta(seconds=2.5))
    page = browser.get(f"{NEW}?from={id_text(task.id)}").text
    names = [n for n in FIELDS if n.startswith("retry.") or n in ("timeout", "request.url")]
    where = browser.post(NEW, **{name: field(page, name) for name in names}).headers["Location"]
    made = id_bytes(where.rpartition("/")[2])
    assert made is not None
    copy = intake.get(house, project.id, made)
    assert (copy.retry, copy.timeout) == (task.retry, task.timeout)


def test_an_edit_keeps_what_the_form_shows_otherwise(
    browser: Browser, house: House, project: Project
) -> None:
    request = Request("https://example.com/", body=b"one\r\ntwo")
    rule = {"cron": "0 9 * * *", "window": timedelta(minutes=5), "retry": RetryPolicy(2)}
    made = schedules.create(house, project.id, {**rule, "request": request})
    page = browser.get(f"/dashboard/schedules/{made.id}/edit").text
    fields = {
        "request.url": "https://example.com/",
        "request.body": "one\r\ntwo",
        "cron": "0 9 * * *",
    }
    kept = ("window", "catch_up_window", "timezone", *forms.RETRY)
    fields |= {name: field(page, name) for name in kept}
    browser.post(f"/dashboard/schedules/{made.id}/edit", **fields)
    now = schedules.get(house, project.id, made.id)
    assert (now.request.body, now.window, now.retry) == (b"one\r\ntwo", made.window, made.retry)
    assert now.next_at == made.next_at


def test_chosen_tasks_are_cancelled_run_and_deleted(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    some = [make(delay=timedelta(hours=1)) for _ in range(3)]
    ids = [id_text(task.id) for task in some]
    assert "Cancelled 2 of 2" in browser.follow("/dashboard/tasks", verb="cancel", id=ids[:2])
    states = {t.id: t.state for t in tasks_of(house, project)}
    assert [states[t.id] for t in some] == [State.CANCELLED, State.CANCELLED, State.SCHEDULED]
    assert "Made due now 3 of 3" in browser.follow("/dashboard/tasks", verb="run", id=ids)
    assert "Deleted 3 of 3" in browser.follow("/dashboard/tasks", verb="delete", id=ids)
    assert tasks_of(house, project) == []
    assert "No task was chosen" in browser.follow("/dashboard/tasks", verb="run")


def test_one_task_is_cancelled_run_and_deleted(
    browser: Browser, make: Callable[..., Task], pump: Pump
) -> None:
    task = make(delay=timedelta(hours=1))
    assert "cancelled" in browser.follow(f"{page_of(task)}/cancel")
    assert "waiting" in browser.follow(f"{page_of(task)}/run")
    pump.take()
    referrer = {"Referer": f"http://localhost{page_of(task)}"}
    answer = browser.client.post(
        f"{page_of(task)}/cancel", data={"csrf": browser.csrf}, headers=referrer
    )
    assert "Nothing was changed" in browser.get(answer.headers["Location"]).text
    browser.follow(f"{page_of(task)}/delete")
    browser.get(page_of(task), 404)


def test_the_dead_are_grouped_and_redriven(
    browser: Browser, make: Callable[..., Task], pump: Pump, house: House, project: Project
) -> None:
    for n in range(3):
        make(f"https://one.example/{n}")
    make("https://two.example/")
    for claimed in pump.take(4):
        two = "two" in claimed.spec["u"]
        status = None if two else 503
        outcome = Outcome.REFUSED if two else Outcome.ANSWERED
        pump.end(claimed, State.DEAD, Attempt(1, outcome, datetime.now(UTC), status))
    page = browser.get("/dashboard/dead").text
    assert page.index("one.example") < page.index("two.example")
    assert "answered 503" in page
    assert "refused" in page
    group = {"host": "one.example", "error": "answered 503", "all": "1"}
    assert "Made 3 dead tasks due now" in browser.follow("/dashboard/dead", **group)
    left = intake.find(house, project.id, Filter(state=State.DEAD), 10, None).tasks
    assert [t.request.url for t in left] == ["https://two.example/"]
    browser.follow("/dashboard/dead", id=id_text(left[0].id))
    assert "Nothing is dead" in browser.get("/dashboard/dead").text


def test_a_queue_is_paused_limited_and_purged(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    make(queue="mail")
    assert "mail is paused" in browser.follow("/dashboard/queues/mail/pause")
    limits = {"rate": "10", "per": "1m", "burst": "2", "concurrency": "5"}
    assert "10 per 1 min, bursts of 2, 5 at once" in browser.follow(
        "/dashboard/queues/mail/limits", **limits
    )
    state = queues.get_queue(house, project.id, "mail")
    assert state.limits.paused
    assert state.limits.rate == 10
    assert field(browser.get("/dashboard/queues").text, "per") == "1m"
    browser.post("/dashboard/queues/mail/limits", 422, rate="many")
    browser.follow("/dashboard/queues/mail/resume")
    assert "type mail" in browser.follow("/dashboard/queues/mail/purge", sure="other")
    assert "Deleted 1" in browser.follow("/dashboard/queues/mail/purge", sure="mail")
    assert tasks_of(house, project) == []


def test_a_schedule_is_made_changed_paused_and_deleted(
    browser: Browser, house: House, project: Project
) -> None:
    fields = {
        "request.url": "https://example.com/tick",
        "request.headers": "Authorization: Bearer s3cret",
        "cron": "0 9 * * 1-5",
        "timezone": "Europe/Amsterdam",
        "name": "report",
        "overlap": "skip",
    }
    where = browser.post("/dashboard/schedules/new", **fields).headers["Location"]
    [made] = schedules.find(house, project.id, None, 10, None).schedules
    assert made.overlap == "skip"
    edit = browser.get(f"{where}/edit").text
    assert "s3cret" not in edit
    hidden = edit.split("Authorization: ")[1].split("\n")[0].split("<")[0]
    changed = {
        **fields,
        "cron": "0 10 * * *",
        "name": "",
        "request.headers": f"Authorization: {hidden}",
    }
    assert "is changed" in browser.follow(f"{where}/edit", **changed)
    now = schedules.get(house, project.id, made.id)
    assert (now.cron, now.name) == ("0 10 * * *", None)
    assert now.request.headers == (("Authorization", "Bearer s3cret"),)
    assert "Resume" in browser.follow(f"{where}/pause")
    assert schedules.get(house, project.id, made.id).paused
    browser.follow(f"{where}/resume")
    assert "extra task" in browser.follow(f"{where}/run")
    browser.follow(f"{where}/delete")
    browser.get(where, 404)


def test_a_rule_is_told_in_words_while_typing(browser: Browser) -> None:
    rule = {"cron": "30 2 29 3 *", "timezone": "Europe/Amsterdam"}
    page = browser.post("/dashboard/schedules/preview", 200, **rule).text
    assert "02:30" in page
    assert page.count("<tr>") == 11
    page = browser.post("/dashboard/schedules/preview", 200, cron="61 * * * *").text
    assert 'data-fault="cron"' in page
    page = browser.post("/dashboard/schedules/new", 422, cron="", **{"request.url": "x"}).text
    assert 'data-wrong="request.url" hidden' not in page

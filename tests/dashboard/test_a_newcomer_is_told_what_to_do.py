"""Pages without anything on them show the command that fills them; words fit their numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape

import pytest

from api.dashboard import shown
from api.door import App
from tests.api.conftest import Api, Pump
from tests.dashboard.conftest import Browser
from timeball.dispatch import hosts
from timeball.dispatch.house import House
from timeball.model.attempt import Attempt, Outcome
from timeball.model.project import ApiKey, Project
from timeball.model.task import State, Task
from timeball.model.visitor import Role
from timeball.store import codec, projects, pumps

EMPTY = {
    "": "/v2/tasks",
    "/tasks": "/v2/tasks",
    "/bulk": "/v2/tasks/bulk",
    "/schedules": "/v2/schedules",
    "/schedules/load": "/v2/schedules",
    "/queues": '"queue": "mail"',
    "/hosts": "seq 12",
    "/dead": "status=410",
    "/exports": "timeball keys create --chain",
    "/keys": "timeball keys create --project",
    "/project": "timeball secrets set",
}


@pytest.mark.parametrize("path", EMPTY)
def test_an_empty_page_shows_the_command_that_fills_it(browser: Browser, path: str) -> None:
    page = browser.get(f"/dashboard{path}").text
    commands = [unescape(text) for text in re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.S)]
    assert any(EMPTY[path] in text for text in commands), commands


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/exports", "/spaaza/tasks"),
        ("/exports/segments", "/v2/segments"),
        ("/exports/sources", "timeball sources add"),
    ],
)
def test_so_do_those_of_a_chain(
    browser: Browser, house: House, project: Project, path: str, words: str
) -> None:
    made = projects.create_project(house.client, house.vault, "chain 7", chain=7)
    browser.client.get(f"/dashboard/choose?id={made.id}")
    page = browser.get(f"/dashboard{path}").text
    assert words in unescape(page)


def test_the_page_of_hosts_explains_caps_and_breakers(
    browser: Browser, as_role: Callable[[Role], Browser], house: House, project: Project
) -> None:
    page = unescape(browser.get("/dashboard/hosts").text)
    for words in ("What a cap is", "Why a host has a breaker", "No host has one until you set it"):
        assert words in page, words
    assert "-X PATCH" in page
    assert '{"concurrency": 5}' in page
    hosts.limit_host(house, project.id, None, 6)
    assert "<b>6 at once</b>" in browser.get("/dashboard/hosts").text
    assert "An operator can probe" in as_role(Role.VIEWER).get("/dashboard/hosts").text


def test_words_fit_their_numbers(
    browser: Browser, make: Callable[..., Task], pump: Pump, project: Project
) -> None:
    assert [shown.many(n, "task") for n in (0, 1, 2, 1200)] == [
        "0 tasks",
        "1 task",
        "2 tasks",
        "1\u2009200 tasks",
    ]
    assert shown.many(2, "process") == "2 processes"
    make("https://good.example/x")
    [task] = pump.take()
    entry = codec.encode_attempt(Attempt(1, Outcome.ANSWERED, datetime.now(UTC), 200))
    done = pumps.Finished(task.id, 1, codec.STATE_CODES[State.SUCCEEDED], 0, entry)
    pumps.finish(pump.house.client, pump.prefix, "pump", [done], {project.id: {"succeeded": 1}})
    make("https://bad.example/x")
    [task] = pump.take()
    pump.end(task, State.DEAD)
    make("https://later.example/x")
    page = re.sub(r"</?b>", "", browser.get("/dashboard").text)
    assert "1 tasks" not in page
    assert "1 attempts" not in page
    assert "1 attempt succeeded" in page
    assert "Of 1 waiting task in 1 queue" in page
    assert "1 task out of attempts" in browser.get("/dashboard/dead").text


def test_what_parts_renew_is_what_pages_show(browser: Browser, make: Callable[..., Task]) -> None:
    make("https://example.com/x", queue="mail")
    for name in ("queues", "hosts"):
        part = browser.get(f"/dashboard/{name}/live").text.strip()
        assert part
        assert part in browser.get(f"/dashboard/{name}").text


def test_the_log_tells_what_keys_did_in_words(
    app: App, api_key: tuple[ApiKey, str], browser: Browser
) -> None:
    api = Api(app, api_key[1])
    asked = {"action": "delete", "filter": {"queue": "later", "status": "failure"}}
    assert api("POST", "/v2/tasks/bulk", asked).status_code == 202
    assert api("PUT", "/v2/secrets/API_TOKEN", {"value": "s3cret"}).status_code == 200
    assert api("DELETE", "/v2/secrets/API_TOKEN").status_code == 204
    log = unescape(browser.get("/dashboard/audit").text)
    assert "{" not in log[log.index("<tbody>") : log.index("</tbody>")]
    for words in ("queue later", "status failure", "set secret", "remove secret"):
        assert words in log, words
    assert "s3cret" not in log

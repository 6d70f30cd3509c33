"""The settings page, the audit log's filters, and what the system page finds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.app import create_app
from tests.dashboard.conftest import Browser
from timeball.dispatch import findings, hosts, queues
from timeball.dispatch.findings import Weight
from timeball.dispatch.house import House
from timeball.errors import Conflict
from timeball.model.project import Project
from timeball.settings import Settings, sources
from timeball.store import figures, projects
from timeball.store.roll import Entry


def test_retries_are_switched_and_the_log_says_from_what(
    browser: Browser, house: House, project: Project
) -> None:
    assert "Retries are off" in browser.follow("/dashboard/project/retries", retries="off")
    assert not projects.get_project(house.client, house.vault, project.id).retries
    [row] = [r for r in browser.get("/dashboard/audit").text.split("<tr>") if "switch retries" in r]
    assert "<bdi>on</bdi>" in row
    assert "<bdi>off</bdi>" in row


def test_limits_of_the_project_and_of_each_host_are_set(
    browser: Browser, house: House, project: Project
) -> None:
    browser.follow(
        "/dashboard/project/limits", rate="10", per="1m", burst="3", concurrency="7", each_host="5"
    )
    found = queues.project_limits(house, project.id)
    assert (found.rate, found.burst, found.concurrency) == (10, 3, 7)
    assert hosts.default_limit(house, project.id) == 5
    page = browser.get("/dashboard/project").text
    assert 'name="each_host" inputmode="numeric" value="5"' in page
    browser.follow("/dashboard/project/limits")
    assert queues.project_limits(house, project.id) == queues.Limits()
    assert hosts.default_limit(house, project.id) is None


def test_a_project_is_renamed_and_another_made(
    browser: Browser, house: House, project: Project
) -> None:
    assert "is called <b>shop" not in browser.follow("/dashboard/project/name", name="<b>shop</b>")
    assert projects.find_project(house.client, house.vault, "<b>shop</b>").id == project.id
    assert "Now it needs a key" in browser.follow("/dashboard/settings/projects", name="till")
    made = projects.find_project(house.client, house.vault, "till")
    assert "Project <bdi>till" in browser.get("/dashboard/project").text
    browser.post("/dashboard/project/name", 409, name="<b>shop</b>")
    browser.post("/dashboard/settings/projects", 422, name="till")
    browser.client.get(f"/dashboard/choose?id={project.id}")
    assert "Project <bdi>&lt;b&gt;shop" in browser.get("/dashboard/project").text
    assert made.id != project.id


def test_two_who_rename_leave_one_name_each(house: House, project: Project) -> None:
    other = projects.create_project(house.client, house.vault, "other")
    with pytest.raises(Conflict):
        projects.rename(house.client, house.vault, project.id, "other")
    projects.rename(house.client, house.vault, other.id, "third")
    projects.rename(house.client, house.vault, project.id, "other")
    assert projects.find_project(house.client, house.vault, "other").id == project.id
    assert projects.create_project(house.client, house.vault, "test").id not in (
        project.id,
        other.id,
    )


def test_each_setting_is_shown_with_its_source(
    settings: Settings, house: House, project: Project
) -> None:
    page = Browser(create_app(settings), house).get("/dashboard/settings").text
    assert "TIMEBALL_ALLOWED_TARGETS" in page
    assert "TIMEBALL_RETENTION_FAILED" in page
    environ = {"TIMEBALL_SHARDS": "1", "TIMEBALL_SECRET_FILE": "/run/secret"}
    told = sources(replace(settings, shards=1), environ)
    assert told["shards"] == "environment"
    assert told["secret"] == "file /run/secret"
    assert told["dev"] == "set at the start"
    assert told["pump_calls"] == "default"


def test_the_audit_log_is_filtered(browser: Browser, project: Project) -> None:
    browser.follow("/dashboard/project/name", name="shop")
    browser.follow("/dashboard/project/retries", retries="off")

    def verbs(**asked: str) -> list[str]:
        page = browser.client.get("/dashboard/audit", query_string=asked).text
        return [
            v for v in ("sign in", "rename project", "switch retries") if f"<td>{v}</td>" in page
        ]

    assert verbs() == ["sign in", "rename project", "switch retries"]
    assert verbs(what="RENAME") == ["rename project"]
    assert verbs(of="shop", project="shop") == ["switch retries"]
    assert verbs(who="nobody") == []
    assert verbs(who="ada", within="1h", what="sign") == ["sign in"]
    assert "No line has all of that" in browser.get("/dashboard/audit?who=nobody").text


def test_older_lines_of_a_filtered_log_are_reached(browser: Browser, house: House) -> None:
    for n in range(130):
        browser.desk.cache.forget()
        browser.client.post(
            "/dashboard/project/retries",
            data={"csrf": browser.csrf, "retries": "on" if n % 2 else "off"},
        )
    page = browser.get("/dashboard/audit?what=retries").text
    assert page.count("<td>switch retries</td>") == 100
    assert "what=retries" in page[page.index("Older") - 120 :]
    older = browser.get("/dashboard/audit?what=retries&from=100").text
    assert older.count("<td>switch retries</td>") == 30
    assert ">Older<" not in older


def test_findings_say_what_is_wrong_and_what_to_do(house: House) -> None:
    fit = figures.memory_and_persistence(house.client) | {"maxmemory": "1000", "used_memory": "500"}
    crew = [Entry("beat", "b1", 1.0, {}), Entry("exporter", "e1", 1.0, {})]
    now = datetime.now(UTC)

    def words(info: dict[str, str], crew: list[Entry], now: datetime) -> str:
        return "\n".join(
            f.words for f in findings.look(house, info, crew, now) if f.weight is not Weight.NOTE
        )

    assert words(fit, crew, now) == ""
    assert "97 % full" in words(fit | {"used_memory": "970"}, crew, now)
    assert "append-only file" in words(fit | {"aof_last_write_status": "err"}, crew, now)
    assert "has not signed in for 30 s" in words(fit, [Entry("worker", "w1", 30.0, {})], now)
    assert "Finish the upgrade" in words(fit, [Entry("worker", "w", 1.0, {"version": "0"})], now)
    assert "differ by" in words(fit, crew, now.replace(year=now.year - 1))
    house.client.set("tb:{0}:clock", 60_000)
    assert "virtual clock is 60 s ahead" in words(fit, crew, now)
    worst = findings.look(house, fit | {"used_memory": "970", "maxclients": "1"}, crew, now)
    assert worst[0].weight is Weight.BAD


def test_the_system_page_tells_them(browser: Browser) -> None:
    page = browser.get("/dashboard/system").text
    for words in ("no worker has been seen", "Versions", "Celery", "Memory:"):
        assert words in page, words

"""The hosts page: breakers, how calls failed, and the two buttons."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api.conftest import Pump
from tests.dashboard.conftest import Browser
from timeball.dispatch import hosts
from timeball.dispatch.house import House
from timeball.model.host import Breaker
from timeball.model.project import Project
from timeball.model.task import State, Task
from timeball.model.visitor import Role
from timeball.store import pumps

BAD = "bad.example:81"


@pytest.fixture
def opened(house: House, project: Project, make: Callable[..., Task], pump: Pump) -> None:
    """A host whose breaker has opened, with a task set aside for it; and one that does well."""
    make("https://good.example/x")
    [good] = pump.take()
    pump.end(good, State.SUCCEEDED)
    make(f"http://{BAD}/x")
    [bad] = pump.take()
    done = pumps.Finished(bad.id, 1, 2, 0, b'{"n":1,"o":"answered","at":1,"s":503}')
    told = {project.id: {BAD: (0, 10, 0, {"503": 8, "timed_out": 2})}}
    pumps.finish(house.client, pump.prefix, "pump", [done], {}, told)
    make(f"http://{BAD}/x")
    assert pump.take() == []


@pytest.mark.usefixtures("opened")
def test_a_breaker_is_shown_with_how_calls_failed(browser: Browser) -> None:
    page = browser.get("/dashboard/hosts").text
    bad, good = page.index(BAD), page.index("good.example")
    assert bad < good, "trouble comes first"
    row = page[bad:good]
    for words in ("open", "503 × 8", "timed out × 2", "10 failed", "Probe now", "Close breaker"):
        assert words in row, words
    assert "no trouble within the hour" in page[good:]


@pytest.mark.usefixtures("opened")
def test_the_buttons_probe_and_close(browser: Browser, house: House, project: Project) -> None:
    told = browser.follow("/dashboard/hosts", host=BAD, verb="probe")
    assert f"The next call to {BAD} goes through" in told
    assert "the next call goes through" in told
    told = browser.follow("/dashboard/hosts", host=BAD, verb="close")
    assert f"Calls to {BAD} go through again." in told
    assert hosts.list_hosts(house, project.id)[0].breaker is Breaker.CLOSED
    log = browser.get("/dashboard/audit").text
    assert "probe host" in log
    assert "close breaker" in log
    browser.post("/dashboard/hosts", 404, host="unknown.example", verb="close")


@pytest.mark.usefixtures("opened")
def test_a_viewer_has_no_buttons(as_role: Callable[[Role], Browser]) -> None:
    viewer = as_role(Role.VIEWER)
    assert "Probe now" not in viewer.get("/dashboard/hosts").text
    viewer.post("/dashboard/hosts", 403, host=BAD, verb="close")


def test_without_a_call_the_page_says_how_to_see_a_breaker_open(browser: Browser) -> None:
    assert "seq 12" in browser.get("/dashboard/hosts").text


@pytest.mark.usefixtures("opened")
def test_a_host_is_limited(browser: Browser, house: House, project: Project) -> None:
    told = browser.follow("/dashboard/hosts", host="good.example", verb="limit", most="3")
    assert "good.example has 3 at once." in told
    assert "3 at once</small>" in told
    assert hosts.get_host(house, project.id, "good.example").limit == 3
    browser.follow("/dashboard/hosts", host="good.example", verb="limit", most="")
    assert hosts.get_host(house, project.id, "good.example").limit is None
    browser.post("/dashboard/hosts", 422, host="good.example", verb="limit", most="0")

"""The map of the day ahead: every minute has its place, the busiest have names, crowds a hint."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from api.dashboard.load import draw, shade
from tests.dashboard.conftest import Browser
from timeball.dispatch import schedules
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.schedule import Share
from timeball.model.task import Request

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


def test_the_map_names_the_busiest_minutes() -> None:
    drawn = draw(Counter({540: 100, 0: 3, 1439: 50}), NOON, 153, 153)
    assert [(cell.x, cell.y, cell.shade) for cell in drawn.cells] == [
        (0, 0, 1),
        (0, 9, 5),
        (59, 23, 4),
    ]
    assert [(peak.at, peak.calls) for peak in drawn.busiest[:2]] == [("09:00", 100), ("23:59", 50)]
    assert drawn.crowded
    steady = draw(Counter({**dict.fromkeys(range(1440), 30), 540: 80}), NOON, 9, 9)
    assert Counter(cell.shade for cell in steady.cells) == {1: 1439, 5: 1}
    assert (steady.floor, steady.crowded) == (30, True)
    assert not draw(Counter(dict.fromkeys(range(1440), 100)), NOON, 100, 100).crowded


@pytest.mark.parametrize(
    ("n", "level"), [(64, 5), (33, 5), (32, 4), (16, 3), (8, 2), (4, 1), (1, 1)]
)
def test_each_shade_is_half_as_busy(n: int, level: int) -> None:
    assert shade(n, 64) == level


def test_the_page_shows_when_schedules_call(
    browser: Browser, house: House, project: Project
) -> None:
    assert "No schedule calls" in browser.get("/dashboard/schedules/load").text
    request = Request("https://example.com/tick")
    for _ in range(30):
        schedules.create(house, project.id, {"cron": "0 9 * * *", "request": request})
    page = browser.get("/dashboard/schedules/load").text
    assert "<title>09:00 UTC: 30 calls</title>" in page
    assert "Many calls fall together at 09:00" in page
    assert "style=" not in page


def test_the_form_has_all_that_the_api_has(
    browser: Browser, house: House, project: Project
) -> None:
    fields = {
        "request.url": "https://example.com/tick",
        "cron": "0 9 * * *",
        "window": "25%",
        "retry.max_attempts": "7",
        "retry.min_backoff": "5s",
        "retry.max_backoff": "1h",
        "retry.max_doublings": "4",
        "retry.jitter": "0.5",
        "retry.max_age": "2h",
        "priority": "high",
        "concurrency_key": "shop 7",
        "on_failure": "https://example.com/failed",
        "on_failing": "https://example.com/failing",
        "failing_after": "17",
        "pause_when_failing": "yes",
        "paused_until": "2030-01-01T00:00:00Z",
    }
    where = browser.post("/dashboard/schedules/new", **fields).headers["Location"]
    [made] = schedules.find(house, project.id, None, 10, None).schedules
    assert made.window == Share(25)
    assert (made.priority, made.concurrency_key) == ("high", "shop 7")
    assert made.on_failure == "https://example.com/failed"
    assert made.on_failing == "https://example.com/failing"
    assert (made.failing_after, made.pause_when_failing) == (17, True)
    assert made.retry is not None
    assert made.retry.max_attempts == 7
    page = browser.get(f"{where}/edit").text
    for value in fields.values():
        assert f'value="{value}"' in page or value.startswith("2030")
    emptied = {
        **dict.fromkeys(fields, ""),
        "request.url": fields["request.url"],
        "cron": "1 * * * *",
    }
    browser.post(f"{where}/edit", **emptied)
    now = schedules.get(house, project.id, made.id)
    assert (now.retry, now.concurrency_key, now.on_failure, now.paused_until) == (None,) * 4
    assert (now.priority, now.failing_after, now.pause_when_failing) == ("normal", 3, False)


def test_the_list_shows_past_runs(browser: Browser, house: House, project: Project) -> None:
    fields = {"cron": "0 9 * * *", "request": Request("https://example.com/tick")}
    made = schedules.create(house, project.id, fields)
    schedules.run(house, project.id, made.id)
    page = browser.get("/dashboard/schedules").text
    assert 'aria-label="Past runs, oldest first: asked, waiting"' in page
    assert '<li class="scheduled" title="asked, waiting: ' in page

"""The numbers of the first page: what waits, how late it is, how fast and how well calls go, what comes next."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from api.dashboard import charts
from api.dashboard.overview import success
from tests.api.conftest import Pump
from tests.dashboard.conftest import Browser
from timeball.dispatch.house import House
from timeball.model.attempt import Attempt, Outcome
from timeball.model.project import Project
from timeball.model.task import State, Task
from timeball.store import codec, figures, keys, pumps
from timeball.store.clock import advance
from timeball.store.scripts import call

PREFIX = keys.prefix(0)
MINUTE = timedelta(minutes=1)


def finish(pump: Pump, counters: dict[str, int]) -> None:
    """End one task well, and count what a worker would."""
    [claimed] = pump.take()
    entry = codec.encode_attempt(Attempt(1, Outcome.ANSWERED, datetime.now(UTC), 200))
    result = pumps.Finished(claimed.id, 1, codec.STATE_CODES[State.SUCCEEDED], 0, entry)
    project = claimed.lane.partition("/")[0]
    pumps.finish(pump.house.client, pump.prefix, "pump", [result], {project: counters})


def card(page: str, name: str) -> str:
    found = re.search(rf'data-card="{name}">([^<]*)<', page)
    assert found, name
    return found[1]


def test_the_oldest_due_task_tells_how_late_it_is(
    browser: Browser, make: Callable[..., Task], house: House
) -> None:
    assert card(browser.get("/dashboard/live").text, "Oldest") == "–"
    make()
    advance(house.client, 1, timedelta(minutes=5, seconds=3))
    assert card(browser.get("/dashboard/live").text, "Oldest") == "5 min"


def test_pace_and_success_are_of_what_ended(
    browser: Browser, make: Callable[..., Task], pump: Pump, house: House
) -> None:
    make()
    now_ms, _ = pumps.clock(house.client, PREFIX)
    advance(house.client, 1, timedelta(milliseconds=60_000 - now_ms % 60_000 + 30_000))
    counted = {"succeeded": 539, "retried": 60, "dead": 1, "o:timed_out": 40, "o:answered5": 21}
    finish(pump, counted)
    page = browser.get("/dashboard/live").text
    assert card(page, "Calls a second") == "10"
    assert '<b class="rate-of">89.8 %</b>' in page
    assert "timed out 40" in page
    assert "answered 5xx 21" in page
    advance(house.client, 1, MINUTE)  # half a minute later half of them still count
    assert 3 < float(card(browser.get("/dashboard/live").text, "Calls a second")) <= 5
    advance(house.client, 1, 2 * MINUTE)
    page = browser.get("/dashboard/live").text
    assert card(page, "Calls a second") == "0"
    assert card(page, "Succeeded") == "539"


def test_a_share_is_not_rounded_up_to_all() -> None:
    assert success(Counter(succeeded=99_999, dead=1)) == "99.9 %"
    assert success(Counter(succeeded=5)) == "100 %"
    assert success(Counter()) == "–"


def test_the_next_hour_is_counted_by_minute(
    browser: Browser, make: Callable[..., Task], house: House, project: Project
) -> None:
    make()  # due already: not ahead
    for _ in range(3):
        make(delay=timedelta(minutes=10, seconds=30), queue="a")
    for _ in range(2):  # the second waits for the first
        make(delay=timedelta(minutes=59, seconds=30), queue="b", ordering_key="k")
    make(delay=timedelta(minutes=61))
    found = figures.outlook(house.client, PREFIX, project.id, MINUTE, 60)
    assert (len(found.counts), sum(found.counts), found.capped) == (60, 4, False)
    assert (found.counts[10], found.counts[59]) == (3, 1)
    assert "<b>4</b> come due." in browser.get("/dashboard/live").text
    picture = charts.outlook(found)
    assert (picture.total, picture.top) == (4, 3)


def test_many_lanes_are_counted_in_longer_parts(
    make: Callable[..., Task], house: House, project: Project
) -> None:
    for n in range(30):
        make(delay=timedelta(minutes=n + 0.5), concurrency_key=f"k{n}")
    answer = call(house.client, "outlook", PREFIX, [project.id, 100, 60_000, 60, 400])
    [now, joined, left_out], *counts = answer
    assert now > 0
    assert (joined, left_out, len(counts), sum(counts)) == (5, 0, 12, 30)
    [_, _, left_out], *_ = call(house.client, "outlook", PREFIX, [project.id, 10, 60_000, 60, 400])
    assert left_out == 21  # of 30 lanes and the queue's own
    assert figures.standing(house.client, PREFIX, project.id).waiting == 30


def test_what_is_over_is_read_once(
    browser: Browser, make: Callable[..., Task], pump: Pump, house: House
) -> None:
    make()
    make()
    finish(pump, {"succeeded": 1})
    advance(house.client, 1, timedelta(minutes=30))
    finish(pump, {"succeeded": 1})
    for period in ("1h", "24h", "7d"):
        page = browser.get(f"/dashboard/live?period={period}").text
        assert "<b>2</b> attempts succeeded" in page, period

"""`timeball up` with three worker processes: what endpoints see keeps to the limits, and explain says why."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import eventually
from tests.e2e.product import Product
from tests.flow.receiver import Receiver
from tests.flow.test_rates_and_slots_hold_at_the_receiver import most_at_once, most_in_a_window

pytestmark = pytest.mark.stack

RATE, SLOTS = 50, 7


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("product"), "--workers", "3") as product:
        assert len(product.pids("worker")) == 4, "the main process and three children"
        yield product


def submit(product: Product, url: str, n: int, queue: str) -> list[str]:
    ids: list[str] = []
    while len(ids) < n:
        some = min(500, n - len(ids))
        tasks = [{"queue": queue, "request": {"url": url}} for _ in range(some)]
        answer = product.ask("POST", "/v2/tasks/batch-create", {"tasks": tasks})
        assert answer.status_code < 300, answer.text
        ids += [task["id"] for task in answer.json()]
    return ids


def limit(product: Product, queue: str, **limits: Any) -> None:
    answer = product.ask("PATCH", f"/v2/queues/{queue}", limits)
    assert answer.status_code == 200, answer.text


def worker_of(product: Product, task: str) -> int:
    """The process that made a task's call."""
    [attempt] = product.ask("GET", f"/v2/tasks/{task}/attempts").json()
    return int(attempt["worker"].rpartition(":")[2])


def called(product: Product, seconds: float, strain: float) -> list[float]:
    """When the calls came of a queue at 50 a second, beside one of 7 slots and a crowd that calls all workers."""
    limit(product, "rated", rate=RATE, per="second", burst=1)
    limit(product, "slots", concurrency=SLOTS)
    for queue in ("rated", "slots"):
        assert product.ask("POST", f"/v2/queues/{queue}/resume").status_code == 200
    with Receiver() as receiver:
        submit(product, f"{receiver.url}/crowd/1000", 1500, "crowd")
        rated = submit(product, f"{receiver.url}/rated/20", int(RATE * (seconds + 2)), "rated")
        submit(product, f"{receiver.url}/slots/200", int(SLOTS * 5 * (seconds + 2)), "slots")
        began = time.monotonic()
        last = product.ask("GET", f"/v2/tasks/{rated[-1]}/explain").json()
        eventually(lambda: time.monotonic() - began >= seconds, within=seconds + 10)
        for queue in ("rated", "slots"):
            assert product.ask("POST", f"/v2/queues/{queue}/pause").status_code == 200
        held = product.ask("GET", f"/v2/tasks/{rated[-1]}/explain").json()

        def in_flight() -> int:
            found = [product.ask("GET", f"/v2/queues/{queue}") for queue in ("rated", "slots")]
            return sum(int(queue.json()["in_flight"]) for queue in found)

        eventually(lambda: in_flight() == 0, every=0.1)
        book = receiver.close()
    why = last["reasons"][0]
    assert (why["reason"], why["scope"], why["rate"]) == ("rate", "queue", RATE), last
    assert last["certainty"] == "expected", last
    assert [reason["reason"] for reason in held["reasons"]] == ["paused"], held
    children = set(product.pids("worker")[1:])
    by = {
        name: {worker_of(product, request.task) for request in requests}
        for name in ("crowd", "rated", "slots")
        if (requests := [one for one in book if one.path.startswith(f"/{name}/")][::15])
    }
    assert by["crowd"] == children
    assert len(by["rated"] | by["slots"]) > 1, by
    for queue in ("rated", "slots"):
        assert product.ask("POST", f"/v2/queues/{queue}/purge").status_code == 200
    times = [request.came for request in book if request.path == "/rated/20"]
    assert most_in_a_window(times, 1.0 - strain) <= RATE
    assert most_at_once([request for request in book if request.path == "/slots/200"]) == SLOTS
    return times


def test_a_rate_and_slots_hold_over_three_worker_processes(product: Product) -> None:
    times = called(product, 3.0, strain=0.1)
    assert len(times) > RATE


@pytest.mark.soak
def test_they_hold_for_thirty_seconds_and_ninety_eight_percent_are_used(product: Product) -> None:
    times = called(product, 30.0, strain=0.0)
    used = (len(times) - 1) / (times[-1] - times[0])
    print(f"\n{used:.2f}/s used, {most_in_a_window(times, 1.0)} in a second at most")
    assert used >= 0.98 * RATE

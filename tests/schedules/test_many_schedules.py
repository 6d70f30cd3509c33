"""Ten thousand schedules that are due in one second, and a hundred thousand that are held."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.load import Client, percentile
from bench.receiver import Receiver
from bench.schedules import burst, hold
from bench.stack import Stack
from timeball.store.codec import HEAD

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

DUE = 10_000


@pytest.mark.parametrize("rules", ["cron", "rrule"])
def test_ten_thousand_due_at_once_are_tasks_within_a_second(rules: str) -> None:
    best = min((burst(DUE, rules) for _ in range(2)), key=lambda one: one.seconds)
    print(best)
    assert best.tasks == DUE
    assert best.seconds < 1.0


def test_a_hundred_thousand_held_cost_little() -> None:
    held = hold(100_000)
    print(held)
    assert held.bytes_each * held.schedules < 150e6
    assert held.worst_ms < 5


@pytest.mark.parametrize("rules", ["cron", "rrule"])
def test_ten_thousand_due_at_once_are_called_within_two_seconds(rules: str) -> None:
    """By the whole product: made by beat, called by the pumps."""
    with Stack(workers=2) as stack, Receiver() as receiver:
        due = (time.time() // 60 + 2) * 60
        if rules == "cron":
            rule = {"cron": time.strftime("%M %H * * *", time.gmtime(due))}
        else:
            start = time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(due))
            rule = {"rrule": "FREQ=DAILY", "dtstart": start}
        body = json.dumps({"request": {"url": receiver.url + "/ok"}, **rule}).encode()

        def make(count: int) -> None:
            client = Client(stack.url, stack.key)
            for _ in range(count):
                status, _, answer = client.send("POST", "/v2/schedules", body)
                assert status == 201, answer

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(make, [DUE // 4] * 4))
        assert time.time() < due - 2, "this machine makes schedules too slowly for this test"
        assert receiver.wait(DUE, due + 60 - time.time(), 180) == DUE
        late = sorted(at - due for arrivals in receiver.ledger().values() for at in arrivals)
        store = stack.redis()
        names = list(store.scan_iter(match="tb:{0}:t:*", count=5000))
        made = [HEAD.unpack_from(record)[13] / 1000 - due for record in store.mget(names)]
        print(
            f"{rules}: the last of {len(made)} tasks was made {max(made):+.2f} s from then, the first"
            f" {min(made):+.2f} s; calls late p50 {percentile(late, 50):.2f} s,"
            f" p99 {percentile(late, 99):.2f} s, last {late[-1]:.2f} s"
        )
        assert len(late) == len(made) == DUE
        assert late[0] >= 0
        assert max(made) < 1
        assert percentile(late, 99) < 2

"""The store freezes, or drops every connection, while tasks flow: what was claimed is still called."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest
from redis.exceptions import RedisError

from bench.load import Client
from bench.stack import Stack
from tests.conftest import eventually
from tests.faults.ledger import Account, Kill, Ledger

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Stack(workers=2) as stack, Ledger(stack) as ledger:
        yield ledger


def _check(ledger: Ledger, count: int) -> Account:
    """Everything that was promised comes within ten seconds of the last trouble, and once."""
    ledger.join()
    ledger.settle(15)
    account = ledger.account()
    print(account.summary())
    assert account.promised == count
    assert account.lost == (), (
        f"{len(account.lost)} tasks were not called 15 s after the last trouble"
    )
    assert account.early == ()
    assert account.unknown == ()
    assert account.extra_calls < count * 0.005
    assert max(account.stalls.values()) < 10
    assert set(account.statuses) <= {201, 503}
    return account


def _attempts(ledger: Ledger, sample: int) -> dict[str, list[int]]:
    """Task id -> the numbers of its logged attempts, of some tasks that were called once."""
    account = ledger.account()
    client = Client(ledger.stack.url, ledger.stack.key)
    found = {}

    def over(one: str) -> bool:
        status, _, answer = client.send("GET", f"/v2/tasks/{one}")
        return status == 200 and json.loads(answer)["status"] == "success"

    for one in [p.id for p in ledger.promises if p.id not in account.doubled][:sample]:
        eventually(lambda one=one: over(one))  # its end may be written after its call was seen
        status, _, answer = client.send("GET", f"/v2/tasks/{one}/attempts")
        assert status == 200, answer
        found[one] = [attempt["number"] for attempt in json.loads(answer)]
    return found


def test_a_store_that_is_frozen_for_seconds_leaves_no_task_behind(ledger: Ledger) -> None:
    ledger.start(1500, 24.0, horizon_seconds=5, seed=11)
    for _ in range(2):
        time.sleep(4)
        (store,) = ledger.stack.pids()["redis"]
        os.kill(store, signal.SIGSTOP)
        try:
            time.sleep(7)
        finally:
            os.kill(store, signal.SIGCONT)
        ledger.kills.append(Kill(time.time(), "redis", store, 0.0))
    _check(ledger, 1500)


def test_connections_that_break_leave_no_task_behind_and_log_each_attempt_once(
    ledger: Ledger,
) -> None:
    ledger.start(3000, 15.0, horizon_seconds=3, seed=12)
    store = ledger.stack.redis()
    end = time.monotonic() + 15
    while time.monotonic() < end:
        try:
            store.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        except RedisError as error:
            raise AssertionError("the store itself went away") from error
        time.sleep(0.02)
    ledger.kills.append(Kill(time.time(), "connections", 0, 0.0))
    _check(ledger, 3000)
    # a claim whose answer was lost is an attempt too: logged as lost, and followed by the one that called
    logs = _attempts(ledger, 1000)
    wrong = {one: log for one, log in logs.items() if log != list(range(1, len(log) + 1))}
    assert not wrong, f"{len(wrong)} of 1,000 attempts are not logged once, such as {wrong}"

"""The ledger itself: it sees what it is there to see."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bench.load import Client
from bench.stack import Stack
from tests.faults.ledger import Kill, Ledger, Promise


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """A ledger whose stack never starts: promises are written and calls made by hand."""
    with Ledger(Stack()) as ledger:
        yield ledger


def _call(ledger: Ledger, task: str) -> float:
    client = Client(ledger.receiver.url, "")
    assert (
        client.send("POST", "/ok", b"{}", {"Timeball-Task": task, "Timeball-Attempt": "1"})[0]
        == 200
    )
    client.close()
    return time.time()


def _promise(ledger: Ledger, task: str, due: float) -> None:
    ledger.promises.append(Promise(task, due, answered=due))


def test_a_kept_promise_is_nothing_to_speak_of(ledger: Ledger) -> None:
    _promise(ledger, "kept", time.time())
    _call(ledger, "kept")
    account = ledger.account()
    assert (account.promised, account.lost, account.early) == (1, (), ())
    assert (account.doubled, account.unknown) == ({}, ())
    assert account.late["kept"] < 1


def test_a_task_that_is_never_called_is_lost(ledger: Ledger) -> None:
    _promise(ledger, "lost", time.time())
    assert ledger.account().lost == ("lost",)


def test_a_call_before_its_instant_is_early(ledger: Ledger) -> None:
    _promise(ledger, "early", time.time() + 5)
    _call(ledger, "early")
    assert ledger.account().early == ("early",)


def test_a_second_call_is_a_double_and_a_third_another(ledger: Ledger) -> None:
    _promise(ledger, "twice", time.time())
    for _ in range(3):
        _call(ledger, "twice")
    account = ledger.account()
    assert list(account.doubled) == ["twice"]
    assert account.extra_calls == 2


def test_a_call_that_was_never_promised_is_unknown(ledger: Ledger) -> None:
    _call(ledger, "stranger")
    assert ledger.account().unknown == ("stranger",)


def test_lateness_counts_from_the_due_time_and_a_stall_from_the_last_kill(ledger: Ledger) -> None:
    now = time.time()
    _promise(ledger, "late", now - 8)
    ledger.kills.append(Kill(now - 3, "worker", 1, 0.1))
    _call(ledger, "late")
    account = ledger.account()
    assert 8 <= account.late["late"] < 9
    assert 3 <= account.stalls["late"] < 4
    assert account.after_worker_kill == account.late


def test_a_worker_killed_long_before_is_not_to_blame(ledger: Ledger) -> None:
    now = time.time()
    _promise(ledger, "late", now - 2)
    ledger.kills.append(Kill(now - 30, "worker", 1, 0.1))
    ledger.kills.append(Kill(now - 1, "redis", 2, 0.1))
    _call(ledger, "late")
    assert ledger.account().after_worker_kill == {}

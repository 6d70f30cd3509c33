"""Processes are killed with -9 while tasks flow: nothing is lost, nothing early, hardly anything twice."""

from __future__ import annotations

import random
import time

import pytest

from bench.stack import Stack
from tests.faults.ledger import BROKEN, Ledger

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

TASKS = 2000
SECONDS = 40.0
VICTIMS = ("worker", "worker", "worker", "beat", "api", "api", "redis", "redis")


@pytest.mark.parametrize(("seed", "beats"), [(1, 1), (2, 2), (3, 1)])
def test_every_promise_is_kept_while_processes_are_killed(seed: int, beats: int) -> None:
    chance = random.Random(seed)
    victims = list(VICTIMS)
    chance.shuffle(victims)
    with Stack(workers=2, beats=beats) as stack, Ledger(stack) as ledger:
        ledger.start(TASKS, SECONDS, horizon_seconds=15, seed=seed)
        begun = time.monotonic()
        try:
            for number, role in enumerate(victims):
                at = 2 + (number + chance.uniform(0.0, 0.7)) * (SECONDS - 4) / len(victims)
                time.sleep(max(0.0, begun + at - time.monotonic()))
                kill = ledger.kill(role, chance)
                print(f"{at:5.1f} s: killed {role}, back after {kill.back_seconds:.2f} s")
        finally:
            ledger.join()
        ledger.settle(30)
        account = ledger.account()
        print(account.summary())
        probe = _probe(ledger)

    assert ledger.unsent == 0, "a task could not be handed over for a whole minute"
    assert account.promised == TASKS
    assert account.lost == (), "a task answered 201 was never called"
    assert account.early == (), "a task was called before its instant"
    assert account.unknown == (), "one idempotency key made two tasks"
    assert account.extra_calls < TASKS * 0.005
    assert max(account.after_worker_kill.values(), default=0.0) < 10
    assert max(account.stalls.values()) < 10, "after the last kill, calls did not resume in time"
    wrong = [a for a in ledger.answers if a.status not in {201, 503, BROKEN}]
    assert not wrong, f"{len(wrong)} answers that are neither 201 nor 503, such as {wrong[0]}"
    broken = [
        a
        for a in ledger.answers
        if a.status == BROKEN
        and not any(k.role == "api" and 0 <= a.at - k.at < 10 for k in ledger.kills)
    ]
    assert not broken, f"{len(broken)} connections broke while the API lived, such as {broken[0]}"
    assert probe < 2, "the stack is still not itself after the last kill"


def _probe(ledger: Ledger) -> float:
    """Seconds from 201 to handler of one more task, sent once all is quiet."""
    before = len(ledger.promises)
    ledger.start(1, 0.0, horizon_seconds=0, seed=0)
    ledger.join()
    ledger.settle(10)
    (promise,) = ledger.promises[before:]
    return ledger.account().late.get(promise.id, float("inf"))

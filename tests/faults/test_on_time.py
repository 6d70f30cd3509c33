"""In calm: calls come on time, never before it, and soon after the 201."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

import pytest

from bench.load import Client, fill, instant, percentile, task
from bench.receiver import Receiver
from bench.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(workers=2) as stack:
        yield stack


@pytest.fixture
def receiver(stack: Stack) -> Iterator[Receiver]:
    """A receiver that forgot the calls which warmed the stack up."""
    with Receiver() as receiver:
        fill(stack.url, stack.key, 50, task(receiver.url + "/ok"))
        assert receiver.wait(50, 20) == 50
        receiver.reset()
        yield receiver


def _submit(client: Client, url: str, **fields: str) -> tuple[str, float]:
    """The id of a fresh task, and when its 201 came."""
    body = json.dumps(task(url, **fields)).encode()
    status, _, answer = client.send("POST", "/v2/tasks", body)
    assert status == 201, answer
    return json.loads(answer)["id"], time.time()


def _lateness(stack: Stack, receiver: Receiver, seed: int) -> list[float]:
    """Seconds by which each of 100 tasks, due at random instants in 20 s, was called late; ascending."""
    chance = random.Random(seed)
    client = Client(stack.url, stack.key)
    receiver.reset()
    begun = time.time() + 2
    due = {}
    for _ in range(100):
        at = round(begun + chance.uniform(0, 20), 3)
        one, _answered = _submit(client, receiver.url + "/ok", scheduled_for=instant(at))
        due[one] = at
    assert receiver.wait(100, 40, 25) == 100
    ledger = receiver.ledger()
    assert ledger.keys() == due.keys()
    late = sorted(ledger[one][0] - at for one, at in due.items())
    print(f"late p50 {percentile(late, 50) * 1e3:.1f} ms, worst {late[-1] * 1e3:.1f} ms")
    return late


def test_a_hundred_tasks_due_at_random_instants_are_called_on_time(
    stack: Stack, receiver: Receiver
) -> None:
    # A machine that others use may hold everything up for half a second; it will not do so three times,
    # and no machine makes a call early.
    rounds = []
    for seed in (1, 2, 3):
        late = _lateness(stack, receiver, seed)
        assert late[0] >= 0, "a call came before its instant"
        rounds.append(percentile(late, 99))
        if rounds[-1] < 0.100:
            break
    assert min(rounds) < 0.100


def test_a_task_sent_to_a_stack_at_rest_is_called_within_milliseconds(
    stack: Stack, receiver: Receiver
) -> None:
    chance = random.Random(8)
    client = Client(stack.url, stack.key)
    answered = {}
    for _ in range(100):
        time.sleep(chance.uniform(0.02, 0.1))
        one, at = _submit(client, receiver.url + "/ok")
        answered[one] = at
    assert receiver.wait(100, 10, 5) == 100
    ledger = receiver.ledger()
    waits = sorted(max(0.0, ledger[one][0] - at) for one, at in answered.items())
    print(f"p50 {percentile(waits, 50) * 1e3:.2f} ms, p99 {percentile(waits, 99) * 1e3:.2f} ms")
    assert percentile(waits, 50) < 0.005

"""Two real beats, the leader killed with -9 across boundaries: each occurrence is called exactly once."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from bench.stack import Stack
from tests.conftest import eventually
from tests.receiver import Received, Receiver
from timeball.store import clock, keys, pumps

TAKEOVER_SECONDS = 5.0
FIVE = timedelta(seconds=5)


def leader(stack: Stack) -> int:
    """The process id of the beat that leads, 0 for none."""
    name = stack.redis().get(f"{keys.prefix(0)}leader")
    return int(name.rpartition(b":")[2]) if name else 0


def occurrence(call: Received) -> datetime:
    return datetime.fromisoformat(call.headers["timeball-occurrence"])


def make(stack: Stack, receiver: Receiver, **fields: Any) -> str:
    answer = requests.post(
        f"{stack.url}/v2/schedules",
        json={"request": {"url": receiver.url}, **fields},
        headers={"Authorization": f"Bearer {stack.key}"},
        timeout=10,
    )
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


def calls_of(receiver: Receiver, schedule: str) -> list[datetime]:
    """The occurrences that were called, in order of their instant; as often as they were."""
    calls = [call for call in receiver.received if call.headers["timeball-schedule"] == schedule]
    return sorted(occurrence(call) for call in calls)


def kill_leaders(seconds: float, kills: int, crons: dict[str, timedelta]) -> None:
    """Run schedules for a while, kill the leading beat around boundaries, and hold them to their rules."""
    with Stack(workers=1, beats=2) as stack, Receiver() as receiver:
        eventually(lambda: leader(stack))
        steps = {make(stack, receiver, cron=cron): step for cron, step in crons.items()}
        steps[make(stack, receiver, rrule="FREQ=SECONDLY;INTERVAL=5")] = FIVE
        begun = time.time()
        for number in range(kills):
            # a little before a boundary, at it, or a little after
            edge = (begun + (number + 0.7) * seconds / kills) // 5 * 5 + (number % 3 - 1) * 0.05
            time.sleep(max(0.0, edge - time.time()))
            victim = eventually(lambda: leader(stack))
            os.kill(victim, signal.SIGKILL)
            died = time.monotonic()
            eventually(lambda gone=victim: leader(stack) not in (0, gone), within=10)
            taken_over = time.monotonic() - died
            print(f"killed the leader, another led after {taken_over:.2f} s")
            assert taken_over < TAKEOVER_SECONDS
        time.sleep(max(0.0, begun + seconds - time.time()))
        end = datetime.fromtimestamp(time.time() - 8, UTC)
        for schedule, step in steps.items():
            found = calls_of(receiver, schedule)
            twice = [at for at, often in Counter(found).items() if often > 1]
            assert twice == []
            found = [at for at in found if at <= end]
            assert found
            assert found[0].timestamp() - begun < step.total_seconds() + 0.1
            assert end - found[-1] < step
            assert {b - a for a, b in itertools.pairwise(found)} <= {step}
        late = sorted(call.at - occurrence(call).timestamp() for call in receiver.received)
        print(f"{len(late)} calls, late p50 {late[len(late) // 2]:.3f} s, worst {late[-1]:.3f} s")
        assert late[0] >= 0
        assert late[-1] < TAKEOVER_SECONDS + 1


@pytest.mark.faults
@pytest.mark.timeout(180)
def test_a_minute_with_five_dead_leaders() -> None:
    kill_leaders(65, 5, {"*/5 * * * * *": FIVE})


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_ten_minutes_with_five_dead_leaders() -> None:
    kill_leaders(600, 5, {"* * * * *": timedelta(minutes=1)})


@pytest.mark.faults
@pytest.mark.timeout(120)
def test_an_outage_of_two_minutes_is_made_up_for_as_told() -> None:
    """Both beats are frozen, two minutes go by on the store's clock, and they go on."""
    with Stack(workers=1, beats=2) as stack, Receiver() as receiver:
        eventually(lambda: leader(stack))
        rule = {"cron": "*/5 * * * * *", "overlap": "allow"}
        made = {
            told: make(stack, receiver, **rule, catch_up=told) for told in ("latest", "none", "all")
        }
        client = stack.redis()

        def now() -> float:
            return pumps.clock(client, keys.prefix(0))[0] / 1000

        eventually(lambda: len(receiver.received) >= 3)
        time.sleep((1 - now()) % 5)  # a second behind a boundary
        boundary = datetime.fromtimestamp(now() // 5 * 5, UTC)
        beats = stack.pids()["beat"]
        for beat in beats:
            os.kill(beat, signal.SIGSTOP)
        clock.advance(client, 1, timedelta(minutes=2))
        for beat in beats:
            os.kill(beat, signal.SIGCONT)
        after = boundary + timedelta(minutes=2)
        last = after + 2 * FIVE
        eventually(lambda: calls_of(receiver, made["none"])[-1] >= last, within=30)
        time.sleep(0.5)
        gap = [boundary + n * FIVE for n in range(1, 25)]
        wanted = {"latest": gap[-1:], "none": [], "all": gap}
        for told, schedule in made.items():
            found = [at for at in calls_of(receiver, schedule) if boundary < at <= last]
            assert found == [*wanted[told], after + FIVE, last], told

"""In the whole product a new schedule fires at once, and what waits begins when the task before has ended."""

from __future__ import annotations

import itertools
import time

import pytest

from bench.stack import Stack
from tests.conftest import eventually
from tests.receiver import Answer, Receiver
from tests.schedules.test_beats_are_killed import make, occurrence

pytestmark = [pytest.mark.stack, pytest.mark.timeout(90)]

SLOW_SECONDS = 2.5


def test_nobody_polls_and_nobody_is_late() -> None:
    with Stack(workers=1) as stack, Receiver() as receiver:
        make(stack, receiver, rrule="FREQ=DAILY")  # warms up
        eventually(lambda: receiver.received)
        begun = time.time()
        make(stack, receiver, rrule="FREQ=DAILY")
        eventually(lambda: len(receiver.received) == 2)
        print(f"called {receiver.received[1].at - begun:.3f} s after it was made")
        assert receiver.received[1].at - begun < 0.5

        receiver.received.clear()
        receiver.answer = lambda _: Answer(delay=SLOW_SECONDS)
        made = make(stack, receiver, cron="* * * * * *")
        eventually(lambda: len(receiver.received) == 4, within=20)
        calls = [c for c in receiver.received if c.headers["timeball-schedule"] == made]
        assert len(calls) == 4
        gaps = [b.at - a.at - SLOW_SECONDS for a, b in itertools.pairwise(calls)]
        print("waited after the end", [f"{gap * 1e3:.0f} ms" for gap in gaps])
        assert all(0 <= gap < 0.3 for gap in gaps)
        instants = [occurrence(call) for call in calls]
        assert instants == sorted(set(instants))

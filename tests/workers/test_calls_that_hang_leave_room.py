"""Calls that hang do not keep the quick ones of their queue waiting, and take twice a queue's slots at most."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.conftest import eventually
from tests.receiver import Answer, Received, Receiver
from tests.workers.test_pump import pumping, submit
from timeball.dispatch.house import House
from timeball.model.project import Project

__all__ = ["submit"]

SLOTS = 5


class Endpoint:
    """Answers /quick at once, and /hangs when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self._lock = threading.Lock()
        self.inside = self.most = self.quick = 0

    def __call__(self, received: Received) -> Answer:
        if received.path == "/quick":
            with self._lock:
                self.quick += 1
            return Answer()
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.go_on.wait(20)
        with self._lock:
            self.inside -= 1
        return Answer()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.go_on.set()


@contextmanager
def few_slots(house: House) -> Iterator[None]:
    with pumping(replace(house, settings=replace(house.settings, pump_calls=SLOTS))):
        yield


def test_quick_calls_flow_past_those_that_hang(
    house: House, project: Project, submit: Callable[..., bytes], endpoint: Endpoint
) -> None:
    with Receiver(endpoint) as receiver, few_slots(house):
        for _ in range(SLOTS):
            submit(receiver.url + "/hangs")
        eventually(lambda: endpoint.inside == SLOTS)
        for _ in range(30):
            submit(receiver.url + "/quick")
        eventually(lambda: endpoint.quick == 30)
        assert endpoint.inside == SLOTS
        endpoint.go_on.set()


def test_those_that_hang_have_their_measure(
    house: House, project: Project, submit: Callable[..., bytes], endpoint: Endpoint
) -> None:
    with Receiver(endpoint) as receiver, few_slots(house):
        for _ in range(4 * SLOTS):
            submit(receiver.url + "/hangs")
        eventually(lambda: endpoint.inside == 2 * SLOTS)
        other = submit(receiver.url + "/quick", queue="other")
        eventually(lambda: endpoint.quick == 1)
        assert other
        assert endpoint.most == 2 * SLOTS
        endpoint.go_on.set()
        eventually(lambda: endpoint.inside == 0, within=15)

"""Single drafts that come at one time are taken in by one move, and each has its own answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import eventually
from timeball.dispatch import intake
from timeball.dispatch.gate import MOST, MOST_BYTES, Gate
from timeball.dispatch.house import House, open_house
from timeball.errors import StoreFull, StoreUnavailable
from timeball.model.task import Draft, Request
from timeball.settings import Settings
from timeball.store.projects import Project
from timeball.store.tasks import Submitted, Taken


def draft(number: int = 0, **fields: Any) -> Draft:
    body = fields.pop("body", str(number).encode())
    return Draft(fields.pop("project", "p"), Request("https://example.com/", body=body), **fields)


class Move:
    """A move that waits until it may end, and says who made which."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Semaphore(0), threading.Semaphore(0)
        self.groups: list[list[bytes]] = []
        self.error: Exception | None = None

    def __call__(self, drafts: list[Draft]) -> list[Submitted]:
        self.groups.append([one.request.body for one in drafts])
        self.began.release()
        assert self.may_end.acquire(timeout=10)
        if self.error is not None:
            raise self.error
        return [Submitted(Taken.NEW, one.request.body, None) for one in drafts]


def waiting(gate: Gate, shard: int = 0) -> int:
    line = gate._lines.get(shard)
    return 0 if line is None else len(line)


def test_who_comes_alone_goes_at_once() -> None:
    gate = Gate()
    for number in range(3):
        taken = gate.take(
            0, draft(number), lambda some: [Submitted(Taken.NEW, b"x", None)] * len(some)
        )
        assert taken.id == b"x"
    assert not gate._lines


def test_who_comes_meanwhile_goes_with_the_next_one() -> None:
    gate, move = Gate(), Move()
    with ThreadPoolExecutor(200) as pool:
        first = pool.submit(gate.take, 0, draft(0), move)
        assert move.began.acquire(timeout=10)
        others = [pool.submit(gate.take, 0, draft(n), move) for n in range(1, 151)]
        eventually(lambda: waiting(gate) == 150)
        assert gate.take(1, draft(7), lambda _: [Submitted(Taken.NEW, b"other shard", None)])
        for _ in range(3):
            move.may_end.release()
        assert first.result(10).id == b"0"
        assert [other.result(10).id for other in others] == [str(n).encode() for n in range(1, 151)]
    assert [len(group) for group in move.groups] == [1, MOST, 50]
    assert not gate._lines


def test_an_error_is_told_to_those_of_its_move_alone() -> None:
    gate, move = Gate(), Move()
    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(gate.take, 0, draft(0), move)
        assert move.began.acquire(timeout=10)
        second = [pool.submit(gate.take, 0, draft(n), move) for n in range(1, 6)]
        eventually(lambda: waiting(gate) == 5)
        move.may_end.release()
        assert first.result(10).id == b"0"
        assert move.began.acquire(timeout=10)
        third = [pool.submit(gate.take, 0, draft(n), move) for n in range(6, 9)]
        eventually(lambda: waiting(gate) == 3)
        move.error = StoreFull("no memory")
        move.may_end.release()
        errors = [one.exception(10) for one in second]
        assert [type(error) for error in errors] == [StoreFull] * 5
        assert len({id(error) for error in errors}) == 5
        move.error = None
        move.may_end.release()
        assert [one.result(10).id for one in third] == [b"6", b"7", b"8"]
    assert not gate._lines


def test_a_large_body_goes_alone() -> None:
    gate, move = Gate(), Move()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(gate.take, 0, draft(0), move)
        assert move.began.acquire(timeout=10)
        large = draft(body=b"x" * (MOST_BYTES + 1))
        assert gate.take(0, large, lambda _: [Submitted(Taken.NEW, b"alone", None)]).id == b"alone"
        move.may_end.release()
        first.result(10)


def test_each_thread_has_the_task_of_its_draft(house: House, project: Project) -> None:
    def send(number: int) -> Submitted:
        name = f"n{number % 50}" if number % 3 == 0 else None
        key = {"idempotency_key": f"k{number % 40}", "fingerprint": "f"} if number % 5 == 0 else {}
        return intake.submit_one(house, draft(number, project=project.id, name=name, **key))

    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(send, range(600)))
    for number, one in enumerate(taken):
        assert one.task is not None
        if one.taken is Taken.NEW:
            assert one.task.request.body == str(number).encode()
        assert intake.get(house, project.id, one.id).request.body == one.task.request.body
    assert {one.taken for one in taken} == {Taken.NEW, Taken.NAMED, Taken.REPEATED}


def test_a_store_that_is_away_is_told_to_all(settings: Settings) -> None:
    away = open_house(replace(settings, redis_url="unix:///nowhere/redis.sock"))
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(intake.submit_one, away, draft(n)) for n in range(8)]
        assert all(isinstance(one.exception(10), StoreUnavailable) for one in sent)


@pytest.mark.parametrize("wrong", [ValueError("odd"), KeyError("x")])
def test_an_error_nobody_foresaw_reaches_all(wrong: Exception) -> None:
    gate, move = Gate(), Move()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(gate.take, 0, draft(0), move)
        assert move.began.acquire(timeout=10)
        others = [pool.submit(gate.take, 0, draft(n), move) for n in (1, 2)]
        eventually(lambda: waiting(gate) == 2)
        move.error = wrong
        for _ in range(2):
            move.may_end.release()
        assert first.exception(10) is wrong
        assert any(one.exception(10) is wrong for one in others)
        assert all(one.exception(10) is not None for one in others)
    assert not gate._lines

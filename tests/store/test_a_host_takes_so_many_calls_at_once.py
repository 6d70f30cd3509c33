"""A limit on the calls in flight to one host holds over all queues and pumps; others flow, and none is lost."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from timeball.dispatch import hosts as verbs
from timeball.dispatch import intake, queues
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.task import Draft, Priority, Request, State
from timeball.store import codec, pumps
from timeball.store.codec import Claimed

SLOW, OTHER = "slow.example", "other.example:8080"


class Line:
    """Tasks for some hosts, and pumps that take them."""

    def __init__(self, house: House, project: Project) -> None:
        self.house, self.project, self.prefix = house, project.id, house.prefix(project.id)

    def submit(self, host: str, n: int = 1, **fields: Any) -> list[bytes]:
        request = Request(f"http://{host}/x")
        drafts = [Draft(project=self.project, request=request, **fields) for _ in range(n)]
        return [s.id for s in intake.submit(self.house, self.project, drafts)]

    def claim(self, want: int = 100, pump: str = "p") -> list[Claimed]:
        claim = pumps.claim(self.house.client, self.prefix, pump, want, 1000, 1000)
        self.next_ms = claim.next_ms
        return claim.tasks

    def finish(
        self, claimed: list[Claimed], pump: str = "p", state: State = State.SUCCEEDED
    ) -> None:
        now, _ = pumps.clock(self.house.client, self.prefix)
        entry = b'{"n":1,"o":"answered","at":1}'
        code = codec.STATE_CODES[state]
        results = [pumps.Finished(c.id, c.attempt, code, int(now), entry) for c in claimed]
        assert set(pumps.finish(self.house.client, self.prefix, pump, results, {})) <= {1}

    def in_flight(self) -> dict[str, int]:
        found = self.house.client.hgetall(f"{self.prefix}inflight")
        return {name.decode(): int(n) for name, n in found.items()}


@pytest.fixture
def line(house: House, project: Project) -> Line:
    return Line(house, project)


def hosts_of(claimed: list[Claimed]) -> Counter[str]:
    return Counter(c.spec["u"].split("/")[2] for c in claimed)


def limit(line: Line, host: str | None, most: int | None) -> None:
    verbs.limit_host(line.house, line.project, host, most)


def test_never_more_calls_to_a_host_than_it_takes_and_the_others_flow(line: Line) -> None:
    limit(line, SLOW, 3)
    line.submit(SLOW, 20)
    line.submit(OTHER, 20)
    first = line.claim()
    assert hosts_of(first) == {SLOW: 3, OTHER: 20}
    assert line.claim(pump="q") == []
    assert line.next_ms == -1, "nothing to look for until a slot is free"
    line.finish(first)
    assert hosts_of(line.claim(pump="q")) == {SLOW: 3}
    state = verbs.get_host(line.house, line.project, SLOW)
    assert (state.limit, state.own, state.in_flight, state.waiting) == (3, True, 3, 14)


def test_every_task_is_called_once_and_none_used_an_attempt_to_wait(line: Line) -> None:
    limit(line, None, 2)
    sent = line.submit(SLOW, 25) + line.submit(SLOW, 25, queue="b")
    sent += line.submit(SLOW, 25, priority=Priority.HIGH) + line.submit(OTHER, 5)
    seen: list[bytes] = []
    while batch := line.claim():
        assert hosts_of(batch)[SLOW] <= 2
        assert {c.attempt for c in batch} == {1}
        seen += [c.id for c in batch]
        line.finish(batch)
    assert sorted(seen) == sorted(sent)
    assert line.in_flight() == {}
    assert not line.house.client.keys(f"{line.prefix}parked:*")
    assert not line.house.client.keys(f"{line.prefix}aside:*")


def test_a_limit_of_its_own_goes_before_the_projects(line: Line) -> None:
    limit(line, None, 2)
    limit(line, OTHER, 4)
    line.submit(SLOW, 9)
    line.submit(OTHER, 9)
    assert hosts_of(line.claim()) == {SLOW: 2, OTHER: 4}
    limit(line, OTHER, None)
    assert verbs.get_host(line.house, line.project, OTHER).limit == 2
    assert verbs.default_limit(line.house, line.project) == 2


def test_calls_that_began_before_the_limit_count_for_it(line: Line) -> None:
    line.submit(SLOW, 5)
    early = line.claim()
    limit(line, SLOW, 6)
    line.submit(SLOW, 5)
    assert len(line.claim()) == 1
    line.finish(early[:2])
    assert len(line.claim()) == 2
    line.finish(early[2:])
    assert line.in_flight()[f"{line.project}\x1f@{SLOW}"] == 3


def test_a_higher_limit_and_none_let_go_what_waits(line: Line) -> None:
    limit(line, None, 1)
    line.submit(SLOW, 10)
    assert len(line.claim()) == 1
    limit(line, None, 3)
    assert len(line.claim()) == 2
    limit(line, None, None)
    assert len(line.claim()) == 7
    assert line.claim() == []


def test_queues_take_turns_at_a_host(line: Line) -> None:
    limit(line, SLOW, 1)
    line.submit(SLOW, 50, queue="many")
    line.submit(SLOW, 5, queue="few")
    turns = []
    for _ in range(10):
        [claimed] = line.claim()
        turns.append(claimed.lane.partition("/")[2])
        line.finish([claimed])
    assert Counter(turns) == {"many": 5, "few": 5}


def test_a_queue_with_thousands_for_a_full_host_does_not_hold_the_others_in_it(line: Line) -> None:
    limit(line, SLOW, 1)
    line.submit(SLOW, 2500)
    [other] = line.submit(OTHER)
    seen: list[bytes] = []
    for _ in range(4):
        seen += [c.id for c in line.claim()]
    assert other in seen
    assert len(seen) == 2


def test_keys_keep_their_limits_and_their_order_at_a_host(line: Line) -> None:
    limit(line, SLOW, 2)
    ordered = line.submit(SLOW, 3, ordering_key="o")
    line.submit(SLOW, 4, concurrency_key="a")
    line.submit(SLOW, 4, concurrency_key="b")
    seen: list[bytes] = []
    while batch := line.claim():
        assert len(batch) <= 2
        keys = Counter(c.lane.partition("\x1f")[2].partition("\x1f")[0] for c in batch)
        assert max(keys.values()) == 1, keys
        seen += [c.id for c in batch if c.id in ordered]
        line.finish(batch)
    assert seen == ordered
    assert line.in_flight() == {}


def test_a_dead_pump_keeps_its_slots_until_its_tasks_are_given_back(line: Line) -> None:
    limit(line, SLOW, 2)
    line.submit(SLOW, 4)
    line.claim(pump="dead")
    assert line.claim(pump="alive") == []
    pumps.give_back(line.house.client, line.prefix, "dead", [], 5)
    assert len(line.claim(pump="alive")) == 2
    assert line.in_flight()[f"{line.project}\x1f@{SLOW}"] == 2


def test_a_task_set_aside_can_be_put_off_cancelled_deleted_and_purged(line: Line) -> None:
    limit(line, SLOW, 1)
    sent = line.submit(SLOW, 10)
    [first] = line.claim()
    rest = [one for one in sent if one != first.id]
    house, project = line.house, line.project
    intake.update(house, project, rest[0], {"delay": timedelta(hours=1)})
    intake.cancel(house, project, rest[1])
    intake.delete(house, project, rest[2])
    assert verbs.get_host(house, project, SLOW).waiting == 6
    assert queues.get_queue(house, project, "default").waiting == 7
    assert queues.purge(house, project, "default") == 7
    assert queues.get_queue(house, project, "default").waiting == 0


def test_an_occurrence_waits_for_its_host_like_any_task(line: Line) -> None:
    limit(line, SLOW, 1)
    line.submit(SLOW)
    first = line.claim()
    [late] = line.submit(SLOW)
    record = line.house.client.get(line.prefix.encode() + b"t:" + late)
    spec = codec.split(record)[2]
    planned = b'{"sc":"0123456789abcdef","oc":1,"s":1,' + spec[1:]  # as beat writes it
    head = list(codec.HEAD.unpack_from(record))
    head[10] = len(planned)
    place = codec.HEAD.size + head[9]
    record = codec.HEAD.pack(*head) + record[codec.HEAD.size : place] + planned
    line.house.client.set(line.prefix.encode() + b"t:" + late, record)
    assert line.claim() == []
    line.finish(first)
    assert [c.id for c in line.claim()] == [late]

"""The breaker and Retry-After hold the tasks of one host; those of others flow."""

from __future__ import annotations

import pytest

from timeball.dispatch import hosts as verbs
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.errors import NotFound
from timeball.model.host import Breaker
from timeball.model.project import Project
from timeball.model.task import Draft, Request, State
from timeball.store import pumps
from timeball.store.codec import Claimed
from timeball.store.lists import Filter

BAD, GOOD = "bad.example:81", "good.example"


class Hosts:
    """Tasks for two hosts, a pump, and a clock that moves only when told."""

    def __init__(self, house: House, project: Project) -> None:
        self.house, self.project, self.prefix = house, project.id, house.prefix(project.id)
        self.ahead = 0.0

    def submit(self, host: str, n: int = 1) -> None:
        drafts = [
            Draft(project=self.project, request=Request(f"http://{host}/x")) for _ in range(n)
        ]
        intake.submit(self.house, self.project, drafts)

    def claim(self) -> list[Claimed]:
        claim = pumps.claim(self.house.client, self.prefix, "p", 100, 200, 500)
        self.next_ms = claim.next_ms - claim.now_ms
        self.probes = [claim.tasks[place].id for place in claim.probes]
        return claim.tasks

    def tell(self, claimed: list[Claimed], well: int, failed: int, quiet_ms: int = 0) -> None:
        """End calls as succeeded, but tell of the bad host what is said."""
        now, _ = pumps.clock(self.house.client, self.prefix)
        results = [
            pumps.Finished(c.id, c.attempt, 2, 0, b'{"n":1,"o":"answered","at":1}') for c in claimed
        ]
        quiet = int(now + quiet_ms) if quiet_ms else 0
        hosts = {self.project: {BAD: [well, failed, quiet]}}
        pumps.finish(self.house.client, self.prefix, "p", results, {}, hosts)

    def advance(self, ms: float) -> None:
        self.ahead += ms
        self.house.client.set(f"{self.prefix}clock", self.ahead)


@pytest.fixture
def hosts(house: House, project: Project) -> Hosts:
    return Hosts(house, project)


def hosts_of(claimed: list[Claimed]) -> list[str]:
    return sorted(c.spec["u"].split("/")[2] for c in claimed)


def test_ten_failures_in_a_row_open_the_breaker_and_the_others_flow(hosts: Hosts) -> None:
    hosts.submit(BAD, 10)
    hosts.tell(hosts.claim(), 0, 10)
    hosts.submit(BAD, 3)
    hosts.submit(GOOD, 3)
    assert hosts_of(hosts.claim()) == [GOOD] * 3
    assert hosts.claim() == []
    assert 29_000 < hosts.next_ms <= 30_001


@pytest.mark.parametrize(
    ("well", "failed", "opens"), [(10, 10, True), (12, 9, False), (5, 5, False)]
)
def test_half_of_twenty_in_a_minute_opens_it(
    hosts: Hosts, well: int, failed: int, opens: bool
) -> None:
    hosts.submit(BAD, 1)
    hosts.tell(hosts.claim(), well, failed)
    hosts.submit(BAD, 1)
    assert hosts_of(hosts.claim()) == ([] if opens else [BAD])


def open_breaker(hosts: Hosts) -> None:
    hosts.submit(BAD, 1)
    hosts.tell(hosts.claim(), 0, 10)
    hosts.submit(BAD, 5)
    assert hosts.claim() == []


def test_one_call_probes_and_its_success_lets_all_go(hosts: Hosts) -> None:
    open_breaker(hosts)
    hosts.submit(GOOD, 2)
    assert (hosts_of(hosts.claim()), hosts.probes) == ([GOOD] * 2, [])
    hosts.advance(30_001)
    hosts.submit(GOOD, 2)
    claimed = hosts.claim()
    [probe] = [c for c in claimed if c.id in hosts.probes]
    assert hosts_of(claimed) == sorted([BAD, GOOD, GOOD])
    assert hosts_of([probe]) == [BAD], "the pump is told which, so that it tells how it ends"
    assert hosts.claim() == []
    hosts.tell(claimed, 1, 0)
    assert (hosts_of(hosts.claim()), hosts.probes) == ([BAD] * 4, [])


def test_a_probe_that_fails_doubles_the_wait(hosts: Hosts) -> None:
    open_breaker(hosts)
    hosts.advance(30_001)
    probe = hosts.claim()
    hosts.tell(probe, 0, 1)
    hosts.advance(59_000)
    assert hosts.claim() == []
    hosts.advance(2_000)
    assert hosts_of(hosts.claim()) == [BAD]


def test_a_wait_uses_no_attempt(hosts: Hosts) -> None:
    open_breaker(hosts)
    hosts.advance(30_001)
    hosts.tell(hosts.claim(), 1, 0)
    assert {c.attempt for c in hosts.claim()} == {1}


def test_a_key_of_tasks_set_aside_has_its_slot_again(hosts: Hosts) -> None:
    open_breaker(hosts)
    request = Request(f"http://{BAD}/x")
    drafts = [Draft(project=hosts.project, request=request, concurrency_key="k") for _ in range(3)]
    intake.submit(hosts.house, hosts.project, drafts)
    assert hosts.claim() == []
    hosts.advance(30_001)
    hosts.tell(hosts.claim(), 1, 0)
    called = []
    while claimed := hosts.claim():
        called += claimed
        hosts.tell(claimed, 1, 0)
    assert len([c for c in called if c.lane.endswith("ck")]) == 3
    assert not hosts.house.client.exists(f"{hosts.prefix}inflight")


def test_failures_far_apart_are_no_row(hosts: Hosts) -> None:
    for _ in range(12):
        hosts.submit(BAD, 1)
        hosts.tell(hosts.claim(), 0, 1)
        hosts.advance(61_000)
    hosts.submit(BAD, 1)
    assert hosts_of(hosts.claim()) == [BAD]


def test_the_minute_that_counts_slides(hosts: Hosts) -> None:
    """Ten and ten failures about any full minute of the clock are twenty in a minute."""
    for _ in range(2):
        for _ in range(5):
            hosts.submit(BAD, 1)
            hosts.tell(hosts.claim(), 1, 2)  # no ten in a row
        hosts.advance(25_000)
    hosts.submit(BAD, 1)
    assert hosts.claim() == []


def test_retry_after_holds_the_whole_host_until_then(hosts: Hosts) -> None:
    hosts.submit(BAD, 1)
    hosts.tell(hosts.claim(), 0, 1, quiet_ms=5000)
    hosts.submit(BAD, 3)
    hosts.submit(GOOD, 1)
    assert hosts_of(hosts.claim()) == [GOOD]
    hosts.advance(5001)
    assert hosts_of(hosts.claim()) == [BAD] * 3


def test_a_task_set_aside_is_still_listed_cancelled_and_deleted(
    hosts: Hosts, house: House, project: Project
) -> None:
    open_breaker(hosts)
    page = intake.find(house, project.id, Filter(state=State.SCHEDULED), 100, None)
    assert len(page.tasks) == 5
    intake.cancel(house, project.id, page.tasks[0].id)
    intake.delete(house, project.id, page.tasks[1].id)
    hosts.advance(30_001)
    probe = hosts.claim() or hosts.claim()  # the two that are gone are passed over first
    hosts.tell(probe, 1, 0)
    assert len(hosts.claim()) == 2


def test_a_person_lets_one_call_through_and_its_end_decides(hosts: Hosts, house: House) -> None:
    open_breaker(hosts)
    [state] = verbs.list_hosts(house, hosts.project)
    assert (state.host, state.breaker, state.opened, state.waiting) == (BAD, Breaker.OPEN, 1, 5)
    assert state.until is not None
    verbs.probe(house, hosts.project, BAD)
    probe = hosts.claim()
    assert hosts_of(probe) == [BAD]
    assert hosts.claim() == []
    assert verbs.list_hosts(house, hosts.project)[0].breaker is Breaker.PROBING
    hosts.tell(probe, 0, 1)
    assert hosts.claim() == []
    assert 59_000 < hosts.next_ms <= 60_001
    verbs.probe(house, hosts.project, BAD)
    hosts.tell(hosts.claim(), 1, 0)
    assert hosts_of(hosts.claim()) == [BAD] * 3


def test_a_person_closes_the_breaker_and_all_goes_through(hosts: Hosts, house: House) -> None:
    open_breaker(hosts)
    verbs.close_breaker(house, hosts.project, BAD)
    [state] = verbs.list_hosts(house, hosts.project)
    assert (state.breaker, state.until, state.waiting) == (Breaker.CLOSED, None, 0)
    hosts.tell(hosts.claim(), 0, 5)
    hosts.submit(BAD, 1)
    assert hosts_of(hosts.claim()) == [BAD], "what failed before counts no more"
    with pytest.raises(NotFound):
        verbs.close_breaker(house, hosts.project, BAD)
    with pytest.raises(NotFound):
        verbs.probe(house, "another", BAD)


def test_a_host_that_asked_for_quiet_is_let_go_too(hosts: Hosts, house: House) -> None:
    hosts.submit(BAD, 1)
    hosts.tell(hosts.claim(), 0, 1, quiet_ms=60_000)
    hosts.submit(BAD, 2)
    assert hosts.claim() == []
    assert verbs.list_hosts(house, hosts.project)[0].breaker is Breaker.QUIET
    verbs.close_breaker(house, hosts.project, BAD)
    assert hosts_of(hosts.claim()) == [BAD] * 2


def test_how_calls_failed_is_counted_by_kind(hosts: Hosts, house: House) -> None:
    for how in ({"503": 2, "timed_out": 1}, {"503": 1}):
        told = {hosts.project: {BAD: [1, sum(how.values()), 0, how]}}
        hosts.submit(BAD, 1)
        [one] = hosts.claim()
        done = pumps.Finished(one.id, 1, 2, 0, b'{"n":1,"o":"answered","at":1}')
        pumps.finish(house.client, hosts.prefix, "p", [done], {}, told)
    [state] = verbs.list_hosts(house, hosts.project)
    assert (state.well, state.failed, state.how) == (2, 4, {"503": 3, "timed_out": 1})
    assert verbs.list_hosts(house, "another") == []

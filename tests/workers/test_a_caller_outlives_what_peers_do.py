"""Connections come and go under the same numbers; the caller goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.conftest import eventually
from tests.receiver import Answer, Received, Receiver
from timeball import egress
from timeball.model.attempt import Outcome
from timeball.store.codec import Claimed
from workers.call import Called, Caller, Prepared
from workers.pool import CROWD, HOSTS, POOLS, Pools

CLAIMED = Claimed(b"0" * 16, "p/default", 1, 0, 0.0, 0.0, b"{}", b"")


@pytest.fixture
def caller() -> Iterator[Caller]:
    made = Caller(
        egress.Policy.parse(("localhost",), ()),
        connect_timeout_ms=2000,
        keep_bytes=100,
        read_bytes=1000,
    )
    yield made
    made.close()


def prepared(url: str, method: str = "POST") -> Prepared:
    host = "localhost" if "localhost" in url else "127.0.0.1"
    return Prepared(CLAIMED, 0.0, url, host, method, [], b"", 5000)


def go(caller: Caller, *calls: Prepared) -> list[Called]:
    """Make calls at once and wait for all of them."""
    for call in calls:
        caller.start(call)
    ended: list[Called] = []
    end = time.monotonic() + 10
    while len(ended) < len(calls):
        assert time.monotonic() < end
        ended += caller.wait(0.1)
    assert {c.outcome for c in ended} == {Outcome.ANSWERED}
    return ended


def answer(request: Received) -> Answer:
    if request.path == "/slow":
        return Answer(delay=0.2)
    return Answer(headers={"Connection": "close"} if request.path == "/quit" else {})


def test_peers_that_close_after_each_answer(caller: Caller) -> None:
    with Receiver(answer) as a, Receiver(answer) as b:
        go(caller, prepared(a.url + "/fast"), prepared(a.url + "/slow"))
        for _ in range(3):
            go(caller, prepared(a.url + "/quit"))
        go(caller, prepared(a.url + "/quit"), prepared(a.url + "/quit"))
        for _ in range(3):
            go(caller, prepared(b.url + "/fast"), prepared(b.url + "/slow"), prepared(a.url))


def test_names_are_resolved_between_connections_that_come_and_go(caller: Caller) -> None:
    with Receiver(answer) as a:
        by_name = a.url.replace("127.0.0.1", "localhost")
        for n in range(10):
            began = time.monotonic()
            go(caller, prepared(f"{by_name}/quit?{n}"), prepared(f"{a.url}/quit?{n}"))
            assert time.monotonic() - began < 2


def test_a_peer_that_goes_while_its_connection_rests(caller: Caller) -> None:
    for _ in range(5):
        with Receiver() as a:
            go(caller, *(prepared(a.url) for _ in range(5)))
        caller.wait(0.05)


def test_a_closed_caller_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Receiver() as a:
        for _ in range(3):
            made = Caller(
                egress.Policy.parse(("localhost",), ()),
                connect_timeout_ms=2000,
                keep_bytes=100,
                read_bytes=1000,
            )
            go(made, *(prepared(a.url) for _ in range(20)))
            made.close()
    # the receiver's threads see the end of their connections when they come to it
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before + 3)


def test_a_hosts_calls_are_spread_and_come_back_to_their_connections(caller: Caller) -> None:
    with Receiver(answer) as receiver:
        slow = [prepared(receiver.url + "/slow") for _ in range(100)]
        opened = sum(bool(called.times_us[1]) for called in go(caller, *slow))
        again = sum(bool(called.times_us[1]) for called in go(caller, *slow))
    assert opened > CROWD
    assert opened + again <= 100  # the first may be back before the last begins


def test_few_calls_to_a_host_share_their_connections(caller: Caller) -> None:
    with Receiver(answer) as a, Receiver(answer) as b:
        some = [prepared(url + "/slow") for url in (a.url, b.url) for _ in range(10)]
        go(caller, *some)
        for call in some:
            assert not go(caller, call)[0].times_us[1]


def test_hosts_are_forgotten_when_no_call_to_them_is_in_flight() -> None:
    pools = Pools()
    kept = pools.line("kept")
    kept.busy[kept.place()] += 1
    for n in range(2 * HOSTS):
        pools.line(f"host-{n}")
    assert pools.line("kept") is kept
    assert len(pools) <= HOSTS
    for pool in pools.all:
        pool.close()


def test_a_full_pool_leaves_calls_to_the_next_and_all_full_ones_share() -> None:
    pools = Pools()
    line = pools.line("busy")
    for _ in range(CROWD * POOLS + 5):
        line.busy[line.place()] += 1
    assert line.busy[:5] == [CROWD + 1] * 5
    assert line.busy[5:] == [CROWD] * (POOLS - 5)
    for pool in pools.all:
        pool.close()


def test_a_request_that_cannot_be_sent_ends_alone(caller: Caller) -> None:
    with Receiver() as a:
        go(caller, prepared(a.url + "/before"))
        bad = [
            prepared("http://ex\u00e4mple.com/"),
            prepared("http://localhost/\ud800"),
            prepared("http://localhost/\0"),
            prepared(a.url, "G\0ET"),
        ]
        for one in bad:
            caller.start(one)
        ended = {called.prepared.url: called for called in caller.wait(0)}
        assert set(ended) == {one.url for one in bad}
        for called in ended.values():
            assert (called.outcome, called.status) == (Outcome.UNREACHABLE, None)
            assert called.error == "the request is none that can be sent"
        assert caller.busy == 0
        # the handle that was half set is not used again: nothing goes to the address of the call before
        go(caller, *(prepared(a.url + "/after") for _ in range(3)))
        assert [r.path for r in a.received] == ["/before", *["/after"] * 3]

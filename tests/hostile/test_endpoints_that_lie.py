"""Whatever an endpoint does, its call ends by the deadline with a named outcome, and the other calls go on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.hostile.endpoints import Endpoints
from tests.hostile.kinds import KINDS
from tests.receiver import Receiver
from timeball import egress
from timeball.model.attempt import Outcome
from timeball.store.codec import Claimed
from workers.call import Called, Caller, Prepared

DEADLINE_MS = 1200
PATIENCE_SECONDS = 10.0
"""How much later than its deadline a call may be seen to have ended on a machine that others use."""


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    with Endpoints(tmp_path_factory.mktemp("endpoints")) as running:
        yield running


@pytest.fixture
def caller(endpoints: Endpoints) -> Iterator[Caller]:
    made = Caller(
        egress.Policy.parse(("localhost",), (), (endpoints.forbidden,)),
        connect_timeout_ms=1000,
        keep_bytes=4096,
        read_bytes=1 << 18,
        ca_file=str(endpoints.folder / "authority.pem"),
    )
    yield made
    made.close()


def prepared(name: str, url: str, body: bytes = b"hello") -> Prepared:
    claimed = Claimed(name.encode(), "p/default", 1, 0, 0.0, 0.0, {}, b"")
    return Prepared(claimed, 0.0, url, "localhost", "POST", [b"Expect:"], body, DEADLINE_MS)


def go(caller: Caller, calls: list[Prepared]) -> dict[str, tuple[Called, float]]:
    """Make calls at once; how each ended, and after how many seconds."""
    began = time.monotonic()
    for call in calls:
        caller.start(call)
    ended: dict[str, tuple[Called, float]] = {}
    while len(ended) < len(calls):
        seconds = time.monotonic() - began
        assert seconds < DEADLINE_MS / 1000 + PATIENCE_SECONDS, caller.in_flight()
        for called in caller.wait(0.1):
            ended[called.prepared.claimed.id.decode()] = called, seconds
    return ended


def test_there_are_many_kinds() -> None:
    assert len(KINDS) >= 44


def test_every_kind_ends_with_a_named_outcome_and_leaves_the_others_alone(
    endpoints: Endpoints, caller: Caller
) -> None:
    large = b"x" * (8 << 20)
    us = psutil.Process()
    with Receiver() as good:
        kind = good.url.replace("127.0.0.1", "localhost")
        calls = [
            *(
                prepared(k.name, endpoints.urls[k.name], large if k.big else b"hello")
                for k in KINDS.values()
            ),
            *(prepared(f"good-{n}", kind) for n in range(50)),
        ]
        go(caller, calls)  # what is made once is made: pools, tables of TLS, connections
        before, descriptors = us.memory_info().rss, us.num_fds()
        for _ in range(2):
            for name, (called, _) in go(caller, calls).items():
                expected = KINDS[name].expected if name in KINDS else {"answered"}
                assert called.outcome in expected, (name, called)
                assert len(called.body) <= 4096
                assert len(called.raw_headers) <= 320_000  # where libcurl ends, and one more
                assert (called.status is None) == (called.outcome not in ("answered", "too_large"))
                assert (called.error is None) == (called.outcome is Outcome.ANSWERED), called
                assert called.error is None or 0 < len(called.error) < 500
                assert called.error is None or called.error.isprintable(), called
        assert us.memory_info().rss - before < 50 << 20
        assert us.num_fds() - descriptors < 100
        assert len(good.received) == 3 * 50
    assert endpoints.intruders == []


def test_what_an_answer_asks_for_is_not_done(
    endpoints: Endpoints, caller: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No cookie, no password, no other service, no proxy: the next call is as the first."""
    (tmp_path / ".netrc").write_text("machine localhost login a password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{endpoints.forbidden}")
    for name in ("cookies", "other_service", "asks_for_a_password", "asks_for_a_proxy_password"):
        go(caller, [prepared(name, endpoints.urls[name])])
    with Receiver() as good:
        go(caller, [prepared("good", good.url.replace("127.0.0.1", "localhost"))])
        headers = good.received[0].headers
    assert not {"cookie", "authorization", "proxy-authorization"} & headers.keys()
    assert endpoints.intruders == []


def test_an_authority_of_ones_own_is_trusted_beside_the_systems(endpoints: Endpoints) -> None:
    door = endpoints.urls["endless_body_in_tls"].replace("endless_body_in_tls", "refresh")
    for ca_file, outcome in ((None, Outcome.REFUSED), ("authority.pem", Outcome.ANSWERED)):
        made = Caller(
            egress.Policy.parse(("localhost",), ()),
            connect_timeout_ms=1000,
            keep_bytes=100,
            read_bytes=1000,
            ca_file=ca_file and str(endpoints.folder / ca_file),
        )
        (called, _) = go(made, [prepared("one", door)])["one"]
        assert called.outcome is outcome, called
        trusted = made.trusted
        if trusted is not None:
            text = Path(trusted.name).read_text()
            assert (endpoints.folder / "authority.pem").read_text() in text
            assert text.count("BEGIN CERTIFICATE") > 50, "the system's roots are there"
        made.close()
        assert trusted is None or not os.path.exists(trusted.name)

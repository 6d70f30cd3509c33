"""A minute beside all hostile endpoints: good tasks keep their pace, workers their memory and their life."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.load import Client, percentile, task
from bench.receiver import Receiver
from bench.stack import Stack
from tests.hostile.endpoints import Endpoints
from tests.hostile.kinds import KINDS, TIMED_OUT, Kind

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

WARM_SECONDS, SECONDS = 15.0, 60.0
GOOD_EVERY = 0.05
HOSTILE_EVERY = 0.02
"""So every kind is called about 30 times a minute, and a hundred such calls are in flight at any moment."""
LATEST_SECONDS = 3.0
"""A second after the deadline of each call."""
MOST_GROWTH = 50 << 20
LARGE = "x" * 600_000


def _url(url: str, n: int) -> str:
    """The same place under one of many names, so that no breaker of a host spares the workers a call."""
    return url.replace("http://localhost:", f"http://h{n % 64}.localhost:")


class Attack(threading.Thread):
    """Sends tasks for hostile endpoints, one kind after the other, until told to stop."""

    def __init__(self, stack: Stack, endpoints: Endpoints) -> None:
        super().__init__(daemon=True)
        self.stack, self.endpoints = stack, endpoints
        self.stopped = threading.Event()
        self.sent: dict[str, str] = {}

    def run(self) -> None:
        client, kinds, n = Client(self.stack.url, self.stack.key), list(KINDS.values()), 0
        while not self.stopped.wait(HOSTILE_EVERY):
            kind = kinds[n % len(kinds)]
            fields = {
                "request": {
                    "url": _url(self.endpoints.urls[kind.name], n),
                    "body": LARGE if kind.big else "hello",
                },
                "queue": "hostile",
                "timeout": "2s",
                "retry": {"max_attempts": 1},
            }
            status, _, answer = client.send("POST", "/v2/tasks", json.dumps(fields).encode())
            assert status == 201, answer
            self.sent[json.loads(answer)["id"]] = kind.name
            n += 1


def test_a_minute_of_hostile_endpoints(tmp_path: Path) -> None:
    with (
        Endpoints(tmp_path) as endpoints,
        Stack(
            workers=2,
            settings={
                "TIMEBALL_CA_FILE": str(tmp_path / "authority.pem"),
                "TIMEBALL_DENIED_TARGETS": f"localhost:{endpoints.forbidden}",
            },
        ) as stack,
        Receiver() as receiver,
    ):
        attack = Attack(stack, endpoints)
        attack.start()
        time.sleep(WARM_SECONDS)
        workers, before = stack.by_role()["worker"], stack.resident()["worker"]
        client, sent = Client(stack.url, stack.key), {}
        begun = time.monotonic()
        for n in range(int(SECONDS / GOOD_EVERY)):
            time.sleep(max(0.0, begun + n * GOOD_EVERY - time.monotonic()))
            at = time.time()
            body = json.dumps(task(receiver.url + "/ok")).encode()
            status, _, answer = client.send("POST", "/v2/tasks", body)
            assert status == 201, answer
            sent[json.loads(answer)["id"]] = at
        attack.stopped.set()
        attack.join()
        after = stack.resident()["worker"]
        same = {p.pid for p in stack.by_role()["worker"]} == {p.pid for p in workers}
        assert receiver.wait(len(sent), 30) == len(sent)
        ledger = receiver.ledger()
        late = sorted(ledger[one][0] - at for one, at in sent.items())
        growth = (after[1] - before[1]) / (1 << 20)
        print(
            f"{len(KINDS)} kinds, {len(attack.sent)} hostile tasks; {len(sent)} good ones:"
            f" p50 {percentile(late, 50) * 1e3:.0f} ms, p95 {percentile(late, 95) * 1e3:.0f} ms,"
            f" worst {late[-1] * 1e3:.0f} ms; workers {before[1] >> 20} MB, grown by {growth:.1f} MB"
        )
        ends = _ends(stack, list(attack.sent))

    assert percentile(late, 95) < 0.5
    assert growth < MOST_GROWTH / (1 << 20)
    assert same, "a worker was replaced"
    assert all(len(calls) == 1 for calls in ledger.values()), "a good task was called twice"
    assert endpoints.intruders == []
    assert {attack.sent[one] for one in ends} == set(KINDS), "a kind was never called"
    wrong = [
        (attack.sent[one], end)
        for one, end in ends.items()
        if not _is_right(KINDS[attack.sent[one]], end) or end.seconds > LATEST_SECONDS
    ]
    assert wrong == [], f"{len(wrong)} of {len(ends)} calls"


@dataclass(frozen=True)
class End:
    """How a hostile task ended, after how many seconds and with what words."""

    outcome: str
    seconds: float
    error: str | None


def _is_right(kind: Kind, end: End) -> bool:
    """Whether a call may end so. On a busy machine something else may come before what the endpoint does.

    The deadline may pass while little has been read; and a kernel that is short of memory for its sockets resets
    the greedy ones, so that an endless body breaks off before it is too large.
    """
    if end.outcome in kind.expected | TIMED_OUT:
        return True
    return end.outcome == "unreachable" and "reset" in (end.error or "")


def _ends(stack: Stack, ids: list[str]) -> dict[str, End]:
    """How the hostile tasks ended. Those whose host's breaker is open wait."""
    client, found = Client(stack.url, stack.key), {}
    for one in ids:
        status, _, answer = client.send("GET", f"/v2/tasks/{one}/attempts", b"")
        assert status == 200, answer
        for attempt in json.loads(answer):
            seconds = attempt["timing"]["total"] / 1000
            found[one] = End(attempt["outcome"], seconds, attempt["error"])
    return found

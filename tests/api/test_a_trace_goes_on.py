"""W3C Trace Context: the `traceparent` of a create rides on the call."""

from __future__ import annotations

import pytest

from tests.api.conftest import URL, Api, Pump
from workers.prepare import Preparer, Signers

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def sent(pump: Pump) -> list[bytes]:
    """The headers of the call that is due."""
    [claimed] = pump.take()
    signers = Signers(pump.house.client, pump.house.vault)
    prepared = Preparer(signers, pump.house.settings.call_timeout).prepare(claimed, 0.0)
    return [line for line in prepared.lines if line.lower().startswith(b"traceparent")]


def create(api: Api, parent: str, **request: object) -> None:
    task = {"request": {"url": URL, **request}}
    answer = api("POST", "/v2/tasks", task, headers={"traceparent": parent})
    assert answer.status_code == 201


def test_it_is_passed_on(api: Api, pump: Pump) -> None:
    create(api, PARENT)
    assert sent(pump) == [f"traceparent: {PARENT}".encode()]


def test_a_header_of_the_task_stands_above_it(api: Api, pump: Pump) -> None:
    create(api, PARENT, headers={"Traceparent": "mine"})
    assert sent(pump) == [b"Traceparent: mine"]


@pytest.mark.parametrize(
    "parent",
    ["", "x", PARENT.upper(), PARENT + "-x", "ff" + PARENT[2:], "00-" + "0" * 32 + PARENT[35:]],
)
def test_a_malformed_one_is_left_out(api: Api, pump: Pump, parent: str) -> None:
    create(api, parent)
    assert sent(pump) == []

"""W3C Trace Context: the `traceparent` and `tracestate` of a create ride on the call."""

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
    return [line for line in prepared.lines if line.lower().startswith(b"trace")]


def create(api: Api, parent: str, state: str | None = None, **request: object) -> None:
    task = {"request": {"url": URL, **request}}
    headers = {"traceparent": parent} | ({} if state is None else {"tracestate": state})
    answer = api("POST", "/v2/tasks", task, headers=headers)
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


STATE = "rojo=00f067aa0ba902b7,1tenant@vendor=t61rcWkgMzE"


@pytest.mark.parametrize(
    ("state", "sent_on"),
    [
        (STATE, STATE),
        ("a=1 , b=2,,", "a=1,b=2"),
        ("a=b=c", None),
        ("A=1", None),
        ("a=1,a=2", None),
        ("a=\x7f", None),
        ("", None),
        (",".join(f"k{n}=v" for n in range(33)), None),
        (",".join(f"k{n:03}=" + "v" * 58 for n in range(8)),) * 2,
        (
            ",".join(f"k{n:03}=" + "v" * 60 for n in range(8)),
            ",".join(f"k{n:03}=" + "v" * 60 for n in range(7)),
        ),
    ],
)
def test_what_else_was_said_of_the_trace_is_passed_on(
    api: Api, pump: Pump, state: str, sent_on: str | None
) -> None:
    create(api, PARENT, state)
    told = [f"traceparent: {PARENT}"] + ([] if sent_on is None else [f"tracestate: {sent_on}"])
    assert sent(pump) == [line.encode() for line in told]


def test_it_means_nothing_without_a_parent(api: Api, pump: Pump) -> None:
    create(api, "malformed", STATE)
    assert sent(pump) == []


def test_a_header_of_the_task_stands_above_that_too(api: Api, pump: Pump) -> None:
    create(api, PARENT, STATE, headers={"tracestate": "own=1"})
    assert sent(pump) == [b"tracestate: own=1", f"traceparent: {PARENT}".encode()]


def test_each_task_of_a_batch_has_it(api: Api, pump: Pump) -> None:
    tasks = [{"request": {"url": URL}}] * 2
    headers = {"traceparent": PARENT, "tracestate": STATE}
    assert api("POST", "/v2/tasks/batch-create", tasks, headers=headers).status_code == 201
    for _ in tasks:
        assert sent(pump) == [f"traceparent: {PARENT}".encode(), f"tracestate: {STATE}".encode()]

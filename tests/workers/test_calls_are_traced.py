"""Traces: create, a wait and a call for each attempt; in the creator's trace or the task's own; sent by OTLP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.conftest import eventually
from tests.receiver import Answer, Receiver
from tests.workers.test_pump import ended, pumping
from timeball.dispatch import intake, traces
from timeball.dispatch.house import House
from timeball.dispatch.traces import Traces
from timeball.errors import ConfigError
from timeball.ids import id_text
from timeball.model.project import Project
from timeball.model.retry import RetryPolicy
from timeball.model.task import Draft, Request, State
from timeball.settings import load
from timeball.store import clock, pumps

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
AT_ONCE = RetryPolicy(5, timedelta(0), timedelta(0))


class Traced:
    """A house that traces into memory, and what came of one task."""

    def __init__(self, house: House, project: Project, share: float) -> None:
        self.exporter = InMemorySpanExporter()
        self.house = replace(house, traces=Traces(share, self.exporter))
        self.project = project

    def call(self, receiver: Receiver, calls: int = 1, **fields: Any) -> bytes:
        """Make tasks, have them called until each has ended; the id of the last."""
        request = Request(receiver.url, headers=fields.pop("headers", ()))
        drafts = [Draft(self.project.id, request, **fields) for _ in range(calls)]
        with pumping(self.house):
            taken = intake.submit(self.house, self.project.id, drafts)
            for one in taken:
                ended(self.house, self.project, one.id)
        return taken[-1].id

    def told(self) -> list[ReadableSpan]:
        """By attempt, each one's wait first."""

        def place(span: ReadableSpan) -> tuple[int, int]:
            number = (span.attributes or {}).get("timeball.attempt", 0)
            assert isinstance(number, int)
            return number, ["create", "wait", "call"].index(span.name)

        return sorted(self.spans(), key=place)

    def spans(self) -> list[ReadableSpan]:
        """By their beginning."""
        assert self.house.traces is not None
        self.house.traces.flush()
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


@pytest.fixture
def traced(house: House, project: Project) -> Callable[[float], Traced]:
    return lambda share: Traced(house, project, share)


def test_each_attempt_is_a_span_in_the_creators_trace(traced: Callable[[float], Traced]) -> None:
    world = traced(0)
    with Receiver(lambda _: Answer(503 if len(receiver.received) < 2 else 200)) as receiver:
        task_id = world.call(receiver, traceparent=PARENT, retry=AT_ONCE)
    create, wait, first, again, second = world.told()
    assert [s.name for s in (create, wait, first, again, second)] == [
        *("create", "wait", "call", "wait", "call")
    ]
    assert [s.kind for s in (create, first)] == [SpanKind.PRODUCER, SpanKind.CLIENT]
    assert {f"{s.context.trace_id:032x}" for s in world.spans() if s.context} == {PARENT[3:35]}
    parents = [s.parent and s.parent.span_id for s in (create, wait, first, again, second)]
    assert create.context
    assert wait.context
    assert parents == [
        int(PARENT[36:52], 16),
        create.context.span_id,
        wait.context.span_id,
        wait.context.span_id,
        wait.context.span_id,
    ]
    handed_on = [r.headers["traceparent"] for r in receiver.received]
    assert handed_on == [
        f"00-{PARENT[3:35]}-{s.context.span_id:016x}-01" for s in (first, second) if s.context
    ]
    assert first.attributes
    assert second.attributes
    assert first.attributes["timeball.task"] == id_text(task_id)
    assert first.attributes["server.address"] == "127.0.0.1"
    assert [s.attributes["timeball.attempt"] for s in (first, second) if s.attributes] == [1, 2]
    assert [s.attributes["http.response.status_code"] for s in (first, second) if s.attributes] == [
        503,
        200,
    ]
    assert [s.status.status_code for s in (first, second)] == [StatusCode.ERROR, StatusCode.UNSET]
    assert not any(receiver.url in str(s.attributes) for s in world.spans()), "no URL is told"


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_the_wait_for_a_retry_is_a_span(traced: Callable[[float], Traced]) -> None:
    """The clock of the store is put forward, so the wait is as long as the policy said."""
    world = traced(1)
    late = RetryPolicy(5, timedelta(minutes=7), timedelta(minutes=7), jitter=0)
    with Receiver(lambda _: Answer(503 if len(receiver.received) < 2 else 200)) as receiver:
        draft = Draft(world.project.id, Request(receiver.url), retry=late)
        with pumping(world.house):
            [taken] = intake.submit(world.house, world.project.id, [draft])
            eventually(lambda: waits(world, taken.id))
            clock.advance(world.house.client, 1, timedelta(minutes=7))
            ended(world.house, world.project, taken.id)
    _, _, first, again, second = world.told()
    assert seconds(again) == pytest.approx(420, abs=10)
    assert again.end_time == second.start_time
    assert first.attributes
    assert again.attributes
    assert (first.attributes["timeball.attempt"], again.attributes["timeball.attempt"]) == (1, 2)


def waits(world: Traced, task_id: bytes) -> bool:
    task = intake.get(world.house, world.project.id, task_id)
    return (task.state, task.attempt) == (State.SCHEDULED, 1)


def test_attempts_that_were_lost_with_their_workers_are_spans(
    traced: Callable[[float], Traced],
) -> None:
    world = traced(1)
    house, prefix = world.house, world.house.prefix(world.project.id)
    with Receiver() as receiver:
        draft = Draft(world.project.id, Request(receiver.url))
        [taken] = intake.submit(house, world.project.id, [draft])
        for _ in range(2):
            assert pumps.claim(house.client, prefix, "dead", 1, 9, 9).tasks
            assert pumps.give_back(house.client, prefix, "dead", [], max_lost=5) == 1
        with pumping(house):
            ended(house, world.project, taken.id)
    told = world.told()
    assert [s.name for s in told] == ["create", *["wait", "call"] * 3]
    calls = [s for s in told if s.name == "call"]
    assert [s.attributes and s.attributes["timeball.outcome"] for s in calls] == [
        *("lost", "lost", "answered")
    ]
    assert [s.status.status_code for s in calls] == [
        *(StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET)
    ]
    assert all(seconds(span) >= 0 for span in told)
    assert len({s.context.span_id for s in told if s.context}) == len(told)


def test_a_task_without_a_trace_begins_one_by_its_own_id(traced: Callable[[float], Traced]) -> None:
    world = traced(1)
    with Receiver() as receiver:
        task_id = world.call(receiver)
    create, wait, call = world.spans()
    assert create.parent is None
    assert {s.context.trace_id for s in (create, wait, call) if s.context} == {
        int.from_bytes(task_id)
    }
    assert receiver.received[0].headers["traceparent"].startswith(f"00-{task_id.hex()}-")


def test_a_task_of_a_schedule_has_no_creator(traced: Callable[[float], Traced]) -> None:
    world = traced(1)
    with Receiver() as receiver:
        world.call(
            receiver, schedule="01a21780", occurrence=traces.codec.from_ms(1_800_000_000_000)
        )
    waits = [s for s in world.spans() if s.name == "wait"]
    assert [(s.parent, s.attributes and s.attributes["timeball.schedule"]) for s in waits] == [
        (None, "01a21780")
    ]


@pytest.mark.parametrize("parent", [None, PARENT[:-2] + "00"])
def test_what_is_not_sampled_is_handed_on_as_it_came(
    traced: Callable[[float], Traced], parent: str | None
) -> None:
    world = traced(0)
    with Receiver() as receiver:
        world.call(receiver, traceparent=parent)
    assert receiver.received[0].headers.get("traceparent") == parent
    assert world.spans() == []


def test_a_header_of_the_task_stands_above_it(traced: Callable[[float], Traced]) -> None:
    world = traced(1)
    with Receiver() as receiver:
        world.call(receiver, traceparent=PARENT, headers=(("Traceparent", "mine"),))
    assert receiver.received[0].headers["traceparent"] == "mine"
    assert [s.name for s in world.spans()] == ["create"]


def test_so_many_calls_a_second_are_traced_and_no_more(
    traced: Callable[[float], Traced], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "CALLS_A_SECOND", 3)
    monkeypatch.setattr(traces.time, "monotonic", lambda: 7.0)
    made = Traces(1)
    assert [made._may() for _ in range(5)] == [True] * 3 + [False] * 2
    world = traced(0.5)
    drawn = [world.house.traces.trace(id, None) for id in map(_random_id, range(2000))]
    assert 800 < sum(one is not None for one in drawn) < 1200


def _random_id(_: int) -> bytes:
    from timeball.ids import new_task_id

    return new_task_id()


def test_spans_go_out_by_otlp_in_batches(
    house: House, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as collector, Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=payments")
        world = Traced(house, project, 1)
        world.house = replace(house, traces=Traces(1))
        world.call(receiver, calls=5)
        told: list[Any] = []

        def names() -> list[str]:
            told[:] = [ExportTraceServiceRequest.FromString(r.body) for r in collector.received]
            scopes = [s for one in told for r in one.resource_spans for s in r.scope_spans]
            return sorted(span.name for scope in scopes for span in scope.spans)

        eventually(lambda: names() == sorted(["create", "wait", "call"] * 5))
    assert len(collector.received) <= 3
    assert {r.path for r in collector.received} == {"/v1/traces"}
    assert {r.headers["x-team"] for r in collector.received} == {"payments"}
    resource = told[0].resource_spans[0].resource
    assert {a.key: a.value.string_value for a in resource.attributes}["service.name"] == "timeball"


def test_a_share_is_checked() -> None:
    for wrong in ("2", "x", "-0.1", "nan"):
        with pytest.raises(ConfigError, match="TIMEBALL_TRACE_SHARE"):
            load({"TIMEBALL_TRACE_SHARE": wrong})
    assert load({"TIMEBALL_TRACE_SHARE": "0"}).trace_share == 0


def test_nothing_of_it_is_imported_where_nobody_asked() -> None:
    """The client of Redis looks for the API of OpenTelemetry itself; what makes and sends spans, we import."""
    looked = (
        "import sys, api.app, beat.scheduler, workers.pump, timeball.dispatch.messengers;"
        "ours = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'apprise');"
        "print([name for name in sys.modules if name.startswith(ours)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", looked], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

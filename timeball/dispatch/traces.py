"""Spans of OpenTelemetry (the extra `otel`): create, then a wait and a call for each attempt.

Nothing is kept of a trace but the creator's `traceparent`. Ids of spans follow from the task's id, so that the API
and any worker agree on them, and a task whose creator has no trace begins one whose id is its own. A span is made
when what it tells is over, out of what the pump knows by then; it goes out in batches, by a thread of its own.
An attempt whose worker was lost has nobody to tell of it but the pump that makes the next one.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from timeball import __version__
from timeball.ids import id_text
from timeball.model.attempt import Attempt, Outcome
from timeball.model.task import Draft, Sibling
from timeball.settings import Settings
from timeball.store import codec, keys
from timeball.store.codec import Claimed
from timeball.store.tasks import Submitted, Taken

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

CALLS_A_SECOND = 50
"""Calls that one process traces in a second: a span costs 0.1 ms to send, a call 0.06 ms to make."""
SPANS_WAITING = 2048
SPANS_AT_ONCE = 64
"""So few, that encoding them does not keep the pump's loop from its turn for long."""
SEND_MS = 1000

NAME = "timeball"


class Trace(NamedTuple):
    """A trace that a task is part of; `parent` is the span of whoever made the task, 0 when there is none."""

    id: int
    parent: int


class Made(NamedTuple):
    """A call that was traced, as far as its span tells of it. `status` is None where there was no answer."""

    claimed: Claimed
    trace: Trace
    host: str
    method: str
    started_ms: float
    outcome: Outcome
    status: int | None
    seconds: float
    error: str | None


class Traces:
    """One a process. `share` of the tasks whose creators have no trace are traced; `exporter` is for tests."""

    def __init__(self, share: float, exporter: SpanExporter | None = None) -> None:
        self._below = int(share * 2**56)
        self._exporter = exporter
        self._processor: Any = None
        self._lock = threading.Lock()
        self._second = self._left = 0

    def trace(self, task_id: bytes, traceparent: str | None) -> Trace | None:
        """The trace that a task is part of, or None when it is not sampled."""
        if traceparent is not None:
            if not int(traceparent[53:55], 16) & 1:
                return None
            return Trace(int(traceparent[3:35], 16), int(traceparent[36:52], 16))
        if int.from_bytes(task_id[9:]) >= self._below:  # these seven bytes are random
            return None
        return Trace(int.from_bytes(task_id), 0)

    def created(
        self, began_ns: int, drafts: Sequence[Draft | Sibling], taken: Sequence[Submitted]
    ) -> None:
        """Tell of tasks that were taken in."""
        now_ns = time.time_ns()
        for draft, one in zip(drafts, taken, strict=True):
            if one.taken is not Taken.NEW:
                continue
            trace = self.trace(one.id, draft.traceparent)
            if trace is None:
                continue
            told = {"timeball.task": id_text(one.id), "timeball.queue": draft.queue}
            self._tell(trace, "create", one.id, trace.parent, (began_ns, now_ns), told, "PRODUCER")

    def begin(self, claimed: Claimed, lines: list[bytes]) -> Trace | None:
        """The trace of a call that is about to begin; its header lines then hand that on from the call's own span.

        None when it is not traced: what its creator sent is handed on as it is.
        """
        trace = self.trace(claimed.id, claimed.spec.get("tp"))
        if trace is None or not self._may():
            return None
        lines[:] = [line for line in lines if not line.startswith(b"traceparent:")]
        span = _span(claimed.id, _call(claimed.attempt))
        lines.append(f"traceparent: 00-{trace.id:032x}-{span:016x}-01".encode())
        return trace

    def called(self, made: Made, earlier: Sequence[Attempt] = ()) -> None:
        """Tell of a call that has just ended and of its wait, and before those of attempts that were lost.

        `earlier` is the end of the task's log, oldest first, without this call.
        """
        claimed, ended_ns = made.claimed, time.time_ns()
        began_ns = ended_ns - int(made.seconds * 1e9)
        lane = keys.split_lane(claimed.lane)
        told: dict[str, Any] = {
            "timeball.task": id_text(claimed.id),
            "timeball.project": lane[0],
            "timeball.queue": lane[1],
            "timeball.due_at": codec.from_ms(claimed.due_ms).isoformat(),
        }
        spec = claimed.spec
        if "sc" in spec:
            told["timeball.schedule"] = spec["sc"]
        self._before(made, earlier, began_ns, told)
        told |= _of_call(made, claimed.attempt, made.outcome)
        told["timeball.lateness_ms"] = max(0.0, made.started_ms - claimed.due_ms)
        if made.status is not None:
            told["http.response.status_code"] = made.status
        error = None
        if made.status is None or not 200 <= made.status < 300:
            error = made.error or f"answered {made.status}"
            told["error.type"] = str(made.status or made.outcome)
        wait = _span(claimed.id, "wait")
        times = (began_ns, ended_ns)
        name = _call(claimed.attempt)
        self._tell(made.trace, name, claimed.id, wait, times, told, "CLIENT", error)

    def _before(
        self, made: Made, earlier: Sequence[Attempt], began_ns: int, told: Mapping[str, Any]
    ) -> None:
        """From this call backwards: its wait, and as long as the one before was lost, that and its wait."""
        claimed, trace = made.claimed, made.trace
        number, due_ms, begun_ms = claimed.attempt, claimed.due_ms, made.started_ms
        first = _span(claimed.id, "wait")

        def wait(name: str, parent: int, since_ms: float) -> None:
            times = (at_ns(min(since_ms, begun_ms)), at_ns(begun_ms))
            more = {**told, "timeball.attempt": number}
            self._tell(trace, name, claimed.id, parent, times, more, "INTERNAL")

        def at_ns(ms: float) -> int:
            return began_ns - int((made.started_ms - ms) * 1e6)

        for before in reversed(earlier):
            if before.number != number - 1:
                break
            before_ms = codec.to_ms(before.started_at)
            if before.outcome is not Outcome.LOST:
                wait(f"wait {number}", first, before_ms + before.timing.total_us / 1000)
                break
            # it was due again when its worker was found dead
            lost_ms = min(max(due_ms, before_ms), begun_ms)
            wait(f"wait {number}", first, lost_ms)
            number, due_ms, begun_ms = before.number, before_ms, before_ms
            more = {**told, **_of_call(made, number, Outcome.LOST), "error.type": "lost"}
            times, words = (at_ns(begun_ms), at_ns(lost_ms)), "its worker was lost"
            self._tell(trace, _call(number), claimed.id, first, times, more, "CLIENT", words)
        if number == 1:
            parent = 0 if "sc" in claimed.spec else _span(claimed.id, "create")
            wait("wait", parent, claimed.created_ms)

    def flush(self) -> None:
        """Send what waits."""
        if self._processor is not None:
            self._processor.force_flush()

    def _may(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._left = second, CALLS_A_SECOND
        self._left -= 1
        return self._left >= 0

    def _tell(
        self,
        trace: Trace,
        name: str,
        task_id: bytes,
        parent: int,
        times_ns: tuple[int, int],
        told: Mapping[str, Any],
        kind: str,
        error: str | None = None,
    ) -> None:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        if self._processor is None:
            with self._lock:
                self._processor = self._processor or self._open()
        sampled = TraceFlags(TraceFlags.SAMPLED)
        status = Status(StatusCode.UNSET) if error is None else Status(StatusCode.ERROR, error)
        self._processor.on_end(
            ReadableSpan(
                name.partition(" ")[0],
                SpanContext(trace.id, _span(task_id, name), False, sampled),
                SpanContext(trace.id, parent, True, sampled) if parent else None,
                self._resource,
                dict(told),
                kind=SpanKind[kind],
                status=status,
                start_time=times_ns[0],
                end_time=times_ns[1],
                instrumentation_scope=self._scope,
            )
        )

    def _open(self) -> Any:
        """Where spans go is said by OTEL_EXPORTER_OTLP_ENDPOINT and its kin, as everywhere."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        exporter = self._exporter
        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter()
        resource = Resource.create({"service.version": __version__})
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": NAME}))
        self._resource, self._scope = resource, InstrumentationScope(NAME, __version__)
        # it warns of each span that finds no room while the collector is away, besides of each batch
        logging.getLogger("opentelemetry.sdk._shared_internal").setLevel(logging.ERROR)
        return BatchSpanProcessor(
            exporter,
            max_queue_size=SPANS_WAITING,
            schedule_delay_millis=SEND_MS,
            max_export_batch_size=SPANS_AT_ONCE,
        )


def make(settings: Settings) -> Traces | None:
    """What traces in this process; None when nobody asked for it. Nothing is imported before the first span."""
    return None if settings.trace_share is None else Traces(settings.trace_share)


def _call(number: int) -> str:
    return f"call {number}"


def _of_call(made: Made, number: int, outcome: Outcome) -> dict[str, Any]:
    return {
        "timeball.attempt": number,
        "timeball.outcome": str(outcome),
        "http.request.method": made.method,
        "server.address": made.host,
    }


def _span(task_id: bytes, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(task_id + name.encode(), digest_size=8).digest())

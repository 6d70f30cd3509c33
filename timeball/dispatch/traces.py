"""Spans of OpenTelemetry (the extra `otel`): create, then wait, then one call for each attempt.

Nothing is kept of a trace but the creator's `traceparent`. Ids of spans follow from the task's id, so that the API
and any worker agree on them, and a task whose creator has no trace begins one whose id is its own. A span is made
when what it tells is over, out of what the pump knows by then; it goes out in batches, by a thread of its own.
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
from timeball.model.attempt import Outcome
from timeball.model.task import Draft
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

    def created(self, began_ns: int, drafts: Sequence[Draft], taken: Sequence[Submitted]) -> None:
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
        span = _span(claimed.id, _call(claimed))
        lines.append(f"traceparent: 00-{trace.id:032x}-{span:016x}-01".encode())
        return trace

    def called(self, made: Made) -> None:
        """Tell of a call that has just ended, and before the first of its wait."""
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
        scheduled = "sc" in spec
        if scheduled:
            told["timeball.schedule"] = spec["sc"]
        if claimed.attempt == 1:
            waited_ns = int((made.started_ms - claimed.created_ms) * 1e6)
            parent = 0 if scheduled else _span(claimed.id, "create")
            times = (began_ns - max(0, waited_ns), began_ns)
            self._tell(made.trace, "wait", claimed.id, parent, times, told, "INTERNAL")
        told |= {
            "timeball.attempt": claimed.attempt,
            "timeball.outcome": str(made.outcome),
            "timeball.lateness_ms": max(0.0, made.started_ms - claimed.due_ms),
            "http.request.method": made.method,
            "server.address": made.host,
        }
        if made.status is not None:
            told["http.response.status_code"] = made.status
        error = None
        if made.status is None or not 200 <= made.status < 300:
            error = made.error or f"answered {made.status}"
            told["error.type"] = str(made.status or made.outcome)
        wait = _span(claimed.id, "wait")
        times = (began_ns, ended_ns)
        name = _call(claimed)
        self._tell(made.trace, name, claimed.id, wait, times, told, "CLIENT", error)

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


def _call(claimed: Claimed) -> str:
    return f"call {claimed.attempt}"


def _span(task_id: bytes, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(task_id + name.encode(), digest_size=8).digest())

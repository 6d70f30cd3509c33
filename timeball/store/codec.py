"""How a task is written as one Redis string, and an attempt as one line of JSON.

A record is a head of 52 bytes (little-endian, see `HEAD`), then the lane, the spec (JSON), the body as raw
bytes, and behind them, once the task has ended, its last attempt. What the moves change is in the head, at
fixed places; what a caller asked for is in the spec, which only `update` writes anew.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from timeball.errors import StoreError
from timeball.model.attempt import Attempt, Outcome, Timing
from timeball.model.retry import Retry, RetryPolicy, RetryTable
from timeball.model.task import BodyKind, Draft, Method, Request, State, Task
from timeball.store import keys

HEAD = struct.Struct("<BBHdBBBBHHIIddd")
"""version, state, attempt, started, kind, lost, flags, priority, attempt base, length of lane, of spec, of
body, due, created, ended. Instants are Unix milliseconds, 0 for none. The same layout is in lua/_head.lua."""

DUE_BYTES = (28, 35)
"""The first and the last byte of a head that say when the task is due, as `decode_due` reads them."""

VERSION = 1
STATES = (State.SCHEDULED, State.RUNNING, State.SUCCEEDED, State.DEAD, State.CANCELLED)
STATE_CODES = {state: code for code, state in enumerate(STATES)}
NAMED, TAGGED, EARLIER, OCCURRENCE, TELLS = 1, 2, 4, 8, 16
CALLBACKS = (("cs", "on_success"), ("cf", "on_failure"), ("ca", "on_attempt"))
"""The fields that say whom to tell of a task's end: as a spec has them, and as a task."""


def to_ms(instant: datetime) -> int:
    """Unix milliseconds of an aware instant."""
    return int(instant.timestamp() * 1000 + 0.5)


def from_ms(ms: float) -> datetime:
    """The aware UTC instant of Unix milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def _ms(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


def encode_retry(retry: Retry) -> Any:
    """A policy as short JSON: a list of waits in ms, or an object."""
    if isinstance(retry, RetryTable):
        return [_ms(wait) for wait in retry.waits]
    short: dict[str, Any] = {
        "a": retry.max_attempts,
        "i": _ms(retry.min_backoff),
        "x": _ms(retry.max_backoff),
        "d": retry.max_doublings,
        "j": retry.jitter,
    }
    if retry.max_age is not None:
        short["g"] = _ms(retry.max_age)
    return short


def decode_retry(value: Any) -> Retry:
    """The policy that `encode_retry` wrote."""
    if isinstance(value, list):
        return RetryTable(tuple(timedelta(milliseconds=ms) for ms in value))
    return RetryPolicy(
        max_attempts=value["a"],
        min_backoff=timedelta(milliseconds=value["i"]),
        max_backoff=timedelta(milliseconds=value["x"]),
        max_doublings=value["d"],
        jitter=value["j"],
        max_age=timedelta(milliseconds=value["g"]) if "g" in value else None,
    )


def encode_spec(draft: Draft | Task) -> bytes:
    """What a caller asked for, without the body; empty fields are left out."""
    request = draft.request
    spec: dict[str, Any] = {"u": request.url}
    if request.method is not Method.POST:
        spec["m"] = request.method
    if request.headers:
        spec["h"] = request.headers
    if request.body_kind is not BodyKind.TEXT:
        spec["bk"] = request.body_kind
    if draft.name is not None:
        spec["n"] = draft.name
    if draft.tags:
        spec["g"] = draft.tags
    if draft.scheduled_for is not None:
        spec["s"] = to_ms(draft.scheduled_for)
    if draft.timeout is not None:
        spec["t"] = _ms(draft.timeout)
    if draft.retry is not None:
        spec["r"] = encode_retry(draft.retry)
    if draft.key_id is not None:
        spec["k"] = draft.key_id
    if draft.schedule is not None:
        spec["sc"] = draft.schedule
    if draft.occurrence is not None:
        spec["oc"] = to_ms(draft.occurrence)
    if draft.traceparent is not None:
        spec["tp"] = draft.traceparent
    if draft.tracestate is not None:
        spec["ts"] = draft.tracestate
    if tells(draft):
        spec |= {k: url for k, name in CALLBACKS if (url := getattr(draft, name)) is not None}
    return orjson.dumps(spec)


def tells(draft: Draft | Task) -> bool:
    """Whether somebody is to be told of the task's attempts or end."""
    return (
        draft.on_success is not None or draft.on_failure is not None or draft.on_attempt is not None
    )


def flags_of(draft: Draft | Task) -> int:
    """The flags of the head that say which indexes hold the task, and whether a schedule made it."""
    return (
        (NAMED if draft.name is not None else 0)
        | (TAGGED if draft.tags else 0)
        | (OCCURRENCE if draft.schedule is not None else 0)
        | (TELLS if tells(draft) else 0)
    )


def decode_task(task_id: bytes, record: bytes) -> Task:
    """The task of a record. Raises StoreError when this version cannot read it."""
    head, lane, spec, body, _ = split(record)
    return build_task(task_id, head, lane, orjson.loads(spec), body)


def split(record: bytes) -> tuple[tuple[Any, ...], str, bytes, bytes, bytes]:
    """(head, lane, spec, body, last attempt) of a record; the attempt is empty while the task is live."""
    head = HEAD.unpack_from(record)
    if head[0] != VERSION:
        raise StoreError(
            f"a record of version {head[0]} is in the store; this Timeball reads {VERSION}"
        )
    lane_end = HEAD.size + head[9]
    spec_end = lane_end + head[10]
    body_end = spec_end + head[11]
    return (
        head,
        record[HEAD.size : lane_end].decode(),
        record[lane_end:spec_end],
        record[spec_end:body_end],
        record[body_end:],
    )


def build_task(
    task_id: bytes, head: tuple[Any, ...], lane: str, spec: Mapping[str, Any], body: bytes
) -> Task:
    """A task from the parts of its record."""
    place = keys.parse_lane(lane)
    return Task(
        id=task_id,
        project=place.project,
        queue=place.queue,
        priority=place.priority,
        concurrency_key=place.concurrency_key,
        ordering_key=place.ordering_key,
        state=STATES[head[1]],
        request=Request(
            url=spec["u"],
            method=Method(spec.get("m", "POST")),
            headers=tuple((k, v) for k, v in spec.get("h", ())),
            body=body,
            body_kind=BodyKind(spec.get("bk", "text")),
        ),
        attempt=head[2],
        attempt_base=head[8],
        lost=head[5],
        due_at=from_ms(head[12]),
        created_at=from_ms(head[13]),
        started_at=from_ms(head[3]) if head[3] else None,
        ended_at=from_ms(head[14]) if head[14] else None,
        scheduled_for=from_ms(spec["s"]) if "s" in spec else None,
        name=spec.get("n"),
        tags=tuple(spec.get("g", ())),
        timeout=timedelta(milliseconds=spec["t"]) if "t" in spec else None,
        retry=decode_retry(spec["r"]) if "r" in spec else None,
        key_id=spec.get("k"),
        schedule=spec.get("sc"),
        occurrence=from_ms(spec["oc"]) if "oc" in spec else None,
        on_success=spec.get("cs"),
        on_failure=spec.get("cf"),
        on_attempt=spec.get("ca"),
        traceparent=spec.get("tp"),
        tracestate=spec.get("ts"),
    )


class Claimed(NamedTuple):
    """A task in the hands of a pump, as little decoded as a call needs.

    `attempt` is this claim's number; instants are in ms. A tuple, since it is made for every call, at a
    third of what a frozen dataclass costs.
    """

    id: bytes
    lane: str
    attempt: int
    base: int
    due_ms: float
    created_ms: float
    raw_spec: bytes
    body: bytes

    @property
    def spec(self) -> dict[str, Any]:
        """The JSON of `encode_spec`. Shared by all tasks with the same: only to be read."""
        return read_spec(self.raw_spec)


@lru_cache(maxsize=512)
def read_spec(raw: bytes) -> dict[str, Any]:
    """A spec decoded. Most tasks of a sender differ in their bodies alone."""
    spec: dict[str, Any] = orjson.loads(raw)
    return spec


def decode_claimed(task_id: bytes, record: bytes) -> Claimed:
    """A claimed task from its record as it was before the claim."""
    head = HEAD.unpack_from(record)
    lane_end = 52 + head[9]
    spec_end = lane_end + head[10]
    parts = (
        task_id,
        record[52:lane_end].decode(),
        head[2] + 1,
        head[8],
        head[12],
        head[13],
        record[lane_end:spec_end],
        record[spec_end : spec_end + head[11]],
    )
    return tuple.__new__(Claimed, parts)  # a NamedTuple's own way in costs twice as much


def decode_due(raw: bytes) -> float:
    """The Unix milliseconds of a head's DUE_BYTES."""
    due: float = struct.unpack("<d", raw)[0]
    return due


def encode_attempt(attempt: Attempt) -> bytes:
    """One line of JSON with short names; empty fields are left out."""
    entry: dict[str, Any] = {
        "n": attempt.number,
        "o": attempt.outcome,
        "at": to_ms(attempt.started_at),
    }
    if attempt.status is not None:
        entry["s"] = attempt.status
    timing = attempt.timing
    if timing.total_us:
        entry["t"] = (
            timing.dns_us,
            timing.connect_us,
            timing.tls_us,
            timing.first_byte_us,
            timing.total_us,
        )
    if attempt.headers:
        entry["h"] = "\n".join(f"{k}: {v}" for k, v in attempt.headers)
    if attempt.body:
        encode_body(attempt.body, entry)
    if attempt.body_cut:
        entry["c"] = 1
    if attempt.error:
        entry["e"] = attempt.error
    if attempt.worker:
        entry["w"] = attempt.worker
    if attempt.next_at is not None:
        entry["x"] = to_ms(attempt.next_at)
    return orjson.dumps(entry)


def encode_body(body: bytes, entry: dict[str, Any]) -> None:
    """Put a response body into an attempt's entry: as text when it is UTF-8, else as base64."""
    try:
        entry["b"] = body.decode()
    except UnicodeDecodeError:
        entry["bb"] = base64.b64encode(body).decode()


def decode_attempt(raw: bytes) -> Attempt:
    """The attempt of one line of the log."""
    entry = orjson.loads(raw)
    headers = []
    for line in entry.get("h", "").split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers.append((name.strip(), value.strip()))
    return Attempt(
        number=entry["n"],
        outcome=Outcome(entry["o"]),
        started_at=from_ms(entry["at"]),
        status=entry.get("s"),
        timing=Timing(*entry["t"]) if "t" in entry else Timing(),
        headers=tuple(headers),
        body=base64.b64decode(entry["bb"]) if "bb" in entry else entry.get("b", "").encode(),
        body_cut=bool(entry.get("c")),
        error=entry.get("e"),
        worker=entry.get("w"),
        next_at=from_ms(entry["x"]) if "x" in entry else None,
    )

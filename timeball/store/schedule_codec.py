"""How a schedule is written as one Redis string, and an occurrence as one entry of its history.

A record is a head of 62 bytes (little-endian, see `HEAD`), then the lane, the rule (JSON), the spec of its
tasks (JSON, as codec writes it) and their body; then how often occurrences were left out, once any was (see
`TALLY`). What beat changes is in the head and in that tail; the rest changes only by an edit. The spec and the
body go into each task as they are, so no beat ever carries them.
"""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from timeball.errors import StoreError
from timeball.ids import occurrence_id
from timeball.model.schedule import CatchUp, Fate, Occurrence, Overlap, Schedule, Share
from timeball.model.task import BodyKind, Draft, Method, Request
from timeball.store import codec, keys
from timeball.store.codec import from_ms, to_ms

HEAD = struct.Struct("<BBBBIIIdd16sHIII")
"""version, flags, overlap, flags of its tasks, rev, runs, most runs (0 any), next (0 none), created, live
task, length of lane, of rule, of spec, of body. The same layout is in lua/_schedule.lua."""

TALLY = struct.Struct("<II")
"""Occurrences that were skipped, and how often some were missed. No version tells of it: whoever does not know
it reads the record by its lengths."""

VERSION = 1
PAUSED = 1
FAILING_AFTER = 3
OVERLAPS = (Overlap.QUEUE_ONE, Overlap.ALLOW, Overlap.SKIP, Overlap.CANCEL_OTHER)
FATES = (
    Fate.MADE,
    Fate.CAUGHT_UP,
    Fate.WAITED,
    Fate.ASKED,
    Fate.SKIPPED,
    Fate.MISSED,
    Fate.DROPPED,
    Fate.REMADE,
)
FATE_CODES = {fate: code for code, fate in enumerate(FATES)}
NOBODY = bytes(16)
_ENTRY = struct.Struct("<Bdd")
_WAITING = struct.Struct("<16sdd")
_BRIEF = struct.Struct("<16xd24xHI")
"""Of a head: next, length of lane, of rule."""
_BOUNDS = {"w", "wp", "sa", "ea", "pu"}
_ONCE_A_DAY = re.compile(
    "(?:RRULE:)?FREQ=(?:DAILY|WEEKLY|MONTHLY|YEARLY)"
    "(?!.*(?:BYHOUR|BYMINUTE|BYSECOND|RDATE|DTSTART|TZID))",
    re.IGNORECASE | re.DOTALL,
).match
"""Of an rrule in UTC: its time of day is that of its start, which is one."""
_HOUR = timedelta(hours=1)
_NO_TIME = timedelta()
_NO_REQUEST = Request("")


def encode(schedule: Schedule) -> bytes:
    """The record of a schedule; runs and live task are the store's to fill in."""
    draft = Draft(
        project=schedule.project,
        request=schedule.request,
        queue=schedule.queue,
        tags=schedule.tags,
        timeout=schedule.timeout,
        retry=schedule.retry,
        key_id=schedule.key_id,
        on_success=schedule.on_success,
        on_failure=schedule.on_failure,
        on_attempt=schedule.on_attempt,
        priority=schedule.priority,
        concurrency_key=schedule.concurrency_key,
        ordering_key=schedule.ordering_key,
        schedule=schedule.id,
    )
    flags, window = codec.flags_of(draft), schedule.window
    if schedule.watches:
        flags |= codec.TELLS
    rule: dict[str, Any] = {
        "n": schedule.name,
        "de": schedule.description,
        "c": schedule.cron,
        "r": schedule.rrule,
        "d": _ms(schedule.dtstart),
        "z": schedule.timezone if schedule.timezone != "UTC" else None,
        "pu": _ms(schedule.paused_until),
        "sa": _ms(schedule.start_at),
        "ea": _ms(schedule.end_at),
        "cu": schedule.catch_up if schedule.catch_up is not CatchUp.LATEST else None,
        "cw": _span(schedule.catch_up_window) if schedule.catch_up_window != _HOUR else None,
        "w": None if isinstance(window, Share) else _span(window) or None,
        "wp": window.percent if isinstance(window, Share) else None,
        "l": _ms(schedule.last),
        "of": schedule.on_failing,
        "or": schedule.on_recovered,
        "fa": schedule.failing_after if schedule.failing_after != FAILING_AFTER else None,
        "pf": schedule.pause_when_failing or None,
    }
    text = orjson.dumps({name: value for name, value in rule.items() if value is not None})
    spec = codec.encode_spec(_anonymous(draft))
    lane = keys.lane_of(draft).encode()
    body = schedule.request.body
    head = HEAD.pack(
        VERSION,
        PAUSED if schedule.paused else 0,
        OVERLAPS.index(schedule.overlap),
        flags,
        schedule.rev,
        schedule.runs,
        schedule.max_runs or 0,
        _ms(schedule.next_at) or 0,
        to_ms(schedule.created_at),
        NOBODY,
        len(lane),
        len(text),
        len(spec),
        len(body),
    )
    return b"".join((head, lane, text, spec, body))


def _anonymous(draft: Draft) -> Draft:
    """The draft without its schedule, which `expand` writes in front of each task's spec."""
    return replace(draft, schedule=None)


def _ms(instant: Any) -> int | None:
    return None if instant is None else to_ms(instant)


def _span(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


def decode(schedule_id: str, record: bytes) -> Schedule:
    """The schedule of a record. Raises StoreError when this version cannot read it."""
    schedule = decode_rule(schedule_id, record)
    lane, rule, length, body = HEAD.unpack_from(record)[10:14]
    begin = HEAD.size + lane + rule
    spec = orjson.loads(record[begin : begin + length])
    tail = begin + length + body
    skipped, missed = TALLY.unpack_from(record, tail) if len(record) > tail else (0, 0)
    return replace(
        schedule,
        request=Request(
            url=spec["u"],
            method=Method(spec.get("m", "POST")),
            headers=tuple((k, v) for k, v in spec.get("h", ())),
            body=record[begin + length : begin + length + body],
            body_kind=BodyKind(spec.get("bk", "text")),
        ),
        timeout=timedelta(milliseconds=spec["t"]) if "t" in spec else None,
        retry=codec.decode_retry(spec["r"]) if "r" in spec else None,
        tags=tuple(spec.get("g", ())),
        key_id=spec.get("k"),
        on_success=spec.get("cs"),
        on_failure=spec.get("cf"),
        on_attempt=spec.get("ca"),
        skipped=skipped,
        missed=missed,
    )


def decode_rule(schedule_id: str, record: bytes) -> Schedule:
    """What beat needs of a schedule: all but the request and what goes with it. Costs 6 us."""
    head = HEAD.unpack_from(record)
    if head[0] != VERSION:
        raise StoreError(
            f"a schedule of version {head[0]} is in the store; this Timeball reads {VERSION}"
        )
    lane_end = HEAD.size + head[10]
    lane = keys.parse_lane(record[HEAD.size : lane_end].decode())
    rule = orjson.loads(record[lane_end : lane_end + head[11]])
    window = rule.get("cw")
    return Schedule(
        id=schedule_id,
        project=lane.project,
        request=_NO_REQUEST,
        created_at=from_ms(head[8]),
        queue=lane.queue,
        priority=lane.priority,
        concurrency_key=lane.concurrency_key,
        ordering_key=lane.ordering_key,
        name=rule.get("n"),
        description=rule.get("de"),
        cron=rule.get("c"),
        rrule=rule.get("r"),
        dtstart=_instant(rule.get("d")),
        timezone=rule.get("z", "UTC"),
        paused=bool(head[1] & PAUSED),
        paused_until=_instant(rule.get("pu")),
        start_at=_instant(rule.get("sa")),
        end_at=_instant(rule.get("ea")),
        max_runs=head[6] or None,
        overlap=OVERLAPS[head[2]],
        catch_up=CatchUp(rule["cu"]) if "cu" in rule else CatchUp.LATEST,
        catch_up_window=_HOUR if window is None else timedelta(milliseconds=window),
        window=_window(rule),
        last=_instant(rule.get("l")),
        on_failing=rule.get("of"),
        on_recovered=rule.get("or"),
        failing_after=rule.get("fa", FAILING_AFTER),
        pause_when_failing=rule.get("pf", False),
        next_at=_instant(head[7] or None),
        runs=head[5],
        rev=head[4],
    )


def plain_cron(record: bytes) -> tuple[str, str] | None:
    """The cron text and zone of a schedule that fires whenever they say; None when more is to be known.

    Both are empty when it does not fire, now or ever. Costs a tenth of `decode_rule`.
    """
    next_ms, lane, length = _BRIEF.unpack_from(record)
    if not next_ms:
        return "", ""
    begin = HEAD.size + lane
    rule = orjson.loads(record[begin : begin + length])
    if "c" not in rule or not rule.keys().isdisjoint(_BOUNDS) or "@every" in rule["c"]:
        return None
    return rule["c"], rule.get("z", "UTC")


def fires_once(record: bytes) -> datetime | None:
    """The next occurrence of a schedule that has no other within 24 hours of it; None when that is not plain."""
    next_ms, lane, length = _BRIEF.unpack_from(record)
    begin = HEAD.size + lane
    rule = orjson.loads(record[begin : begin + length])
    plain = "r" in rule and rule.keys().isdisjoint(("w", "wp", "z")) and _ONCE_A_DAY(rule["r"])
    return from_ms(next_ms) if plain and next_ms else None


def _window(rule: dict[str, Any]) -> timedelta | Share:
    if "wp" in rule:
        return Share(rule["wp"])
    return timedelta(milliseconds=rule["w"]) if "w" in rule else _NO_TIME


def _instant(ms: Any) -> Any:
    return None if ms is None else from_ms(ms)


def decode_entry(schedule_id: str, raw: bytes) -> Occurrence:
    """An entry of the history: the fate, the instant, and when its task was due or `until`."""
    code, at_ms, other_ms = _ENTRY.unpack(raw)
    fate = FATES[code]
    if fate is Fate.MISSED:
        return Occurrence(fate, from_ms(at_ms), until=from_ms(other_ms))
    if not other_ms:
        return Occurrence(fate, from_ms(at_ms))
    task_id = occurrence_id(schedule_id, int(at_ms))
    return Occurrence(fate, from_ms(at_ms), from_ms(other_ms), task_id=task_id)


def decode_waiting(raw: bytes) -> Occurrence:
    """An occurrence that waits until the task before it has ended."""
    task_id, at_ms, due_ms = _WAITING.unpack(raw)
    return Occurrence(Fate.WAITING, from_ms(at_ms), from_ms(due_ms), task_id=task_id)

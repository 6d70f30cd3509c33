"""Telling of the ends of tasks: a task's `on_success`, `on_failure` and `on_attempt`; a schedule's `on_failing`.

The move that ends an attempt writes it into the outbox; the leading beat makes a call of ours of it, which is a
task like any other: signed, tried again, shown. Its id follows from the attempt, so that it is made once, however
often a beat dies between making it and noting that. A callback has no callbacks.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson

from timeball import logs
from timeball.dispatch import failing, intake
from timeball.dispatch.failing import Turn
from timeball.dispatch.house import House
from timeball.errors import StoreFull
from timeball.ids import id_text, stamp_id
from timeball.model.task import BodyKind, Draft, Request, State, Task
from timeball.store import codec, keys, outbox, tasks
from timeball.store.outbox import Ended

QUEUE = "callbacks"
"""Callbacks wait in a queue of their own: a slow receiver of them holds up nothing else."""
AT_ONCE = 200
SECONDS = 0.5
"""How long beat may be kept from its other duties; what is left then comes next time."""

_STATUS = {State.SUCCEEDED: "success", State.DEAD: "failure", State.SCHEDULED: "queued"}

log = logs.get(__name__)


def deliver(house: House, fence: int) -> bool:
    """Make calls of what ended. Answers whether there is more; does nothing with an old fence."""
    end, left = time.monotonic() + SECONDS, 0
    for shard in range(house.settings.shards):
        prefix = keys.prefix(shard)
        while time.monotonic() < end:
            ended = outbox.read(house.client, prefix, AT_ONCE)
            if not ended:
                break
            try:
                _make(house, prefix, ended)
            except StoreFull:  # what makes room again is among beat's other duties
                log.warning("the store is full: callbacks wait", shard=shard)
                return False
            more = outbox.told(house.client, prefix, fence, len(ended))
            left = max(left, more)
            if more <= 0:
                break
    return left > 0 and time.monotonic() >= end


def _make(house: House, prefix: str, ended: list[Ended]) -> None:
    found = {t.id: t for t in tasks.get_many(house.client, prefix, [e.task_id for e in ended])}
    by_project: dict[str, list[Draft]] = {}
    ends = [
        (found[e.task_id], e) for e in ended if e.task_id in found
    ]  # but those deleted just now
    for task, entry in ends:
        by_project.setdefault(task.project, []).extend(_drafts(task, entry))
    for place, turn in failing.turns(house, prefix, [(task, e.state) for task, e in ends]):
        if turn.url is not None:
            task, entry = ends[place]
            by_project.setdefault(task.project, []).append(_of_turn(task, entry, turn))
    for project, drafts in by_project.items():
        intake.submit(house, project, drafts)
        log.debug("callbacks were made", project=project, callbacks=len(drafts))


def _drafts(task: Task, ended: Ended) -> Iterator[Draft]:
    wanted = (
        ("attempt.ended", task.on_attempt, True),
        ("task.succeeded", task.on_success, ended.state is State.SUCCEEDED),
        ("task.failed", task.on_failure, ended.state is State.DEAD),
    )
    for event, url, holds in wanted:
        if url is not None and holds:
            yield _draft(task, ended, event, url, message(task, ended, event))


def _of_turn(task: Task, ended: Ended, turn: Turn) -> Draft:
    one = turn.schedule
    said = {"id": one.id, "name": one.name, "failures": turn.row, "pauses": one.pause_when_failing}
    text = {**message(task, ended, turn.event), "schedule": said}
    return _draft(task, ended, turn.event, turn.url or "", text)


def _draft(task: Task, ended: Ended, event: str, url: str, said: dict[str, Any]) -> Draft:
    return Draft(
        project=task.project,
        queue=QUEUE,
        id=_id(task, ended, event),
        key_id=task.key_id,
        request=Request(
            url,
            headers=(("Content-Type", "application/json"),),
            body=orjson.dumps(said),
            body_kind=BodyKind.JSON,
        ),
    )


def _id(task: Task, ended: Ended, event: str) -> bytes:
    """The id of the one task that tells of this: a UUID version 8, like that of an occurrence."""
    text = f"{event} {task.id.hex()} {ended.attempt.number}"
    digest = hashlib.sha256(text.encode()).digest()
    return stamp_id(codec.to_ms(ended.at), digest[:10], version=0x80)


def message(task: Task, ended: Ended, event: str) -> dict[str, Any]:
    """What a callback says: the event, the task, and the attempt that ended."""
    attempt = ended.attempt
    return {
        "event": event,
        "at": _instant(ended.at),
        "task": {
            "id": id_text(task.id),
            "name": task.name,
            "queue": task.queue,
            "status": _STATUS[ended.state],
            "tags": task.tags,
            "method": task.request.method,
            "url": task.request.url,
            "created_at": _instant(task.created_at),
            "scheduled_for": _instant(task.scheduled_for),
            "schedule": task.schedule,
            "occurrence": _instant(task.occurrence),
        },
        "attempt": {
            "number": attempt.number,
            "outcome": attempt.outcome,
            "status": attempt.status,
            "error": attempt.error,
            "body": attempt.body.decode(errors="replace"),
            "body_cut": attempt.body_cut,
            "started_at": _instant(attempt.started_at),
            "duration_ms": attempt.timing.total_us / 1000,
            "next_attempt_at": _instant(attempt.next_at),
        },
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat("T", "milliseconds").replace("+00:00", "Z")

"""The verbs of tasks, schedules and queues, as a project's key may use them."""

from __future__ import annotations

import json as json_text
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from timeball.client.errors import Refused, refusal
from timeball.client.values import Attempt, Schedule, Task
from timeball.client.wire import Wire

Span = timedelta | float | str
"""A duration: a timedelta, seconds, or text such as `2h45m`."""

BATCH = 1000


def task(
    url: str,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    body: str | bytes | None = None,
    json: Any = None,
    name: str | None = None,
    queue: str | None = None,
    delay: Span | None = None,
    scheduled_for: datetime | None = None,
    timeout: Span | None = None,
    retry: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """A task as it goes over the wire; for `Tasks.create_many`. `more` are further fields of the API.

    `body` is sent as it is, `json` as its JSON text with that Content-Type; not both.
    """
    return {
        "request": _request(url, method, headers, body, json),
        **_said(
            name=name,
            queue=queue,
            delay=None if delay is None else _span(delay),
            scheduled_for=None if scheduled_for is None else _instant(scheduled_for),
            timeout=None if timeout is None else _span(timeout),
            retry=None if retry is None else dict(retry),
            tags=list(tags) or None,
            **more,
        ),
    }


def _request(
    url: str, method: str, headers: Mapping[str, str] | None, body: str | bytes | None, json: Any
) -> dict[str, Any]:
    if body is not None and json is not None:
        raise ValueError("give body or json, not both")
    sent = dict(headers or {})
    request: dict[str, Any] = {"url": url, "method": method}
    if json is not None:
        body = json_text.dumps(json)
        if not any(header.lower() == "content-type" for header in sent):
            sent["Content-Type"] = "application/json"
    if isinstance(body, bytes):
        import base64

        request["body_base64"] = base64.b64encode(body).decode()
    elif body is not None:
        request["body"] = body
    return request | ({"headers": sent} if sent else {})


def _said(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _span(span: Span) -> str:
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    return seconds if isinstance(seconds, str) else f"{seconds * 1000:.0f}ms"


def _instant(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError("scheduled_for must have a time zone")
    return at.isoformat()


class Tasks:
    """What may be done with tasks."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def create(self, url: str, *, idempotency_key: str | None = None, **fields: Any) -> Task:
        """Have a URL called; the fields are those of `task`.

        Asked again after a broken connection, it makes no second task: each create has an idempotency key, yours
        or one made here. Raises Refused, Unreachable.
        """
        return self.send(task(url, **fields), idempotency_key=idempotency_key)

    def send(self, wanted: Mapping[str, Any], *, idempotency_key: str | None = None) -> Task:
        """Take in a task as `task` makes it, or as one was written down. Raises as `create`."""
        return Task.of(self._create("/tasks", dict(wanted), idempotency_key))

    def create_many(
        self, wanted: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> list[Task | Refused]:
        """Take up to 1,000 in, each made by `task`. In the place of a wrong one stands its error."""
        if not 1 <= len(wanted) <= BATCH:
            raise ValueError(f"give 1 to {BATCH} tasks, not {len(wanted)}")
        told = self._create("/tasks/batch-create", list(wanted), idempotency_key)
        return [Task.of(one) if "id" in one else refusal(422, one, None) for one in told]

    def _create(self, path: str, sent: Any, key: str | None) -> Any:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self._wire("POST", path, json=sent, headers=headers, retry=True).json

    def get(self, task_id: str) -> Task:
        """One task. Raises Missing."""
        return Task.of(self._wire("GET", f"/tasks/{task_id}").json)

    def list(self, **filters: Any) -> Iterator[Task]:
        """Tasks, newest first, page after page; `status`, `queue`, `name`, `tag` and `url` as filters."""
        return (Task.of(one) for one in self._wire.pages("/tasks", {"limit": 200, **filters}))

    def attempts(self, task_id: str) -> Sequence[Attempt]:
        """Every attempt that ended, oldest first."""
        return [Attempt.of(one) for one in self._wire("GET", f"/tasks/{task_id}/attempts").json]

    def update(self, task_id: str, **changes: Any) -> Task:
        """Change a queued task: fields of the API by name. Raises Conflicting when it waits no more."""
        return Task.of(self._wire("PATCH", f"/tasks/{task_id}", json=changes).json)

    def run(self, task_id: str) -> Task:
        """Call now, whatever its state."""
        return Task.of(self._wire("POST", f"/tasks/{task_id}/run").json)

    def redrive(self, task_id: str, **changes: Any) -> Task:
        """Send a dead task again, changed by fields of the API or not. Raises Conflicting when it is not dead."""
        return Task.of(self._wire("POST", f"/tasks/{task_id}/redrive", json=changes).json)

    def explain(self, task_id: str) -> dict[str, Any]:
        """Why it is not called at this moment, and when it will be: `words`, `reasons`, `starts_at`."""
        found: dict[str, Any] = self._wire("GET", f"/tasks/{task_id}/explain").json
        return found

    def cancel(self, task_id: str) -> Task:
        """Take a queued task back; a second time is no error."""
        return Task.of(self._wire("POST", f"/tasks/{task_id}/cancel", retry=True).json)

    def delete(self, task_id: str) -> None:
        """Forget a task. Raises Missing."""
        self._wire("DELETE", f"/tasks/{task_id}")

    def wait(self, task_id: str, within: float = 60.0, every: float = 0.2) -> Task:
        """The task once it has ended. Raises TimeoutError after `within` seconds."""
        end = time.monotonic() + within
        while True:
            found = self.get(task_id)
            if found.ended:
                return found
            if time.monotonic() >= end:
                raise TimeoutError(f"task {task_id} is {found.status} after {within:g} s")
            time.sleep(every)


class Schedules:
    """What may be done with schedules."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def create(
        self, url: str, *, cron: str | None = None, rrule: str | None = None, **fields: Any
    ) -> Schedule:
        """A standing order by `cron` or `rrule`; the fields are those of `task`, and of the API's schedules."""
        sent = task(url, **fields) | _said(cron=cron, rrule=rrule)
        return Schedule.of(self._wire("POST", "/schedules", json=sent).json)

    def get(self, schedule_id: str) -> Schedule:
        """One schedule. Raises Missing."""
        return Schedule.of(self._wire("GET", f"/schedules/{schedule_id}").json)

    def list(self, name: str | None = None) -> Iterator[Schedule]:
        """Schedules, newest first."""
        asked = {"limit": 200, "name": name}
        return (Schedule.of(one) for one in self._wire.pages("/schedules", asked))

    def update(self, schedule_id: str, **changes: Any) -> Schedule:
        """Change a schedule: fields of the API by name."""
        return Schedule.of(self._wire("PATCH", f"/schedules/{schedule_id}", json=changes).json)

    def delete(self, schedule_id: str) -> None:
        """Forget a schedule, and its tasks that nobody has claimed."""
        self._wire("DELETE", f"/schedules/{schedule_id}")

    def pause(self, schedule_id: str) -> Schedule:
        """Let it make no more tasks."""
        return Schedule.of(self._wire("POST", f"/schedules/{schedule_id}/pause", retry=True).json)

    def resume(self, schedule_id: str) -> Schedule:
        """End a pause."""
        return Schedule.of(self._wire("POST", f"/schedules/{schedule_id}/resume", retry=True).json)

    def preview(self, schedule_id: str, n: int = 10) -> Sequence[datetime]:
        """Its next instants."""
        told = self._wire("GET", f"/schedules/{schedule_id}/preview", params={"n": n}).json
        return [datetime.fromisoformat(one["occurrence"]) for one in told["next"]]

    def history(self, schedule_id: str) -> Sequence[dict[str, Any]]:
        """Its last 100 occurrences, newest first, and what became of each."""
        found: list[dict[str, Any]] = self._wire("GET", f"/schedules/{schedule_id}/history").json
        return found

    def run(self, schedule_id: str) -> Task:
        """Make an extra task now."""
        return Task.of(self._wire("POST", f"/schedules/{schedule_id}/run").json)


class Queues:
    """What may be done with queues. A queue is a dict: its name, how it stands, its limits."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> Sequence[dict[str, Any]]:
        """Every queue, by name."""
        found: list[dict[str, Any]] = self._wire("GET", "/queues").json
        return found

    def update(self, name: str, **limits: Any) -> dict[str, Any]:
        """Set limits: `rate`, `per`, `burst`, `concurrency`, `paused`."""
        found: dict[str, Any] = self._wire("PATCH", f"/queues/{name}", json=limits, retry=True).json
        return found

    def pause(self, name: str) -> dict[str, Any]:
        """Let its tasks wait."""
        return self.update(name, paused=True)

    def resume(self, name: str) -> dict[str, Any]:
        """Let its tasks go on."""
        return self.update(name, paused=False)

"""Tasks and schedules in words that another system can read: the fields of the API, nothing hidden."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from timeball.dispatch import intake, schedules
from timeball.dispatch.house import House
from timeball.ids import id_text
from timeball.model.retry import Retry, RetryTable
from timeball.model.schedule import Schedule, Share
from timeball.model.task import BodyKind, Request, Task
from timeball.store.lists import Filter

PAGE = 500


def lines(house: House, project: str) -> Iterator[dict[str, Any]]:
    """Every schedule of a project, then every task, newest first. Raises StoreError."""
    cursor: str | None = None
    while True:
        page = schedules.find(house, project, None, PAGE, cursor)
        yield from map(_schedule, page.schedules)
        cursor = page.cursor
        if cursor is None:
            break
    while True:
        found = intake.find(house, project, Filter(), PAGE, cursor)
        yield from map(_task, found.tasks)
        cursor = found.cursor
        if cursor is None:
            return


def _task(task: Task) -> dict[str, Any]:
    return {
        "kind": "task",
        "id": id_text(task.id),
        "state": task.state,
        "attempts_count": task.attempt,
        "created_at": _instant(task.created_at),
        "ended_at": _instant(task.ended_at),
        "schedule": task.schedule,
        **_said(
            request=_request(task.request),
            name=task.name,
            queue=task.queue,
            scheduled_for=_instant(task.scheduled_for or task.due_at),
            timeout=_seconds(task.timeout),
            retry=_retry(task.retry),
            tags=list(task.tags) or None,
            priority=task.priority,
            concurrency_key=task.concurrency_key,
            ordering_key=task.ordering_key,
            on_success=task.on_success,
            on_failure=task.on_failure,
            on_attempt=task.on_attempt,
        ),
    }


def _schedule(schedule: Schedule) -> dict[str, Any]:
    return {
        "kind": "schedule",
        "id": schedule.id,
        "runs_count": schedule.runs,
        "next_at": _instant(schedule.next_at),
        **_said(
            request=_request(schedule.request),
            name=schedule.name,
            description=schedule.description,
            queue=schedule.queue,
            cron=schedule.cron,
            rrule=schedule.rrule,
            dtstart=_instant(schedule.dtstart),
            timezone=schedule.timezone,
            paused=schedule.paused,
            paused_until=_instant(schedule.paused_until),
            start_at=_instant(schedule.start_at),
            end_at=_instant(schedule.end_at),
            max_runs=schedule.max_runs,
            overlap=schedule.overlap,
            catch_up=schedule.catch_up,
            catch_up_window=_seconds(schedule.catch_up_window),
            window=_window(schedule.window),
            timeout=_seconds(schedule.timeout),
            retry=_retry(schedule.retry),
            tags=list(schedule.tags) or None,
            priority=schedule.priority,
            concurrency_key=schedule.concurrency_key,
            ordering_key=schedule.ordering_key,
            on_success=schedule.on_success,
            on_failure=schedule.on_failure,
            on_attempt=schedule.on_attempt,
            on_failing=schedule.on_failing,
            on_recovered=schedule.on_recovered,
            failing_after=schedule.failing_after,
            pause_when_failing=schedule.pause_when_failing,
        ),
    }


def _said(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _request(request: Request) -> dict[str, Any]:
    if request.body_kind is BodyKind.BASE64:
        body = {"body_base64": base64.b64encode(request.body).decode()}
    else:
        body = {"body": request.body.decode(errors="replace")}
    headers = dict(request.headers)
    return {"url": request.url, "method": request.method, "headers": headers, **body}


def _retry(retry: Retry | None) -> dict[str, Any] | None:
    if retry is None or isinstance(retry, RetryTable):
        return None
    return _said(
        max_attempts=retry.max_attempts,
        min_backoff=_seconds(retry.min_backoff),
        max_backoff=_seconds(retry.max_backoff),
        max_doublings=retry.max_doublings,
        jitter=retry.jitter,
        max_age=_seconds(retry.max_age),
    )


def _window(window: timedelta | Share) -> float | str | None:
    return str(window) if isinstance(window, Share) else _seconds(window)


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat("T", "milliseconds").replace("+00:00", "Z")

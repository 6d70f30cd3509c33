"""Tasks and attempts as answers show them: Mergent's fields in Mergent's form, then ours."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from timeball.headers import only_names_a_secret
from timeball.ids import id_text
from timeball.model.attempt import Attempt
from timeball.model.retry import MERGENT_DEFAULT, MERGENT_SCHEDULED, NO_RETRY, Retry, RetryTable
from timeball.model.task import BodyKind, Request, Sibling, State, Task
from timeball.store import codec
from timeball.store.tasks import Submitted

STATUS = {
    State.SCHEDULED: "queued",
    State.RUNNING: "working",
    State.SUCCEEDED: "success",
    State.DEAD: "failure",
    State.CANCELLED: "cancelled",
}
"""Mergent's words for our states; `cancelled` is ours."""
STATES = {word: state for state, word in STATUS.items()}

_SECRET = re.compile(
    r"authorization|proxy-authorization|cookie|set-cookie|x-api-key|.*-(?:token|secret|key)", re.I
).fullmatch


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a header's value is for the endpoint's eyes only."""
    return _SECRET(name) is not None or name.lower() in _named


_named: frozenset[str] = frozenset()


def hide(names: Iterable[str]) -> None:
    """Hide the values of these headers too, and of no others that were named before, in this process."""
    global _named
    _named = frozenset(name.lower() for name in names)
    is_secret.cache_clear()


def instant(at: datetime | None) -> str | None:
    """An instant of the store as answers have it, in UTC and to the millisecond."""
    # as format_instant writes it, at half its cost: they are all in UTC
    return None if at is None else at.isoformat("T", "milliseconds")[:-6] + "Z"


class Dumper:
    """Writes answers; `secret` keys the digests that stand for hidden values, so that they cannot be guessed."""

    def __init__(self, secret: str, call_timeout: timedelta) -> None:
        self._key = b"timeball hidden\0" + secret.encode()
        self._timeout = seconds(call_timeout)

    def hidden(self, value: str) -> str:
        """What is shown for a secret value: the same for the same value."""
        return "hidden:" + hmac.digest(self._key, value.encode(), "sha256").hex()[:12]

    def unhide(
        self, headers: tuple[tuple[str, str], ...], true: tuple[tuple[str, str], ...]
    ) -> tuple[tuple[str, str], ...]:
        """Headers with the true values where a caller sends back what stood for them."""
        known = {(name.lower(), self.hidden(value)): value for name, value in true}
        return tuple(
            (name, known.get((name.lower(), value), value) if is_secret(name) else value)
            for name, value in headers
        )

    def request(self, request: Request) -> dict[str, Any]:
        """The request of a task or of a schedule."""
        shown: dict[str, Any] = {
            "url": request.url,
            "method": request.method,
            "headers": {
                name: self.hidden(value)
                if is_secret(name) and not only_names_a_secret(value)
                else value
                for name, value in request.headers
            },
            "body": None,
        }
        if request.body_kind is BodyKind.BASE64:
            shown["body_base64"] = base64.b64encode(request.body).decode()
        elif request.body:
            shown["body"] = request.body.decode(errors="replace")
        return shown

    def submitted(self, one: Submitted, retries: bool) -> bytes:
        """The text of the answer to a draft for which a task stands: that of `task`, in pieces made before."""
        fresh = one.fresh
        if fresh is None or not isinstance(draft := fresh.draft, Sibling):
            task = one.task
            assert task is not None
            return orjson.dumps(self.task(task, retries))
        kin = draft.kin
        shown = None if kin.shown is None else kin.shown.get(retries)
        if shown is None:
            assert one.task is not None
            shown = _pieces(self.task(one.task, retries), bool(kin.draft.delay))
            kin.shown = {**(kin.shown or {}), retries: shown}
        until_body, until_plan, plan, rest = shown
        body, due = draft.body, _stamp(fresh.due_ms)
        return b"".join(
            (
                b'{"id":"',
                id_text(one.id).encode(),
                until_body,
                orjson.dumps(body.decode(errors="replace")) if body else b"null",
                until_plan,
                due if plan is None else plan,
                b',"created_at":',
                _stamp(fresh.created_ms),
                b',"due_at":',
                due,
                rest,
            )
        )

    def task(self, task: Task, retries: bool = True) -> dict[str, Any]:
        """One task. `retries` is its project's switch."""
        state, retry = task.state, effective_retry(task, retries)
        return {
            "id": id_text(task.id),
            "name": task.name,
            "queue": task.queue,
            "status": "queued" if state is State.SCHEDULED else STATUS[state],
            "request": self.request(task.request),
            "scheduled_for": instant(task.scheduled_for),
            "created_at": instant(task.created_at),
            "due_at": None if task.ended_at is not None else instant(task.due_at),
            "started_at": instant(task.started_at),
            "ended_at": instant(task.ended_at),
            "attempts_count": task.attempt,
            "timeout": self._timeout if task.timeout is None else seconds(task.timeout),
            "retry": _MERGENT if retry is MERGENT_DEFAULT else dump_retry(retry),
            "tags": task.tags,
            "priority": task.priority,
            "concurrency_key": task.concurrency_key,
            "ordering_key": task.ordering_key,
            "on_success": task.on_success,
            "on_failure": task.on_failure,
            "on_attempt": task.on_attempt,
        }


@lru_cache(maxsize=64)
def _second(at: int) -> bytes:
    return orjson.dumps(instant(codec.from_ms(at * 1000)))[:-5]


@lru_cache(maxsize=64)
def _stamp(ms: int) -> bytes:
    """An instant of the store in the text of an answer, as `instant` writes it, without its datetime."""
    at, rest = divmod(ms, 1000)
    return b'%b%03dZ"' % (_second(at), rest)


def _body(raw: bytes, cut: bool) -> dict[str, str | None]:
    """Bytes as text when they are UTF-8, up to a last character that was cut; else as base64."""
    try:
        return {"body": raw.decode()}
    except UnicodeDecodeError as error:
        if cut and error.start > len(raw) - 4 and error.reason == "unexpected end of data":
            return {"body": raw[: error.start].decode()}
        return {"body": None, "body_base64": base64.b64encode(raw).decode()}


def effective_retry(task: Task, retries: bool) -> Retry:
    """The policy that a task's attempts follow: its own, else its project's, else Mergent's."""
    if task.retry is not None:
        return task.retry
    if not retries:
        return NO_RETRY
    return MERGENT_DEFAULT if task.schedule is None else MERGENT_SCHEDULED


def seconds(span: timedelta) -> float | int:
    """A duration as JSON has it: whole when it is."""
    found = span.total_seconds()
    return int(found) if found == int(found) else found


def _pieces(
    shown: dict[str, Any], planned_by_store: bool
) -> tuple[bytes, bytes, bytes | None, bytes]:
    """A fresh task's text from behind its id up to its body, from there to its plan, the plan, and the rest.

    The plan is None where it is the instant at which the task is due.
    """
    names = list(shown)
    at, due = names.index("request"), names.index("due_at") + 1
    assert names[0] == "id"
    assert names[at + 1 : due] == ["scheduled_for", "created_at", "due_at"]
    head = orjson.dumps({name: shown[name] for name in names[1:at]})
    request = orjson.dumps({k: v for k, v in shown["request"].items() if k != "body"})
    rest = orjson.dumps({name: shown[name] for name in names[due:]})
    return (
        b'",' + head[1:-1] + b',"request":' + request[:-1] + b',"body":',
        b'},"scheduled_for":',
        None if planned_by_store else orjson.dumps(shown["scheduled_for"]),
        b"," + rest[1:],
    )


@lru_cache(maxsize=256)
def dump_retry(retry: Retry) -> dict[str, Any]:
    """A policy; times in seconds. A table shows its waits."""
    if isinstance(retry, RetryTable):
        return {"max_attempts": retry.max_attempts, "waits": [seconds(w) for w in retry.waits]}
    return {
        "max_attempts": retry.max_attempts,
        "min_backoff": seconds(retry.min_backoff),
        "max_backoff": seconds(retry.max_backoff),
        "max_doublings": retry.max_doublings,
        "jitter": retry.jitter,
        "max_age": None if retry.max_age is None else seconds(retry.max_age),
    }


_MERGENT = dump_retry(MERGENT_DEFAULT)


def dump_attempt(attempt: Attempt) -> dict[str, Any]:
    """One attempt of the log; `timing` in milliseconds from its start."""
    timing = attempt.timing
    response: dict[str, Any] | None = None
    if attempt.status is not None:
        headers: dict[str, str] = {}
        for name, value in attempt.headers:
            value = "hidden" if is_secret(name) else value
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        response = {"status": attempt.status, "headers": headers, "body_cut": attempt.body_cut}
        response |= _body(attempt.body, attempt.body_cut)
    return {
        "number": attempt.number,
        "outcome": attempt.outcome,
        "started_at": instant(attempt.started_at),
        "timing": {
            "dns": timing.dns_us / 1000,
            "connect": timing.connect_us / 1000,
            "tls": timing.tls_us / 1000,
            "first_byte": timing.first_byte_us / 1000,
            "total": timing.total_us / 1000,
        },
        "response": response,
        "error": attempt.error,
        "hint": attempt.hint,
        "worker": attempt.worker,
        "next_attempt_at": instant(attempt.next_at),
    }

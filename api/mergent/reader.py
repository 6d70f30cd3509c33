"""Tasks as they are sent, read: into drafts of tasks to make, and into changes of tasks that are there.

A schema finds everything that is wrong at once, but costs 100 us. So a create first takes the quick path, which
applies the same rules by hand and gives up (None) at anything that is not plainly right; then the schema decides.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from api.mergent import rules
from api.mergent.errors import Fault, Rejected
from api.mergent.schemas import RequestSchema, TaskSchema, Terms, load
from timeball.errors import InvalidField
from timeball.model.task import BodyKind, Draft, Kin, Request, Sibling

_REQUEST_FIELDS = frozenset(RequestSchema().fields)
_TASK_FIELDS = frozenset(TaskSchema().fields)
_APART_FIELDS = frozenset({"priority", "concurrency_key", "ordering_key"})
_TOLD_FIELDS = frozenset({"on_success", "on_failure", "on_attempt"})
_FORMS, _FORM_BYTES = 512, 2048
"""How many forms of tasks a process remembers, and how large they may be."""


def _form(
    data: dict[str, Any], request: dict[str, Any], kind: BodyKind, project: str, key_id: str
) -> bytes | None:
    """A text that is the same for tasks of one sender that differ in their bodies alone; None when it is long."""
    try:
        form = orjson.dumps((project, key_id, {**data, "request": {**request, "body": kind}}))
    except TypeError:  # a whole number beyond 64 bits
        return None
    return form if len(form) <= _FORM_BYTES else None


class Sender(NamedTuple):
    """Who sends a task, and by which word a request that is sent twice is one."""

    project: str
    key_id: str
    idempotency_key: str | None = None
    fingerprint: str | None = None


class Reader:
    """Turns what was sent into drafts and changes, by the terms of an installation."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.schema = TaskSchema(terms)
        self._url = lru_cache(1024)(lambda text: rules.url(text, terms.policy))
        self._forms: dict[bytes, Kin | None] = {}

    def draft(self, data: Any, sender: Sender) -> Draft | Sibling:
        """A draft of one task. Raises Rejected with all that is wrong."""
        return self.quick(data, sender) or self.slow(data, sender)

    def slow(self, data: Any, sender: Sender) -> Draft:
        """The draft that the schema makes. Raises Rejected with all that is wrong."""
        return Draft(**sender._asdict(), **_one_instant(self.load(data)))

    def quick(self, data: Any, sender: Sender) -> Draft | Sibling | None:
        """The draft of plain and right input, None for any other: 5 us where the schema takes 100.

        Many tasks of a sender differ in their bodies alone: what was read of the rest is kept, and costs 1 us.
        """
        if type(data) is not dict or type(request := data.get("request")) is not dict:
            return None
        project, key_id, idempotency_key, fingerprint = sender
        try:
            body, kind = rules.body(request.get("body"), self.terms.body_limit_bytes)
        except InvalidField:
            return None
        form = _form(data, request, kind, project, key_id)
        known = None if form is None else self._forms.get(form)
        if known is not None:
            return Sibling(known, body, idempotency_key, fingerprint)
        draft = self._plain(data, request, body, kind, sender)
        if draft is None:
            return None
        if form is not None:
            if len(self._forms) >= _FORMS:
                self._forms.clear()
            # only what comes again is worth its keeping
            again = form in self._forms
            self._forms[form] = Kin(_without_body(draft)) if again else None
        return draft

    def _plain(
        self,
        data: dict[str, Any],
        request: dict[str, Any],
        body: bytes,
        kind: BodyKind,
        sender: Sender,
    ) -> Draft | None:
        if not data.keys() <= _TASK_FIELDS or not request.keys() <= _REQUEST_FIELDS:
            return None
        if data.get("retry") is not None or data.keys() & _TOLD_FIELDS or "body_base64" in request:
            return None
        given, asked = data.get, request.get
        if type(url := asked("url")) is not str:
            return None
        try:
            scheduled_for = rules.instant(given("scheduled_for"))
            delay = rules.delay(given("delay"))
            if scheduled_for is not None and delay is not None:
                scheduled_for, delay = scheduled_for + delay, None
            # most tasks say nothing of these three
            apart = data.keys() & _APART_FIELDS and self._apart(data)
            if apart is None:
                return None
            return Draft(
                sender.project,
                Request(
                    self._url(url),
                    rules.method(asked("method")),
                    rules.headers(asked("headers")),
                    body,
                    kind,
                ),
                rules.queue(given("queue")),
                rules.name(given("name")),
                rules.tags(given("tags")),
                scheduled_for,
                delay,
                rules.timeout(given("timeout")),
                None,
                sender.key_id,
                idempotency_key=sender.idempotency_key,
                fingerprint=sender.fingerprint,
                **(apart or {}),
            )
        except InvalidField:
            return None

    @staticmethod
    def _apart(data: dict[str, Any]) -> dict[str, Any] | None:
        """What sets a task apart in its queue, or None when the schema must say what is wrong."""
        ordered = rules.key(data.get("ordering_key"), "ordering_key")
        shared = rules.key(data.get("concurrency_key"), "concurrency_key")
        if ordered is not None and shared is not None:
            return None
        return {
            "priority": rules.priority(data.get("priority")),
            "concurrency_key": shared,
            "ordering_key": ordered,
        }

    def changes(self, data: Any) -> dict[str, Any]:
        """Fields of a draft to change; `request` holds a dict of its own changes. Raises Rejected."""
        changes = _one_instant(self.load(data, partial=True))
        if not changes:
            raise Rejected([Fault("", "names nothing to change")])
        return changes

    def load(self, data: Any, *, partial: bool = False) -> dict[str, Any]:
        """What the schema makes of a value. Raises Rejected with all that is wrong."""
        return load(self.schema, data, partial=partial)


def _without_body(draft: Draft) -> Draft:
    return replace(draft, request=replace(draft.request, body=b""))


def _one_instant(values: dict[str, Any]) -> dict[str, Any]:
    """`delay` is added to `scheduled_for` when both are there; alone it counts from the store's now."""
    if values.get("delay") is None:
        values.pop("delay", None)
    elif values.get("scheduled_for") is not None:
        values["scheduled_for"] += values.pop("delay")
    return values

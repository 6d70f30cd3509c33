"""Forms whose fields are named as the API's, so that its own rules check them and name the wrong one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from api.dashboard import shown
from api.mergent.dump import is_secret
from api.mergent.errors import Fault, Rejected
from timeball.errors import InvalidField
from timeball.model.retry import Retry, RetryPolicy
from timeball.model.schedule import Schedule
from timeball.model.task import Task


@dataclass
class Form:
    """What was typed, by the API's names, and what is wrong with it."""

    values: dict[str, str] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    def wrong(self, name: str) -> str:
        """What is wrong with a field, as a sentence; empty when nothing is."""
        return "; ".join(self.faults.get(name, ()))

    def has(self, *names: str) -> bool:
        """Whether one of these fields was filled in, or is wrong."""
        return any(self[name] or name in self.faults for name in names)

    @property
    def rest(self) -> list[str]:
        """What is wrong and belongs to no field of the form."""
        known = set(self.values)
        return [
            f"{name} {words}".strip()
            for name, said in self.faults.items()
            if name not in known
            for words in said
        ]

    def reject(self, error: Rejected | InvalidField) -> None:
        """Put faults to the fields that they are about."""
        faults: Iterable[Fault] = (
            error.faults if isinstance(error, Rejected) else [Fault(error.field, error.message)]
        )
        for fault in faults:
            name, message = fault.param, fault.message
            if name.startswith("request.headers."):
                message = f"{name.removeprefix('request.headers.')}: {message}"
                name = "request.headers"
            if name.startswith("tags"):
                name = "tags"
            self.faults.setdefault(name, []).append(message)


def typed(sent: Mapping[str, str], names: Iterable[str]) -> Form:
    """The form as it was sent. Line ends are made those of the web."""
    return Form({name: sent.get(name, "").replace("\r\n", "\n") for name in names})


def headers(form: Form, name: str = "request.headers") -> dict[str, str]:
    """A header a line, `Name: value`."""
    found: dict[str, str] = {}
    for line in form[name].split("\n"):
        if not line.strip():
            continue
        key, colon, value = line.partition(":")
        if not colon:
            raise Rejected([Fault(name, f"{line[:60]!r} must be written as Name: value")])
        found[key.strip()] = value.strip()
    return found


def request_of(form: Form) -> dict[str, Any]:
    """The `request` of a task or schedule, with only what was typed."""
    out: dict[str, Any] = {"url": form["request.url"].strip()}
    if form["request.method"] not in ("", "POST"):
        out["method"] = form["request.method"]
    sent = headers(form)
    if sent:
        out["headers"] = sent
    if form["request.body"]:
        out["body"] = form["request.body"]
    return out


def plain(form: Form, names: Iterable[str]) -> dict[str, Any]:
    """Those fields that were filled in, as text."""
    return {name: form[name].strip() for name in names if form[name].strip()}


RETRY = (
    "retry.max_attempts",
    "retry.min_backoff",
    "retry.max_backoff",
    "retry.max_doublings",
    "retry.jitter",
    "retry.max_age",
)
"""The fields of a retry policy."""


def retry_of(form: Form) -> dict[str, Any]:
    """The `retry` of a task or schedule, with only what was typed."""
    retry = plain(form, ("retry.min_backoff", "retry.max_backoff", "retry.max_age"))
    for name in ("retry.max_attempts", "retry.max_doublings", "retry.jitter"):
        if form[name].strip():
            retry[name] = number(form, name)
    return {name.removeprefix("retry."): value for name, value in retry.items()}


def retry_typed(retry: Retry | None) -> dict[str, str]:
    """A policy as the form has it; Mergent's tables, which stand for none, leave it empty."""
    if not isinstance(retry, RetryPolicy):
        return dict.fromkeys(RETRY, "")
    return {
        "retry.max_attempts": str(retry.max_attempts),
        "retry.min_backoff": shown.written(retry.min_backoff),
        "retry.max_backoff": shown.written(retry.max_backoff),
        "retry.max_doublings": str(retry.max_doublings),
        "retry.jitter": f"{retry.jitter:g}",
        "retry.max_age": shown.written(retry.max_age) if retry.max_age else "",
    }


TOLD = ("on_success", "on_failure", "on_attempt")
"""The URLs that are told how a task ends."""


def told(it: Task | Schedule) -> dict[str, str]:
    """Who is told of the end, as the form has it."""
    return {name: getattr(it, name) or "" for name in TOLD}


_REQUEST: dict[str, Any] = {"method": "POST", "headers": {}, "body": None}
"""What a field of a request is when the form leaves it empty."""


def differences(
    before: dict[str, Any], after: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of two wholes in the API's JSON what differs: as it is, and as it will be. `request` goes field by field."""
    was, now = ({**_REQUEST, **one["request"]} for one in (before, after))
    names = [k for k, v in after.items() if k != "request" and v != before.get(k)]
    inner = [k for k, v in now.items() if v != was.get(k)]
    old, new = ({name: one.get(name) for name in names} for one in (before, after))
    if inner:
        old["request"] = {name: was.get(name) for name in inner}
        new["request"] = {name: now[name] for name in inner}
    return old, new


def audited(changes: dict[str, Any]) -> str:
    """Changes as the audit log keeps them: without the values of secret headers."""
    request = changes.get("request", {})
    if request.get("headers"):
        shown_headers = {
            name: "hidden" if is_secret(name) else value
            for name, value in request["headers"].items()
        }
        changes = {**changes, "request": {**request, "headers": shown_headers}}
    return json.dumps(changes, ensure_ascii=False) if changes else ""


def words(text: str) -> list[str]:
    """Words between commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


_NUMBER = re.compile(r"[0-9]{1,11}(\.[0-9]{1,6})?").fullmatch


def number(form: Form, name: str) -> Any:
    """A number where one was typed, else the text, for the rule to refuse."""
    text = form[name].strip()
    if not _NUMBER(text):
        return text
    return float(text) if "." in text else int(text)

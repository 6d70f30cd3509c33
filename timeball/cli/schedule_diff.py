"""What would have to change for the schedules to be as a file says. Pure.

Only fields that the file names are compared, each in one form: durations in seconds, instants in UTC, an object
as a body by its value. A hidden header value cannot be compared, and counts as the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from timeball.errors import InvalidField
from timeball.timing.durations import parse_duration, parse_instant

_SPANS = {"window", "catch_up_window", "timeout", "min_backoff", "max_backoff", "max_age"}
_INSTANTS = {"dtstart", "start_at", "end_at", "paused_until"}
_UNSET = {
    "timezone": "UTC",
    "paused": False,
    "queue": "default",
    "overlap": "queue_one",
    "catch_up": "latest",
    "catch_up_window": 3600,
    "window": 0,
    "priority": "normal",
    "tags": [],
    "failing_after": 3,
    "pause_when_failing": False,
}
"""What null or absence means, where it is not null."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request, with the words that tell it; `in_file` is False for a deletion."""

    method: str
    path: str
    sent: dict[str, Any] | None
    words: tuple[str, ...]
    in_file: bool = True


def plan(wanted: list[dict[str, Any]], found: list[dict[str, Any]], prune: bool) -> list[Step]:
    """The steps from what was found to what is wanted. Raises ClickException on names that do not tell."""
    names = [one.get("name") if isinstance(one, dict) else None for one in wanted]
    for number, name in enumerate(names, 1):
        if not isinstance(name, str) or not name:
            raise click.ClickException(f"schedule {number} of the file has no name")
        if names.count(name) > 1:
            raise click.ClickException(f"the file has {name!r} twice")
    known: dict[str, dict[str, Any]] = {}
    for one in found:
        if one["name"] in known and one["name"] in names:
            raise click.ClickException(f"two schedules have the name {one['name']!r}: rename one")
        if one["name"]:
            known[one["name"]] = one
    steps = []
    for one in wanted:
        now = known.get(one["name"])
        if now is None:
            rule = one.get("cron") or one.get("rrule") or "no rule"
            told = f"+ {one['name']}: {rule}"
            steps.append(Step("POST", "/schedules", _plain(one), (told,)))
            continue
        lines = [
            f"    {name}: {_show(old)} -> {_show(new)}" for name, old, new in _changed(one, now)
        ]
        if lines:
            words = (f"~ {one['name']}", *lines)
            steps.append(Step("PATCH", f"/schedules/{now['id']}", _plain(one), words))
    if prune:
        for name in sorted(set(known) - set(names)):
            path = f"/schedules/{known[name]['id']}"
            steps.append(Step("DELETE", path, None, (f"- {name}",), False))
    return steps


def _plain(one: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON can say it: YAML reads instants as dates."""
    plain: dict[str, Any] = json.loads(json.dumps(one, default=_text))
    return plain


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _changed(wanted: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    found = []
    for name, value in _plain(wanted).items():
        if isinstance(value, dict) and isinstance(now.get(name), dict):
            for part, new in value.items():
                old = now[name].get(part)
                if not _same(part, new, old):
                    found.append((f"{name}.{part}", old, new))
        elif value is None and name == "retry":
            continue  # what stands for null is not told apart from the same policy given
        elif not _same(name, value, now.get(name)):
            found.append((name, now.get(name), value))
    return found


def _same(name: str, new: Any, old: Any) -> bool:
    if name == "headers":
        new, old = new or {}, old or {}
        return new.keys() == old.keys() and all(
            value == old[key] or str(old[key]).startswith("hidden:") for key, value in new.items()
        )
    if name == "body" and isinstance(new, (dict, list)):
        try:
            return bool(json.loads(old or "") == new)
        except ValueError:
            return False
    if name == "body":
        return (new or None) == (old or None)
    return bool(_one_form(name, new) == _one_form(name, old))


def _one_form(name: str, value: Any) -> Any:
    if value is None:
        return _UNSET.get(name)
    try:
        if name in _SPANS and isinstance(value, str):
            return parse_duration(value, name).total_seconds()
        if name in _INSTANTS:
            return parse_instant(value, name)
    except InvalidField:
        return value  # the API will say what is wrong with it
    return value


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."

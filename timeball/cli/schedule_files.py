"""Schedules as other programs write them, turned into what `POST /schedules` takes. Pure but for `celery_module`.

A crontab runs commands, Celery and EventBridge call functions; here each call goes to a URL. A crontab line that
is a curl keeps its own; for the rest the caller names a URL, which gets the command, the Celery task or the
target's input as its body. What has no meaning here is left out and said why.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from timeball.errors import InvalidField

Fields = dict[str, Any]
"""A schedule as the API takes it."""


@dataclass
class Read:
    """What a file held: schedules, and what was left out with the reason."""

    schedules: list[Fields] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def crontab(text: str, url: str | None) -> Read:
    """A crontab of a user: five columns or an @word, then the command."""
    read, timezone = Read(), "UTC"
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if setting := re.fullmatch(r"(\w+)\s*=\s*(.*)", line):
            if setting[1] in ("CRON_TZ", "TZ"):
                timezone = setting[2].strip("\"' ")
            continue
        columns = 1 if line.startswith("@") else 5
        parts = line.split(None, columns)
        if len(parts) <= columns:
            read.left_out.append(f"line {number}: no command behind the {columns} columns")
            continue
        rule, command = " ".join(parts[:columns]), parts[columns]
        if rule == "@reboot":
            read.left_out.append(f"line {number}: @reboot names no instant")
            continue
        request = _from_curl(command) or ({"url": url, "body": command} if url else None)
        if request is None:
            read.left_out.append(
                f"line {number}: {command[:60]!r} is no curl: give --url to send commands there"
            )
            continue
        made: Fields = {"name": f"crontab {number}", "cron": rule, "request": request}
        if timezone != "UTC":
            made["timezone"] = timezone
        read.schedules.append(made)
    return read


_CURL_VALUES = {"-X": "method", "--request": "method", "-H": "header", "--header": "header"}
_CURL_BODIES = {"-d", "--data", "--data-raw", "--data-binary", "--json"}
_CURL_PLAIN = {"-s", "-S", "-f", "-sS", "-fsS", "-sf", "-fs", "-L", "--silent", "--fail", "-k"}
_CURL_IGNORED = {"-o", "--output", "-m", "--max-time", "--retry", "--connect-timeout"}


def _from_curl(command: str) -> Fields | None:
    """The request of a plain curl, None for any other command."""
    command = re.sub(r"\s*(?:2?>>?\s*\S+|2>&1)\s*", " ", command.replace("\\%", "%"))
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if not words or words[0].rpartition("/")[2] != "curl" or set(words) & {"|", "&&", ";", "||"}:
        return None
    request: Fields = {}
    headers: dict[str, str] = {}
    rest = iter(words[1:])
    for word in rest:
        if word in _CURL_VALUES:
            value = next(rest, "")
            if _CURL_VALUES[word] == "method":
                request["method"] = value
            else:
                name, _, text = value.partition(":")
                headers[name.strip()] = text.strip()
        elif word in _CURL_BODIES:
            request["body"] = next(rest, "")
        elif word in _CURL_IGNORED:
            next(rest, "")
        elif word in _CURL_PLAIN:
            continue
        elif word.startswith(("http://", "https://")) and "url" not in request:
            request["url"] = word
        else:
            return None
    if "url" not in request:
        return None
    request.setdefault("method", "POST" if "body" in request else "GET")
    return request | ({"headers": headers} if headers else {})


def celery_module(name: str) -> Mapping[str, Any]:
    """The `beat_schedule` at `module:attribute`; an app will do. It runs the module's code."""
    module, _, attribute = name.partition(":")
    if not attribute:
        raise InvalidField("celery", f"{name!r} is not module:attribute, such as shop.tasks:app")
    sys.path.insert(0, os.getcwd())  # as `celery -A` does
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InvalidField("celery", f"{name!r} cannot be loaded: {error}") from None
    entries = getattr(getattr(found, "conf", found), "beat_schedule", found)
    if not isinstance(entries, Mapping):
        raise InvalidField("celery", f"{name!r} holds no beat_schedule")
    return entries


def celery(entries: Mapping[str, Any], url: str | None, timezone: str) -> Read:
    """A `beat_schedule`: as a program has it, or as JSON with seconds, cron texts or crontab's arguments."""
    read = Read()
    for name, entry in entries.items():
        rule = _celery_rule(entry.get("schedule"))
        if rule is None:
            kind = type(entry.get("schedule")).__name__
            read.left_out.append(f"{name}: a schedule of kind {kind} has no rule here")
        elif url is None:
            read.left_out.append(f"{name}: give --url, where {entry.get('task')} is served")
        else:
            body = {
                "task": entry.get("task"),
                "args": list(entry.get("args") or ()),
                "kwargs": dict(entry.get("kwargs") or {}),
            }
            headers = {"Content-Type": "application/json"}
            request = {"url": url, "headers": headers, "body": json.dumps(body)}
            made: Fields = {"name": name, "cron": rule, "request": request}
            read.schedules.append(made | ({"timezone": timezone} if timezone != "UTC" else {}))
    return read


_COLUMNS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def _celery_rule(schedule: Any) -> str | None:
    if isinstance(schedule, bool) or schedule is None:
        return None
    if isinstance(schedule, str):
        return schedule
    if isinstance(schedule, (int, float)):
        return f"@every {schedule:g}s"
    if isinstance(schedule, timedelta):
        return f"@every {schedule.total_seconds():g}s"
    if isinstance(schedule, Mapping):
        columns = schedule.get("crontab", schedule)
        if not set(columns) <= set(_COLUMNS):
            return None
        return " ".join(str(columns.get(name, "*")) for name in _COLUMNS)
    if all(hasattr(schedule, f"_orig_{name}") for name in _COLUMNS):
        return " ".join(_column(getattr(schedule, f"_orig_{name}")) for name in _COLUMNS)
    every = getattr(schedule, "run_every", None)
    return f"@every {every.total_seconds():g}s" if isinstance(every, timedelta) else None


def _column(value: Any) -> str:
    if isinstance(value, (str, int)):
        return str(value).replace(" ", "")
    return ",".join(str(one) for one in sorted(value))


def eventbridge(told: Any, url: str | None) -> Read:
    """Schedules of EventBridge Scheduler, as `aws scheduler get-schedule` prints one, or a list of them."""
    read = Read()
    entries = told.get("Schedules", [told]) if isinstance(told, Mapping) else told
    for entry in entries:
        name, expression = entry.get("Name", "?"), entry.get("ScheduleExpression", "")
        rule = _eventbridge_rule(expression)
        if rule is None:
            read.left_out.append(f"{name}: {_why_not(expression)}")
        elif url is None:
            read.left_out.append(f"{name}: give --url, which takes the place of its target")
        else:
            read.schedules.append({"name": name, **rule, **_eventbridge_fields(entry, url)})
    return read


def _eventbridge_fields(entry: Mapping[str, Any], url: str) -> Fields:
    target, window = entry.get("Target", {}), entry.get("FlexibleTimeWindow", {})
    retry = target.get("RetryPolicy", {})
    made: Fields = {"request": {"url": url, "body": target.get("Input", "")}}
    if entry.get("ScheduleExpressionTimezone", "UTC") != "UTC":
        made["timezone"] = entry["ScheduleExpressionTimezone"]
    for ours, theirs in (("start_at", "StartDate"), ("end_at", "EndDate")):
        if entry.get(theirs):
            made[ours] = str(entry[theirs])
    if entry.get("Description"):
        made["description"] = entry["Description"]
    if entry.get("State") == "DISABLED":
        made["paused"] = True
    if window.get("Mode") == "FLEXIBLE":
        made["window"] = 60 * int(window["MaximumWindowInMinutes"])
    if "MaximumRetryAttempts" in retry:
        made["retry"] = {"max_attempts": min(100, int(retry["MaximumRetryAttempts"]) + 1)}
        if "MaximumEventAgeInSeconds" in retry:
            made["retry"]["max_age"] = int(retry["MaximumEventAgeInSeconds"])
    return made


def _eventbridge_rule(expression: str) -> Fields | None:
    if rate := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        return {"cron": f"@every {rate[1]}{rate[2][0]}"}
    found = re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)", expression)
    if found is None or found[6] != "*":
        return None
    minute, hour, day, month, weekday = (part.replace("?", "*") for part in found.groups()[:5])
    weekday = ",".join(_weekdays(weekday))
    return {"cron": f"{minute} {hour} {day} {month} {weekday}"}


def _weekdays(column: str) -> Iterator[str]:
    """EventBridge counts the days of the week from 1 for Sunday, cron from 0; behind # or / counts stay."""
    for term in column.upper().split(","):
        days = re.split("[#/]", term, maxsplit=1)[0]
        yield re.sub(r"\d+", lambda day: str(int(day[0]) - 1), days) + term[len(days) :]


def _why_not(expression: str) -> str:
    if expression.startswith("at("):
        return f"{expression} is one instant: make a task with scheduled_for"
    return f"{expression!r} has no rule here (a year other than * has none)"

"""The system, its settings, and the audit log."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flask import Response, request

from api.dashboard import shown
from api.dashboard.desk import Visit
from api.health import SILENT_AFTER_SECONDS, what_is_missing
from timeball.model.visitor import Role
from timeball.settings import PREFIX, Settings
from timeball.store import figures, logins, roll

AUDIT_PAGE = 100


def system(visit: Visit) -> Response:
    """The store, the processes, the settings."""
    info = figures.memory_and_persistence(visit.house.client)
    return visit.page(
        "system.html",
        store=_store_facts(info),
        crew=roll.roll(visit.house.client),
        silent_after=SILENT_AFTER_SECONDS,
        faults=what_is_missing(visit.house),
        settings=_settings(visit.house.settings) if visit.may(Role.ADMIN) else None,
    )


def _store_facts(info: dict[str, str]) -> list[tuple[str, str]]:
    def number(name: str) -> int:
        text = info.get(name, "0")
        return int(text) if text.isdigit() else 0

    limit = number("maxmemory")
    on = {"1": "on", "0": "off"}
    return [
        (
            "Server",
            f"Valkey {info['valkey_version']}"
            if "valkey_version" in info
            else f"Redis {info.get('redis_version', '?')}",
        ),
        ("Up for", shown.span(float(number("uptime_in_seconds")))),
        (
            "Memory",
            f"{shown.size(number('used_memory'))} of {shown.size(limit) if limit else 'no limit'}",
        ),
        ("Memory at its peak", shown.size(number("used_memory_peak"))),
        ("When full", info.get("maxmemory_policy", "?")),
        ("Append-only file", on.get(info.get("aof_enabled", ""), "?")),
        ("Last write of it", info.get("aof_last_write_status", "?")),
        ("Size of it", shown.size(number("aof_current_size"))),
        ("Clients", info.get("connected_clients", "?")),
        ("Commands a second", info.get("instantaneous_ops_per_sec", "?")),
    ]


def _settings(settings: Settings) -> list[tuple[str, str, str, bool]]:
    """Name, value, reason, and whether it differs from the default. No secret is in it."""
    out = []
    for one in fields(Settings):
        value = getattr(settings, one.name)
        out.append(
            (
                PREFIX + one.name.upper(),
                _value(one.name, value),
                one.metadata["why"],
                value != one.default,
            )
        )
    return out


def _value(name: str, value: Any) -> str:
    if value is None or value == ():
        return "not set"
    if name == "secret" or name.endswith(("_secret", "_password", "_key")):
        return "set, hidden"
    if isinstance(value, timedelta):
        return shown.span(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    text = str(value)
    return _without_password(text) if "://" in text else text


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc="hidden@" + parts.netloc.rpartition("@")[2]))


def audit(visit: Visit) -> Response:
    """Who wrote what, newest first."""
    text = request.args.get("from", "0")
    start = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    rows = logins.audit(visit.house.client, start, AUDIT_PAGE + 1)
    more = start + AUDIT_PAGE if len(rows) > AUDIT_PAGE else None
    return visit.page(
        "audit.html", rows=rows[:AUDIT_PAGE], more=more, start=start, kept=logins.AUDIT_KEPT
    )


ROUTES = (
    ("GET", "/system", "system", system, Role.VIEWER),
    ("GET", "/audit", "audit", audit, Role.ADMIN),
)

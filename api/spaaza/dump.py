"""Exports as answers show them: the documented keys in their documented order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from api.mergent.dump import is_secret
from timeball.headers import only_names_a_secret
from timeball.model.export import Code, Export, LogLine

ZERO_DATE = "0001-01-01T00:00:00Z"
"""Stands for a run that never was; the dialect knows no null there."""
VERSION = 2


def instant(at: datetime | None) -> str:
    """Whole seconds, Z."""
    return ZERO_DATE if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def dump_state(export: Export, code: Code | None = None) -> dict[str, str]:
    """The state of an export: the four keys that execute answers too."""
    return {
        "code": code or export.code,
        "last_run_date": instant(export.last_run_at),
        "last_modified": instant(export.modified_at),
        "created_date": instant(export.created_at),
    }


Hide = Callable[[str], str]
"""What is shown for a secret value (`Dumper.hidden`)."""


def dump_target(target: Mapping[str, Any], hide: Hide) -> dict[str, Any]:
    """A target as it was sent, but for the values of secret headers of the call about its end."""
    told = target.get("notify")
    if told is None or "headers" not in told:
        return dict(target)
    headers = {
        name: hide(value) if is_secret(name) and not only_names_a_secret(value) else value
        for name, value in told["headers"].items()
    }
    return {**target, "notify": {**told, "headers": headers}}


def dump_export(export: Export, hide: Hide) -> dict[str, Any]:
    """One export. Trigger and target are as they were sent; of the target see `dump_target`."""
    order = export.order
    return {
        "id": export.number,
        "chain": order.chain,
        "desc": order.desc,
        "state": dump_state(export),
        "trigger": order.trigger,
        "target": dump_target(order.target, hide),
        "logs": [dump_line(line) for line in export.logs] or None,
        "debug": order.debug,
        "version": VERSION,
        "result": export.result.name if export.result else "",
    }


def dump_line(line: LogLine) -> dict[str, Any]:
    """One line of the log; numbers about it follow its message."""
    return {"time": instant(line.at), "level": line.level, "message": line.message, **line.facts}

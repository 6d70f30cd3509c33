"""Exports as answers show them: the documented keys in their documented order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

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


def dump_export(export: Export) -> dict[str, Any]:
    """One export. Trigger and target are as they were sent."""
    order = export.order
    return {
        "id": export.number,
        "chain": order.chain,
        "desc": order.desc,
        "state": dump_state(export),
        "trigger": order.trigger,
        "target": order.target,
        "logs": [dump_line(line) for line in export.logs] or None,
        "debug": order.debug,
        "version": VERSION,
        "result": export.result.name if export.result else "",
    }


def dump_line(line: LogLine) -> dict[str, Any]:
    """One line of the log; numbers about it follow its message."""
    return {"time": instant(line.at), "level": line.level, "message": line.message, **line.facts}

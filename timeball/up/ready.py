"""The READY block: all that a newcomer needs to make the first call, and the same facts for scripts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def as_json(facts: Mapping[str, Any]) -> str:
    """The text of the ready file."""
    return json.dumps(facts, indent=1) + "\n"


def curl(facts: Mapping[str, Any]) -> str:
    """A command that, pasted, makes a task whose call arrives in the inbox."""
    task = {"request": {"url": f"{facts['inbox_url']}/hello", "body": "Hello from Timeball"}}
    bearer = shlex.quote(f"Authorization: Bearer {facts['api_key']}")
    return (
        f"curl -X POST {facts['url']}/v2/tasks -H {bearer} \\\n"
        f"       -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(task))}"
    )


def block(
    facts: Mapping[str, Any],
    *,
    seconds: float | None,
    workers: int,
    beats: int,
    embedded: bool,
    own_ports: Sequence[int],
    allowed: str,
) -> str:
    """The block. `seconds` is how long the start took; None when it is shown again later."""
    head = f"ready in {seconds:.1f} s" if seconds is not None else "running"
    state = [
        "api ok",
        f"worker ok ({workers} processes)",
        f"beat ok ({beats})",
        "redis ok (" + ("embedded, append-only file on, noeviction" if embedded else "yours") + ")",
    ]
    rows = [
        ("API", f"{facts['url']}/v2", f"health at {facts['url']}/readyz"),
        ("Inbox", facts["inbox_url"], "shows each test call; its page tells how to make it fail"),
    ]
    if facts["flower_url"]:
        rows.append(
            ("Flower", facts["flower_url"], f"{facts['flower_user']} / {facts['flower_password']}")
        )
    rows += [
        ("Dev key", facts["api_key"], ""),
        ("Data", facts["data"], "stays when you stop; the next start picks up from here"),
    ]
    wide = max(len(str(what)) for name, what, why in rows if why)
    lines = ["", f"  {head}   {'  '.join(state)}", ""]
    lines += [f"  {name:<8} {what!s:<{wide}}  {why}".rstrip() for name, what, why in rows]
    reach = f"calls may reach public addresses and {allowed or 'no private ones'}"
    ports = ", ".join(map(str, own_ports))
    lines += [
        f"  {'Targets':<8} {reach} (TIMEBALL_ALLOWED_TARGETS), never our own ports {ports}",
        "",
        f"  Try: {curl(facts)}",
        "",
        "  Ctrl-C stops it all; calls in flight finish.",
        "",
    ]
    return "\n".join(lines)

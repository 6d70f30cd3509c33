"""The READY block: all that a newcomer needs to make the first call, and the same facts for scripts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
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
    facts: Mapping[str, Any], environment: Mapping[str, str], seconds: float | None = None
) -> str:
    """The block. `environment` holds the run's settings; `seconds` is how long the start took, None when the
    block is shown again."""
    pids = facts["pids"]
    state = ["api ok"]
    state.append(f"worker ok ({facts['workers']} processes)")
    state.append(f"beat ok ({len(pids.get('beat', ()))})")
    if pids.get("redis"):
        state.append("redis ok (embedded, append-only file on, noeviction)")
    else:
        state.append("redis ok (yours)")
    rows = [
        ("Dashboard", facts["login_url"], ""),
        ("API", f"{facts['url']}/v2", f"health at {facts['url']}/readyz"),
        ("Inbox", facts["inbox_url"], "shows each test call; its page tells how to make it fail"),
    ]
    if facts["flower_url"]:
        login = f"user {facts['flower_user']}, password {facts['flower_password']}"
        rows.append(("Flower", facts["flower_url"], login))
    rows += [
        ("Dev key", facts["api_key"], ""),
        ("Data", facts["data"], "stays when you stop; the next start picks up from here"),
    ]
    wide = max(len(str(what)) for _, what, why in rows if why)
    allowed = environment.get("TIMEBALL_ALLOWED_TARGETS", "")
    reach = f"public addresses and {allowed}" if allowed else "public addresses only"
    closed = environment.get("TIMEBALL_OWN_PORTS", "").replace(",", ", ")
    return "\n".join(
        [
            "",
            f"  {f'READY in {seconds:.1f} s' if seconds is not None else 'running'}   {'  '.join(state)}",
            "",
            *(f"  {name:<9} {what!s:<{wide}}  {why}".rstrip() for name, what, why in rows),
            f"  {'Calls':<9} may reach {reach} (TIMEBALL_ALLOWED_TARGETS), never our own ports {closed}",
            "",
            f"  Try: {curl(facts)}",
            "",
            "  Ctrl-C stops it all; calls in flight finish.",
            "",
        ]
    )

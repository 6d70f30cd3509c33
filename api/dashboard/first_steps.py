"""The steps of a first visit: each says how to take it in three languages, and ticks itself off."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from api.dashboard.commands import Commands, commands
from api.dashboard.desk import Visit
from timeball.store import figures
from timeball.store.figures import Standing

NOWHERE = "https://example.com"
"""What the steps call where there is no inbox."""


@dataclass(frozen=True, slots=True)
class Step:
    """A first step, with the commands that take it and the page that does the same."""

    name: str
    why: str
    commands: Commands
    page: str
    done: bool


def steps(visit: Visit, now: Standing, hour: Counter[str], base: str) -> list[Step]:
    """The steps of a project until all are done; none after that."""
    seen = {
        "send": now.queues > 0 or sum(now.ended.values()) > 0,
        "break": hour["retried"] + hour["dead"] > 0,
        "schedule": now.schedules > 0,
    }
    done = figures.steps_done(
        visit.house.client, visit.prefix, visit.project.id, [n for n, d in seen.items() if d]
    )
    if done >= seen.keys():
        return []
    inbox = visit.house.settings.inbox_url or NOWHERE
    hello = {"request": {"url": f"{inbox}/hello", "body": "Hello from Timeball"}}
    broken = {
        "request": {"url": f"{inbox}/flaky?status=500&times=2"},
        "retry": {"min_backoff": "2s"},
    }
    each = {"request": {"url": f"{inbox}/tick"}, "cron": "* * * * *", "name": "tick"}
    return [
        Step(
            "Send a task",
            "Its call arrives in the inbox within a second.",
            commands(base, "tasks", hello),
            "new_task",
            "send" in done,
        ),
        Step(
            "Break the inbox",
            "It answers 500 twice: watch the retries.",
            commands(base, "tasks", broken),
            "new_task",
            "break" in done,
        ),
        Step(
            "Make a schedule",
            "One call a minute, until you delete it.",
            commands(base, "schedules", each),
            "new_schedule",
            "schedule" in done,
        ),
    ]

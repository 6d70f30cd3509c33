"""`timeball tail` and `timeball replay`: see calls as they end; make one of them again, perhaps elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from timeball.cli.common import data_option
from timeball.cli.tasks import filters, get_task, ids_argument, json_option, talking

if TYPE_CHECKING:
    from timeball.client import Attempt, Task, Timeball

LOOK = 200
"""Tasks of a status that one look reads at most; under more load some are left out, and said to be."""


class Tail:
    """What ended since the last look, by asking the API now and then."""

    def __init__(self, client: Timeball, wanted: dict[str, Any]) -> None:
        self.client, self.wanted = client, wanted
        self.known: dict[str, int] = {}
        self.left_out = False

    def look(self) -> Iterator[tuple[Task, Attempt]]:
        """New attempts, oldest first."""
        found: dict[str, Task] = {}
        self.left_out = False
        for status in ("success", "failure", "queued"):
            some = list(islice(self.client.tasks.list(status=status, **self.wanted), LOOK))
            fresh = {t.id: t for t in some if t.attempts > self.known.get(t.id, 0)}
            self.left_out |= len(fresh) == LOOK and status != "queued"
            found |= fresh
        new: list[tuple[Task, Attempt]] = []
        for task in found.values():
            before, self.known[task.id] = self.known.get(task.id, 0), task.attempts
            log = self.client.tasks.attempts(task.id)
            new += ((task, attempt) for attempt in log if attempt.number > before)
        while len(self.known) > 20 * LOOK:
            self.known.pop(next(iter(self.known)))
        yield from sorted(new, key=lambda pair: pair[1].started_at)

    def skip(self) -> None:
        """Take all that is there as seen."""
        for status in ("success", "failure", "queued"):
            for task in islice(self.client.tasks.list(status=status, **self.wanted), LOOK):
                self.known[task.id] = task.attempts


@click.command()
@filters
@click.option(
    "--every", type=click.FloatRange(0.2, 60), default=1.0, show_default=True, help="Seconds."
)
@click.option("--count", type=click.IntRange(1), help="End after so many attempts.")
@json_option
@data_option
def tail(every: float, count: int | None, as_json: bool, data: Path | None, **wanted: Any) -> None:
    """Show attempts as they end, until Ctrl-C: when, task, number, how it ended, how long, what was called."""
    with talking(data) as client:
        watch = Tail(client, {name: value for name, value in wanted.items() if value is not None})
        watch.skip()
        click.echo("watching", err=True)
        shown = 0
        while True:
            for task, attempt in watch.look():
                click.echo(_json(task, attempt) if as_json else _line(task, attempt))
                shown += 1
                if count is not None and shown >= count:
                    return
            if watch.left_out:
                click.echo("... and more than can be shown", err=True)
            time.sleep(every)


def _json(task: Task, attempt: Attempt) -> str:
    return json.dumps({"task": task.raw, "attempt": attempt.raw})


def _line(task: Task, attempt: Attempt) -> str:
    end = str(attempt.status) if attempt.status is not None else attempt.outcome
    took = f"{attempt.duration.total_seconds() * 1000:.1f} ms"
    return (
        f"{attempt.started_at:%H:%M:%S.%f}"[:-3]
        + f"  {task.id}  {attempt.number:>2}  {end:<11}  {took:>10}  {task.method} {task.url}"
    )


@click.command()
@ids_argument
@click.option("--to", help="Call this URL instead, such as one on a developer's machine.")
@json_option
@data_option
def replay(ids: tuple[str, ...], to: str | None, as_json: bool, data: Path | None) -> None:
    """Make new tasks with the requests of old ones, due now. The old ones stay as they are.

    A header whose value the API hides cannot be sent again: it is left out, and said so.
    """
    with talking(data) as client:
        for task_id in ids:
            old = get_task(client, task_id).raw
            request = {name: value for name, value in old["request"].items() if value is not None}
            hidden = [n for n, v in request["headers"].items() if str(v).startswith("hidden:")]
            for name in hidden:
                del request["headers"][name]
                click.echo(f"left out the hidden header {name}", err=True)
            if "body_base64" in request:
                request.pop("body", None)
            sent = {"request": {**request, **({"url": to} if to else {})}, "queue": old["queue"]}
            made = client.tasks.send({**sent, "tags": [*old["tags"]] or None})
            click.echo(json.dumps(made.raw) if as_json else f"{made.id}  replays {task_id}")

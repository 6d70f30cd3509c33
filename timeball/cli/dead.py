"""`timeball dead`: tasks that failed for good."""

from __future__ import annotations

import json
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from timeball.cli.common import data_option
from timeball.cli.tasks import (
    changes,
    changes_of,
    filters,
    json_option,
    limit_option,
    show_tasks,
    talking,
)

if TYPE_CHECKING:
    from timeball.client import Timeball


@click.group()
def dead() -> None:
    """Look at tasks that failed for good, send them again as they are or changed, forget them."""


@dead.command("list")
@filters
@limit_option
@json_option
@data_option
def list_dead(limit: int, as_json: bool, data: Path | None, **wanted: Any) -> None:
    """List dead tasks, last dead first."""
    with talking(data) as client:
        show_tasks(
            islice(client.tasks.list(status="failure", **wanted), limit), as_json, "dead tasks"
        )


def _dead(ids: tuple[str, ...], every: bool, client: Timeball, wanted: dict[str, Any]) -> list[str]:
    if bool(ids) == every:
        raise click.UsageError("give ids, or --all with or without filters")
    return list(ids) or [task.id for task in client.tasks.list(status="failure", **wanted)]


def _over(ids: list[str], label: str) -> Any:
    """A progress bar on a terminal, for long work; elsewhere nothing."""
    return click.progressbar(ids, label=label, file=sys.stderr, hidden=not sys.stderr.isatty())


_ALL = click.option("--all", "every", is_flag=True, help="All dead tasks that fit the filters.")
_IDS = click.argument("ids", metavar="[ID...]", nargs=-1)


@dead.command()
@_IDS
@_ALL
@filters
@click.option(
    "--rate",
    type=click.FloatRange(0.01, 1000),
    help="So many a second.  [default: as fast as it goes]",
)
@data_option
def redrive(
    ids: tuple[str, ...], every: bool, rate: float | None, data: Path | None, **wanted: Any
) -> None:
    """Send dead tasks again, their retry policy begun afresh."""
    with talking(data) as client:
        chosen = _dead(ids, every, client, wanted)
        began = time.monotonic()
        with _over(chosen, "redriving") as bar:
            for place, task_id in enumerate(bar):
                if rate is not None:
                    time.sleep(max(0.0, began + place / rate - time.monotonic()))
                client.tasks.run(task_id)
    click.echo(f"redrove {len(chosen)}")


@dead.command()
@click.argument("task_id", metavar="ID")
@changes
@json_option
@data_option
def edit(task_id: str, as_json: bool, data: Path | None, **named: Any) -> None:
    """Change a dead task and send it again, in one step: now, or when --delay or --at say."""
    wanted = changes_of(**named)
    with talking(data) as client:
        changed = client.tasks.redrive(task_id, **wanted)
    click.echo(json.dumps(changed.raw) if as_json else f"changed and queued {changed.id}")


@dead.command("delete")
@_IDS
@_ALL
@filters
@click.option("--yes", is_flag=True, help="Without asking.")
@data_option
def delete_dead(
    ids: tuple[str, ...], every: bool, yes: bool, data: Path | None, **wanted: Any
) -> None:
    """Forget dead tasks."""
    with talking(data) as client:
        chosen = _dead(ids, every, client, wanted)
        if chosen and not yes:
            click.confirm(f"Forget {len(chosen)} dead tasks?", abort=True)
        with _over(chosen, "forgetting") as bar:
            for task_id in bar:
                client.tasks.delete(task_id)
    click.echo(f"forgot {len(chosen)}")

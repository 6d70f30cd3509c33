"""`timeball tasks`: what a task waits for."""

from __future__ import annotations

import json
from pathlib import Path

import click

from timeball.cli.common import data_option
from timeball.cli.remote import Remote


@click.group()
def tasks() -> None:
    """Ask about tasks.

    Reads TIMEBALL_URL and TIMEBALL_KEY, or --data for a `timeball up` on this machine.
    """


@tasks.command()
@click.argument("task_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As the API has it.")
@data_option
def explain(task_id: str, as_json: bool, data: Path | None) -> None:
    """Say why a task is not called at this moment, and when it will be."""
    told = Remote(data)("GET", f"/tasks/{task_id}/explain")
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(f"{told['status']} at {told['at']}")
    for reason in told["reasons"]:
        click.echo(f"- {reason['words']}")
    if told["starts_at"]:
        word = "starts" if told["certainty"] == "expected" else "starts at the earliest"
        click.echo(f"{word} at {told['starts_at']}")
    elif told["certainty"]:
        click.echo("when it starts nobody can say")

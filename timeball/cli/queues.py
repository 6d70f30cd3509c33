"""`timeball queues`: how they stand, what they may do, pause, resume, purge; and the project's own limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from timeball.cli.common import data_option, or_none
from timeball.cli.remote import Remote

_JSON = click.option("--json", "as_json", is_flag=True, help="As the API has it.")
_QUEUE = click.argument("queue")


@click.group()
def queues() -> None:
    """Look at queues, limit them, pause and purge them.

    Reads TIMEBALL_URL and TIMEBALL_KEY, or --data for a `timeball up` on this machine.
    """


@queues.command("list")
@_JSON
@data_option
def list_(as_json: bool, data: Path | None) -> None:
    """List the queues: what waits since when, what is in flight, and their limits."""
    found = Remote(data)("GET", "/queues")
    if as_json:
        click.echo(json.dumps(found))
        return
    for one in or_none(found, "queues"):
        click.echo(line(one))


def line(queue: dict[str, Any]) -> str:
    """A queue on one line."""
    oldest = queue["oldest_due_at"] or "-"
    return (
        f"{queue['name']:<24}  {queue['waiting']:>9} waiting  {queue['in_flight']:>6} in flight  "
        f"oldest {oldest:<24}  {limits_in_words(queue)}"
    )


def limits_in_words(limits: dict[str, Any]) -> str:
    """Limits as a phrase."""
    parts = ["paused"] if limits["paused"] else []
    if limits["rate"] is not None:
        per = limits["per"] if isinstance(limits["per"], str) else f"{limits['per']:g} s"
        burst = f" in bursts of {limits['burst']}" if limits["burst"] > 1 else ""
        parts.append(f"{limits['rate']} per {per}{burst}")
    if limits["concurrency"] is not None:
        parts.append(f"{limits['concurrency']} at once")
    if limits["key_concurrency"] is not None:
        parts.append(f"{limits['key_concurrency']} a key")
    if limits.get("host_concurrency") is not None:
        parts.append(f"{limits['host_concurrency']} a host")
    return ", ".join(parts) or "no limits"


def _number(_context: click.Context, option: click.Parameter, value: str | None) -> Any:
    """A whole number, or `none` for no limit."""
    if value is None:
        return ...
    if value == "none":
        return None
    if not (value.isascii() and value.isdigit()):
        raise click.BadParameter("must be a whole number, or: none", param=option)
    return int(value)


@queues.command("set")
@click.argument("queue", required=False)
@click.option("--project", is_flag=True, help="The limits of the whole project, not of a queue.")
@click.option("--rate", callback=_number, help="Calls that may begin in a window.")
@click.option(
    "--per", type=click.Choice(["second", "minute", "hour"]), help="That window.", default=None
)
@click.option("--burst", callback=_number, help="Calls that may begin at once after a rest.")
@click.option("--concurrency", callback=_number, help="Calls that may be in flight.")
@click.option("--key-concurrency", callback=_number, help="Calls in flight of a concurrency key.")
@click.option(
    "--host-concurrency", callback=_number, help="Calls in flight of a host; with --project."
)
@_JSON
@data_option
def set_(
    queue: str | None, project: bool, per: str | None, as_json: bool, data: Path | None, **new: Any
) -> None:
    """Limit a QUEUE, at once for all workers; what is not named stays, and `none` takes a limit away."""
    if (queue is None) != project:
        raise click.UsageError("Name a QUEUE, or give --project: one of them.")
    sent = {name: value for name, value in new.items() if value is not ...}
    if per is not None:
        sent["per"] = per
    if "host_concurrency" in sent and not project:
        raise click.UsageError("--host-concurrency is the project's: give it with --project.")
    if not sent:
        raise click.UsageError("Nothing to set: name a limit.")
    path = "/limits" if queue is None else f"/queues/{quote(queue, safe='')}"
    told = Remote(data)("PATCH", path, json=sent)
    click.echo(json.dumps(told) if as_json else f"{queue or 'project'}: {limits_in_words(told)}")


def _switch(name: str, done: str, words: str) -> None:
    """Add a command that switches a queue and tells how many tasks wait."""

    @queues.command(name, help=words)
    @_QUEUE
    @_JSON
    @data_option
    def switch(queue: str, as_json: bool, data: Path | None) -> None:
        told = Remote(data)("POST", f"/queues/{quote(queue, safe='')}/{name}")
        click.echo(json.dumps(told) if as_json else f"{done} {queue}: {told['waiting']} wait")


_switch("pause", "paused", "Let a queue's tasks wait; calls in flight end.")
_switch("resume", "resumed", "Let a queue's tasks go on.")


@queues.command()
@_QUEUE
@click.option("--yes", is_flag=True, help="Delete without asking.")
@_JSON
@data_option
def purge(queue: str, yes: bool, as_json: bool, data: Path | None) -> None:
    """Delete every task that waits in a queue."""
    remote, path = Remote(data), f"/queues/{quote(queue, safe='')}"
    if not yes:
        waiting = remote("GET", path)["waiting"]
        click.confirm(f"Delete {waiting} waiting tasks of {queue}?", abort=True, err=True)
    told = remote("POST", f"{path}/purge")
    click.echo(json.dumps(told) if as_json else f"deleted {told['deleted']} tasks of {queue}")

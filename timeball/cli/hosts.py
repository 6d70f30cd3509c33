"""`timeball hosts`: the hosts of endpoints, their breakers and limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from timeball.cli.common import data_option, or_none
from timeball.cli.remote import Remote

_JSON = click.option("--json", "as_json", is_flag=True, help="As the API has it.")
_HOST = click.argument("host")


@click.group()
def hosts() -> None:
    """Look at the hosts of endpoints, limit them, close their breakers.

    A HOST is written as in the URLs of tasks, with its port where they name one. Reads TIMEBALL_URL and
    TIMEBALL_KEY, or --data for a `timeball up` on this machine.
    """


@hosts.command("list")
@_JSON
@data_option
def list_(as_json: bool, data: Path | None) -> None:
    """List the hosts that failed within the hour, are held, or have a limit of their own."""
    found = Remote(data)("GET", "/hosts")
    if as_json:
        click.echo(json.dumps(found))
        return
    for one in or_none(found, "hosts in trouble, held or limited"):
        click.echo(line(one))


def line(host: dict[str, Any]) -> str:
    """A host on one line."""
    until = f" until {host['until']}" if host["until"] else ""
    limit = ""
    if host["concurrency"] is not None:
        limit = f"  {host['in_flight']} of {host['concurrency']} in flight"
    return (
        f"{host['host']:<32}  {host['breaker'] + until:<32}  {host['waiting']:>8} waiting  "
        f"{host['well']} well, {host['failed']} failed{limit}"
    )


@hosts.command("set")
@_HOST
@click.option("--concurrency", required=True, help="Calls that may be in flight, or: none.")
@_JSON
@data_option
def set_(host: str, concurrency: str, as_json: bool, data: Path | None) -> None:
    """Limit the calls in flight of a HOST; `none` leaves it to the project's limit for every host."""
    if concurrency != "none" and not (concurrency.isascii() and concurrency.isdigit()):
        raise click.BadParameter("must be a whole number, or: none", param_hint="--concurrency")
    most = None if concurrency == "none" else int(concurrency)
    told = Remote(data)("PATCH", f"/hosts/{quote(host, safe='')}", json={"concurrency": most})
    click.echo(json.dumps(told) if as_json else line(told))


@hosts.command()
@_HOST
@_JSON
@data_option
def close(host: str, as_json: bool, data: Path | None) -> None:
    """Close the breaker of a HOST: all that waits for it is called."""
    told = Remote(data)("POST", f"/hosts/{quote(host, safe='')}/close")
    click.echo(json.dumps(told) if as_json else line(told))


@hosts.command()
@_HOST
@_JSON
@data_option
def probe(host: str, as_json: bool, data: Path | None) -> None:
    """Let one call to a held HOST through now; how it ends decides for the others."""
    told = Remote(data)("POST", f"/hosts/{quote(host, safe='')}/probe")
    click.echo(json.dumps(told) if as_json else line(told))

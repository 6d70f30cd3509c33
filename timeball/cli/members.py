"""`timeball members`: who may sign in to the dashboard with a password."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

import click

from timeball.cli.common import data_option, or_none, settings_for, write_down
from timeball.model.visitor import Role


@click.group()
def members() -> None:
    """Let people sign in to the dashboard with a password."""


@members.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="What he may do.",
)
@click.option(
    "--password-file",
    type=click.File(),
    help="A file with the password in its first line, - for standard input.  [default: asks]",
)
@data_option
def add(name: str, role: str, password_file: TextIO | None, data: Path | None) -> None:
    """Let somebody sign in, or give him another password or role; he is signed out by that."""
    from timeball.model.visitor import Visitor
    from timeball.store import members
    from timeball.store.scripts import connect

    client = connect(settings_for(data).redis_url)
    if password_file is not None:
        password = password_file.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    new = members.put(client, Visitor(name, Role(role)), password)
    write_down(client, "add member" if new else "change member", name, after=role)
    click.echo(f"{name} may sign in as {role}")


@members.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@data_option
def list_(as_json: bool, data: Path | None) -> None:
    """List who has a password."""
    from timeball.store import members
    from timeball.store.scripts import connect

    found = members.members(connect(settings_for(data).redis_url))
    if as_json:
        rows = [
            {"name": m.visitor.name, "role": m.visitor.role, "since": m.since.isoformat()}
            for m in found
        ]
        click.echo(json.dumps(rows))
        return
    for m in or_none(found, "members"):
        click.echo(f"{m.visitor.role:<9}  {m.visitor.name}")


@members.command()
@click.argument("name")
@data_option
def remove(name: str, data: Path | None) -> None:
    """Let somebody sign in no more, and sign him out."""
    from timeball.store import members
    from timeball.store.scripts import connect

    client = connect(settings_for(data).redis_url)
    members.remove(client, name)
    write_down(client, "remove member", name)
    click.echo(f"{name} may sign in no more")

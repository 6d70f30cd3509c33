"""`timeball login`: a link that signs in to the dashboard once."""

from __future__ import annotations

from pathlib import Path

import click

from timeball.cli.common import data_option, master_secret, settings_for, user_name
from timeball.model.visitor import Role


@click.command()
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.ADMIN.value,
    show_default=True,
    help="What whoever signs in may do.",
)
@click.option("--name", help="What the audit log calls him.  [default: your user name]")
@data_option
def login(role: str, name: str | None, data: Path | None) -> None:
    """Print a link to the dashboard. It signs in once, within 15 minutes."""
    from timeball.model.visitor import Visitor
    from timeball.store import logins
    from timeball.store.scripts import connect

    settings = settings_for(data)
    master_secret(settings)
    visitor = Visitor((name or user_name())[:60], Role(role))
    text = logins.make_link(connect(settings.redis_url), visitor)
    base = (settings.public_url or "http://127.0.0.1:8080").rstrip("/")
    click.echo(base + logins.link_path(text))

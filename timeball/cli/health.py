"""`timeball health`: whether a role runs well on this host; for the health check of a container or a service."""

from __future__ import annotations

import socket

import click

from timeball.cli.common import settings_for
from timeball.errors import TimeballError

LATE_SECONDS = 15.0
"""A process signs the roll every 2 s; so late, it hangs."""


@click.command()
@click.argument("role", type=click.Choice(["worker", "exporter", "beat"]))
def health(role: str) -> None:
    """Exit with 0 when such a process of this host has signed the roll lately, with 1 and words otherwise."""
    from timeball.store.roll import roll
    from timeball.store.scripts import connect

    host = socket.gethostname()
    try:
        here = [
            entry
            for entry in roll(connect(settings_for(None).redis_url, timeout=2.0))
            if entry.role == role and entry.name.rpartition(":")[0] == host
        ]
    except TimeballError as error:
        raise SystemExit(f"{role}: {error}") from error
    if not here:
        raise SystemExit(f"{role}: none on {host} has signed the roll")
    silent = min(entry.age_seconds for entry in here)
    if silent > LATE_SECONDS:
        raise SystemExit(f"{role}: silent for {silent:.0f} s")
    click.echo(f"{role}: signed {silent:.1f} s ago")

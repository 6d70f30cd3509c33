"""`timeball secrets`: values that headers of a project's calls may name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from timeball.cli.common import data_option, master_secret, or_none, settings_for, write_down

if TYPE_CHECKING:
    from timeball.model.project import Project
    from timeball.store.projects import Vault
    from timeball.store.scripts import Client


def _project_option(command: click.decorators.FC) -> click.decorators.FC:
    return click.option("--project", required=True, help="Name of the project.")(command)


def _open(project: str, data: Path | None) -> tuple[Client, Vault, Project]:
    """The store, the vault, and the project of a name."""
    from timeball.store import projects
    from timeball.store.scripts import connect

    settings = settings_for(data)
    vault, client = projects.Vault(master_secret(settings)), connect(settings.redis_url)
    return client, vault, projects.find_project(client, vault, project)


@click.group()
def secrets() -> None:
    """Keep values that headers of calls name as {{secret.NAME}}."""


@secrets.command("set")
@click.argument("name")
@_project_option
@data_option
def set_(name: str, project: str, data: Path | None) -> None:
    """Keep a secret; its value is asked for, or read from standard input."""
    from timeball.store import secrets as kept

    client, vault, owner = _open(project, data)
    kept.check_name(name)
    asked = sys.stdin.isatty()
    value = click.prompt("Value", hide_input=True) if asked else sys.stdin.read().rstrip("\r\n")
    kept.put(client, vault, owner.id, name, value)
    write_down(client, "set secret", name, project_id=owner.id)
    click.echo(f"{name} is set; headers may say {{{{secret.{name}}}}}")


@secrets.command("list")
@_project_option
@data_option
def list_(project: str, data: Path | None) -> None:
    """List the names of a project's secrets."""
    from timeball.store import secrets as kept

    client, _, owner = _open(project, data)
    for secret in or_none(kept.every(client, owner.id), "secrets"):
        click.echo(f"{secret.name:<32} {secret.changed_at:%Y-%m-%d %H:%M:%S}")


@secrets.command()
@click.argument("name")
@_project_option
@data_option
def remove(name: str, project: str, data: Path | None) -> None:
    """Forget a secret; calls that name it are not made any more."""
    from timeball.store import secrets as kept

    client, _, owner = _open(project, data)
    kept.remove(client, owner.id, name)
    write_down(client, "remove secret", name, project_id=owner.id)
    click.echo(f"{name} is gone")

"""`timeball keys`: who may speak to the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from timeball.cli.common import data_option, master_secret, settings_for
from timeball.model.project import Scope

_SCOPES = [scope.value for scope in Scope]


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@click.option("--project", help="Name of the project; made when there is none yet.")
@click.option(
    "--chain",
    type=click.IntRange(1, 2**53 - 1),
    help="Number of a chain, for a key of the Spaaza dialect; stands instead of --project.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(_SCOPES),
    help="May be given repeatedly.  [default: all]",
)
@click.option("--label", help="A word to know the key by.")
@click.option(
    "--days", type=click.IntRange(1, 36500), help="Days until it expires.  [default: never]"
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with project and key.")
@data_option
def create(
    project: str | None,
    chain: int | None,
    scopes: tuple[str, ...],
    label: str | None,
    days: int | None,
    as_json: bool,
    data: Path | None,
) -> None:
    """Make a key and show it, this once."""
    from timeball.store import chains, projects
    from timeball.store.scripts import connect

    if (project is None) == (chain is None):
        raise click.UsageError(
            "Missing option '--project', or '--chain' for a key of the Spaaza dialect: give one."
        )
    settings = settings_for(data)
    vault = projects.Vault(master_secret(settings))
    client = connect(settings.redis_url)
    if chain is not None:
        owner = chains.ensure(client, vault, chain)
    else:
        owner = projects.create_project(client, vault, project or "")
    chosen = frozenset(map(Scope, scopes)) or projects.ALL_SCOPES
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    key, text = projects.create_key(
        client, vault, owner.id, chosen, label, expires_at, pair=chain is not None
    )
    if as_json:
        told: dict[str, object] = {
            "project": owner.name,
            "project_id": owner.id,
            "key": text,
            "key_id": key.id,
            "scopes": sorted(key.scopes),
        }
        if chain is not None:
            told = {"id": key.id, "secret": text.partition(":")[2], "chain": chain, **told}
        click.echo(json.dumps(told))
        return
    click.echo(f"project  {owner.name}\nkey      {text}\nscopes   {', '.join(sorted(key.scopes))}")
    click.echo("Keep it: it is not shown again.", err=True)


@keys.command("list")
@click.option("--project", help="Only those of this project.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@data_option
def list_(project: str | None, as_json: bool, data: Path | None) -> None:
    """List the keys, oldest first, without their secrets."""
    from timeball.store import projects
    from timeball.store.scripts import connect

    settings = settings_for(data)
    vault = projects.Vault(master_secret(settings))
    client = connect(settings.redis_url)
    only = projects.find_project(client, vault, project).id if project else None
    names = {p.id: p.name for p in projects.list_projects(client, vault)}
    rows = [
        {
            "id": key.id,
            "project": names.get(key.project, key.project),
            "scopes": sorted(key.scopes),
            "label": key.label,
            "created_at": key.created_at.isoformat(),
            "expires_at": key.expires_at.isoformat() if key.expires_at else None,
            "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        }
        for key in projects.list_keys(client, only)
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        state = "revoked" if row["revoked_at"] else "live"
        scopes = ",".join(row["scopes"] or ())
        click.echo(f"{row['id']}  {state:<7}  {scopes:<16}  {row['project']}  {row['label'] or ''}")


@keys.command()
@click.argument("key_id", metavar="ID")
@data_option
def revoke(key_id: str, data: Path | None) -> None:
    """End a key by its id: the eight characters after `tb_`, or what stands before the colon.

    Its tasks are still called; the download links it was given end with it.
    """
    from timeball.store import projects
    from timeball.store.scripts import connect

    settings = settings_for(data)
    found = projects.revoke_key(connect(settings.redis_url), key_id)
    click.echo(f"revoked {found.id}")

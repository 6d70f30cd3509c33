"""`timeball keys`: who may speak to the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from timeball.cli.common import data_option, master_secret, settings_for, write_down
from timeball.model.project import ApiKey, Scope

_SCOPES = [scope.value for scope in Scope]


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys, and the secrets that sign calls."""


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
    from timeball.errors import NotFound
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
        try:
            owner = projects.find_project(client, vault, project or "")
        except NotFound:
            owner = projects.create_project(client, vault, project or "")
            click.echo(f"there was no project {owner.name!r}: it is made", err=True)
    chosen = frozenset(map(Scope, scopes)) or projects.ALL_SCOPES
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    key, text = projects.create_key(
        client, vault, owner.id, chosen, label, expires_at, pair=chain is not None
    )
    write_down(client, "create key", key.id, project_id=owner.id, after=", ".join(sorted(chosen)))
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
            "expires_at": _iso(key.expires_at),
            "revoked_at": _iso(key.revoked_at),
            "last_used_at": _iso(key.last_used_at),
            "state": _state(key),
        }
        for key in projects.list_keys(client, only)
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        scopes = ",".join(row["scopes"] or ())
        used = f"used {str(row['last_used_at'])[:16]}" if row["last_used_at"] else "never used"
        click.echo(
            f"{row['id']}  {row['state']:<7}  {scopes:<16}  {used:<21}  {row['project']}  "
            f"{row['label'] or ''}".rstrip()
        )


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return "revoked"
    return "live" if key.lives(datetime.now(UTC)) else "expired"


@keys.command()
@click.argument("key_id", metavar="ID")
@data_option
def revoke(key_id: str, data: Path | None) -> None:
    """End a key by its id: the eight characters after `tb_`, or what stands before the colon.

    Its tasks are still called; the download links it was given end with it.
    """
    from timeball.store import projects
    from timeball.store.scripts import connect

    client = connect(settings_for(data).redis_url)
    found = projects.revoke_key(client, key_id)
    write_down(client, "revoke key", found.id, project_id=found.project)
    click.echo(f"revoked {found.id}")


GRACE = click.option(
    "--grace",
    default="24h",
    show_default=True,
    help="How long the old one stays good, such as 30m or 7d; 0 ends it at once.",
)


def _grace(text: str) -> timedelta:
    from timeball.timing.durations import parse_duration

    return timedelta(0) if text.strip() == "0" else parse_duration(text, "--grace")


@keys.command()
@click.argument("key_id", metavar="ID")
@GRACE
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@data_option
def rotate(key_id: str, grace: str, as_json: bool, data: Path | None) -> None:
    """Make a key that takes the place of another, and show it, this once."""
    from timeball.errors import NotFound
    from timeball.store import projects, rotation
    from timeball.store.scripts import connect

    settings = settings_for(data)
    vault = projects.Vault(master_secret(settings))
    client = connect(settings.redis_url)
    owner = projects.owner_of(client, key_id)
    if owner is None:
        raise NotFound(f"there is no key {key_id!r}")
    key, text = rotation.rotate_key(client, vault, owner, key_id, _grace(grace))
    write_down(client, "rotate key", key_id, project_id=owner, after=f"{key.id}, grace {grace}")
    if as_json:
        click.echo(json.dumps({"key": text, "key_id": key.id, "replaces": key_id}))
        return
    click.echo(f"key      {text}\nreplaces {key_id}, which ends after {grace}")
    click.echo("Keep it: it is not shown again.", err=True)


@keys.command()
@click.option("--project", required=True, help="Name of the project.")
@click.option("--rotate", is_flag=True, help="Make a new secret first.")
@GRACE
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@data_option
def signing(project: str, rotate: bool, grace: str, as_json: bool, data: Path | None) -> None:
    """Show the Standard Webhooks secrets that a project's calls are signed with.

    With --rotate a new one is made, and calls carry the signatures of both until the grace is over.
    """
    from timeball.store import projects, rotation
    from timeball.store.scripts import connect

    settings = settings_for(data)
    vault = projects.Vault(master_secret(settings))
    client = connect(settings.redis_url)
    owner = projects.find_project(client, vault, project)
    if rotate:
        found = rotation.rotate_signing(client, vault, owner.id, _grace(grace))
        verb, after = "rotate signing secret", f"grace {grace}"
    else:
        found = rotation.signing_secrets(client, vault, owner.id)
        verb, after = "show signing secret", ""
    write_down(client, verb, project, project_id=owner.id, after=after)
    if as_json:
        rows = [{"secret": one.secret, "until": _iso(one.until)} for one in found]
        click.echo(json.dumps(rows))
        return
    for one in found:
        until = f"until {one.until:%Y-%m-%d %H:%M} UTC" if one.until else "current"
        click.echo(f"{one.secret}  {until}")

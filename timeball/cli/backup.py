"""`timeball backup`, `restore` and `export`: all that a store holds, for safety, for moving, for leaving."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, cast

import click

from timeball.cli.common import data_option, house_for
from timeball.errors import ConfigError

FILE = click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False))
TIMEOUT_SECONDS = 60.0


def _tell(counts: Counter[str]) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{_words(counts)} ", nl=False, err=True)


def _words(counts: Counter[str]) -> str:
    return f"{counts['tasks']} tasks, {counts['schedules']} schedules, {counts['keys']} other keys"


@click.command()
@FILE
@click.option(
    "--moving",
    is_flag=True,
    help="Refuse while a worker or a beat is at work: for the last backup before another store takes over.",
)
@data_option
def backup(file: Path, moving: bool, data: Path | None) -> None:
    """Write all that the store holds into FILE, `-` for standard output. It may go on meanwhile.

    What waited when the backup began is in it. The master secret is not: keep TIMEBALL_SECRET with it, or
    keys and signing secrets are lost. The file appears once it is whole, for its owner alone.
    """
    from timeball.dispatch.backup import back_up, who_works

    house = house_for(data, TIMEOUT_SECONDS)
    busy = who_works(house) if moving else []
    if busy:
        raise ConfigError(
            [
                f"still at work: {', '.join(busy)}. Stop API, workers, exporters and beats, then again"
            ]
        )
    if str(file) == "-":
        counts = back_up(house, sys.stdout.buffer, _tell)
    else:
        beside = file.with_name(f".{file.name}.part")
        try:
            beside.unlink(
                missing_ok=True
            )  # another's file would stay another's, and a link lead elsewhere
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as out:
                counts = back_up(house, out, _tell)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(file)
        except OSError as error:
            raise click.ClickException(f"cannot write {file}: {error}") from None
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
    click.echo(f"\rbacked up {_words(counts)}", err=True)


@click.command()
@FILE
@data_option
def restore(file: Path, data: Path | None) -> None:
    """Put a backup into an empty store, Redis or Valkey, before anything works on it. `-` is standard input.

    Needs the TIMEBALL_SECRET and TIMEBALL_SHARDS that the backup was made with. Tasks that were running are
    called again.
    """
    from timeball.dispatch.backup import DamagedBackup, restore

    house = house_for(data, TIMEOUT_SECONDS)
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as source:
            counts = restore(house, cast(IO[bytes], source), _tell)
    except DamagedBackup as error:
        raise click.ClickException(f"{error}. Empty the store before anything else") from None
    except OSError as error:
        raise click.ClickException(f"cannot read {file}: {error}") from None
    click.echo(f"\rrestored {_words(counts)}", err=True)


@click.command()
@click.option("--project", help="Only this project's.")
@data_option
def export(project: str | None, data: Path | None) -> None:
    """Print all tasks and schedules as JSON lines, with everything in clear, to take them elsewhere.

    Each line has the fields of the API, so that it may be posted again, and `kind`, `project`, `state`.
    """
    from timeball.dispatch import leaving
    from timeball.store import projects

    house = house_for(data, TIMEOUT_SECONDS)
    if project is not None:
        chosen = [projects.find_project(house.client, house.vault, project)]
    else:
        chosen = projects.list_projects(house.client, house.vault)
    for one in chosen:
        for line in leaving.lines(house, one.id):
            click.echo(json.dumps({"project": one.name, **line}))

"""`timeball sources`: what a chain may export."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from timeball.cli.common import data_option, settings_for
from timeball.errors import ConfigError, InvalidField

if TYPE_CHECKING:
    from timeball.dispatch.house import House
    from timeball.export.columns import Column

_CHAIN = click.option(
    "--chain", type=click.IntRange(1, 2**53 - 1), required=True, help="Number of the chain."
)
_INDEX = click.option("--index", required=True, help="Name of the index, such as wallet-ledger.")


@click.group()
def sources() -> None:
    """Register, list, try and remove the sources of exports."""


def _opened(data: Path | None) -> House:
    from timeball.dispatch.house import open_house

    return open_house(settings_for(data))


@sources.command()
@_CHAIN
@_INDEX
@click.option("--url", help="postgresql://..., mysql://... or sqlite:////path; kept encrypted.")
@click.option("--url-env", help="Name of the exporters' variable that holds the URL, instead.")
@click.option("--table", required=True, help="Table or view; may carry a schema.")
@click.option("--chain-column", help="Column that holds the chain's number.  [default: all rows]")
@click.option("--deleted-column", help="Column that is set in rows that count as deleted.")
@click.option(
    "--times",
    type=click.Choice(["native", "iso", "epoch_s", "epoch_ms"]),
    default="native",
    show_default=True,
    help="How instants are kept.",
)
@click.option("--order-by", multiple=True, help="Column to sort by, -column for descending.")
@click.option("--allow", "allowed", multiple=True, help="Column to export.  [default: all]")
@click.option("--deny", "denied", multiple=True, help="Column that does not exist for callers.")
@click.option("--prefix", help="Beginning of file names.  [default: the index]")
@data_option
def add(data: Path | None, **fields: Any) -> None:
    """Try a source and keep it, in place of one for the same index."""
    from timeball.dispatch import sources as verbs
    from timeball.export.sources import from_json
    from timeball.store import chains

    house = _opened(data)
    given = {name: value for name, value in fields.items() if value not in (None, ())}
    try:
        source = from_json(given)
        project = chains.ensure(house.client, house.vault, source.chain)
        columns = verbs.register(house, project.id, source)
    except InvalidField as error:
        raise ConfigError([f"{error.field} {error.message}"]) from None
    click.echo(f"registered {source.index} of chain {source.chain}")
    _show(columns)


@sources.command()
@click.argument("file", type=click.File("rb"))
@data_option
def apply(file: IO[bytes], data: Path | None) -> None:
    """Try the sources of a YAML file and keep them, all or none.

    The file holds a list of sources; each names chain, index, table, url or url_env, and what else `add` takes.
    """
    import yaml

    from timeball.dispatch import sources as verbs
    from timeball.export.sources import from_json
    from timeball.store import chains

    house = _opened(data)
    try:
        listed = yaml.safe_load(file)
    except yaml.YAMLError as error:
        raise ConfigError([f"{file.name} is no YAML: {error}"]) from None
    if not isinstance(listed, list):
        raise ConfigError([f"{file.name} must hold a list of sources"])
    found, faults = [], []
    for place, given in enumerate(listed, 1):
        try:
            source = from_json(given if isinstance(given, dict) else {})
            verbs.probe(house, source)
            found.append(source)
        except InvalidField as error:
            faults.append(f"source {place}: {error.field} {error.message}")
    if faults:
        raise ConfigError(faults)
    for source in found:
        project = chains.ensure(house.client, house.vault, source.chain)
        verbs.register(house, project.id, source)
        click.echo(f"registered {source.index} of chain {source.chain}")


def _show(columns: Sequence[Column]) -> None:
    for column in columns:
        click.echo(f"  {column.name}  {column.kind}")


@sources.command("list")
@_CHAIN
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@data_option
def list_(chain: int, as_json: bool, data: Path | None) -> None:
    """List a chain's sources, without their URLs."""
    from timeball.dispatch import own
    from timeball.dispatch import sources as verbs
    from timeball.store import chains

    house = _opened(data)
    found = verbs.every(house, chains.find(house.client, chain))
    if as_json:
        click.echo(json.dumps([verbs.shown(source) for source in found]))
        return
    for source in found:
        click.echo(f"{source.index}  {source.table}  times {source.times}")
    for index in own.COLUMNS:
        click.echo(f"{index}  of Timeball itself")


@sources.command()
@_CHAIN
@_INDEX
@data_option
def remove(chain: int, index: str, data: Path | None) -> None:
    """Forget a source."""
    from timeball.dispatch import sources as verbs
    from timeball.store import chains

    house = _opened(data)
    verbs.remove(house, chains.find(house.client, chain), index)
    click.echo(f"removed {index} of chain {chain}")


@sources.command()
@_CHAIN
@_INDEX
@data_option
def test(chain: int, index: str, data: Path | None) -> None:
    """Try a registered source again and show its columns."""
    from timeball.dispatch import sources as verbs
    from timeball.store import chains

    house = _opened(data)
    source = verbs.get(house, chains.find(house.client, chain), index)
    try:
        columns = verbs.probe(house, source)
    except InvalidField as error:
        raise ConfigError([f"{error.field} {error.message}"]) from None
    click.echo(f"{index} of chain {chain} works")
    _show(columns)

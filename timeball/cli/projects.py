"""`timeball projects` and `timeball exports`: what is in the store, for those who run it."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import click

from timeball.cli.common import data_option, house_for
from timeball.cli.tasks import json_option, limit_option


@click.group()
def projects() -> None:
    """Look at projects, and switch their retries."""


@projects.command("list")
@json_option
@data_option
def list_(as_json: bool, data: Path | None) -> None:
    """List projects, oldest first, and how each stands."""
    from timeball.store import gauges
    from timeball.store.projects import list_projects

    house = house_for(data)
    rows = []
    for project in list_projects(house.client, house.vault):
        [stand] = gauges.gauges(house.client, house.prefix(project.id), [project.id]).projects
        rows.append(
            {
                "id": project.id,
                "name": project.name,
                "chain": project.chain,
                "created_at": project.created_at.isoformat(),
                "retries": project.retries,
                "waiting": stand.waiting,
                "due": stand.due,
                "running": stand.in_flight,
                "dead": stand.dead,
                "schedules": stand.schedules,
            }
        )
    if as_json:
        click.echo(json.dumps(rows))
        return
    click.echo("id          waiting      due  running     dead  schedules  name")
    for row in rows:
        click.echo(
            f"{row['id']}  {row['waiting']:>7}  {row['due']:>7}  {row['running']:>7}  {row['dead']:>7}  "
            f"{row['schedules']:>9}  {row['name']}"
        )


@projects.command()
@click.argument("name")
@data_option
def create(name: str, data: Path | None) -> None:
    """Make a project; one that is there stays. Then make it a key: timeball keys create --project NAME."""
    from timeball.store.projects import create_project

    house = house_for(data)
    project = create_project(house.client, house.vault, name)
    click.echo(f"{project.id}  {project.name}")


@projects.command()
@click.argument("name")
@click.argument("switch", type=click.Choice(["on", "off"]))
@data_option
def retries(name: str, switch: str, data: Path | None) -> None:
    """Say whether tasks of a project are tried again that do not say so themselves."""
    from timeball.store.projects import find_project, set_retries

    house = house_for(data)
    project = find_project(house.client, house.vault, name)
    set_retries(house.client, project.id, switch == "on")
    click.echo(f"retries of {name} are {switch}")


@click.group()
def exports() -> None:
    """Look at the exports of a chain, and cancel them."""


_CHAIN = click.option("--chain", type=click.IntRange(1), required=True, help="The chain's number.")


@exports.command("list")
@_CHAIN
@limit_option
@json_option
@data_option
def list_exports(chain: int, limit: int, as_json: bool, data: Path | None) -> None:
    """List exports, newest first: number, state, when it last changed, rows, what it is."""
    from timeball.dispatch.exports import find
    from timeball.store.chains import find as find_chain

    house = house_for(data)
    found = list(islice(find(house, find_chain(house.client, chain), 0), limit))
    if as_json:
        rows = [
            {
                "id": one.number,
                "code": one.code,
                "modified_at": one.modified_at.isoformat(),
                "desc": one.order.desc,
                "rows": one.result.rows if one.result else None,
                "bytes": one.result.size_bytes if one.result else None,
            }
            for one in found
        ]
        click.echo(json.dumps(rows))
        return
    for one in found:
        rows_text = one.result.rows if one.result else ""
        click.echo(
            f"{one.number:>6}  {one.code:<10}  {one.modified_at:%Y-%m-%d %H:%M}  {rows_text:>9}  {one.order.desc}"
        )


@exports.command()
@_CHAIN
@click.argument("number", type=click.IntRange(1))
@data_option
def cancel(chain: int, number: int, data: Path | None) -> None:
    """Cancel an export."""
    from timeball.dispatch.exports import cancel as cancel_export
    from timeball.store.chains import find as find_chain

    house = house_for(data)
    cancel_export(house, find_chain(house.client, chain), number)
    click.echo(f"cancelled {number}")

"""`timeball egress`: how the calls of a project go out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from timeball.cli.common import data_option, master_secret, settings_for, write_down

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--project", required=True, help="Name of the project.")
@click.option(
    "--proxy", help="http://, https:// or socks5h:// URL of a proxy; 'none' for no proxy."
)
@click.option("--certificate", type=_FILE, help="PEM file of a client certificate.")
@click.option("--key", type=_FILE, help="PEM file of its key.")
@click.option("--no-certificate", is_flag=True, help="Show no client certificate any more.")
@data_option
def egress(
    project: str,
    proxy: str | None,
    certificate: Path | None,
    key: Path | None,
    no_certificate: bool,
    data: Path | None,
) -> None:
    """Show or change how the calls of a project go out: a proxy, a client certificate for mTLS.

    Behind a proxy, names are resolved by it: what they may reach is then its rule, not ours. The proxy itself
    must be public, or opened by TIMEBALL_ALLOWED_TARGETS.
    """
    from timeball.store import projects, via
    from timeball.store.scripts import connect

    settings = settings_for(data)
    vault, client = projects.Vault(master_secret(settings)), connect(settings.redis_url)
    owner = projects.find_project(client, vault, project)
    now = wanted = via.get(client, vault, owner.id) or via.Via()
    if proxy is not None:
        wanted = replace(wanted, proxy=None if proxy == "none" else proxy)
    if no_certificate:
        wanted = replace(wanted, certificate=None, key=None)
    if certificate is not None or key is not None:
        wanted = replace(
            wanted,
            certificate=None if certificate is None else certificate.read_text(),
            key=None if key is None else key.read_text(),
        )
    if wanted != now:
        via.put(client, vault, owner.id, wanted)
        write_down(client, "change egress", owner.id, project_id=owner.id)
    click.echo(f"proxy:       {wanted.proxy_host or 'none'}")
    click.echo(f"certificate: {'set' if wanted.certificate else 'none'}")

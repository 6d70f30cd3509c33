"""What commands that speak to the store share: `--data`, and the settings it stands for."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from timeball.errors import ConfigError
from timeball.settings import Settings

if TYPE_CHECKING:
    from timeball.dispatch.house import House

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def data_option(command: F) -> F:
    """The option `--data` of a command."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        help="Use the settings of the `timeball up` that runs on this data folder, "
        "instead of the environment's.",
    )(command)


def or_none(found: Iterable[T], what: str) -> Iterator[T]:
    """What was found; where that is nothing, it is said to whoever reads, and not to a program behind a pipe."""
    empty = True
    for one in found:
        empty = False
        yield one
    if empty:
        click.echo(f"no {what}", err=True)


def settings_for(data: Path | None) -> Settings:
    """The settings of the run on a data folder, or those of the environment. Raises ConfigError."""
    from timeball import settings
    from timeball.up.folder import read_run

    environ = dict(os.environ)
    if data is not None:
        environment, _ = read_run(data)
        for name in environment:
            # The run's value wins in either of its two forms.
            base = name.removesuffix("_FILE")
            environ.pop(base, None)
            environ.pop(base + "_FILE", None)
        environ.update(environment)
    return settings.load(environ)


def master_secret(settings: Settings) -> str:
    """Raises ConfigError when there is none."""
    if settings.secret is None:
        raise ConfigError(
            [
                "TIMEBALL_SECRET is not set: set it as the API and the workers have it, "
                "or name the data folder of a running `timeball up` with --data"
            ]
        )
    return settings.secret


def user_name() -> str:
    """Who runs this; in a container he may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "cli"


def write_down(
    client: Any, verb: str, subject: str, *, project_id: str = "", before: str = "", after: str = ""
) -> None:
    """A line of the audit log for what a command has written."""
    from timeball.model.visitor import Role, Written
    from timeball.store import logins, projects

    name = projects.name_of(client, project_id) if project_id else ""
    line = Written(
        logins.real_now(), user_name(), Role.ADMIN, "cli", name, verb, subject, before, after
    )
    logins.write_down(client, line)


def house_for(data: Path | None, store_timeout: float = 5.0) -> House:
    """The opened house of a data folder's run, or of the environment. Raises ConfigError."""
    from timeball.dispatch.house import open_house

    settings = settings_for(data)
    master_secret(settings)
    return open_house(settings, store_timeout)

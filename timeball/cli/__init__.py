"""The command line. Heavy libraries are loaded by the command that needs them, so that `timeball` starts fast."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

import timeball
from timeball.cli.backup import backup, export, restore
from timeball.cli.clock import clock
from timeball.cli.dead import dead
from timeball.cli.doctor import doctor
from timeball.cli.egress import egress
from timeball.cli.health import health
from timeball.cli.hosts import hosts
from timeball.cli.keys import keys
from timeball.cli.login import login
from timeball.cli.members import members
from timeball.cli.projects import exports, projects
from timeball.cli.queues import queues
from timeball.cli.schedules import schedules
from timeball.cli.secrets import secrets
from timeball.cli.sources import sources
from timeball.cli.tasks import tasks
from timeball.cli.watch import replay, tail
from timeball.errors import ConfigError, TimeballError

BEGAN = time.monotonic()
PORT = click.IntRange(0, 65535)
F = TypeVar("F", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Timeball: call this URL, then.

    Settings are TIMEBALL_* variables of the environment. `timeball up` runs everything on this machine.
    """


cli.add_command(keys)
cli.add_command(health)
cli.add_command(clock)
cli.add_command(login)
cli.add_command(members)
cli.add_command(schedules)
cli.add_command(sources)
cli.add_command(secrets)
cli.add_command(egress)
cli.add_command(queues)
cli.add_command(hosts)
cli.add_command(tasks)
cli.add_command(dead)
cli.add_command(tail)
cli.add_command(replay)
cli.add_command(projects)
cli.add_command(exports)
cli.add_command(doctor)
cli.add_command(backup)
cli.add_command(restore)
cli.add_command(export)


def main() -> None:
    """The console script. What is wrong is said in words, all of it at once, with exit code 2."""
    try:
        code = cli.main(standalone_mode=False)
    except TimeballError as error:
        for fault in error.faults if isinstance(error, ConfigError) else (str(error),):
            click.echo(f"timeball: {fault}", err=True)
        code = 2
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = 2
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:  # as in `timeball keys list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _folder(about: str) -> Callable[[F], F]:
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(".timeball"),
        show_default=True,
        help=about,
    )


@cli.command()
@_folder("Where everything is kept; made when it does not exist.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of API and inbox.")
@click.option(
    "--port", type=PORT, default=8080, show_default=True, help="The API; next free one if taken."
)
@click.option("--inbox-port", type=PORT, default=9000, show_default=True, help="The inbox.")
@click.option("--flower-port", type=PORT, default=5555, show_default=True, help="Flower.")
@click.option("--flower/--no-flower", default=True, help="Whether Flower runs.")
@click.option(
    "--workers", type=click.IntRange(1, 256), help="Worker processes.  [default: cores, at least 2]"
)
@click.option("--beats", type=click.IntRange(1, 16), default=1, show_default=True, help="Beats.")
@click.option(
    "--logs",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="Form of the logs: auto is text on a terminal, JSON elsewhere.",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write addresses, key and process ids there, as JSON, once all is ready.",
)
def up(
    data: Path,
    host: str,
    port: int,
    inbox_port: int,
    flower_port: int,
    flower: bool,
    workers: int | None,
    beats: int,
    logs: str,
    ready_file: Path | None,
) -> None:
    """Run everything on this machine: store, API, workers, beat, inbox, Flower.

    A port of 0 takes any free one. Ctrl-C stops it all; the data folder keeps what was taken in.
    """
    import signal

    # A script's shell starts what runs in the background with Ctrl-C ignored; here it must count at once.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from timeball.up import commands, stack

    options = stack.Options(
        data=data,
        host=host,
        port=port,
        inbox_port=inbox_port,
        flower_port=flower_port,
        flower=flower,
        workers=workers or commands.default_processes(),
        beats=beats,
        logs=logs,
        ready_file=ready_file,
    )
    code = stack.run(options, os.environ, BEGAN)
    if code:
        sys.exit(code)


def _become(argv: Callable[[], tuple[str, ...]]) -> None:
    """Check the settings, then turn this process into the program."""
    from timeball.egress import Policy
    from timeball.settings import load
    from timeball.up import commands

    given = load()
    Policy.parse(given.allowed_targets, given.denied_targets)
    commands.allow_descriptors()
    words = argv()
    sys.stdout.flush()
    os.execv(words[0], words)  # noqa: S606 - no shell is wanted


_HOST = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")


@cli.command()
@_HOST
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--processes", type=click.IntRange(1, 256), default=1, show_default=True)
def api(host: str, port: int, processes: int) -> None:
    """Serve the API."""
    from timeball.up import commands

    _become(lambda: commands.api(host, port, processes))


@cli.command()
@click.option(
    "--concurrency", type=click.IntRange(1, 256), help="Processes.  [default: cores, at least 2]"
)
@click.option("--name", default="worker", show_default=True, help="Name of the node on this host.")
def worker(concurrency: int | None, name: str) -> None:
    """Run a worker: it makes the calls."""
    from timeball.up import commands

    _become(lambda: commands.worker(concurrency or commands.default_processes(), name))


@cli.command()
@click.option("--concurrency", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--name", default="exporter", show_default=True, help="Name of the node on this host."
)
def exporter(concurrency: int, name: str) -> None:
    """Run an exporter: it writes the files of exports."""
    from timeball.up import commands

    _become(lambda: commands.exporter(concurrency, name))


@cli.command()
def beat() -> None:
    """Run a beat: it keeps the clock. Any number may run; one leads, the others stand by."""
    from timeball.settings import load
    from timeball.up import commands

    if urls := load().alert_urls:
        from timeball.dispatch import messengers

        if wrong := list(messengers.faults(urls)):
            raise ConfigError(wrong)
    _become(commands.beat)


@cli.command()
@_HOST
@click.option("--port", type=click.IntRange(1, 65535), default=5555, show_default=True)
def flower(host: str, port: int) -> None:
    """Serve Flower. It asks for FLOWER_BASIC_AUTH (user:password), which must be set."""
    from timeball.up import commands

    if ":" not in os.environ.get("FLOWER_BASIC_AUTH", ""):
        raise ConfigError(
            ["FLOWER_BASIC_AUTH is not set: give user:password, or Flower is open to all"]
        )
    _become(lambda: commands.flower(host, port))


@cli.command()
@_HOST
@click.option("--port", type=click.IntRange(1, 65535), default=9000, show_default=True)
def inbox(host: str, port: int) -> None:
    """Serve the inbox: it records what is posted to it, and fails on request."""
    from timeball.up import commands

    _become(lambda: commands.inbox(host, port))


@cli.command()
@_folder("The data folder of a running `timeball up`.")
@click.option("--json", "as_json", is_flag=True, help="As the ready file has it.")
def info(data: Path, as_json: bool) -> None:
    """Show again what a running `timeball up` has printed."""
    from timeball.up import ready
    from timeball.up.folder import read_run

    environment, facts = read_run(data)
    if not facts.get("pids"):
        raise ConfigError([f"timeball up on {data} is still starting"])
    facts["login_url"] = _fresh_link(data) or facts["login_url"]
    click.echo(ready.as_json(facts) if as_json else ready.block(facts, environment), nl=not as_json)


def _fresh_link(data: Path) -> str | None:
    """A link to the dashboard, since that of the start may have been used; None while there is no store."""
    from timeball.cli.common import settings_for, user_name
    from timeball.errors import StoreError
    from timeball.model.visitor import Role, Visitor
    from timeball.store import logins
    from timeball.store.scripts import connect

    settings = settings_for(data)
    try:
        text = logins.make_link(connect(settings.redis_url), Visitor(user_name(), Role.ADMIN))
    except StoreError:
        return None
    return f"{settings.public_url or ''}{logins.link_path(text)}"


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete the commands of `timeball`.

    For bash, in ~/.bashrc: eval "$(timeball completion bash)"
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "timeball", "_TIMEBALL_COMPLETE").source())


@cli.command()
def version() -> None:
    """Show the version."""
    click.echo(timeball.__version__)

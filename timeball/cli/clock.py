"""`timeball clock`: the virtual clock, for tests and for trying out schedules. Development only."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from timeball.cli.common import data_option, master_secret, settings_for
from timeball.errors import ConfigError
from timeball.settings import Settings


@click.group()
def clock() -> None:
    """Look at the clock by which tasks are due, or put it forward (development only)."""


@clock.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@data_option
def show(as_json: bool, data: Path | None) -> None:
    """Show the store's now, and how far it is ahead."""
    _tell(settings_for(data), as_json)


@clock.command()
@click.argument("duration")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@data_option
def advance(duration: str, as_json: bool, data: Path | None) -> None:
    """Put the clock forward by DURATION, such as 90s, 2h45m, 7d or PT5M: all that gets due is called, in order."""
    from timeball.dispatch import timewarp
    from timeball.dispatch.house import open_house
    from timeball.timing.durations import parse_duration

    by = parse_duration(duration, "DURATION")
    settings = _development(settings_for(data))
    master_secret(settings)
    if timewarp.advance(open_house(settings), by).waited_in_vain:
        click.echo("not all that was due was called in time: is a worker running?", err=True)
    _tell(settings, as_json)


@clock.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@data_option
def reset(as_json: bool, data: Path | None) -> None:
    """Put the clock back to real time. What was called ahead of time stays called."""
    from timeball.store import clock as store_clock
    from timeball.store.scripts import connect

    settings = _development(settings_for(data))
    store_clock.reset(connect(settings.redis_url), settings.shards)
    _tell(settings, as_json)


def _development(settings: Settings) -> Settings:
    if not settings.dev:
        raise ConfigError(
            [
                "the clock is only moved in development: set TIMEBALL_DEV=1 here and for every process"
            ]
        )
    return settings


def _tell(settings: Settings, as_json: bool) -> None:
    from timeball.store import keys, pumps
    from timeball.store.scripts import connect

    now_ms, ahead_ms = pumps.clock(connect(settings.redis_url), keys.prefix(0))
    now = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
    if as_json:
        click.echo(json.dumps({"now": now, "ahead_seconds": ahead_ms / 1000}))
    else:
        click.echo(f"{now}  {timedelta(milliseconds=ahead_ms)} ahead of real time")

"""`timeball schedules`: look at them, steer them, bring them from elsewhere, keep them in a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from timeball.cli import remote
from timeball.cli.common import data_option, or_none

F = TypeVar("F", bound=Callable[..., Any])
OVERLAPS = ("queue_one", "allow", "skip", "cancel_other")
CATCH_UPS = ("latest", "none", "all")


class Remote(remote.Remote):
    """The API, with what is asked of schedules."""

    def all(self) -> list[dict[str, Any]]:
        """Every schedule of the project, newest first."""
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            params: dict[str, Any] = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
            page, cursor = self.answer("GET", "/schedules", params=params)
            found += page
        return found

    def id_of(self, word: str) -> str:
        """The id of a schedule by its id or its name. Raises ClickException."""
        if len(word) == 36 and word.count("-") == 4:
            return word
        found = self("GET", "/schedules", params={"name": word})
        if len(found) != 1:
            raise click.ClickException(f"{len(found)} schedules have the name {word!r}: give an id")
        return str(found[0]["id"])


@click.group()
def schedules() -> None:
    """Look at schedules, steer them, bring them from elsewhere, keep them in a file.

    Reads TIMEBALL_URL and TIMEBALL_KEY, or --data for a `timeball up` on this machine.
    """


_JSON = click.option("--json", "as_json", is_flag=True, help="As the API has it.")
_YES = click.option("--yes", is_flag=True, help="Without asking.")


@schedules.command("list")
@_JSON
@data_option
def list_(as_json: bool, data: Path | None) -> None:
    """List the schedules, newest first, with their next instant."""
    found = Remote(data).all()
    if as_json:
        click.echo(json.dumps(found))
        return
    for one in or_none(found, "schedules"):
        when = "paused" if one["paused"] else one["scheduled_for"] or "ended"
        rule = one["cron"] or one["rrule"].replace("\n", " ")
        click.echo(f"{one['id']}  {when:<24}  {rule:<24}  {one['name'] or one['request']['url']}")


def _when(command: F) -> F:
    """The options that say when a schedule fires, and what becomes of an occurrence that cannot run as named."""
    for option in (
        click.option(
            "--paused", is_flag=True, default=None, help="It is made, and fires nothing yet."
        ),
        click.option("--catch-up-window", help="Nothing older is made up for.  [default: 1h]"),
        click.option(
            "--catch-up", type=click.Choice(CATCH_UPS), help="What an outage left undone."
        ),
        click.option("--overlap", type=click.Choice(OVERLAPS), help="When the last still runs."),
        click.option("--window", help="Spreads the calls over so long, such as 5m or 25%."),
        click.option("--max-runs", type=int, help="How many occurrences become tasks at most."),
        click.option("--end-at", help="Nothing fires after this instant, ISO 8601."),
        click.option("--start-at", help="Nothing fires before this instant, ISO 8601."),
        click.option("--dtstart", help="Where an rrule starts, ISO 8601.  [default: now]"),
        click.option(
            "--timezone", help="In which the rule is read, such as Europe/Paris.  [default: UTC]"
        ),
        click.option("--rrule", help="A rule such as FREQ=WEEKLY;BYDAY=MO; one of both is needed."),
        click.option(
            "--cron", help="A rule such as '0 9 * * 1-5'; of six fields, seconds are first."
        ),
    ):
        command = option(command)
    return command


def _told(command: F) -> F:
    """The options that say who is told how its tasks end."""
    for option in (
        click.option("--on-recovered", help="A URL to tell when one succeeds after that."),
        click.option(
            "--pause-when-failing", is_flag=True, default=None, help="Then it is paused, too."
        ),
        click.option("--failing-after", type=int, help="How many deaths in a row.  [default: 3]"),
        click.option("--on-failing", help="A URL to tell when its tasks die one after the other."),
        click.option("--on-attempt", help="A URL to tell of each attempt."),
        click.option("--on-failure", help="A URL to tell when a task has failed for good."),
        click.option("--on-success", help="A URL to tell when a task has succeeded."),
    ):
        command = option(command)
    return command


@schedules.command()
@click.argument("url")
@_when
@click.option("--name", help="A name, by which it is found again.")
@click.option("--description", help="Words for people.")
@click.option("--method", default="POST", show_default=True, help="The HTTP method.")
@click.option("--body", help="The body; `@FILE` reads it from a file, `@-` from standard input.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header.")
@click.option("--queue", help="The queue of its tasks.  [default: default]")
@click.option("--tag", "tags", multiple=True, help="Of its tasks; may be given repeatedly.")
@click.option("--attempts", type=click.IntRange(1, 100), help="Attempts at most.  [default: 3]")
@click.option("--timeout", help="Total time of each call, such as 30s.")
@_told
@_JSON
@data_option
def create(
    url: str,
    method: str,
    body: str | None,
    headers: tuple[str, ...],
    attempts: int | None,
    as_json: bool,
    data: Path | None,
    **fields: Any,
) -> None:
    """Have URL called by a rule."""
    from timeball.cli.tasks import body_of, headers_of
    from timeball.client.resources import task

    if (fields["cron"] is None) == (fields["rrule"] is None):
        raise click.UsageError("give --cron or --rrule")
    if attempts is not None:
        fields["retry"] = {"max_attempts": attempts}
    sent = task(url, method=method, body=body_of(body), headers=headers_of(headers), **fields)
    made = Remote(data)("POST", "/schedules", json=sent)
    words = f"{made['id']}  next at {made['scheduled_for']}"
    click.echo(json.dumps(made) if as_json else words)


@schedules.command()
@click.argument("schedule", metavar="ID|NAME")
@_JSON
@data_option
def show(schedule: str, as_json: bool, data: Path | None) -> None:
    """Show a schedule, and what became of its last occurrences."""
    api = Remote(data)
    path = f"/schedules/{api.id_of(schedule)}"
    found, history = api("GET", path), api("GET", f"{path}/history")
    if as_json:
        click.echo(json.dumps({**found, "history": history}))
        return
    for name, value in found.items():
        if value not in (None, [], {}):
            click.echo(f"{name:<16}  {value if isinstance(value, str) else json.dumps(value)}")
    for one in history:
        click.echo("  ".join(str(value) for value in one.values() if value is not None))


@schedules.command()
@click.argument("schedule", metavar="ID|NAME")
@_YES
@data_option
def delete(schedule: str, yes: bool, data: Path | None) -> None:
    """Forget a schedule, and its tasks that nobody has claimed."""
    api = Remote(data)
    found = api("GET", f"/schedules/{api.id_of(schedule)}")
    if not yes:
        click.confirm(f"Forget the schedule {found['name'] or found['id']}?", abort=True)
    api("DELETE", f"/schedules/{found['id']}")
    click.echo(f"deleted {schedule}")


@schedules.command()
@click.argument("schedule", metavar="ID|NAME")
@data_option
def pause(schedule: str, data: Path | None) -> None:
    """Let a schedule make no more tasks; those not yet called are taken back."""
    api = Remote(data)
    api("POST", f"/schedules/{api.id_of(schedule)}/pause")
    click.echo(f"paused {schedule}")


@schedules.command()
@click.argument("schedule", metavar="ID|NAME")
@data_option
def resume(schedule: str, data: Path | None) -> None:
    """End a pause."""
    api = Remote(data)
    told = api("POST", f"/schedules/{api.id_of(schedule)}/resume")
    click.echo(f"resumed {schedule}: next at {told['scheduled_for']}")


@schedules.command()
@click.argument("schedule", metavar="ID|NAME")
@data_option
def run(schedule: str, data: Path | None) -> None:
    """Make an extra task of a schedule now."""
    api = Remote(data)
    click.echo(f"task {api('POST', f'/schedules/{api.id_of(schedule)}/run')['id']}")


@schedules.command()
@click.argument("schedule", metavar="ID|NAME|RULE")
@click.option("-n", type=click.IntRange(1, 100), default=5, show_default=True, help="How many.")
@click.option("--timezone", default="UTC", show_default=True, help="In which a RULE is read.")
@data_option
def preview(schedule: str, n: int, timezone: str, data: Path | None) -> None:
    """Show when a schedule fires next, or a RULE such as '0 9 * * 1-5' or FREQ=DAILY would."""
    api = Remote(data)
    kind = "rrule" if "FREQ=" in schedule else "cron"
    if kind == "rrule" or re.match(r"@|[0-9*]\S*( \S+){4,5}$", schedule):
        sent = {kind: schedule, "timezone": timezone, "n": n}
        told = api("POST", "/schedules/preview", json=sent)
    else:
        path = f"/schedules/{api.id_of(schedule)}/preview"
        told = api("GET", path, params={"n": n})
    click.echo(told["rule"])
    for one in told["next"]:
        flags = "  moved out of a gap" if one["gap"] else "  comes twice" if one["fold"] else ""
        click.echo(f"{one['occurrence']}  {one['local']}{flags}")


_URL = click.option("--url", help="Where calls go that name no URL of their own.")
_YAML = click.option("--yaml", "as_yaml", is_flag=True, help="Only print them, for `apply`.")


@schedules.command("import")
@click.argument("kind", type=click.Choice(["crontab", "celery", "eventbridge"]))
@click.argument("source", metavar="FILE|MODULE:ATTRIBUTE")
@_URL
@click.option("--timezone", default="UTC", show_default=True, help="Of a Celery app's crontabs.")
@_YAML
@_YES
@data_option
def import_(
    kind: str,
    source: str,
    url: str | None,
    timezone: str,
    as_yaml: bool,
    yes: bool,
    data: Path | None,
) -> None:
    """Bring schedules from a crontab, a Celery beat_schedule or EventBridge Scheduler.

    Celery's comes as JSON, or as MODULE:ATTRIBUTE of a program: that runs the program's code on this machine
    with your rights, so name only what you trust.
    """
    import yaml

    from timeball.cli import schedule_files

    if kind == "celery" and not Path(source).exists():
        click.echo(f"This runs the code of {source.partition(':')[0]}.", err=True)
        if not yes:
            click.confirm("Go on?", abort=True, err=True)
        read = schedule_files.celery(schedule_files.celery_module(source), url, timezone)
    else:
        text = _text(Path(source))
        if kind == "crontab":
            read = schedule_files.crontab(text, url)
        elif kind == "celery":
            read = schedule_files.celery(_json(text, source), url, timezone)
        else:
            read = schedule_files.eventbridge(_json(text, source), url)
    for why in read.left_out:
        click.echo(f"left out: {why}", err=True)
    if as_yaml:
        click.echo(yaml.safe_dump({"schedules": read.schedules}, sort_keys=False), nl=False)
        return
    _apply(Remote(data), read.schedules, yes, prune=False)


@schedules.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--prune", is_flag=True, help="Delete named schedules that the file does not have.")
@_YES
@data_option
def apply(file: Path, prune: bool, yes: bool, data: Path | None) -> None:
    """Make the schedules what a YAML file says, after showing what would change.

    The file holds `schedules`, a list of what POST /schedules takes; each needs a `name`, by which it is found
    again. `defaults` holds fields for all of them.
    """
    import yaml

    try:
        told = yaml.safe_load(_text(file))
    except yaml.YAMLError as error:
        raise click.ClickException(f"{file} is not YAML: {error}") from None
    if not isinstance(told, dict) or not set(told) <= {"defaults", "schedules"}:
        raise click.ClickException(f"{file} must hold `schedules` and perhaps `defaults`, no more")
    wanted = [{**(told.get("defaults") or {}), **one} for one in told.get("schedules") or ()]
    _apply(Remote(data), wanted, yes, prune)


def _apply(api: Remote, wanted: list[dict[str, Any]], yes: bool, prune: bool) -> None:
    from timeball.cli.schedule_diff import plan

    steps = plan(wanted, api.all(), prune)
    for step in steps:
        click.echo("\n".join(step.words))
    same = len(wanted) - sum(step.in_file for step in steps)
    click.echo(f"{len(steps)} to change, {same} as they are")
    if not steps:
        return
    if not yes:
        click.confirm("Make these changes?", abort=True)
    for step in steps:
        api(step.method, step.path, **({"json": step.sent} if step.sent is not None else {}))
    click.echo(f"{len(steps)} changed")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"cannot read {path}: {error}") from None


def _json(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.ClickException(f"{source} is not JSON: {error}") from None

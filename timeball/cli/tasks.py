"""`timeball tasks`: what callers do over the API, from a terminal."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from timeball.cli.common import data_option, or_none
from timeball.cli.remote import Remote, client_for

if TYPE_CHECKING:
    from timeball.client import Attempt, Refused, Task, Timeball

F = TypeVar("F", bound=Callable[..., Any])
STATUSES = ("queued", "working", "success", "failure", "cancelled")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, as the API has it.")
limit_option = click.option(
    "-n",
    "limit",
    type=click.IntRange(1, 1_000_000),
    default=50,
    show_default=True,
    help="At most so many.",
)
ids_argument = click.argument("ids", metavar="ID...", nargs=-1, required=True)


@contextmanager
def talking(data: Path | None) -> Iterator[Timeball]:
    """A client whose errors are said in words."""
    from timeball.client import Refused, Unreachable

    with client_for(data) as client:
        try:
            yield client
        except Refused as error:
            raise click.ClickException(_words(error)) from None
        except Unreachable as error:
            raise click.ClickException(str(error)) from None


def _words(error: Refused) -> str:
    """What is wrong; a message that does not begin with its field gets it before."""
    faults = [(f.field, f.message) for f in error.faults if f.field]
    return "; ".join(m if m.startswith(f) else f"{f}: {m}" for f, m in faults) or error.message


def get_task(client: Timeball, task_id: str) -> Task:
    """A task by its id. Raises ClickException, which names an id that is none."""
    from timeball.client import Missing

    try:
        return client.tasks.get(task_id)
    except Missing:
        raise click.ClickException(f"there is no task {task_id!r} in this project") from None


def filters(command: F) -> F:
    """The options by which tasks are found."""
    for option in (
        click.option("--url", help="Whose URL begins so."),
        click.option("--tag", help="With this tag."),
        click.option("--name", help="With this name."),
        click.option("--queue", help="In this queue."),
    ):
        command = option(command)
    return command


def changes(command: F) -> F:
    """The options that say what is to change of a task; `changes_of` makes of them what the API takes."""
    for option in (
        click.option("--on-success", help="A URL to tell when it has succeeded."),
        click.option("--on-failure", help="A URL to tell when it has failed for good."),
        click.option("--timeout", help="Total time of the call, such as 30s."),
        click.option("--attempts", type=click.IntRange(1, 100), help="Attempts at most."),
        click.option("--tag", "tags", multiple=True, help="In place of all tags; repeatable."),
        click.option("--queue", help="The queue."),
        click.option("--name", help="A name."),
        click.option("--at", "scheduled_for", help="The instant, ISO 8601."),
        click.option("--delay", help="A wait from now, such as 90s, 2h45m or PT5M."),
        click.option(
            "-H",
            "--header",
            "headers",
            multiple=True,
            metavar="NAME:VALUE",
            help="In place of all headers; repeatable.",
        ),
        click.option("--body", help="The body; `@FILE` reads it from a file, `@-` from stdin."),
        click.option("--method", help="The HTTP method."),
        click.option("--url", help="The URL to call."),
    ):
        command = option(command)
    return command


def changes_of(
    url: str | None,
    method: str | None,
    body: str | None,
    headers: tuple[str, ...],
    tags: tuple[str, ...],
    attempts: int | None,
    **fields: str | None,
) -> dict[str, Any]:
    """What the options of `changes` say. Raises UsageError when that is nothing."""
    content = body_of(body)
    if isinstance(content, bytes):
        sent: dict[str, Any] = {"body_base64": base64.b64encode(content).decode()}
    else:
        sent = {"body": content}
    request = {"url": url, "method": method, "headers": headers_of(headers) or None, **sent}
    request = {name: value for name, value in request.items() if value is not None}
    named: dict[str, Any] = {
        **fields,
        "request": request or None,
        "tags": list(tags) or None,
        "retry": None if attempts is None else {"max_attempts": attempts},
    }
    named = {name: value for name, value in named.items() if value is not None}
    if not named:
        raise click.UsageError("say what is to change: --help lists the options")
    return named


def show_tasks(found: Iterable[Task], as_json: bool, what: str = "tasks") -> None:
    """One line a task, or a JSON array."""
    if as_json:
        click.echo(json.dumps([task.raw for task in found]))
        return
    for task in or_none(found, what):
        when = task.ended_at or task.due_at or task.created_at
        what = f"{task.method} {task.url}" + (f"  {task.name}" if task.name else "")
        click.echo(
            f"{task.id}  {task.status:<9}  {when:%Y-%m-%d %H:%M:%S}  {task.attempts:>2}  {what}"
        )


def show_attempts(found: Iterable[Attempt], as_json: bool) -> None:
    """One line an attempt, or a JSON array."""
    if as_json:
        click.echo(json.dumps([attempt.raw for attempt in found]))
        return
    for one in found:
        end = str(one.status) if one.status is not None else one.outcome
        took = f"{one.duration.total_seconds() * 1000:.1f} ms"
        after = f"  next {one.next_attempt_at:%H:%M:%S}" if one.next_attempt_at else ""
        why = "".join(f"  {words}" for words in (one.error, one.hint) if words)
        click.echo(
            f"{one.number:>3}  {one.started_at:%Y-%m-%d %H:%M:%S}  {end:<11}  {took:>10}{after}{why}"
        )


def body_of(text: str | None) -> str | bytes | None:
    """What --body means: itself, or what `@FILE` or `@-` holds. Raises ClickException."""
    if text is None or not text.startswith("@"):
        return text
    try:
        content = sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()
    except OSError as error:
        raise click.ClickException(f"cannot read {text[1:]}: {error}") from None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def headers_of(lines: tuple[str, ...]) -> dict[str, str]:
    """What --header means. Raises BadParameter."""
    for line in lines:
        if ":" not in line:
            raise click.BadParameter(f"{line!r}: a header is NAME:VALUE", param_hint="--header")
    return {name.strip(): value.strip() for name, _, value in (li.partition(":") for li in lines)}


@click.group()
def tasks() -> None:
    """Make tasks, find them, follow them, take them back.

    Reads TIMEBALL_URL and TIMEBALL_KEY, or --data for a `timeball up` on this machine.
    """


@tasks.command()
@click.argument("url")
@click.option("--method", default="POST", show_default=True, help="The HTTP method.")
@click.option("--body", help="The body; `@FILE` reads it from a file, `@-` from standard input.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header.")
@click.option("--delay", help="A wait such as 90s, 2h45m or PT5M.")
@click.option("--at", "scheduled_for", help="The instant, ISO 8601.")
@click.option("--name", help="A name: a live task that has it is answered instead.")
@click.option("--queue", help="The queue.  [default: default]")
@click.option("--tag", "tags", multiple=True, help="May be given repeatedly.")
@click.option("--attempts", type=click.IntRange(1, 100), help="Attempts at most.")
@click.option("--timeout", help="Total time of the call, such as 30s.")
@click.option("--on-failure", help="A URL to tell when it has failed for good.")
@click.option("--on-success", help="A URL to tell when it has succeeded.")
@click.option("--wait", is_flag=True, help="Wait for its end; exit with 1 when it fails.")
@json_option
@data_option
def create(
    url: str,
    body: str | None,
    headers: tuple[str, ...],
    scheduled_for: str | None,
    attempts: int | None,
    wait: bool,
    as_json: bool,
    data: Path | None,
    tags: tuple[str, ...],
    **fields: Any,
) -> None:
    """Have URL called."""
    fields["body"] = body_of(body)
    if attempts is not None:
        fields["retry"] = {"max_attempts": attempts}
    with talking(data) as client:
        from timeball.client.resources import task

        sent = task(url, headers=headers_of(headers), tags=tags, **fields)
        if scheduled_for is not None:
            sent["scheduled_for"] = scheduled_for
        made = client.tasks.send(sent)
        if wait:
            made = client.tasks.wait(made.id, within=86400.0)
    click.echo(json.dumps(made.raw) if as_json else f"{made.id}  {made.status}")
    if wait and made.status != "success":
        raise SystemExit(1)


@tasks.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Where they stand.")
@filters
@limit_option
@json_option
@data_option
def list_(limit: int, as_json: bool, data: Path | None, **wanted: Any) -> None:
    """List tasks, newest first: id, status, when it ended or is due, attempts, what it calls."""
    with talking(data) as client:
        show_tasks(islice(client.tasks.list(**wanted), limit), as_json)


@tasks.command()
@click.argument("task_id", metavar="ID")
@json_option
@data_option
def show(task_id: str, as_json: bool, data: Path | None) -> None:
    """Show a task with its attempts."""
    with talking(data) as client:
        found, log = get_task(client, task_id), client.tasks.attempts(task_id)
    if as_json:
        click.echo(json.dumps({**found.raw, "attempts": [attempt.raw for attempt in log]}))
        return
    for name, value in found.raw.items():
        if value not in (None, [], {}):
            click.echo(f"{name:<16}  {value if isinstance(value, str) else json.dumps(value)}")
    show_attempts(log, False)


@tasks.command()
@click.argument("task_id", metavar="ID")
@json_option
@data_option
def attempts(task_id: str, as_json: bool, data: Path | None) -> None:
    """List a task's attempts, oldest first."""
    with talking(data) as client:
        show_attempts(client.tasks.attempts(task_id), as_json)


@tasks.command()
@click.argument("task_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As the API has it.")
@data_option
def explain(task_id: str, as_json: bool, data: Path | None) -> None:
    """Say why a task is not called at this moment, and when it will be."""
    told = Remote(data)("GET", f"/tasks/{task_id}/explain")
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(f"{told['status']} at {told['at']}")
    for reason in told["reasons"]:
        click.echo(f"- {reason['words']}")
    if told["starts_at"]:
        word = "starts" if told["certainty"] == "expected" else "starts at the earliest"
        click.echo(f"{word} at {told['starts_at']}")
    elif told["certainty"]:
        click.echo("when it starts nobody can say")


@tasks.command()
@click.argument("task_id", metavar="ID")
@changes
@json_option
@data_option
def edit(task_id: str, as_json: bool, data: Path | None, **named: Any) -> None:
    """Change a queued task; `timeball dead edit` changes one that failed."""
    wanted = changes_of(**named)
    with talking(data) as client:
        changed = client.tasks.update(task_id, **wanted)
    click.echo(json.dumps(changed.raw) if as_json else f"changed {changed.id}")


def _each(ids: tuple[str, ...], data: Path | None, word: str, verb: str) -> None:
    from timeball.client import Refused

    with talking(data) as client:
        for task_id in ids:
            try:
                getattr(client.tasks, verb)(task_id)
            except Refused as error:
                raise click.ClickException(f"{task_id}: {_words(error)}") from None
            click.echo(f"{word} {task_id}")


@tasks.command()
@ids_argument
@data_option
def run(ids: tuple[str, ...], data: Path | None) -> None:
    """Call tasks now, whatever their state."""
    _each(ids, data, "queued", "run")


@tasks.command()
@ids_argument
@data_option
def cancel(ids: tuple[str, ...], data: Path | None) -> None:
    """Take queued tasks back."""
    _each(ids, data, "cancelled", "cancel")


@tasks.command()
@ids_argument
@data_option
def delete(ids: tuple[str, ...], data: Path | None) -> None:
    """Forget tasks."""
    _each(ids, data, "deleted", "delete")

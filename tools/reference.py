"""Writes the pages of docs/reference that the code itself tells: `python -m tools.reference [--check]`.

Settings, states, keys and the command line are told once, in the code; a test compares the pages with it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from timeball.cli import cli
from timeball.model.task import MOVES, State
from timeball.settings import Settings
from timeball.store import keys

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
WRITTEN = "<!-- Written by `make reference` from the code; change it there. -->"


def settings() -> str:
    """Every setting with its default and its reason."""
    lines = [
        "# Settings",
        "",
        WRITTEN,
        "",
        "Settings are variables of the environment. Each may be given as `NAME_FILE` too: the path of a",
        "file that holds the value, as secrets of containers are. An unknown `TIMEBALL_*` name, a value",
        "out of range or a file that cannot be read stops the start; all faults are told at once.",
        "Durations are numbers of seconds, retentions of days.",
        "",
        "| variable | default | what for |",
        "| --- | --- | --- |",
    ]
    for field in fields(Settings):
        name = f"TIMEBALL_{field.name.upper()}"
        lines.append(f"| `{name}` | {_default(field)} | {_cell(field.metadata['why'])} |")
    lines += [
        "",
        "`timeball up` chooses for a laptop: an embedded store, development mode, `localhost` allowed as",
        "a target, its own ports closed to calls. What you set yourself it keeps. Commands that speak to",
        "the API over HTTP look at `TIMEBALL_URL` and `TIMEBALL_KEY`.",
    ]
    return "\n".join(lines) + "\n"


def _default(field: Any) -> str:
    value = field.default
    if value is MISSING or value is None or value in ((), ""):
        return "–"
    if isinstance(value, timedelta):
        days = "retention" in field.name
        value = f"{value.total_seconds() / (86400 if days else 1):g}"
    if isinstance(value, bool):
        value = "1" if value else "0"
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def states() -> str:
    """The states, what each means, and every move between them."""
    means = dict(_documented(Path(sys.modules[State.__module__].__file__ or "").read_text()))
    lines = [
        "# States",
        "",
        WRITTEN,
        "",
        "![The states of a task and the moves between them](states.svg)",
        "",
        "| state | Mergent's word | means |",
        "| --- | --- | --- |",
    ]
    words = {
        State.SCHEDULED: "queued",
        State.RUNNING: "working",
        State.SUCCEEDED: "success",
        State.DEAD: "failure",
        State.CANCELLED: "cancelled",
    }
    lines += [f"| `{s.value}` | `{words[s]}` | {means[s.name]} |" for s in State]
    lines += ["", "| move | from | to | by |", "| --- | --- | --- | --- |"]
    lines += [f"| {m.verb} | `{m.source}` | `{m.target}` | {m.by} |" for m in MOVES]
    lines += [
        "",
        "A task begins `scheduled`, by submit; any state ends by delete, or when retention is over. Every",
        "move is one script in the store, so it happens wholly or not at all; the number of the attempt,",
        "taken at the claim, fences off a pump that comes back late.",
    ]
    return "\n".join(lines) + "\n"


def _documented(source: str) -> Iterator[tuple[str, str]]:
    """(member, docstring) of the State enum in its module's source."""
    body = source[source.index("class State(") : source.index("class Move(")]
    for name, text in re.findall(r'^    ([A-Z]+) = "\w+"\n    """(.*?)"""', body, re.M | re.S):
        yield name, " ".join(text.split())


_PLACES = {
    State.SCHEDULED: (110, 150),
    State.RUNNING: (400, 150),
    State.SUCCEEDED: (690, 50),
    State.DEAD: (690, 330),
    State.CANCELLED: (110, 340),
}


def drawing() -> str:
    """MOVES as an SVG: boxes for states, an arrow for each pair, with its verbs."""
    verbs: dict[tuple[State, State], list[str]] = {}
    for move in MOVES:
        verbs.setdefault((move.source, move.target), []).append(move.verb)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 400" role="img"',
        ' font-family="system-ui, sans-serif" font-size="14">',
        "<title>The states of a task and the moves between them</title>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8"',
        ' orient="auto"><path d="M0 0 8 4 0 8z" fill="#64748b"/></marker></defs>',
    ]
    for (source, target), names in verbs.items():
        parts.append(_arrow(source, target, ", ".join(dict.fromkeys(names))))
    for state, (x, y) in _PLACES.items():
        parts.append(
            f'<rect x="{x - 65}" y="{y - 22}" width="130" height="44" rx="8" fill="#f8fafc" stroke="#334155"/>'
            f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="#0f172a">{state.value}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _arrow(source: State, target: State, label: str) -> str:
    x1, y1 = _PLACES[source]
    x2, y2 = _PLACES[target]
    if source is target:
        path = f"M{x1 - 30} {y1 - 22}c-20 -60 80 -60 60 0"
        middle = (x1, y1 - 74)
    else:
        dx, dy = x2 - x1, y2 - y1
        length = (dx * dx + dy * dy) ** 0.5
        bend = 22
        # From the edge of one box to that of the other, bent to one side so that there and back are apart.
        edge = min(66 / abs(dx) if dx else 9, 24 / abs(dy) if dy else 9)
        nx, ny = -dy / length * bend, dx / length * bend
        sx, sy = x1 + dx * edge + nx * 0.4, y1 + dy * edge + ny * 0.4
        ex, ey = x2 - dx * edge + nx * 0.4, y2 - dy * edge + ny * 0.4
        cx, cy = (x1 + x2) / 2 + nx * 2, (y1 + y2) / 2 + ny * 2
        path = f"M{sx:.0f} {sy:.0f}Q{cx:.0f} {cy:.0f} {ex:.0f} {ey:.0f}"
        middle = ((x1 + x2) / 2 + nx * 1.35, (y1 + y2) / 2 + ny * 1.35)
    return (
        f'<path d="{path}" fill="none" stroke="#64748b" marker-end="url(#a)"/>'
        f'<text x="{middle[0]:.0f}" y="{middle[1]:.0f}" text-anchor="middle" fill="#475569" font-size="12" '
        f'stroke="#fff" stroke-width="4" paint-order="stroke">{label}</text>'
    )


def store_keys() -> str:
    """The keys as their module tells them."""
    head, _, table = (keys.__doc__ or "").partition("\n\n")
    text = table.strip()
    return f"# Keys of the store\n\n{WRITTEN}\n\n{head}\n\n{text}\n"


def command_line() -> str:
    """Every command with its help."""
    parts = ["# Every command with its options", "", WRITTEN, ""]
    for path, command in _commands(cli, ("timeball",)):
        context = click.Context(
            command,
            info_name=" ".join(path),
            terminal_width=96,
            help_option_names=["-h", "--help"],
        )
        parts += [f"## {' '.join(path)}", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(parts).rstrip() + "\n"


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _commands(command.commands[name], (*path, name))


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "states.md": states,
    "states.svg": drawing,
    "keys.md": store_keys,
    "commands.md": command_line,
}


def stale() -> list[str]:
    """The pages that do not say what the code says."""
    return [
        name
        for name, page in PAGES.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text() != page()
    ]


def main() -> int:
    """Write the pages, or with --check tell which are stale."""
    if "--check" in sys.argv[1:]:
        old = stale()
        for name in old:
            print(f"docs/reference/{name} is not what the code says: run make reference")
        return 1 if old else 0
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())

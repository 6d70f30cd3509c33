"""Run the bench, print it, and write what the README shows.

    python -m bench.run                      every section; takes about twelve minutes
    python -m bench.run drain idle           only these
    python -m bench.run --quick drain        a tenth of everything, for a look; writes nothing

Results are kept by section in `bench/results.json` (or `--json FILE`), so a run of one section leaves the
others as they were; `bench/results.md`, `bench/results.svg` and what the pages say of speed are made from it.
`README.md` says what each figure means.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.chart import Bar, Group, draw
from bench.measure import Figure, Options
from bench.sections import SECTIONS
from bench.told import number, write

HERE = Path(__file__).parent


def machine() -> str:
    """The machine in a line: what a reader needs to compare with another."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {model}, {platform.system()}, Python {platform.python_version()}"


def revision() -> str:
    """The commit that was measured, when there is one to ask."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True
    )
    return done.stdout.strip()


def lines(figures: Sequence[dict[str, Any]]) -> list[str]:
    """The table of a section, as Markdown."""
    rows = [
        "| figure | Timeball | plain Celery + requests | ratio | aim | |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    for entry in figures:
        figure = Figure(**entry)
        unit = f" {figure.unit}" if not figure.unit.startswith("/") else figure.unit
        met = {None: "", True: " (met)", False: " (**missed**)"}[figure.met]
        cells = [
            figure.name,
            number(figure.timeball) + unit,
            number(figure.plain) + unit if figure.plain is not None else "",
            f"{number(figure.ratio)} x" if figure.ratio is not None else "",
            figure.aim + met,
            figure.note,
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def page(results: dict[str, Any]) -> str:
    """All sections, as Markdown."""
    parts = [
        "# Results",
        "",
        "Written by `make bench`; [README.md](README.md) says what each figure means. Everything runs on one "
        "machine: load, receiver, store, product. On a machine shared with others the rates move by 40 % "
        "between runs; ratios and CPU a unit hardly move.",
        "",
        "![Deliveries and their cost](results.svg)",
    ]
    for name in SECTIONS:
        if name not in results:
            continue
        section = results[name]
        doc = (SECTIONS[name].__doc__ or "").strip().splitlines()[0]
        parts += ["", f"## {name}", "", doc, "", *lines(section["figures"]), ""]
        commit = f", commit {section['commit']}" if section.get("commit") else ""
        parts.append(f"{section['at']}{commit}; {section['machine']}.")
    return "\n".join(parts) + "\n"


def picture(results: dict[str, Any]) -> str | None:
    """The drain beside plain Celery, as SVG; None before it was measured."""
    if "drain" not in results:
        return None
    section = results["drain"]
    rate, cpu = (Figure(**entry) for entry in section["figures"][:2])
    groups = []
    for title, figure, unit in (
        ("Deliveries a second (more is better)", rate, "/s"),
        ("CPU a delivery, workers and store (less is better)", cpu, " us"),
    ):
        times = ""
        if figure.ratio:
            share = figure.ratio if figure.ratio >= 1 else 1 / figure.ratio
            times = f"  ({share:.0f} times {'more' if figure.ratio >= 1 else 'less'})"
        bars = [Bar("Timeball", figure.timeball, number(figure.timeball) + unit + times, ours=True)]
        if figure.plain is not None:
            bars.append(Bar("Celery + requests", figure.plain, number(figure.plain) + unit))
        groups.append(Group(title, bars))
    return draw(groups, f"{section['machine']}; receiver and store on the same machine")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 when a section broke off."""
    standard = Options()
    parser = argparse.ArgumentParser(
        prog="bench", description="Measure Timeball beside plain Celery + requests."
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--tasks", type=int, default=standard.tasks, help="tasks of a backlog")
    parser.add_argument("--plain-tasks", type=int, default=standard.plain_tasks)
    parser.add_argument("--rounds", type=int, default=3, help="of the drain; medians are shown")
    parser.add_argument("--workers", type=int, default=standard.workers)
    parser.add_argument(
        "--seconds", type=int, default=standard.seconds, help="of the steady stream"
    )
    parser.add_argument("--kept", type=int, default=standard.kept, help="finished tasks to keep")
    parser.add_argument("--no-plain", action="store_true", help="leave plain Celery out")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of everything; writes nothing"
    )
    parser.add_argument("--no-write", action="store_true", help="only print")
    parser.add_argument("--json", type=Path, default=HERE / "results.json", metavar="FILE")
    parser.add_argument(
        "--program",
        type=Path,
        default=standard.program,
        metavar="FILE",
        help="the timeball that is measured, as of an environment without what tests need",
    )
    parser.add_argument("--set", action="append", default=[], metavar="TIMEBALL_X=VALUE")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.sections if name not in SECTIONS]:
        parser.error(f"no such section: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    options = Options(
        tasks=chosen.tasks,
        plain_tasks=chosen.plain_tasks,
        rounds=chosen.rounds,
        workers=chosen.workers,
        seconds=chosen.seconds,
        kept=chosen.kept,
        plain=not chosen.no_plain,
        program=chosen.program.absolute(),
        settings=dict(word.split("=", 1) for word in chosen.set),
    )
    if chosen.quick:
        options = replace(
            options,
            tasks=options.tasks // 10,
            plain_tasks=options.plain_tasks // 4,
            rounds=1,
            seconds=max(5, options.seconds // 10),
            kept=options.kept // 20,
        )
    results: dict[str, Any] = {}
    if chosen.json.exists():
        results = json.loads(chosen.json.read_text())
    failed = []
    for name in chosen.sections or SECTIONS:
        print(f"{name}: {(SECTIONS[name].__doc__ or '').strip().splitlines()[0]}", flush=True)
        begun = time.monotonic()
        try:
            figures = SECTIONS[name](options)
        except (RuntimeError, OSError, AssertionError) as error:
            print(f"  {name} broke off: {error}", file=sys.stderr, flush=True)
            failed.append(name)
            continue
        entries = [asdict(figure) for figure in figures]
        print("\n".join("  " + line for line in lines(entries)))
        print(f"  ({time.monotonic() - begun:.0f} s)\n", flush=True)
        results[name] = {
            "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%MZ"),
            "commit": revision(),
            "machine": machine(),
            "figures": entries,
        }
        if not (chosen.quick or chosen.no_write):
            chosen.json.write_text(json.dumps(results, indent=1) + "\n")
            (HERE / "results.md").write_text(page(results))
            if drawn := picture(results):
                (HERE / "results.svg").write_text(drawn)
            write(results)
    if failed:
        print(f"broke off: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

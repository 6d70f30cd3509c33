"""What README and docs say of speed, out of `results.json`: the places between `bench:` marks.

python -m bench.told        writes them anew, as a run of the bench does
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.measure import Figure

HERE = Path(__file__).parent
PAGES = (HERE.parent / "README.md", HERE.parent / "docs/why/performance.md")
_PLACE = re.compile(r"(<!-- bench:(\w+) [^>]*-->\n).*?(<!-- /bench -->)", re.DOTALL)


def number(value: float | None) -> str:
    """A figure as a person reads it: three places that matter, thousands grouped."""
    if value is None:
        return ""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


class _Results:
    """The figures by section and name."""

    def __init__(self, results: Mapping[str, Any]) -> None:
        self._results = results

    def __call__(self, section: str, name: str) -> Figure:
        """The figure whose name begins so. Raises KeyError."""
        for entry in self._results[section]["figures"]:
            if entry["name"].startswith(name):
                return Figure(**entry)
        raise KeyError(f"{section}: {name}")

    @property
    def machine(self) -> str:
        """The machine of the drain, and when its sections were measured."""
        days = sorted({section["at"][:10] for section in self._results.values()})
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        return f"{self._results['drain']['machine']}, {when}"


def table(results: Mapping[str, Any]) -> str:
    """What README shows."""
    of = _Results(results)
    rate, cpu = of("drain", "Deliveries"), of("drain", "CPU a delivery, workers and store")
    idle, burst = of("idle", "p50 from 201"), of("burst", "2,000 at one instant: lateness, last")
    batch, single = of("ingest", "Tasks by batch-create"), of("ingest", "Single POSTs")
    waiting, finished = of("memory", "Store a waiting task"), of("memory", "Store a finished task")
    rest = of("idlecost", "CPU at rest")
    memory = of("idlecost", "Resident, whole stack")
    rows = [
        (
            "deliveries a second, signed, logged, with the store's file on",
            number(rate.timeball),
            number(rate.plain),
        ),
        (
            "CPU a delivery, workers and store",
            f"{number(cpu.timeball)} us",
            f"{number(cpu.plain)} us",
        ),
        (
            "from 201 to handler at rest, p50",
            f"{number(idle.timeball)} ms",
            f"{number(idle.plain)} ms",
        ),
        (
            "2,000 due at one instant: the last call",
            f"{number(burst.timeball)} ms late",
            f"{number(burst.plain)} ms late",
        ),
        (
            "tasks taken in a second: by batch; one by one",
            f"{number(batch.timeball)}; {number(single.timeball)}",
            f"{number(batch.plain)}, without HTTP",
        ),
        (
            "store, a waiting task; a finished one with its attempt",
            f"{number(waiting.timeball)}; {number(finished.timeball)} bytes",
            "",
        ),
        (
            "the whole stack at rest: CPU; memory",
            f"{number(rest.timeball)} % of a core; {number(memory.timeball)} MB",
            "",
        ),
    ]
    lines = ["| | Timeball | plain Celery + `requests` |", "| --- | ---: | ---: |"]
    lines += [f"| {' | '.join(row).rstrip()} |" for row in rows]
    return "\n".join([f"Measured on {of.machine}:", "", *lines]) + "\n"


def sentence(results: Mapping[str, Any]) -> str:
    """What the page on speed says."""
    of = _Results(results)
    rate, cpu = of("drain", "Deliveries"), of("drain", "CPU a delivery, workers and store")
    return (
        f"On {of.machine}, one Celery message a task with `requests` made\n"
        f"{number(rate.plain)} calls a second and used {number(cpu.plain)} us of CPU for each; "
        f"Timeball made {number(rate.timeball)} with {number(cpu.timeball)} us.\n"
    )


def filled(text: str, results: Mapping[str, Any]) -> str:
    """A page with its places filled."""
    kinds = {"table": table, "sentence": sentence}
    return _PLACE.sub(lambda m: m[1] + kinds[m[2]](results) + m[3], text)


def write(results: Mapping[str, Any]) -> None:
    """Fill the places of every page, once all that they show was measured."""
    for page in PAGES:
        text = page.read_text()
        try:
            fresh = filled(text, results)
        except KeyError:
            continue
        if fresh != text:
            page.write_text(fresh)


if __name__ == "__main__":
    write(json.loads((HERE / "results.json").read_text()))

"""What the runs came to, and the page that says so.

A run's result is a file of its own, so that processes can share the runs among them, and runs that are broken off
leave what there was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from tests.faults.ledger import Account
from tests.faults.scene import HORIZON_SECONDS, SECONDS, TASKS
from tests.faults.troubles import TROUBLES, Trouble


@dataclass(frozen=True)
class Run:
    """The sums of one run's books; or, of a run that failed, why."""

    kind: str
    seed: int
    tasks: int = 0
    lost: int = 0
    early: int = 0
    twice: int = 0
    worst_seconds: float = 0.0
    failure: str | None = None

    @classmethod
    def well(cls, kind: str, seed: int, account: Account) -> Self:
        """A run whose books were found in order."""
        return cls(
            kind,
            seed,
            account.promised,
            len(account.lost),
            len(account.early),
            account.extra_calls,
            max(account.late.values(), default=0.0),
        )

    @classmethod
    def ill(cls, kind: str, seed: int, error: BaseException) -> Self:
        """A run that failed, with the first line of its error."""
        why = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return cls(kind, seed, failure=why)


def keep(folder: Path, run: Run) -> None:
    """Write a result down."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{run.kind}-{run.seed}.part"
    draft.write_text(json.dumps(asdict(run)))
    draft.rename(draft.with_suffix(".json"))


def kept(folder: Path) -> list[Row]:
    """All results so far, by kind, in the order of the kinds."""
    runs = [Run(**json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))]
    rows = [Row(trouble, [r for r in runs if r.kind == trouble.name]) for trouble in TROUBLES]
    return [row for row in rows if row.runs]


@dataclass
class Row:
    """The runs of one kind."""

    trouble: Trouble
    runs: list[Run] = field(default_factory=list)

    @property
    def well(self) -> list[Run]:
        """Those whose books were in order."""
        return [run for run in self.runs if run.failure is None]

    def line(self) -> str:
        """The kind's line of the table."""
        well = self.well
        runs = str(len(well)) if len(well) == len(self.runs) else f"{len(well)} of {len(self.runs)}"
        tasks, lost = sum(run.tasks for run in well), sum(run.lost for run in well)
        early, twice = sum(run.early for run in well), sum(run.twice for run in well)
        worst = max((run.worst_seconds for run in well), default=0.0)
        words = self.trouble.words
        return f"| {words} | {runs} | {tasks:,} | {lost} | {early} | {twice} | {worst:.1f} s |"


def doubles(rows: Sequence[Row]) -> tuple[int, int]:
    """How many calls came twice, and how many tasks crossed a crash."""
    runs = [(row.trouble.crash, run) for row in rows for run in row.well]
    return sum(run.twice for _, run in runs), sum(run.tasks for crash, run in runs if crash)


def page(rows: Sequence[Row]) -> str:
    """The table as a page."""
    twice, crossed = doubles(rows)
    failed = [run for row in rows for run in row.runs if run.failure is not None]
    faults = [f"- `{run.kind}`, seed {run.seed}: {run.failure}" for run in failed]
    return TEXT.format(
        tasks=f"{TASKS:,}",
        seconds=f"{SECONDS:.0f}",
        horizon=f"{HORIZON_SECONDS:.0f}",
        table="\n".join(row.line() for row in rows),
        kinds=len(rows),
        runs=sum(len(row.well) for row in rows),
        twice=twice,
        crossed=f"{crossed:,}",
        share=f"{100 * twice / max(1, crossed):.3f} %",
        faults="\n".join(["Runs that failed, not counted above:", "", *faults, "", ""])
        if faults
        else "",
        day=f"{datetime.now(UTC):%Y-%m-%d}",
    )


TEXT = """\
# Durability, as it was measured

Written by `make faults` (`tests/faults/test_the_table.py`), never by hand. A stack of two worker processes, two
beats, API and store runs on one machine. For each kind of trouble, three times with other seeds, {tasks} tasks are
handed over in {seconds} seconds beside a schedule of every second; half of them are due at once, half within
{horizon} s. A ledger at the receiver compares what was answered `201` with what was called. *Late* is the worst
time from the instant at which a call was owed to the call, the trouble itself included.

| trouble | runs | tasks | lost | early | twice | worst late |
| --- | --- | --- | --- | --- | --- | --- |
{table}

{kinds} kinds, {runs} runs. Twice: {twice} of the {crossed} tasks that crossed a crash ({share}), each with the
same task id; none where nothing crashed.

{faults}Measured on {day}.
"""

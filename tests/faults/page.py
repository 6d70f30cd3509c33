"""The page of what the runs came to: which trouble, how many tasks, none lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.faults.ledger import Account
from tests.faults.scene import HORIZON_SECONDS, SECONDS, TASKS
from tests.faults.troubles import Trouble


@dataclass
class Row:
    """What a kind's runs came to: the books of those that kept every promise, and why others did not."""

    trouble: Trouble
    accounts: list[Account] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def runs(self) -> int:
        return len(self.accounts) + len(self.failures)

    def sum(self, name: str) -> int:
        """The sum of a figure of the books, or of how many names it has."""
        return sum(
            value if isinstance(value, int) else len(value)
            for value in (getattr(account, name) for account in self.accounts)
        )

    @property
    def worst(self) -> float:
        """The longest that any call came late."""
        return max(
            (late for account in self.accounts for late in account.late.values()), default=0.0
        )


def doubles(rows: Sequence[Row]) -> tuple[int, int]:
    """How many calls came twice, and how many tasks crossed a crash."""
    crossed = sum(row.sum("promised") for row in rows if row.trouble.crash)
    return sum(row.sum("extra_calls") for row in rows), crossed


def page(rows: Sequence[Row]) -> str:
    """The table as a page."""
    doubled, crossed = doubles(rows)
    failures = [f"- {row.trouble.words}: {why}" for row in rows for why in row.failures]
    return TEXT.format(
        tasks=f"{TASKS:,}",
        seconds=f"{SECONDS:.0f}",
        horizon=f"{HORIZON_SECONDS:.0f}",
        table="\n".join(_line(row) for row in rows),
        kinds=len(rows),
        runs=sum(len(row.accounts) for row in rows),
        doubled=doubled,
        crossed=f"{crossed:,}",
        share=f"{100 * doubled / max(1, crossed):.3f} %",
        failures="\n".join(["Runs that failed, and are not counted above:", "", *failures, "", ""])
        if failures
        else "",
        day=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def _line(row: Row) -> str:
    runs = f"{len(row.accounts)} of {row.runs}" if row.failures else str(row.runs)
    return (
        f"| {row.trouble.words} | {runs} | {row.sum('promised'):,} | {row.sum('lost')} "
        f"| {row.sum('early')} | {row.sum('extra_calls')} | {row.worst:.1f} s |"
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

{kinds} kinds, {runs} runs. Twice: {doubled} of the {crossed} tasks that crossed a crash ({share}), each with the
same task id; none where nothing crashed.

{failures}Measured on {day}.
"""

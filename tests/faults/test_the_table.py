"""Every kind of trouble, with three seeds each: none lost, none early, twice only after a crash.

What came of it is written to docs/why/durability.md, when all kinds were run.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.stack import Stack
from tests.faults.ledger import BROKEN, Account, Ledger
from tests.faults.scene import Scene, injected
from tests.faults.servers import FAKETIME, Server
from tests.faults.troubles import TROUBLES, Trouble

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

SEEDS = (1, 2, 3)
PAGE = Path(__file__).parents[2] / "docs" / "why" / "durability.md"
SMALL_DISK = "48m"


@dataclass
class Row:
    """What a kind's runs came to."""

    trouble: Trouble
    accounts: list[Account] = field(default_factory=list)

    def sum(self, name: str) -> int:
        return sum(
            value if isinstance(value, int) else len(value)
            for value in (getattr(account, name) for account in self.accounts)
        )

    @property
    def worst(self) -> float:
        return max(max(account.late.values(), default=0.0) for account in self.accounts)


@dataclass
class Table:
    """All rows so far, and the stack that the next run of the same sort may go on with."""

    rows: dict[str, Row] = field(default_factory=dict)
    stack: Stack | None = None
    points: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="tb-points-")))

    def close(self) -> None:
        if self.stack is not None:
            self.stack.stop()
            self.stack = None

    def plain(self) -> Stack:
        """A stack with its own store, as `timeball up` has it; used again while nothing went wrong."""
        if self.stack is None:
            self.stack = Stack(workers=2, beats=2, settings=injected(self.points)).start()
        return self.stack


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    table = Table()
    try:
        yield table
    finally:
        table.close()
        shutil.rmtree(table.points, ignore_errors=True)
    if all(len(row.accounts) == len(SEEDS) for row in table.rows.values()) and len(
        table.rows
    ) == len(TROUBLES):
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(list(table.rows.values())))


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of a few megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    with tempfile.TemporaryDirectory(prefix="tb-small-") as folder:
        options = ["-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", folder]
        if subprocess.run(["mount", *options], capture_output=True).returncode:
            pytest.skip("a small disk cannot be mounted here")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def servers_for(trouble: Trouble) -> Iterator[Mapping[str, Server]]:
    """The stores of its own that a trouble needs, running."""
    with ExitStack() as stack:
        found: dict[str, Server] = {}
        for name in trouble.servers:
            if name == "clock" and not Path(FAKETIME).exists():
                pytest.skip("libfaketime is not installed")
            folder = stack.enter_context(
                small_disk() if name == "small" else tempfile.TemporaryDirectory(prefix="tb-")
            )
            found[name] = stack.enter_context(Server(Path(folder), clock=name == "clock"))
        yield found


def settings_of(servers: Mapping[str, Server]) -> dict[str, str]:
    """What a stack on these stores is told."""
    names = ("TIMEBALL_REDIS_URL", "TIMEBALL_BROKER_URL")
    return {name: server.url for name, server in zip(names, servers.values(), strict=False)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_nothing_is_lost(table: Table, trouble: Trouble, seed: int) -> None:
    own = zlib.crc32(f"{trouble.name} {seed}".encode())
    with ExitStack() as more:
        if trouble.servers:
            servers = more.enter_context(servers_for(trouble))
            stack = Stack(workers=2, beats=2, settings=settings_of(servers))
            more.enter_context(stack)
        else:
            servers, stack = {}, table.plain()
        ledger = more.enter_context(Ledger(stack))
        scene = Scene(stack, ledger, random.Random(own), table.points, servers)
        try:
            account = scene.run(own, trouble.make)
            print(f"{trouble.words}: {account.summary()}")
            check(trouble, account, ledger)
        except BaseException:
            print(stack.last_words(60))
            table.close()  # the next begins anew
            raise
    table.rows.setdefault(trouble.name, Row(trouble)).accounts.append(account)


def check(trouble: Trouble, account: Account, ledger: Ledger) -> None:
    """What holds whatever was done."""
    assert ledger.unsent == 0, "a task could not be handed over for a whole minute"
    assert account.lost == (), "a task answered 201 was never called"
    assert account.early == (), "a task was called before its instant"
    assert account.unknown == (), "a task was called that nobody was promised"
    if not trouble.crash:
        assert account.extra_calls == 0, f"called twice in calm: {account.doubled}"
    assert set(account.statuses) <= {201, 503, BROKEN}, account.statuses


def page(rows: list[Row]) -> str:
    """The table as a page."""
    crossed = sum(row.sum("promised") for row in rows if row.trouble.crash)
    doubled = sum(row.sum("extra_calls") for row in rows)
    table = [
        f"| {row.trouble.words} | {len(row.accounts)} | {row.sum('promised'):,} | "
        f"{row.sum('lost')} | {row.sum('early')} | {row.sum('extra_calls')} | {row.worst:.1f} s |"
        for row in rows
    ]
    share = 100 * doubled / max(1, crossed)
    return TEXT.format(
        table="\n".join(table),
        kinds=len(rows),
        runs=sum(len(row.accounts) for row in rows),
        doubled=doubled,
        crossed=f"{crossed:,}",
        share=f"{share:.3f} %",
        day=f"{datetime.now(UTC):%Y-%m-%d}",
    )


TEXT = """\
# Durability, as it was measured

Written by `make faults` (`tests/faults/test_the_table.py`), never by hand. A stack of two worker processes, two
beats, API and store runs on one machine. For each kind of trouble, three times with other seeds, 1,000 tasks are
handed over in 8 seconds beside a schedule of every second; half of them are due at once, half within 4 s. A
ledger at the receiver compares what was answered `201` with what was called. *Late* is the worst time from the
instant at which a call was owed to the call, the trouble itself included.

| trouble | runs | tasks | lost | early | twice | worst late |
| --- | --- | --- | --- | --- | --- | --- |
{table}

{kinds} kinds, {runs} runs. Twice: {doubled} of the {crossed} tasks that crossed a crash ({share}), each with the
same task id; none where nothing crashed.

Measured on {day}.
"""

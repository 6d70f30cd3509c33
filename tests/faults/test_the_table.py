"""Every kind of trouble, with three seeds each: none lost, none early, twice only after a crash.

What came of it is written to docs/why/durability.md once every kind has had its runs, those that failed named;
and as the runs go to build/durability.md. Two processes may share the runs: `-n 2` takes a little more than half
the time.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.stack import Stack
from tests.faults.ledger import BROKEN, Account, Ledger
from tests.faults.page import Run, doubles, keep, kept, page
from tests.faults.scene import Scene, injected
from tests.faults.servers import FAKETIME, Server
from tests.faults.troubles import TROUBLES, Trouble

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

SEEDS = (1, 2, 3)
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "why" / "durability.md"
DRAFT = ROOT / "build" / "durability.md"
"""The page as far as it has come: written after every run, so that one broken off leaves what there was."""
RUNS = ROOT / "build" / "faults" / os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{time.time():.0f}")
MOST_DOUBLED = 0.001
SMALL_DISK = "48m"


@dataclass
class Stage:
    """The stack that the next run of the same sort may go on with."""

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
def stage() -> Iterator[Stage]:
    stage = Stage()
    try:
        yield stage
    finally:
        stage.close()
        shutil.rmtree(stage.points, ignore_errors=True)


def write(run: Run) -> None:
    """Note a run and write the page: as a draft until every kind has had its runs, well or ill."""
    keep(RUNS, run)
    rows = kept(RUNS)
    whole = [len(row.runs) for row in rows] == [len(SEEDS)] * len(TROUBLES)
    for path in (DRAFT, PAGE) if whole else (DRAFT,):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(rows))
    twice, crossed = doubles(rows)
    assert not whole or twice < crossed * MOST_DOUBLED, f"{twice} of {crossed} came twice"


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
def test_nothing_is_lost(stage: Stage, trouble: Trouble, seed: int) -> None:
    try:
        account = perform(stage, trouble, seed)
    except (Exception, pytest.fail.Exception) as error:
        stage.close()  # the next begins anew
        write(Run.ill(trouble.name, seed, error))
        raise
    write(Run.well(trouble.name, seed, account))


def perform(stage: Stage, trouble: Trouble, seed: int) -> Account:
    """One run, and its books when they are in order."""
    own = zlib.crc32(f"{trouble.name} {seed}".encode())
    began = time.monotonic()
    with ExitStack() as more:
        if trouble.servers:
            servers = more.enter_context(servers_for(trouble))
            stack = Stack(workers=2, beats=2, settings=settings_of(servers))
            more.enter_context(stack)
        else:
            servers, stack = {}, stage.plain()
        ledger = more.enter_context(Ledger(stack))
        scene = Scene(stack, ledger, random.Random(own), stage.points, servers)
        try:
            account = scene.run(own, trouble.make)
            print(f"{trouble.words}: {account.summary()}; {time.monotonic() - began:.1f} s")
            check(trouble, account, ledger)
        except Exception:
            print(f"{trouble.name}, seed {seed}: last words of the stack\n{stack.last_words(60)}")
            raise
    return account


def check(trouble: Trouble, account: Account, ledger: Ledger) -> None:
    """What holds whatever was done."""
    assert ledger.unsent == 0, f"{ledger.unsent} tasks could not be handed over in a whole minute"
    told = f"first of {len(account.lost)}: {account.lost[:1]}"
    assert account.lost == (), f"a task answered 201 was never called; {told}"
    told = f"first of {len(account.early)}: {account.early[:1]}"
    assert account.early == (), f"a task was called before its instant; {told}"
    told = f"first of {len(account.unknown)}: {account.unknown[:1]}"
    assert account.unknown == (), f"a task was called that nobody was promised; {told}"
    if not trouble.crash:
        assert account.extra_calls == 0, f"called twice in calm: {account.doubled}"
    assert set(account.statuses) <= {201, 503, BROKEN}, f"answers by status: {account.statuses}"

"""Programs that do nothing but live, stop and die, under the real supervisor in a process of its own.

`python -m tests.up.fakes FOLDER` reads FOLDER/plan.json and supervises what it says.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import eventually
from timeball.up import sessions
from timeball.up.console import Console
from timeball.up.folder import write_atomically
from timeball.up.program import Probe, Program
from timeball.up.supervisor import Supervisor

ROOT = Path(__file__).parents[2]

# A program with a child, as a pool has. It says when it is asked to stop, and how it answers.
FAKE = """
import signal, subprocess, sys, time
name, how = sys.argv[1], sys.argv[2]
if how == "dies":
    print("cannot start: the reason", flush=True)
    sys.exit(3)
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
def stop(*_):
    with open("said", "a") as said:
        said.write(f"{name}\\n")
    if how == "deaf":
        return
    child.kill()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print(f"{name} lives", flush=True)
while True:
    time.sleep(600)
"""


class Run:
    """A supervisor at work on fake programs; `plan` maps each name to its fields of Program and how it ends."""

    def __init__(self, folder: Path, plan: Mapping[str, Mapping[str, Any]]) -> None:
        self.folder = folder
        write_atomically(folder / "plan.json", json.dumps(plan))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.up.fakes", str(folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def pids(self) -> dict[str, list[int]]:
        """What the supervisor told last."""
        try:
            found: dict[str, list[int]] = json.loads((self.folder / "pids.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def ready(self, *names: str) -> dict[str, list[int]]:
        """The processes, once each of these programs has one and its child."""
        eventually(lambda: all(len(self.pids().get(name, ())) == 2 for name in names))
        return self.pids()

    def guard(self) -> int | None:
        """The process of the guard."""
        for pid in sessions.descendants(self.process.pid):
            with contextlib.suppress(OSError):
                if b"timeball.up.guard" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None

    def said(self) -> list[str]:
        """Which programs were asked to stop, in that order."""
        path = self.folder / "said"
        return path.read_text().split() if path.exists() else []

    def end(self) -> tuple[int, str]:
        """The exit code and all that was printed."""
        output, _ = self.process.communicate(timeout=20)
        return self.process.returncode, output

    def close(self) -> None:
        """Leave nothing behind, whatever the test did."""
        left = [pid for pids in self.pids().values() for pid in pids]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        eventually(lambda: not any(map(alive, left)))


@contextlib.contextmanager
def running(folder: Path, plan: Mapping[str, Mapping[str, Any]]) -> Iterator[Run]:
    """A run that is ended with the block."""
    run = Run(folder, plan)
    try:
        yield run
    finally:
        run.close()


def alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def main(words: Sequence[str]) -> int:
    folder = Path(words[0])
    plan = json.loads((folder / "plan.json").read_text())
    programs = []
    for name, fields in plan.items():
        how = fields.pop("how", "lives")
        argv = fields.pop("argv", [sys.executable, "-S", "-c", FAKE, name, how])
        probe = fields.pop("probe", None)
        programs.append(
            Program(
                name=name,
                role=fields.pop("role", name),
                argv=tuple(argv),
                cwd=folder,
                environment=dict(os.environ),
                needs=frozenset(fields.pop("needs", ())),
                probe=Probe.http("127.0.0.1", probe, "/") if probe else None,
                **fields,
            )
        )
    console = Console(1, as_json=False, colour=False)

    def tell(pids: Mapping[str, list[int]]) -> None:
        write_atomically(folder / "pids.json", json.dumps(pids))

    supervisor = Supervisor(
        programs,
        console,
        on_ready=lambda: console.say("READY"),
        on_pids=tell,
        leftovers=[folder / "leftover"],
    )
    code = supervisor.run()
    console.drain(1)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

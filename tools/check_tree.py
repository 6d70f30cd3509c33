"""Checks what is committed: `python -m tools.check_tree`.

No file may name a package registry or a place on the machine of whoever wrote it, for it would be
wrong on every other; and the locks must hold what requirements*.txt ask for, in the same releases.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

FOREIGN = {
    "a package registry": re.compile(
        r"pypi[.]org|pythonhosted[.]org|npmjs[.](?:org|com)|yarnpkg[.]com|deb[.]debian[.]org"
        r"|rubygems[.]org|crates[.]io|proxy[.]golang[.]org|repo1?[.]maven"
    ),
    "a path of one machine": re.compile(
        r"(?<![\w.~-])/(?:work|root|Users|home/(?!timeball\b)[a-z]\w*)/|[.]pyenv/|/opt/(?:pypi|wheels)"
    ),
}


def find_foreign(text: str) -> Iterator[tuple[int, str]]:
    """The lines that hold only where they were written: number and reason."""
    for number, line in enumerate(text.split("\n"), 1):
        for what, pattern in FOREIGN.items():
            if found := pattern.search(line):
                yield number, f"names {what}: {found[0]}"


def read_requirements(path: Path) -> dict[str, Requirement]:
    """The packages a requirements file asks for itself, by canonical name."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    asked = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(each.name): each for each in asked}


def read_lock(path: Path) -> dict[str, Version]:
    """The releases a lock holds, by canonical name."""
    pins = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


def check_locks(folder: Path) -> Iterator[str]:
    """Where the locks do not follow from the requirements."""
    runtime = read_lock(folder / "requirements.lock")
    extras = read_lock(folder / "requirements-extras.lock")
    dev = read_lock(folder / "requirements-dev.lock")
    for asked_in, lock_name, lock in (
        ("requirements.txt", "requirements.lock", runtime),
        ("requirements-otel.txt", "requirements-extras.lock", extras),
        ("requirements-alerts.txt", "requirements-extras.lock", extras),
        ("requirements-dev.txt", "requirements-dev.lock", dev),
    ):
        for name, asked in read_requirements(folder / asked_in).items():
            if name not in lock:
                yield f"{lock_name}: {asked} of {asked_in} is missing: run make lock"
            elif not asked.specifier.contains(lock[name], prereleases=True):
                yield f"{lock_name}: {name} {lock[name]} is not {asked} of {asked_in}: run make lock"
    for name, version in (extras | runtime).items():
        if dev.get(name) != version:
            yield f"requirements-dev.lock: {name} is not {version} as in the other locks: run make lock"
        if extras.get(name, version) != version:
            yield f"requirements-extras.lock: {name} is not {version} as in requirements.lock: run make lock"


def check_files(folder: Path) -> Iterator[str]:
    """Where a committed file says what is true on one machine only."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, told in find_foreign(text):
            yield f"{name}:{number}: {told}"


def main() -> int:
    folder = Path(__file__).resolve().parent.parent
    faults = [*check_files(folder), *check_locks(folder)]
    for fault in faults:
        print(fault)
    print(f"Tree: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

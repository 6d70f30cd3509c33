"""The product, running, and the programs of other languages that speak to it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.product import Product

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "moving-from-mergent.md"


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One stack for all clients; when it stops, every process of it must have gone."""
    with Product(tmp_path_factory.mktemp("clients")) as product:
        yield product


def need(*programs: str) -> None:
    """Skip the test when a program is missing; in CI a skip is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def example(language: str) -> str:
    """The first code block of a language in the page for Mergent's users: what is tested is what is told."""
    found = re.search(rf"^```{language}\n(.*?)^```$", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"{DOCS.name} has no example in {language}"
    return found[1]


def run(
    *words: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    text: str | None = None,
    seconds: float = 60,
) -> subprocess.CompletedProcess[str]:
    """A program with what it printed; what it means by its exit code is the caller's to judge."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=seconds,
    )

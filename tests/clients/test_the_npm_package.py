"""Mergent's npm package, 1.7.0 as published: only the address is another, by the preload that the docs show."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import HERE, example, need, run
from tests.e2e.product import Product

pytestmark = pytest.mark.stack

NPM = HERE / "npm"
PROGRAM = NPM / "mergent.test.cjs"
NAMES = re.findall(r'^test\("(.*)", async', PROGRAM.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as locked, the preload, and the program that uses both."""
    need("node", "npm")
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json", PROGRAM.name):
        shutil.copy(NPM / name, folder)
    (folder / "mergent-to-timeball.cjs").write_text(example("js"))
    done = run(
        *("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"),
        *("--fetch-retries=1", "--fetch-retry-mintimeout=1000"),
        cwd=folder,
        seconds=100,
    )
    if done.returncode != 0:
        words = "npm cannot install mergent 1.7.0: is its registry within reach?"
        pytest.fail(f"{words}\n{done.stderr[:1000]}", pytrace=False)
    return folder


@pytest.fixture(scope="module")
def results(installed: Path, product: Product) -> dict[str, str]:
    """What became of each test of the program: nothing, or why it failed."""
    environment = {
        **os.environ,
        "MERGENT_URL": product.url,
        "MERGENT_API_KEY": product.key,
        "NODE_OPTIONS": f"--require {installed / 'mergent-to-timeball.cjs'}",
    }
    done = run(
        *("node", "--test-reporter=tap", PROGRAM.name), cwd=installed, environment=environment
    )
    parts = re.split(r"^((?:not )?ok) \d+ - (.*)$", done.stdout, flags=re.MULTILINE)
    found = {
        name: "" if verdict == "ok" else more
        for verdict, name, more in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    }
    assert found, done.stderr
    return found


@pytest.mark.parametrize("name", NAMES)
def test_npm(results: dict[str, str], name: str) -> None:
    assert name in results, f"only these ran: {list(results)}"
    assert not results[name], results[name]


def test_the_lock_names_no_registry() -> None:
    """Whoever installs it takes it from the registry of their own choice."""
    assert "://" not in (NPM / "package-lock.json").read_text()

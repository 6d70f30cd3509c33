"""What the pages tell people to type is typed: every `sh` and `python` block, against a running product.

A block that is not to be run is fenced as `console`; those of README that install something, or need Docker,
are known by their first word.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.product import Product

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "docs" / "start.md", *ROOT.glob("docs/guides/*.md")])
INSTALLS = re.compile(r"(?:make|docker|python3 -m venv) ").match
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A refusal must fail the block, whatever comes behind it.
BEFORE = 'set -euo pipefail\ncurl() { command curl --silent --show-error --fail-with-body "$@"; }\n'


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("pages")) as product:
        yield product


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_block_of_a_page_works(product: Product, page: Path, tmp_path: Path) -> None:
    blocks = BLOCK.findall(page.read_text())
    places = {
        "http://127.0.0.1:8080": product.url,
        "https://example.com": product.inbox,
        "https://timeball.example": product.url,
        "tb_...": product.key,
        "whsec_...": "whsec_" + "A" * 43 + "=",
        "--data .timeball": f"--data {product.data}",
    }
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TIMEBALL_URL": product.url,
        "TIMEBALL_KEY": product.key,
        "KEY": product.key,
    }
    for kind, text in blocks:
        if page.name == "README.md" and INSTALLS(text):
            continue
        typed = text
        for shown, real in places.items():
            typed = typed.replace(shown, real)
        words = ["bash", "-c", BEFORE + typed] if kind == "sh" else [sys.executable, "-c", typed]
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{page.name}:\n{typed}\n{done.stdout}\n{done.stderr}"

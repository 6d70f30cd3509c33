"""What the code tells is on the pages as the code has it, no link leads nowhere, and the site can be built."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import reference

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


def test_the_reference_says_what_the_code_says() -> None:
    assert reference.stale() == [], "run make reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_to_a_file(page: Path) -> None:
    wrong = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert wrong == []


def test_the_site_can_be_built_and_asks_no_other_host(tmp_path: Path) -> None:
    """Every warning is an error: a page outside the navigation, a link to nowhere."""
    mkdocs = Path(sys.executable).parent / "mkdocs"
    words = [mkdocs, "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?(https?://[^\"\s>]+)",
            page.read_text(),
        )
        assert [url for url in loaded if "rel=canonical" not in url] == [], page

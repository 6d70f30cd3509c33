"""What the code tells is on the pages as the code has it, no link leads nowhere, and the site can be built."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench import told
from timeball.cli import cli
from timeball.dispatch.house import open_house
from timeball.model.task import Draft, Request
from timeball.settings import Settings
from timeball.signing import Signer, new_secret
from timeball.store import codec
from timeball.store.codec import Claimed
from tools import reference
from workers.prepare import Preparer, Signers

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


def test_the_reference_says_what_the_code_says() -> None:
    assert reference.stale() == [], "run make reference"


@pytest.mark.parametrize("page", told.PAGES, ids=lambda page: page.name)
def test_what_is_said_of_speed_is_what_was_measured(page: Path) -> None:
    text, results = page.read_text(), json.loads((ROOT / "bench/results.json").read_text())
    assert text.count("<!-- bench:") == 1
    assert told.filled(text, results) == text, "run python -m bench.told"
    results["drain"]["figures"][0]["timeball"] = 98_765.4
    assert "98,765" in told.filled(text, results)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_to_a_file(page: Path) -> None:
    wrong = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert wrong == []


def test_the_page_of_the_command_line_names_every_command() -> None:
    told = set(
        re.findall(r"`(?:timeball )?([a-z]+)\b", (ROOT / "docs/reference/cli.md").read_text())
    )
    assert set(cli.commands) - told == set()


def test_the_page_of_headers_names_every_header_of_ours() -> None:
    """Whatever our code sends, reads or answers besides what HTTP itself has."""
    told = (ROOT / "docs/reference/headers.md").read_text().lower()
    task = Draft("p", Request("https://example.com"), schedule="s", occurrence=datetime.now(UTC))
    spec = codec.encode_spec(replace(task, traceparent="00-0-0-01"))
    claimed = Claimed(bytes(16), "p/default", 1, 0, 0.0, 0.0, spec, b"")
    house = open_house(Settings(secret="x" * 32))
    signers = Signers(house.client, house.vault)
    signers.signer = lambda *_: Signer((new_secret(),), "key")
    signers.via = lambda *_: None
    lines = Preparer(signers, timedelta(seconds=1)).prepare(claimed, 0.0).lines
    lines = b"\r\n".join(lines).split(b"\r\n")  # several may be one to libcurl
    sent = {line.partition(b":")[0].decode().lower() for line in lines if not line.endswith(b":")}
    assert len(sent) >= 10
    assert {name for name in sent if f"`{name}`" not in told} == set()


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

"""A real browser on the real stack: Chromium, a product, and pages that nothing may be complained of on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.product import Product

if TYPE_CHECKING:  # few tests of the dashboard need a browser: the others do not load it
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def installed() -> None:
    """Skips without Chromium, before anything is started; CI must have it."""
    if not CHROMIUM.exists() and os.environ.get("CI") != "true":
        pytest.skip("chromium is not installed")


@pytest.fixture(scope="module")
def product(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product for the tests of one file."""
    with Product(tmp_path_factory.mktemp("browser")) as product:
        yield product


@pytest.fixture(scope="module")
def chromium(installed: None) -> Iterator[Browser]:
    """A browser for the tests of one file."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        yield browser
        browser.close()


@contextmanager
def listening(page: Page, product: Product, but: str | None = None) -> Iterator[Page]:
    """A page that is closed in the end, when there must be no complaint: none of the policy, none of a script.

    Nor may it ask another host than the product's. What Chromium says with the words `but` is no complaint.
    """
    said: list[str] = []
    ours = (product.url, product.inbox, "data:")

    def listen(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and (but is None or but not in message.text):
            said.append(message.text)

    def look(url: str) -> None:
        if not url.startswith(ours):
            said.append(f"another host was asked: {url}")

    page.on("console", listen)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: look(request.url))
    yield page
    page.context.close()
    assert said == [], product.last_words()


def complaints(page: Page) -> list[str]:
    """What axe-core finds serious or worse on a page, with all that hides behind a click opened."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}: {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]

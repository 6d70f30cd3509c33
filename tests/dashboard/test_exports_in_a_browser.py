"""Exports in a real browser on the real stack: registered, asked for, watched, fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.browsing import listening
from tests.dashboard.chain import Chain, open_chain, shop_of
from tests.e2e.product import Product

pytestmark = pytest.mark.stack

SECONDS = 20_000
ROWS = 3_000


@pytest.fixture(scope="module")
def chain(product: Product) -> Chain:
    return open_chain(product, shop_of(product.folder, ROWS))


def signed_in(product: Product, chain: Chain, chromium: Browser, script: bool = True) -> Page:
    page = chromium.new_context(java_script_enabled=script).new_page()
    page.set_default_timeout(SECONDS)
    page.goto(product.command("login", "--data", "data").stdout.strip())
    page.goto(f"{product.url}/dashboard/choose?id={chain.project}")
    return page


@pytest.fixture
def page(product: Product, chain: Chain, chromium: Browser) -> Iterator[Page]:
    """A page that is signed in and looks at the chain."""
    # a form that the page shows again is a line of Chromium's own
    with listening(signed_in(product, chain, chromium), product, but="status of 422") as page:
        yield page


def test_an_export_is_asked_for_watched_and_fetched(product: Product, page: Page) -> None:
    page.goto(f"{product.url}/dashboard/exports/new?index=wallet-ledger")
    page.select_option("[name='rule-0-field']", "country")
    page.select_option("[name='rule-0-operator']", "is_between_number")
    page.fill("[name='rule-0-first']", "NL")
    expect(page.locator("[data-wrong='rule-0']")).to_contain_text("operator needs a number")
    page.select_option("[name='rule-0-operator']", "is")
    expect(page.locator("[data-wrong='rule-0']")).to_be_hidden()
    expect(page.locator("#preview pre")).to_contain_text('"field_name": "country"')
    page.click("text=Count the rows")
    expect(page.locator(".counted")).to_contain_text("000 rows now")
    page.fill("[name='desc']", "the <b>Dutch</b>")
    page.press("[name='desc']", "Enter")  # makes the export, and neither counts nor adds rules
    expect(page.locator(".told")).to_have_text("The export is taken in.")
    expect(page.locator("h1")).to_have_text("the <b>Dutch</b>")
    expect(page.locator(".facts .badge")).to_have_text("DONE", timeout=SECONDS)
    with page.expect_download() as fetched:
        page.click("text=Download")
    lines = Path(fetched.value.path()).read_bytes().splitlines()
    assert fetched.value.suggested_filename.startswith("Wallet_Export-")
    assert len(lines) == ROWS // 3 + 1
    page.goto(f"{product.url}/dashboard/exports")
    page.click("text=Run now")
    expect(page.locator(".told")).to_have_text("It begins now.")
    expect(page.locator(".log tbody tr")).to_have_count(4, timeout=SECONDS)


def test_a_source_is_tried_and_registered(product: Product, page: Page) -> None:
    page.goto(f"{product.url}/dashboard/exports/sources")
    page.click("text=Register a source")
    url = f"sqlite:///{product.folder}/shop.db"
    page.fill("[name='index']", "everything")
    page.fill("[name='table']", "none")
    page.fill("[name='url']", url)
    page.click("text=Only test")
    expect(page.locator("[data-wrong='table']")).to_contain_text("does not exist")
    page.fill("[name='table']", "ledger")
    page.click("text=Only test")
    expect(page.locator("aside h2")).to_have_text("It works")
    assert str(product.folder) not in page.content()
    page.click("text=Test and register")
    expect(page.locator(".told")).to_have_text("Registered, with 7 columns.")
    page.click("summary:has-text('Remove')")
    page.click("button:has-text('Remove')")
    expect(page.locator(".told")).to_contain_text("Removed everything")


def test_each_page_fits_its_window(product: Product, page: Page, chain: Chain) -> None:
    number = chain.export("wallet-ledger", "long " * 60)
    rule = {"field_name": "note", "field_type": "keyword", "operator": "is", "value": "x" * 300}
    segment = {"index": "wallet-ledger", "join": "all", "chain_id": 1764, "rules": [rule]}
    chain.ask("POST", "/v2/segments", {"name": "y" * 200, "segment": segment})
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        for name in (
            "",
            f"/{number}",
            "/new?index=wallet-ledger&segment=1",
            "/sources",
            "/sources/wallet-ledger",
            "/sources/new",
            "/segments",
            "/segments/1",
        ):
            page.goto(f"{product.url}/dashboard/exports{name}")
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, (name, width, over)


def test_it_works_without_script(product: Product, chain: Chain, chromium: Browser) -> None:
    page = signed_in(product, chain, chromium, script=False)
    page.goto(f"{product.url}/dashboard/exports/new?index=tasks")
    page.click("text=More rules")
    page.select_option("[name='rule-4-field']", "queue")
    page.fill("[name='rule-4-first']", "exports")
    page.fill("[name='trigger.once']", "2099-01-01T00:00")
    page.click(".primary")
    expect(page.locator(".told")).to_have_text("The export is taken in.")
    page.click("text=Cancel")
    expect(page.locator(".told")).to_have_text("Taken back.")
    expect(page.locator(".facts .badge")).to_have_text("ERROR")
    page.click("summary:has-text('Delete')")
    page.click("text=Delete for good")
    expect(page.locator(".told")).to_contain_text("Deleted")

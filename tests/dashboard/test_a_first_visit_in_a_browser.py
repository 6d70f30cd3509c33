"""A first visit, in a real browser on the real stack: send, see it arrive, break, see the retries, run."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from api.dashboard.pages import ROUTES
from tests.conftest import eventually
from tests.dashboard.browsing import complaints, listening
from tests.e2e.product import Product

pytestmark = pytest.mark.stack

SECONDS = 15_000


@pytest.fixture
def page(product: Product, chromium: Browser) -> Iterator[Page]:
    """A page that is signed in."""
    with listening(chromium.new_context().new_page(), product) as page:
        page.set_default_timeout(SECONDS)
        page.goto(product.command("login", "--data", "data").stdout.strip())
        yield page


def test_the_link_of_the_start_signs_in_once(product: Product, chromium: Browser) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(product.facts["login_url"])
    expect(page).to_have_url(f"{product.url}/dashboard")
    other = chromium.new_context().new_page()
    other.goto(product.facts["login_url"])
    expect(other.locator("body")).to_contain_text("used already")
    context.close()


def test_a_first_visit(product: Product, page: Page) -> None:
    steps = page.locator("[data-step]")
    expect(steps).to_have_count(3)
    expect(steps.first).to_contain_text("curl -X POST")

    # send a task: what is wrong is said while it is typed, and the command grows with it
    page.goto(f"{product.url}/dashboard/tasks/new")
    page.fill("[name='delay']", "soon")
    page.fill("[name='request.url']", f"{product.inbox}/hello")
    expect(page.locator("[data-wrong='delay']")).to_be_visible()
    page.fill("[name='delay']", "")
    expect(page.locator("[data-wrong='delay']")).to_be_hidden()
    page.fill("[name='name']", "first <b>task</b>")
    expect(page.locator("#preview pre").first).to_contain_text("first <b>task</b>")
    page.click("text=Send the task")
    expect(page.locator("h1")).to_have_text("first <b>task</b>")

    # the page follows it by itself
    expect(page.locator(".facts .badge")).to_have_text("succeeded", timeout=SECONDS)
    expect(page.locator(".try .badge")).to_have_text("answered 200")
    assert len(product.received("/hello")) == 1

    # break the inbox, see it wait for its retry, do not wait for it
    page.goto(f"{product.url}/dashboard/tasks/new")
    page.fill("[name='request.url']", f"{product.inbox}/flaky?status=500&times=1")
    page.click("text=Retries of its own")
    page.fill("[name='retry.min_backoff']", "1h")
    page.click("text=Send the task")
    expect(page.locator(".facts .badge")).to_have_text("retrying", timeout=SECONDS)
    expect(page.locator(".try .badge")).to_have_text("answered 500")
    page.click("text=Run now")
    expect(page.locator(".told")).to_have_text("Made due now.")
    expect(page.locator(".facts .badge")).to_have_text("succeeded", timeout=SECONDS)
    expect(page.locator(".try")).to_have_count(2)

    # make a schedule, with its rule in words
    page.goto(f"{product.url}/dashboard/schedules/new")
    page.fill("[name='cron']", "30 2 * * 1-5")
    page.fill("[name='request.url']", f"{product.inbox}/tick")
    expect(page.locator("[data-words]")).to_have_text(re.compile("At 02:30"))
    expect(page.locator("#preview tbody tr")).to_have_count(10)
    page.click("text=Make the schedule")
    expect(page.locator(".facts .badge").first).to_have_text("active")

    # all three steps have ticked themselves off, and the numbers move without a reload
    page.goto(f"{product.url}/dashboard")
    expect(page.locator("[data-step]")).to_have_count(0)
    done = page.locator("[data-card='Succeeded']")
    expect(done).to_have_text("2")
    product.create(f"{product.inbox}/third")
    expect(done).to_have_text("3", timeout=SECONDS)


def test_rows_are_chosen_and_redriven(product: Product, page: Page) -> None:
    for n in range(3):
        product.create(f"{product.inbox}/gone?status=410&times=1&n={n}")
    page.goto(f"{product.url}/dashboard")
    expect(page.locator("[data-card='Dead']")).to_have_text("3", timeout=SECONDS)
    page.click("a:has-text('Dead') >> nth=0")
    page.click("text=Redrive all 3")
    expect(page.locator(".told")).to_have_text("Made 3 dead tasks due now.")
    page.goto(f"{product.url}/dashboard/tasks?url={product.inbox}/gone")
    expect(page.locator("tbody .badge.succeeded")).to_have_count(3)
    page.check("[data-all]")
    expect(page.locator("[data-chosen]")).to_have_text("3 chosen:")
    page.click(".bulk >> text=Delete")
    expect(page.locator(".told")).to_have_text("Deleted 3 of 3.")


def test_ten_thousand_tasks_are_cancelled_at_once(product: Product, page: Page) -> None:
    task = {"request": {"url": f"{product.inbox}/never"}, "queue": "many", "delay": "1h"}
    for _ in range(10):
        assert product.ask("POST", "/v2/tasks/batch-create", [task] * 1000).status_code == 201
    page.goto(f"{product.url}/dashboard/tasks?queue=many")
    page.click("text=All that fit…")
    page.click(".all .drop >> text=Cancel")
    expect(page.locator("h1")).to_have_text("Cancel 10\u2009000 tasks")
    page.click("text=Cancel them")
    # its progress renews itself
    expect(page.locator("section .badge")).to_have_text("done", timeout=60_000)
    expect(page.locator("[data-done]")).to_have_text("10\u2009000")
    found = product.ask("GET", "/v2/tasks?queue=many&status=queued").json()
    assert found == []


def paths(product: Product) -> list[str]:
    """The path of every page; of those about one thing, where we can show one."""
    rule = {"request": {"url": f"{product.inbox}/tick"}, "cron": "0 9 * * 1-5", "name": "t" * 90}
    asked = {"action": "run", "filter": {"queue": "q" * 90}}
    known = {
        "task_id": product.create(f"{product.inbox}/gone?status=410&long={'x' * 300}", "y" * 300)[
            "id"
        ],
        "schedule_id": product.ask("POST", "/v2/schedules", rule).json()["id"],
        "bulk_id": product.ask("POST", "/v2/tasks/bulk", asked).json()["id"],
    }
    found = []
    for method, path, name, _, _ in ROUTES:
        part = name.endswith("live") or "preview" in name
        if method != "GET" or part or set(re.findall("<([^>]*)>", path)) - known.keys():
            continue
        for one, value in known.items():
            path = path.replace(f"<{one}>", value)
        found.append(path + ("?verb=redrive" if name == "new_bulk" else ""))
    eventually(lambda: product.get({"id": known["task_id"]})["status"] == "failure", within=15)
    return found


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_fits_its_window_and_is_for_all(
    product: Product, page: Page, width: int, scheme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    wrong = []
    for path in paths(product):
        page.goto(f"{product.url}/dashboard{path}")
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if over > 0:
            wrong.append((path, f"{over} pixels too wide"))
        if width == 1280:  # what axe-core looks at does not depend on the width
            wrong += [(path, said) for said in complaints(page)]
    assert wrong == [], "\n".join(f"{path}: {said}" for path, said in wrong)


def test_it_works_without_script(product: Product, chromium: Browser) -> None:
    page = chromium.new_context(java_script_enabled=False).new_page()
    page.goto(product.command("login", "--data", "data").stdout.strip())
    page.goto(f"{product.url}/dashboard/tasks/new")
    page.fill("[name='request.url']", f"{product.inbox}/plain")
    page.click("text=Send the task")
    expect(page.locator(".told")).to_have_text("The task is taken in.")
    page.reload()
    expect(page.locator(".facts .badge")).to_have_text("succeeded")
    page.click("summary:has-text('Delete')")
    page.click("text=Delete for good")
    expect(page.locator(".told")).to_contain_text("Deleted")

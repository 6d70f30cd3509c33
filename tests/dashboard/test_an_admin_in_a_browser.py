"""What an admin does, in a real browser on the real stack: roles, keys, settings, hosts, audit log, inbox."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import eventually
from tests.dashboard.browsing import complaints, listening
from tests.e2e.product import Product

pytestmark = pytest.mark.stack

PASSWORD = "correct horse battery"


@pytest.fixture
def admin(product: Product, chromium: Browser) -> Iterator[Page]:
    """The page of an admin, signed in."""
    # a page that is refused is a line of Chromium's own
    with listening(chromium.new_context().new_page(), product, but="status of 40") as page:
        page.set_default_timeout(15_000)
        page.goto(product.command("login", "--data", "data", "--name", "Ada").stdout.strip())
        yield page


def test_members_come_in_by_password_with_their_role(
    product: Product, admin: Page, chromium: Browser
) -> None:
    admin.goto(f"{product.url}/dashboard/settings")
    people = admin.get_by_label("People")
    people.locator("form", has_text="Add with password").get_by_label("Name").fill("Grace")
    people.get_by_label("Password").fill(PASSWORD)
    people.locator("form", has_text="Add with password").get_by_label("May").select_option("viewer")
    people.get_by_text("Add with password").click()
    expect(admin.locator(".told")).to_contain_text("Grace may sign in")

    grace = chromium.new_context().new_page()
    grace.goto(f"{product.url}/dashboard")
    grace.get_by_label("Name").fill("Grace")
    grace.get_by_label("Password").fill("something else")
    grace.get_by_role("button", name="Sign in").click()
    expect(grace.locator(".told")).to_contain_text("do not belong together")
    grace.get_by_label("Name").fill("Grace")
    grace.get_by_label("Password").fill(PASSWORD)
    grace.get_by_role("button", name="Sign in").click()
    expect(grace).to_have_url(f"{product.url}/dashboard")
    pages = grace.locator(".top nav a").all_inner_texts()
    assert "Keys" not in pages
    assert "Settings" not in pages
    assert "Tasks" in pages
    for path in ("keys", "settings", "audit"):
        answer = grace.goto(f"{product.url}/dashboard/{path}")
        assert answer is not None
        assert answer.status == 403

    admin.goto(f"{product.url}/dashboard/settings")
    admin.locator("tr", has_text="Grace").get_by_text("Remove", exact=True).click()
    admin.get_by_text("Remove for good").click()
    expect(admin.locator(".told")).to_contain_text("signed out")
    grace.wait_for_timeout(3100)  # so long a session that was looked up is believed
    grace.goto(f"{product.url}/dashboard")
    expect(grace).to_have_url(f"{product.url}/dashboard/login")
    grace.context.close()


def test_keys_are_made_used_rotated_and_revoked(product: Product, admin: Page) -> None:
    admin.goto(f"{product.url}/dashboard/keys")
    admin.get_by_label("Label").fill("till <b>3</b>")
    admin.get_by_text("Make a key").click()
    text = admin.locator(".fresh pre").inner_text()
    assert re.fullmatch(r"tb_\w{8}_\w{32}", text)
    row = admin.locator("tr", has_text="till <b>3</b>")
    expect(row).to_have_count(1)
    row.get_by_text("Rotate").click()
    row.get_by_text("Make the new key").click()
    expect(admin.locator(".fresh")).to_contain_text("not shown again")
    fresh = admin.locator(".fresh pre").inner_text()
    assert fresh != text
    rows = admin.locator("tr", has_text="till <b>3</b>")
    expect(rows).to_have_count(2)
    rows.first.get_by_text("Revoke", exact=True).click()
    rows.first.get_by_text("Revoke for good").click()
    expect(admin.locator(".told")).to_contain_text("Revoked")
    assert fresh not in admin.content()

    secrets = admin.get_by_label("Signing secrets")
    secrets.get_by_text("Rotate").click()
    secrets.get_by_text("Make a new secret").click()
    expect(secrets.locator(".command pre")).to_have_count(2)
    new = secrets.locator(".command pre").first.inner_text()
    assert new.startswith("whsec_")
    admin.reload()
    assert new not in admin.content()


def test_a_slash_leads_to_the_field_that_finds(product: Product, admin: Page) -> None:
    task = product.create(f"{product.inbox}/sought", name="sought / after", delay="1h")
    admin.goto(f"{product.url}/dashboard/queues")
    admin.keyboard.press("/")
    expect(admin.get_by_label("Find anything")).to_be_focused()
    admin.keyboard.type("sought / after")
    admin.keyboard.press("Escape")
    expect(admin.get_by_label("Find anything")).to_have_value("")
    admin.keyboard.press("/")
    admin.keyboard.type(task["id"])
    admin.keyboard.press("Enter")
    expect(admin).to_have_url(f"{product.url}/dashboard/tasks/{task['id']}")
    expect(admin.locator("h1")).to_have_text("sought / after")


def test_settings_are_changed_and_the_audit_log_says_so(product: Product, admin: Page) -> None:
    admin.goto(f"{product.url}/dashboard/project")
    admin.get_by_text("Switch off").click()
    expect(admin.locator(".told")).to_contain_text("Retries are off")
    admin.get_by_text("Switch on").click()
    limits = admin.locator("form", has_text="Set limits")
    limits.get_by_label("Calls").fill("many")
    limits.get_by_text("Set limits").click()
    expect(admin.locator(".told.bad")).to_contain_text("Nothing was changed")
    admin.goto(f"{product.url}/dashboard/settings")
    project = admin.get_by_label("Projects")
    project.get_by_label("Another one").fill("shop")
    project.get_by_text("Make a project").click()
    expect(admin.locator(".told")).to_contain_text("Now it needs a key")
    admin.goto(f"{product.url}/dashboard/audit")
    admin.get_by_label("What").fill("retries")
    admin.get_by_role("button", name="Filter").click()
    expect(admin.locator("tbody tr")).to_have_count(2)
    expect(admin.locator("tbody tr").first).to_contain_text("Ada")
    admin.get_by_role("link", name="Clear").click()
    expect(admin.locator("tbody tr", has_text="create project")).to_have_count(1)
    admin.locator(".who .menu summary").first.click()
    admin.locator(".who .drop a", has_text="default").click()


def test_a_breaker_opens_and_is_closed_by_hand(product: Product, admin: Page) -> None:
    for _ in range(12):
        product.create("http://localhost:1/", retry={"max_attempts": 1})
    admin.goto(f"{product.url}/dashboard/hosts")
    row = admin.locator("[data-host='localhost:1']")

    def opened() -> bool:
        admin.reload()
        return row.locator(".badge.open").count() == 1

    for _ in range(50):
        if opened():
            break
        admin.wait_for_timeout(100)
    expect(row).to_contain_text(re.compile(r"refused × 1\d"))  # some were in flight already
    row.get_by_text("Close breaker").click()
    expect(admin.locator(".told")).to_contain_text("Calls to localhost:1 go through again")
    row.get_by_text("Limit", exact=True).click()
    row.get_by_label("Calls at once").fill("2")
    row.get_by_text("Set limit").click()
    expect(row).to_contain_text("2 at once")


def test_the_inbox_looks_like_the_rest_and_leads_back(product: Product, admin: Page) -> None:
    product.create(f"{product.inbox}/hello")
    admin.goto(f"{product.url}/dashboard")
    admin.get_by_role("link", name="Inbox").click()
    expect(admin.locator(".arrivals li")).to_have_count(1)
    expect(admin.locator(".arrivals")).to_contain_text("/hello")
    assert admin.evaluate("getComputedStyle(document.querySelector('.brand')).fontWeight") == "650"
    admin.locator(".arrivals summary").click()
    expect(admin.locator(".more").first).to_contain_text("signature valid")
    admin.get_by_role("link", name="Tasks").click()
    expect(admin).to_have_url(f"{product.url}/dashboard/tasks")


@pytest.mark.parametrize("width", [390, 1280])
def test_each_page_fits_its_window_and_menus_are_not_cut(
    product: Product, admin: Page, width: int
) -> None:
    admin.set_viewport_size({"width": width, "height": 800})
    for path in ("/hosts", "/project", "/keys", "/settings", "/system", "/audit"):
        admin.goto(f"{product.url}/dashboard{path}")
        over = admin.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, (path, over)
    admin.goto(product.inbox)
    assert admin.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    admin.goto(f"{product.url}/dashboard/keys")
    admin.locator("td.acts summary", has_text="Revoke").first.click()
    box = admin.locator("td.acts details[open] .drop").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    expect(admin.locator("td.acts details[open] .danger")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_inbox_and_the_sign_in_are_for_all(product: Product, admin: Page, scheme: str) -> None:
    admin.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    product.create(f"{product.inbox}/seen?status=503&times=1", "<b>", retry={"max_attempts": 1})
    product.create(f"{product.inbox}/seen")
    admin.goto(product.inbox)
    expect(admin.locator(".arrivals .path", has_text="/seen").nth(1)).to_be_visible()
    wrong = [("inbox", said) for said in complaints(admin)]
    admin.context.clear_cookies()
    admin.goto(f"{product.url}/dashboard/login")
    wrong += [("sign-in", said) for said in complaints(admin)]
    admin.get_by_label("Name").fill("nobody")
    admin.get_by_label("Password").fill("nothing")
    admin.keyboard.press("Enter")
    expect(admin.locator(".told")).to_contain_text("do not belong together")
    wrong += [("sign-in refused", said) for said in complaints(admin)]
    assert wrong == [], "\n".join(f"{name}: {said}" for name, said in wrong)


def test_secrets_are_kept_with_the_keyboard_alone(product: Product, admin: Page) -> None:
    def ring() -> bool:
        return bool(
            admin.evaluate("getComputedStyle(document.activeElement).outlineStyle !== 'none'")
        )

    admin.goto(f"{product.url}/dashboard/project")
    admin.keyboard.press("Tab")
    expect(admin.locator(".skip")).to_be_focused()
    admin.keyboard.press("Enter")
    secrets = admin.get_by_label("Secrets")
    secrets.get_by_label("Name").focus()
    assert ring()
    admin.keyboard.type("API_TOKEN")
    admin.keyboard.press("Tab")
    admin.keyboard.type("s3cret-one")
    admin.keyboard.press("Enter")
    expect(admin.locator(".told")).to_contain_text("headers may say {{secret.API_TOKEN}}")
    row = admin.locator("[data-secret=API_TOKEN]")
    replace = row.locator("summary", has_text="Replace")
    replace.focus()
    assert ring()
    admin.keyboard.press("Enter")
    admin.keyboard.press("Tab")
    expect(row.get_by_label("New value")).to_be_focused()
    admin.keyboard.press("Escape")
    expect(row.get_by_label("New value")).to_be_hidden()
    expect(replace).to_be_focused()
    admin.keyboard.press("Enter")
    admin.keyboard.press("Tab")
    admin.keyboard.type("s3cret-two")
    admin.keyboard.press("Enter")
    expect(admin.locator(".told")).to_contain_text("is replaced")
    assert "s3cret" not in admin.content()

    # the call carries the value
    headers = {"Authorization": "Bearer {{secret.API_TOKEN}}"}
    request = {"url": f"{product.inbox}/guarded", "headers": headers}
    assert product.ask("POST", "/v2/tasks", {"request": request}).status_code == 201
    eventually(lambda: len(product.received("/guarded")) == 1, within=15)
    [call] = product.received("/guarded")
    assert dict(call["headers"])["Authorization"] == "Bearer s3cret-two"
    row.locator("summary", has_text="Delete").focus()
    admin.keyboard.press("Enter")
    admin.keyboard.press("Tab")
    admin.keyboard.press("Enter")
    expect(admin.locator(".told")).to_contain_text("API_TOKEN is gone")
    expect(row).to_have_count(0)


def test_a_callback_is_named_in_the_form_and_comes(product: Product, admin: Page) -> None:
    admin.goto(f"{product.url}/dashboard/tasks/new")
    admin.get_by_label("URL", exact=True).fill(f"{product.inbox}/charge")
    admin.locator("summary", has_text="Callbacks").focus()
    admin.keyboard.press("Enter")
    after = admin.get_by_label("After success")
    after.fill("nowhere")
    expect(admin.locator("[data-wrong=on_success]")).to_be_visible()
    after.fill(f"{product.inbox}/charged")
    expect(admin.locator("[data-wrong=on_success]")).to_be_hidden()
    expect(admin.locator("#preview pre").first).to_contain_text("on_success")
    admin.get_by_role("button", name="Send the task").click()
    told = admin.get_by_label("Callbacks")
    expect(told).to_contain_text("after success")
    eventually(lambda: len(product.received("/charged")) == 1, within=15)
    told.get_by_role("link").click()
    expect(admin.locator("tbody .badge.succeeded")).to_have_count(1)

"""Pictures of every page, light, dark and as wide as a phone: `make screenshots`.

Runs the product in a folder of its own, gives it something to show, and writes PNG files into the folder named.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.conftest import eventually
from tests.dashboard.chain import open_chain, shop_of
from tests.e2e.product import Product

LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


SHOWN = {"task", "hosts"}
"""Pages of which there is a picture of one window too, as docs/images has them."""
MINUTES = 30


def live_through(product: Product) -> None:
    """Half an hour of a shop's life, on the virtual clock: so that charts have something to show."""
    inbox, chance = product.inbox, random.Random(7)
    nightly = {"cron": "30 2 * * 1-5", "timezone": "Europe/Amsterdam", "name": "nightly report"}
    made = product.ask("POST", "/v2/schedules", {"request": {"url": f"{inbox}/tick"}, **nightly})
    assert made.status_code == 201, made.text
    for minute in range(MINUTES):
        many = [
            {"request": {"url": f"{inbox}/orders", "body": str(n)}, "queue": "orders"}
            for n in range(chance.randint(20, 40) + minute // 2)
        ]
        for n in range(chance.randint(0, 5)):
            url = f"{inbox}/mail?status=503&times=1&n={minute}-{n}"
            many.append({"request": {"url": url}, "queue": "mail"})
        if chance.random() < 0.25:
            many.append({"request": {"url": f"{inbox}/gone?status=410&m={minute}"}})
        assert product.ask("POST", "/v2/tasks/batch-create", many).status_code == 201
        time.sleep(0.15)
        moved = product.command("clock", "advance", "1m", "--data", "data")
        assert moved.returncode == 0, moved.stderr


def fill(product: Product) -> tuple[str, str, str, str]:
    """Something to show. Answers the ids of a task, a schedule, a dead task and a bulk worth a picture."""
    inbox = product.inbox
    for n in range(20):
        body = json.dumps({"order": n})
        product.create(
            f"{inbox}/orders/{n}", body, name=f"order {n}", queue="orders", tags=["paid"]
        )
        product.create(
            f"{inbox}/reminders/{n}", name=f"reminder {n}", queue="mail", delay=f"{n + 1}h"
        )
    for n in range(4):
        dead = product.create(f"{inbox}/gone?status=410&n={n}", name=f"left us {n}")
    many = [{"request": {"url": f"{inbox}/later"}, "queue": "later", "delay": "1h"}] * 600
    assert product.ask("POST", "/v2/tasks/batch-create", many).status_code == 201
    asked = {"action": "delete", "filter": {"queue": "later"}, "rate": 20}
    bulk = product.ask("POST", "/v2/tasks/bulk", asked).json()["id"]
    for n in range(12):  # enough to open the breaker, and to leave some that wait for it
        product.create("http://localhost:1/", name=f"nobody there {n}", retry={"max_attempts": 1})
    retry = {"min_backoff": "1s", "max_attempts": 5}
    told = {"on_success": f"{inbox}/done", "on_failure": f"{inbox}/failed"}
    flaky = product.create(
        f"{inbox}/flaky?status=503&times=2", "hello", name="flaky", retry=retry, **told
    )
    beat = {"request": {"url": f"{inbox}/tick"}, "cron": "@every 2s", "name": "heartbeat"}
    made = product.ask("POST", "/v2/schedules", beat)
    assert made.status_code == 201, made.text
    for name in ("API_TOKEN", "SMTP_PASSWORD"):
        assert product.ask("PUT", f"/v2/secrets/{name}", {"value": "kept"}).status_code == 200
    limits = {"rate": 50, "concurrency": 20}
    assert product.ask("PATCH", "/v2/queues/mail", limits).status_code == 200
    eventually(lambda: product.get(flaky)["status"] == "success", within=20)
    return flaky["id"], made.json()["id"], dead["id"], bulk


def fill_chain(product: Product) -> tuple[str, dict[str, str]]:
    """A chain with exports in each state. Answers its project, and the pages worth a picture."""
    chain = open_chain(product, shop_of(product.folder, 400_000))
    rule = {
        "field_name": "country",
        "field_type": "keyword",
        "operator": "is",
        "value": "NL",
    }
    week = {
        "field_name": "timestamp",
        "field_type": "date",
        "operator": "relative_less_than",
        "time_factor": "week",
        "time_amount": 1,
    }
    segment = {
        "entity": "people",
        "index": "wallet-ledger",
        "join": "all",
        "chain_id": 1764,
        "rules": [rule],
    }
    both = {**segment, "join": "any", "rules": [rule, week]}
    chain.ask("POST", "/v2/segments", {"name": "Dutch wallets", "segment": segment})
    chain.ask("POST", "/v2/segments", {"name": "Dutch, or of this week", "segment": both})
    whole = chain.export("wallet-ledger", "Wallet ledger for the analytics warehouse")
    eventually(lambda: chain.code(whole) == "DONE", within=60, every=0.2)
    chain.export("wallet-ledger", "Dutch wallets, each day", segment=both, repeat="daily")
    chain.export("tasks", "What Timeball did", once="2099-01-31T09:00:00Z")
    lost = chain.export("wallet-ledger", "A segment that was removed", segment_id="1")
    chain.ask("DELETE", "/v2/segments/1")
    eventually(lambda: chain.code(lost) in ("DONE", "ERROR"), within=60, every=0.2)
    return chain.project, {
        "exports": "/exports",
        "export": f"/exports/{whole}",
        "new-export": "/exports/new?index=wallet-ledger&segment=2",
        "sources": "/exports/sources",
        "source": "/exports/sources/wallet-ledger",
        "new-source": "/exports/sources/new",
        "segments": "/exports/segments",
        "edit-segment": "/exports/segments/2",
    }


def shoot(product: Product, folder: Path) -> None:
    """Write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        first = browser.new_context(**_look("light"))
        page = first.new_page()
        page.goto(product.facts["login_url"])
        page.screenshot(path=folder / "first-visit.png", full_page=True)
        live_through(product)
        for look in ("light", "dark"):
            page = browser.new_context(
                storage_state=first.storage_state(), **_look(look)
            ).new_page()
            page.goto(f"{product.url}/dashboard")
            page.wait_for_timeout(400)
            page.screenshot(path=folder / f"overview-{look}-window.png")
        task, schedule, dead, bulk = fill(product)
        pages = {
            "overview": "",
            "tasks": "/tasks",
            "task": f"/tasks/{task}",
            "new-task": f"/tasks/new?from={task}",
            "edit-task": f"/tasks/{dead}/edit",
            "bulk-new": "/bulk/new?verb=cancel&queue=mail",
            "bulk": f"/bulk/{bulk}",
            "bulks": "/bulk",
            "schedules": "/schedules",
            "schedule": f"/schedules/{schedule}",
            "schedules-load": "/schedules/load",
            "edit-schedule": f"/schedules/{schedule}/edit",
            "queues": "/queues",
            "hosts": "/hosts",
            "dead": "/dead",
            "project": "/project",
            "keys": "/keys",
            "settings": "/settings",
            "system": "/system",
            "audit": "/audit",
            "inbox": product.inbox + "/",
            "sign-in": "/login",
        }
        state = first.storage_state()
        for look in LOOKS:
            page = browser.new_context(storage_state=state, **_look(look)).new_page()
            for name, path in pages.items():
                if name == "sign-in":  # the last: who is signed in is led away from it
                    page.context.clear_cookies()
                page.goto(path if "://" in path else f"{product.url}/dashboard{path}")
                page.wait_for_timeout(400)
                page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
                if name in SHOWN:
                    page.screenshot(path=folder / f"{name}-{look}-window.png")
        project, more = fill_chain(product)
        for look in LOOKS:
            page = browser.new_context(storage_state=state, **_look(look)).new_page()
            page.goto(f"{product.url}/dashboard/choose?id={project}")
            for name, path in more.items():
                page.goto(f"{product.url}/dashboard{path}")
                page.wait_for_timeout(400)
                page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
        browser.close()


def _look(name: str) -> dict[str, Any]:
    return dict(LOOKS[name])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as data, Product(Path(data), flower=True) as running:
        shoot(running, Path(sys.argv[1]))
    print(f"written to {sys.argv[1]}")

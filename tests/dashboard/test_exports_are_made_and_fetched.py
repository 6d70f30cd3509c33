"""Exports on the dashboard: made by a form, watched, fetched; their sources and segments kept."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from api.door import App
from tests.dashboard.conftest import Browser, field
from tests.spaaza.conftest import CHAIN, plain_sql
from tests.spaaza.conftest import chain as chain
from tests.spaaza.conftest import shop as shop
from timeball.dispatch import export_files, exports, sources
from timeball.dispatch.house import House
from timeball.model.export import Code, Export, Order
from timeball.model.project import Project
from timeball.model.visitor import Role
from timeball.settings import Settings
from timeball.store import logins, projects
from workers.export import Exporter

ALL = "/dashboard/exports"
NEW = f"{ALL}/new"
SECRET = "pa55-w0rd"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return replace(settings, exports_dir=str(tmp_path / "exports"))


@pytest.fixture
def project(chain: Project) -> Project:
    """The project of the pages is the chain."""
    export_files.open_store.cache_clear()
    return chain


@pytest.fixture
def work(house: House) -> Callable[[], int]:
    return lambda: Exporter(house, 0, "test", lambda: False).run()


def made(house: House, project: Project) -> list[Export]:
    return list(exports.find(house, project.id))


def rule(row: int, *parts: str) -> dict[str, str]:
    names = ("field", "operator", "first", "second")
    return {f"rule-{row}-{n}": text for n, text in zip(names, parts, strict=False)}


def audited(house: House) -> list[tuple[str, str, str]]:
    return [(r.verb, r.subject, r.after) for r in logins.audit(house.client, 0, 100)]


def test_an_export_is_made_watched_and_fetched(
    browser: Browser, house: House, project: Project, work: Callable[[], int], shop: Path
) -> None:
    assert "No export yet" in browser.get(ALL).text
    page = browser.follow(
        NEW,
        **{"index": "users", "desc": "two <b>countries</b>", "join": "any"},
        **rule(0, "country", "is", "NL"),
        **rule(2, "id", "is_between_number", "10", "20"),
    )
    assert "The export is taken in." in page
    assert "two &lt;b&gt;countries&lt;/b&gt;" in page
    assert "Rows whose <bdi>country is NL, or id is between the numbers 10 and 20</bdi>" in page
    [export] = made(house, project)
    assert export.order.key_id is None
    path = f"{ALL}/{export.number}"
    assert "READY" in browser.get(f"{path}/live").text
    assert (
        "here is a file once it is DONE"
        in browser.get(browser.get(f"{path}/file", 303).headers["Location"]).text
    )
    work()
    page = browser.get(path).text
    assert f"User_Export-{export.number}.csv" in page
    answer = browser.client.get(f"{path}/file")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Cache-Control"] == "no-store"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    wanted = plain_sql(shop, "country = 'NL' OR id BETWEEN 10 AND 20")
    assert [(int(r["id"]), r["country"] or None) for r in rows] == wanted
    part = browser.client.get(f"{path}/file", headers={"Range": "bytes=0-1"})
    assert (part.status_code, part.data) == (206, b"id")
    several = browser.client.get(f"{path}/file", headers={"Range": "bytes=0-1,3-4"})
    assert (several.status_code, several.data) == (200, answer.data)
    listed = browser.get(ALL).text
    assert f">{len(wanted)}</td>" in listed
    assert f'href="{path}/file"' in listed
    assert audited(house)[:4] == [
        *[("download export", str(export.number), f"User_Export-{export.number}.csv")] * 3,
        ("create export", str(export.number), "users"),
    ]


def test_each_operator_can_be_asked_for(
    browser: Browser, house: House, project: Project, work: Callable[[], int], shop: Path
) -> None:
    day = "created_date > datetime('now', '-2 days')"
    asked = [
        (rule(0, "country", "is_any_of", "NL, DE"), "country IN ('NL', 'DE')"),
        (rule(0, "country", "is_not_set"), "country IS NULL"),
        (rule(0, "country", "does_not_contain", "L"), "country IS NULL OR country = 'DE'"),
        (rule(0, "created_date", "relative_less_than", "2", "day"), day),
        (rule(0, "created_date", "is_before_date", "2020-01-01"), "0"),
        (rule(0, "created_date", "is_between_date", "2020-01-01", "2099-01-01"), "1"),
        (rule(0, "amount", "is_greater_than", "60.5"), "amount > 60.5"),
    ]
    for rules, _ in asked:
        browser.post(NEW, index="users", **rules)
    work()
    for export, (_, where) in zip(made(house, project)[::-1], asked, strict=True):
        assert export.result is not None, export.logs
        assert export.result.rows == len(plain_sql(shop, where)), where


def test_what_is_wrong_stands_beside_its_rule(
    browser: Browser, house: House, project: Project
) -> None:
    page = browser.post(
        NEW,
        422,
        **{"index": "users", "desc": "kept as typed"},
        **rule(1, "country", "is_between_number", "1", "2"),
    ).text
    assert "kept as typed" in page
    assert 'data-wrong="rule-0" hidden' in page
    assert 'data-wrong="rule-1" hidden' not in page
    assert "operator needs a number" in page
    for fields in (
        rule(0, "created_date", "relative_less_than", "two", "day"),
        rule(0, "created_date", "relative_less_than", "2", "fortnight"),
        rule(0, "country", "is", "NL", "DE"),
        rule(0, 'id" OR 1=1 --', "is", "1"),
        rule(0, "", "is", "NL"),
        rule(0, "country", "like", "NL"),
        rule(0, "id", "is", "'; DROP TABLE users"),
        {"trigger.once": "soon"},
        {"trigger.segment_id": "7"},
        {"target.notify.url": "ftp://x"},
    ):
        page = browser.post(NEW, 422, index="users", **fields).text
        assert re.search(r'data-wrong="[a-z0-9._-]+">[^<]', page) or "segment_id names" in page, (
            page
        )
    assert made(house, project) == []


def test_more_rules_and_a_count_make_nothing(
    browser: Browser, house: House, project: Project, shop: Path
) -> None:
    fields = rule(0, "country", "is", "NL")
    page = browser.post(NEW, 200, index="users", more="1", rows="3", **fields).text
    assert 'name="rule-5-field"' in page
    assert '<option value="NL"' not in page
    assert 'value="NL"' in page
    page = browser.post(NEW, 200, index="users", count="1", **fields).text
    wanted = len(plain_sql(shop, "country = 'NL'"))
    assert f"{wanted} rows now" in page
    assert made(house, project) == []
    shown = browser.post(f"{NEW[:-3]}preview", 200, index="users", **fields).text
    assert "/spaaza/tasks" in unescape(shown)
    assert '"field_name": "country"' in unescape(shown)


def test_it_is_run_cancelled_and_deleted(
    browser: Browser, house: House, project: Project, work: Callable[[], int]
) -> None:
    browser.post(NEW, index="tasks", **{"trigger.once": "2099-01-01T00:00"})
    [export] = made(house, project)
    path = f"{ALL}/{export.number}"
    assert "Taken back" in browser.follow(f"{path}/cancel")
    assert "cancelled before it ran" in browser.get(path).text
    assert "It begins now" in browser.follow(f"{path}/run")
    assert work() == 1
    assert made(house, project)[0].code is Code.DONE
    browser.post(f"{path}/cancel", 409)
    assert "Deleted" in browser.follow(f"{path}/delete")
    browser.get(path, 404)
    assert [verb for verb, *_ in audited(house)[:3]] == [
        "delete export",
        "run export",
        "cancel export",
    ]


def test_the_list_is_filtered(
    browser: Browser, house: House, project: Project, work: Callable[[], int]
) -> None:
    browser.post(NEW, index="users", desc="first")
    work()
    browser.post(NEW, index="tasks", desc="second", **{"trigger.once": "2099-01-01T00:00"})
    for query, there, gone in (
        ("state=DONE", "first", "second"),
        ("index=tasks", "second", "first"),
    ):
        page = browser.get(f"{ALL}/live?{query}").text
        assert there in page
        assert gone not in page
    assert "No export is like that" in browser.get(f"{ALL}?state=ERROR").text


def test_a_source_is_tried_registered_and_removed_and_its_url_is_never_shown(
    browser: Browser, house: House, project: Project, shop: Path
) -> None:
    secret = shop.rename(shop.with_name(f"{SECRET}.db"))
    new = f"{ALL}/sources/new"
    fields = {"index": "products", "table": "users", "chain_column": "chain_id", "denied": "amount"}
    url = f"sqlite:///{secret}"
    tried = browser.post(new, 200, url=url, test="1", **fields)
    assert "It works" in tried.text
    assert SECRET not in tried.text
    assert "amount" not in tried.text.partition("It works")[2]
    assert [s.index for s in sources.every(house, project.id)] == ["users", "wallet-ledger"]
    sealed = field(tried.text, "sealed")
    page = browser.follow(new, sealed=sealed, **fields)
    assert "Registered, with 5 columns" in page
    kept = sources.get(house, project.id, "products")
    assert (kept.url, kept.confined, kept.denied) == (url, True, ("amount",))
    for path in ("", "/products", "/new?from=products"):
        page = browser.get(f"{ALL}/sources{path}").text
        assert SECRET not in page
        assert "products" in page
    assert "It works: 5 columns" in browser.follow(f"{ALL}/sources/products/test")
    secret.unlink()
    assert "cannot be opened" in browser.follow(f"{ALL}/sources/products/test")
    assert "Removed products" in browser.follow(f"{ALL}/sources/products/remove")
    written = logins.audit(house.client, 0, 100)
    assert ("register source", "products", "sqlite users") in audited(house)
    assert SECRET not in str(written)


def test_a_source_that_does_not_work_is_told_beside_its_field(
    browser: Browser, shop: Path, app: App, house: House
) -> None:
    new = f"{ALL}/sources/new"
    good = {"index": "x", "url": f"sqlite:///{shop}", "table": "users"}
    for change, name in (
        ({"table": "none"}, "table"),
        ({"url": f"postgresql://u:{SECRET}@10.0.0.1/x"}, "url"),
        ({"url": ""}, "url"),
        ({"index": "No!"}, "index"),
        ({"chain_column": "none"}, "chain_column"),
    ):
        page = browser.post(new, 422, **{**good, **change}).text
        assert f'data-wrong="{name}" hidden' not in page, change
        assert SECRET not in page
    other = Browser(app, house)
    sealed = field(browser.post(new, 422, **{**good, "table": "none"}).text, "sealed")
    assert sealed
    other.post(new, 422, index="x", table="users", sealed=sealed)
    browser.post(new, index="x", table="users", sealed=sealed)


def test_a_segment_is_saved_changed_used_and_deleted(
    browser: Browser, house: House, project: Project, work: Callable[[], int], shop: Path
) -> None:
    new = f"{ALL}/segments/new"
    browser.post(new, 422, index="users", name="empty")
    page = browser.follow(new, index="users", name="Dutch", **rule(0, "country", "is", "NL"))
    assert "country is NL" in page
    [saved] = sources.segments(house, project.id)
    form = browser.get(f"{ALL}/segments/{saved.id}").text
    assert 'value="Dutch"' in form
    assert 'value="NL"' in form
    assert saved.id in browser.get(f"{NEW}?index=users&segment={saved.id}").text
    browser.post(NEW, index="users", **{"trigger.segment_id": saved.id})
    page = browser.follow(
        f"{ALL}/segments/{saved.id}", name="German", **rule(0, "country", "is", "DE")
    )
    assert "in its version 2" in page
    work()
    [export] = made(house, project)
    assert export.result is not None
    assert export.result.rows == len(plain_sql(shop, "country = 'DE'"))
    page = browser.post(NEW, 200, index="users", count="1", **{"trigger.segment_id": saved.id}).text
    assert f"{export.result.rows} rows now" in page
    assert "Deleted" in browser.follow(f"{ALL}/segments/{saved.id}/delete")
    assert sources.segments(house, project.id) == []
    assert ("change segment", saved.id, "country is DE") in audited(house)


def test_who_may_what(
    as_role: Callable[[Role], Browser], house: House, project: Project, work: Callable[[], int]
) -> None:
    as_role(Role.OPERATOR).post(NEW, index="users")
    work()
    [export] = made(house, project)
    viewer, operator = as_role(Role.VIEWER), as_role(Role.OPERATOR)
    path = f"{ALL}/{export.number}"
    for one in (ALL, path, f"{ALL}/sources", f"{ALL}/sources/users", f"{ALL}/segments"):
        page = viewer.get(one).text
        assert "Run now" not in page
        assert "/file" not in page
    for one in (NEW, f"{path}/file", f"{ALL}/segments/new"):
        viewer.get(one, 403)
    viewer.post(f"{path}/run", 403)
    viewer.post(NEW, 403, index="users")
    operator.get(f"{ALL}/sources/new", 403)
    operator.post(f"{ALL}/sources/users/remove", 403)
    assert operator.client.post(f"{path}/delete").status_code == 403
    assert len(made(house, project)) == 1


def test_a_project_that_is_no_chain_is_told_how_to_make_one(
    app: App, house: House, project: Project, browser: Browser
) -> None:
    plain = projects.create_project(house.client, house.vault, "plain")
    browser.get(f"/dashboard/choose?id={plain.id}", 303)
    for path in (ALL, NEW, f"{ALL}/sources", f"{ALL}/segments", f"{ALL}/sources/new"):
        assert f"chain-{CHAIN}" in browser.get(path).text
    browser.post(NEW, 404, index="tasks")


def test_hostile_names_are_only_shown(browser: Browser, house: House, tmp_path: Path) -> None:
    path, name = tmp_path / "odd.db", '"><script>alert(1)</script>‮'
    with closing(sqlite3.connect(path)) as database:
        database.execute('CREATE TABLE odd (id INTEGER, "{}" TEXT)'.format(name.replace('"', '""')))
        database.execute("INSERT INTO odd VALUES (1, '=cmd()')")
        database.commit()
    fields = {"index": "odd", "table": "odd", "url": f"sqlite:///{path}"}
    browser.post(f"{ALL}/sources/new", **fields)
    browser.post(NEW, index="odd", desc=name, **rule(0, name, "is_set"))
    browser.post(f"{ALL}/segments/new", index="odd", name=name, **rule(0, name, "is", name))
    for one in ("", "/1", "/new?index=odd", "/sources/odd", "/segments", "/segments/1"):
        page = browser.get(f"{ALL}{one}").text
        assert "<script>alert" not in page


def test_an_export_shows_no_secret_header_of_the_call_about_its_end(
    browser: Browser, house: House, project: Project
) -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "X-Plain": "plain"}
    target = {
        "action": "export",
        "export_index": "users",
        "notify": {"url": "https://example.com/", "headers": headers},
    }
    export = exports.create(house, project.id, Order(CHAIN, "", target, {}))
    page = browser.get(f"{ALL}/{export.number}").text
    assert "plain" in page
    assert "hidden:" in page
    assert SECRET not in page

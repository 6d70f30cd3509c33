"""A chain with a shop behind it: a SQLite file, a key of the form id:secret, and an exporter on demand."""

from __future__ import annotations

import json as stdlib_json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from api.app import create_app
from api.door import App
from timeball.dispatch import export_files, sources
from timeball.dispatch.house import House
from timeball.export.sources import Source
from timeball.model.project import Project
from timeball.settings import Settings
from timeball.store import chains, projects
from workers.export import Exporter

CHAIN, STRANGER = 1764, 1765
ROWS = 300


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Settings with a folder of exports of this test's own, and what the test asks for."""
    asked: dict[str, Any] = getattr(request, "param", {})
    return replace(settings, exports_dir=str(tmp_path / "exports"), **asked)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A database of two chains: their users and their wallet ledger, some rows deleted."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as database:
        for table in ("users", "ledger"):
            database.execute(
                f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, chain_id INTEGER, country TEXT,"
                " amount NUMERIC, created_date DATETIME, deleted_at TEXT)"
            )
            database.executemany(
                f"INSERT INTO {table} VALUES (?, ?, ?, ?, datetime('now', ?), ?)",
                [
                    (
                        i,
                        STRANGER if i % 3 == 0 else CHAIN,
                        ("NL", "DE", None)[i % 3 - 1],
                        i / 4,
                        f"-{i} hours",
                        "2026-01-01" if i % 10 == 0 else None,
                    )
                    for i in range(1, ROWS + 1)
                ],
            )
        database.commit()
    return path


def plain_sql(shop: Path, where: str = "1") -> list[tuple[Any, ...]]:
    """What the chain may see of a table, asked of the database itself."""
    with closing(sqlite3.connect(shop)) as database:
        return database.execute(
            f"SELECT id, country FROM users WHERE chain_id = {CHAIN} AND deleted_at IS NULL"
            f" AND ({where}) ORDER BY id"
        ).fetchall()


@pytest.fixture
def chain(house: House, shop: Path) -> Project:
    """The chain, with the sources `users` and `wallet-ledger`."""
    project = chains.ensure(house.client, house.vault, CHAIN)
    for index, table, prefix in (("users", "users", "User"), ("wallet-ledger", "ledger", "Wallet")):
        source = Source(
            chain=CHAIN,
            index=index,
            table=table,
            url=f"sqlite:///{shop}",
            chain_column="chain_id",
            deleted_column="deleted_at",
            order_by=("id",),
            prefix=prefix,
        )
        sources.register(house, project.id, source)
    return project


class Spaaza:
    """Requests with a key; every error must have the dialect's shape."""

    def __init__(self, app: App, key: str | None) -> None:
        self.client = Client(app)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __call__(
        self, method: str, path: str, json: Any = None, raw: bytes | None = None, **more: Any
    ) -> TestResponse:
        headers = {**self.headers, **more.pop("headers", {})}
        if json is not None:
            raw = stdlib_json.dumps(json).encode()
        answer = self.client.open(path, method=method, data=raw, headers=headers, **more)
        assert answer.status_code != 500, answer.text
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in answer.headers["Cache-Control"]
        if answer.status_code >= 400:
            error = answer.json["error"]
            assert list(error) == ["code", "name", "description", "fields"]
            assert error["code"] == answer.status_code
            assert isinstance(error["fields"], dict)
        return answer

    def create(self, index: str = "users", **fields: Any) -> dict[str, Any]:
        """A task that must be taken; `trigger` and `target` are added to."""
        task = {
            "chain": CHAIN,
            "desc": "a test",
            "target": {"action": "export", "export_index": index, **fields.pop("target", {})},
            "trigger": {"once": "2020-01-01T00:00:00Z", **fields.pop("trigger", {})},
            **fields,
        }
        answer = self("POST", "/tasks", task)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json
        return made

    def get(self, task: dict[str, Any], **query: Any) -> dict[str, Any]:
        """A task as it is now."""
        answer = self("GET", f"/tasks/{task['id']}", query_string=query)
        assert answer.status_code == 200
        now: dict[str, Any] = answer.json
        return now

    def code(self, task: dict[str, Any]) -> str:
        """The state's code of a task now."""
        return str(self.get(task)["state"]["code"])

    def download(self, task: dict[str, Any]) -> bytes:
        """The file of a task that is done."""
        url = self("GET", f"/tasks/{task['id']}/download_url").json["url"]
        answer = Spaaza(self.client.application, None)("GET", url)
        assert answer.status_code == 200, answer.text
        return answer.data


@pytest.fixture
def app(settings: Settings, house: House) -> App:
    """The app on the test's store."""
    export_files.open_store.cache_clear()
    return create_app(settings)


@pytest.fixture
def key(house: House, chain: Project) -> str:
    """A key of the chain: id:secret."""
    return projects.create_key(house.client, house.vault, chain.id, pair=True)[1]


@pytest.fixture
def api(app: App, key: str) -> Spaaza:
    """The API as the chain sees it."""
    return Spaaza(app, key)


@pytest.fixture
def stranger(app: App, house: House) -> Spaaza:
    """The API as another chain sees it."""
    other = chains.ensure(house.client, house.vault, STRANGER)
    return Spaaza(app, projects.create_key(house.client, house.vault, other.id, pair=True)[1])


@pytest.fixture
def work(house: House) -> Callable[[], int]:
    """Writes every export that is due, as the export job does; answers how many."""

    def work() -> int:
        return Exporter(house, 0, "test", lambda: False).run()

    return work

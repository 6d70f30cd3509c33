"""The whole product, its exporter killed in mid-export: no half file behind a link, and DONE in the end."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import eventually
from tests.e2e.product import Product

pytestmark = pytest.mark.stack

ROWS = 1_500_000


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    with Product(tmp_path) as product:
        yield product


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A table that takes seconds to write."""
    path = tmp_path / "big.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TABLE ledger (id INTEGER PRIMARY KEY, chain_id INTEGER, amount NUMERIC,"
            " note TEXT, timestamp DATETIME)"
        )
        database.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"
            " INSERT INTO ledger SELECT i, 1764 + (i % 5 = 0), i / 4.0, 'note ' || i,"
            " datetime('2026-01-01', '+' || i || ' seconds') FROM n"
        )
        database.commit()
    return path


class Chain:
    """The chain's key, and what it asks."""

    def __init__(self, product: Product) -> None:
        self.product = product
        told = product.command("keys", "create", "--chain", "1764", "--json", "--data", "data")
        assert told.returncode == 0, told.stderr
        key = json.loads(told.stdout)
        self.headers = {"Authorization": f"Bearer {key['id']}:{key['secret']}"}

    def __call__(self, method: str, path: str, value: Any = None) -> requests.Response:
        url = path if path.startswith("http") else self.product.url + path
        return requests.request(method, url, json=value, headers=self.headers, timeout=60)

    def export(self) -> dict[str, Any]:
        answer = self(
            "POST",
            "/tasks",
            {
                "chain": 1764,
                "desc": "big",
                "target": {"action": "export", "export_index": "wallet-ledger"},
                "trigger": {"once": "2026-05-26T12:00:00Z"},
            },
        )
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        assert answer.headers["Location"] == f"{self.product.url}/tasks/{made['id']}"
        return made


def register(product: Product, big: Path) -> None:
    """Make the big table the chain's wallet ledger."""
    added = product.command(
        *("sources", "add", "--chain", "1764", "--index", "wallet-ledger"),
        *("--url", f"sqlite:///{big}", "--table", "ledger", "--chain-column", "chain_id"),
        *("--order-by", "id", "--prefix", "Wallet", "--data", "data"),
    )
    assert added.returncode == 0, added.stderr


def test_a_killed_exporter_leaves_nothing_half_and_the_export_is_done(
    product: Product, big: Path
) -> None:
    chain = Chain(product)
    register(product, big)
    made = chain.export()
    path = f"/tasks/{made['id']}"
    folder = product.data / "exports"
    seen = set()

    def code() -> str:
        found = str(chain("GET", path).json()["state"]["code"])
        seen.add(found)
        return found

    parts = eventually(lambda: [*folder.rglob(".part-*")], within=20)
    assert code() == "INPROGRESS"
    assert chain("GET", f"{path}/download_url").status_code == 409
    pids = product.pids("exporter")
    for pid in reversed(pids):
        os.kill(pid, signal.SIGKILL)
    assert parts[0].exists()
    eventually(lambda: code() == "DONE", within=45, every=0.2)
    assert seen <= {"READY", "INPROGRESS", "DONE"}
    assert not [*folder.rglob(".part-*")]
    assert len([p for p in folder.rglob("*") if p.is_file()]) == 1
    now = chain("GET", path).json()
    assert [line["message"] for line in now["logs"]][-2:] == ["begun again", "begun"]
    url = chain("GET", f"{path}/download_url").json()["url"]
    assert url.startswith(product.url)
    file = requests.get(url, timeout=60).content
    with closing(sqlite3.connect(big)) as database:
        ids = database.execute("SELECT id FROM ledger WHERE chain_id = 1764 ORDER BY id").fetchall()
    lines = file.splitlines()
    assert len(lines) == len(ids) + 1
    assert all(
        line.split(b",", 1)[0] == b"%d" % i for line, (i,) in zip(lines[1:], ids, strict=True)
    )
    product_log = product.log.read_text()
    assert "token=" not in product_log
    assert chain.headers["Authorization"].partition(":")[2] not in product_log


def test_an_export_works_in_the_first_minute_and_execute_waits_for_it(product: Product) -> None:
    chain = Chain(product)
    task = {
        "chain": 1764,
        "desc": "",
        "target": {"action": "export", "export_index": "tasks"},
        "trigger": {"once": "2099-01-01T00:00:00Z"},
    }
    made = chain("POST", "/tasks", task).json()
    answer = chain("POST", f"/tasks/{made['id']}/execute")
    assert (answer.status_code, answer.json()["code"]) == (200, "DONE")
    assert answer.elapsed.total_seconds() < 10
    url = chain("GET", f"/tasks/{made['id']}/download_url").json()["url"]
    assert requests.get(url, timeout=10).text.startswith("id,name,queue,state")


def test_a_store_that_dies_in_mid_export_loses_nothing(product: Product, big: Path) -> None:
    chain = Chain(product)
    register(product, big)
    made = chain.export()
    folder = product.data / "exports"
    eventually(lambda: [*folder.rglob(".part-*")], within=20)
    os.kill(product.pids("redis")[0], signal.SIGKILL)
    eventually(
        lambda: chain("GET", f"/tasks/{made['id']}").status_code == 200, within=30, every=0.2
    )

    def done() -> bool:
        answer = chain("GET", f"/tasks/{made['id']}")
        return answer.status_code == 200 and answer.json()["state"]["code"] == "DONE"

    eventually(done, within=45, every=0.2)
    assert not [*folder.rglob(".part-*")]
    url = chain("GET", f"/tasks/{made['id']}/download_url").json()["url"]
    lines = requests.get(url, timeout=60).content.count(b"\n")
    assert lines == ROWS - ROWS // 5 + 1
    [result] = [p for p in folder.rglob("*") if p.is_file()]
    assert result.name == f"Wallet_Export-{made['id']}.csv"

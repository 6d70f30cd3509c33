"""A chain with a shop behind it in a running product, for browsers and pictures."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.e2e.product import Product

CHAIN = 1764


@dataclass
class Chain:
    """The chain's project and key."""

    product: Product
    project: str
    key: str

    def ask(self, method: str, path: str, value: Any = None) -> requests.Response:
        """A request with the chain's key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        url = self.product.url + path
        answer = requests.request(method, url, json=value, headers=headers, timeout=60)
        assert answer.status_code < 400, answer.text
        return answer

    def export(self, index: str, desc: str = "", **trigger: Any) -> int:
        """An export that must be taken; its number."""
        target = {"action": "export", "export_index": index}
        task = {"chain": CHAIN, "desc": desc, "target": target, "trigger": trigger}
        return int(self.ask("POST", "/tasks", task).json()["id"])

    def code(self, number: int) -> str:
        """How an export stands."""
        return str(self.ask("GET", f"/tasks/{number}").json()["state"]["code"])


def shop_of(folder: Path, rows: int) -> Path:
    """A database with a wallet ledger of so many rows."""
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TABLE ledger (id INTEGER PRIMARY KEY, chain_id INTEGER, country TEXT,"
            " amount NUMERIC, note TEXT, timestamp DATETIME, deleted_at DATETIME)"
        )
        database.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
            f" INSERT INTO ledger SELECT i, {CHAIN}, CASE i % 3 WHEN 0 THEN 'NL' ELSE 'BE' END, i / 4.0,"
            " 'note ' || i, datetime('2026-01-01', '+' || i || ' seconds'), NULL FROM n"
        )
        database.commit()
    return path


def open_chain(product: Product, shop: Path) -> Chain:
    """The chain, with the index `wallet-ledger`."""
    told = product.command(
        "keys", "create", "--chain", str(CHAIN), "--json", "--data", str(product.data)
    )
    assert told.returncode == 0, told.stderr
    made = json.loads(told.stdout)
    added = product.command(
        *(
            "sources",
            "add",
            "--chain",
            str(CHAIN),
            "--index",
            "wallet-ledger",
            "--prefix",
            "Wallet",
        ),
        *("--url", f"sqlite:///{shop}", "--table", "ledger", "--chain-column", "chain_id"),
        *("--deleted-column", "deleted_at", "--data", str(product.data)),
    )
    assert added.returncode == 0, added.stderr
    return Chain(product, made["project_id"], made["key"])

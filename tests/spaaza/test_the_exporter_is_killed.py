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

ROWS = 1_000_000


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """The chain in a product of this module's own, with a ledger that takes seconds to write."""
    folder = tmp_path_factory.mktemp("product")
    path = folder / "big.db"
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
    with Product(folder) as product:
        chain = Chain(product)
        added = product.command(
            *("sources", "add", "--chain", "1764", "--index", "wallet-ledger"),
            *("--url", f"sqlite:///{path}", "--table", "ledger", "--chain-column", "chain_id"),
            *("--order-by", "id", "--prefix", "Wallet", "--data", "data"),
        )
        assert added.returncode == 0, added.stderr
        yield chain


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

    def files(self, task: dict[str, Any]) -> list[Path]:
        """What there is of a task on the disk."""
        folder = self.product.data / "exports" / "1764" / str(task["id"])
        return [path for path in folder.rglob("*") if path.is_file()]

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


def test_an_export_works_in_the_first_minute_and_execute_waits_for_it(chain: Chain) -> None:
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


def test_a_killed_exporter_leaves_nothing_half_and_the_export_is_done(chain: Chain) -> None:
    made = chain.export()
    path = f"/tasks/{made['id']}"
    seen = set()

    def code() -> str:
        found = str(chain("GET", path).json()["state"]["code"])
        seen.add(found)
        return found

    [part] = eventually(lambda: chain.files(made), within=20)
    assert part.name.startswith(".part-")
    assert code() == "INPROGRESS"
    assert chain("GET", f"{path}/download_url").status_code == 409
    for pid in reversed(chain.product.pids("exporter")):
        os.kill(pid, signal.SIGKILL)
    assert part.exists()
    # its lease ends after 5 s of silence, which beat looks for each half second
    eventually(lambda: not part.exists(), within=9, every=0.05)
    eventually(lambda: code() == "DONE", within=45, every=0.2)
    assert seen <= {"READY", "INPROGRESS", "DONE"}
    assert [file.name for file in chain.files(made)] == [f"Wallet_Export-{made['id']}.csv"]
    now = chain("GET", path).json()
    assert [line["message"] for line in now["logs"]][-2:] == ["begun again", "begun"]
    url = chain("GET", f"{path}/download_url").json()["url"]
    assert url.startswith(chain.product.url)
    lines = requests.get(url, timeout=60).content.splitlines()
    ids = [i for i in range(1, ROWS + 1) if i % 5]
    assert len(lines) == len(ids) + 1
    assert all(line.split(b",", 1)[0] == b"%d" % i for line, i in zip(lines[1:], ids, strict=True))
    log = chain.product.log.read_text()
    assert "token=" not in log
    assert chain.headers["Authorization"].partition(":")[2] not in log


def test_a_store_that_dies_in_mid_export_loses_nothing(chain: Chain) -> None:
    made = chain.export()
    eventually(lambda: chain.files(made), within=20)
    os.kill(chain.product.pids("redis")[0], signal.SIGKILL)

    def done() -> bool:
        answer = chain("GET", f"/tasks/{made['id']}")
        return answer.status_code == 200 and answer.json()["state"]["code"] == "DONE"

    eventually(done, within=45, every=0.2)
    assert [file.name for file in chain.files(made)] == [f"Wallet_Export-{made['id']}.csv"]
    url = chain("GET", f"/tasks/{made['id']}/download_url").json()["url"]
    assert requests.get(url, timeout=60).content.count(b"\n") == ROWS - ROWS // 5 + 1

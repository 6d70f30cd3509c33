"""Makes the data of an earlier version for the test of upgrades: `python -m tests.upgrade.make CHECKOUT NAME`.

CHECKOUT is a folder with that version's sources, as `git archive VERSION | tar x` makes it. Its `timeball up` runs
and is asked for one of everything over REST; then it stops, and what it leaves becomes `NAME.tar.gz` here: its
data folder, and a file of its `timeball backup`. Run it at a release; keep what is here of the releases before.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis
import requests

from tests.conftest import eventually
from tests.e2e.product import Product
from tests.receiver import Answer, Receiver

HERE = Path(__file__).parent
PORT = 18471
"""Where the tasks of the data call, at any time later too: below the ports that a system hands out."""
URL = f"http://localhost:{PORT}"
KEPT = {"secret", "api_key", "appendonlydir"}


def make(checkout: Path, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="tb-") as place:
        environment = {"PYTHONPATH": str(checkout)}
        with (
            Receiver(lambda r: Answer(400 if "/dies" in r.path else 200), PORT) as receiver,
            Product(Path(place), environment=environment) as product,
        ):
            facts = fill(product)
            eventually(lambda: {"/ended", "/dies"} <= {r.path for r in receiver.received})
            eventually(lambda: product.get({"id": facts["dead"]})["status"] == "failure")
            done = product.command("backup", "backup.gz", "--data", "data")
            assert done.returncode == 0, done.stderr
            store = redis.Redis.from_url(product.facts["redis_url"])
            store.bgrewriteaof()
            eventually(lambda: store.info("persistence")["aof_rewrite_in_progress"] == 0)
        pack(Path(place), facts, HERE / f"{name}.tar.gz")


def fill(product: Product) -> dict[str, Any]:
    """One of everything; answers what the test looks for."""
    due = {"delay": "90s"}
    waiting = [
        product.create(f"{URL}/waits", str(at), **due, **more)["id"]
        for at, more in enumerate(
            [
                {"name": "named", "tags": ["a", "b"]},
                {"priority": "high", "queue": "q"},
                *({"ordering_key": "o"} for _ in range(3)),
                {"concurrency_key": "c"},
                {"retry": {"max_attempts": 3}, "on_success": f"{URL}/told"},
            ]
        )
    ]
    far = product.create(f"{URL}/far", delay="3650d")["id"]
    ended = product.create(f"{URL}/ended")["id"]
    dead = product.create(f"{URL}/dies", retry={"max_attempts": 1})["id"]
    rule = {"cron": "* * * * * *", "name": "ticks", "request": {"url": f"{URL}/ticks"}}
    schedule = product.ask("POST", "/v2/schedules", rule).json()["id"]
    assert product.ask("PATCH", "/v2/queues/q", {"rate": 50}).status_code == 200
    key = product.ask("POST", "/v2/keys", {"label": "another"}).json()["key"]
    made = product.command("keys", "create", "--chain", "1764", "--json", "--data", "data")
    chain_key = json.loads(made.stdout)["key"]
    once = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    order = {
        "chain": 1764,
        "desc": "what was done",
        "target": {"action": "export", "export_index": "tasks", "export_format": "csv"},
        "trigger": {"once": once},
    }
    headers = {"Authorization": f"Bearer {chain_key}"}
    export = requests.post(f"{product.url}/tasks", json=order, headers=headers, timeout=10)
    return {
        "waiting": waiting,
        "far": far,
        "ended": ended,
        "dead": dead,
        "schedule": schedule,
        "key": key,
        "chain_key": chain_key,
        "export": export.json()["id"],
    }


def pack(place: Path, facts: dict[str, Any], target: Path) -> None:
    """The data folder, the backup and the facts, in one file."""
    with tarfile.open(target, "w:gz") as out:
        for path in sorted((place / "data").iterdir()):
            if path.name in KEPT:
                out.add(path, f"data/{path.name}")
        out.add(place / "backup.gz", "backup.gz")
        text = json.dumps(facts).encode()
        entry = tarfile.TarInfo("facts.json")
        entry.size, entry.mtime = len(text), int(time.time())
        out.addfile(entry, io.BytesIO(text))


if __name__ == "__main__":
    os.environ.setdefault("TIMEBALL_ALLOWED_TARGETS", "localhost")
    make(Path(sys.argv[1]).resolve(), sys.argv[2])

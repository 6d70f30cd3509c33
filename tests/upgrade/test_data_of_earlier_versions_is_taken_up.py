"""What an earlier version left is taken up, from its append-only file or its backup; a newer one's is left."""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from bench.stack import free_port
from tests.conftest import environment, eventually
from tests.e2e.product import PROGRAM, Product
from tests.receiver import Receiver
from tests.upgrade.make import PORT
from timeball.dispatch import backup, intake, schedules
from timeball.dispatch.house import House, open_house, refuse_newer
from timeball.errors import ConfigError
from timeball.ids import id_bytes
from timeball.model.task import State
from timeball.settings import Settings
from timeball.store import format as store_format
from timeball.store import projects

LEFT = sorted(Path(__file__).parent.glob("*.tar.gz"))
KEEP = {"TIMEBALL_RETENTION_SUCCEEDED": "3650", "TIMEBALL_RETENTION_FAILED": "3650"}


@pytest.fixture(params=LEFT, ids=lambda path: path.name.removesuffix(".tar.gz"))
def left(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of what a version left, and what is known of it."""
    with tarfile.open(request.param) as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path, json.loads((tmp_path / "facts.json").read_text())


def ended(product: Product, task_id: str) -> str | None:
    """How a task has ended; None while it has not."""
    status = str(product.get({"id": task_id})["status"])
    return None if status in {"queued", "working"} else status


@pytest.mark.stack
def test_it_starts_on_it_and_does_what_was_asked(left: tuple[Path, dict[str, Any]]) -> None:
    folder, facts = left
    with Receiver(port=PORT) as receiver, Product(folder, environment=KEEP) as product:
        kept = (folder / "data/api_key").read_text().strip()
        assert product.key == kept
        paths = [r.path for r in receiver.received]
        assert product.get({"id": facts["ended"]})["status"] == "success"
        dead = product.get({"id": facts["dead"]})
        assert dead["status"] == "failure"
        attempts = product.ask("GET", f"/v2/tasks/{facts['dead']}/attempts").json()
        assert "400" in json.dumps(attempts)
        wanted = ["/waits"] * len(facts["waiting"]) + ["/told"]

        def called() -> bool:
            paths[:] = sorted(r.path for r in receiver.received if r.path in {"/waits", "/told"})
            return len(paths) >= len(wanted)

        eventually(called, within=30)
        assert paths == sorted(wanted)
        for task_id in facts["waiting"]:
            assert eventually(partial(ended, product, task_id), within=20) == "success"
        assert product.get({"id": facts["far"]})["status"] == "queued"
        assert product.ask("POST", f"/v2/tasks/{facts['dead']}/redrive").status_code < 300
        eventually(lambda: {"/dies", "/ticks"} <= {r.path for r in receiver.received})
        another = {"Authorization": f"Bearer {facts['key']}"}
        assert requests.get(f"{product.url}/v2/tasks", headers=another, timeout=10).ok
        chain = {"Authorization": f"Bearer {facts['chain_key']}"}
        export = f"{product.url}/tasks/{facts['export']}"
        eventually(
            lambda: "DONE" in requests.get(export, headers=chain, timeout=10).text, within=30
        )


def test_its_backup_is_restored(left: tuple[Path, dict[str, Any]], house: House) -> None:
    folder, facts = left
    secret = (folder / "data/secret").read_text().strip()
    here = open_house(replace(house.settings, secret=secret))
    with (folder / "backup.gz").open("rb") as source:
        counts = backup.restore(here, source)
    assert counts["schedules"] == 1
    key = projects.authenticate(here.client, (folder / "data/api_key").read_text().strip())
    assert key is not None
    ids = [found for text in facts["waiting"] if (found := id_bytes(text))]
    waiting = intake.get_many(here, key.project, ids)
    assert [task.state for task in waiting] == [State.SCHEDULED] * len(ids)
    assert schedules.get(here, key.project, facts["schedule"]).name == "ticks"


def test_a_newer_stores_data_is_left_alone(house: House, settings: Settings) -> None:
    refuse_newer(settings)
    refuse_newer(settings)
    house.client.set(store_format.KEY, store_format.FORMAT + 1)
    with pytest.raises(ConfigError, match=f"has format {store_format.FORMAT + 1}"):
        refuse_newer(settings)
    house.client.set(store_format.KEY, "nonsense")
    with pytest.raises(ConfigError, match="has format nonsense"):
        refuse_newer(settings)


@pytest.mark.stack
@pytest.mark.parametrize("role", ["api", "worker", "beat"])
def test_no_role_starts_on_a_newer_store(house: House, role: str) -> None:
    house.client.set(store_format.KEY, store_format.FORMAT + 1)
    words = ("--port", str(free_port())) if role == "api" else ()
    done = subprocess.run(
        [str(PROGRAM), role, *words],
        env=environment(house.settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert f"the store has format {store_format.FORMAT + 1}" in done.stdout + done.stderr

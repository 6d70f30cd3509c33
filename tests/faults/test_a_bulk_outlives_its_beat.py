"""A beat that is killed in the middle of a bulk: the next one goes on, and no task is met twice or left out."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.e2e.product import Product

pytestmark = [pytest.mark.faults, pytest.mark.stack]

TASKS = 4000


def test_a_bulk_outlives_its_beat(tmp_path: Path) -> None:
    with Product(tmp_path) as product:
        task = {"request": {"url": f"{product.inbox}/never"}, "queue": "many", "delay": "1h"}
        for _ in range(TASKS // 1000):
            assert product.ask("POST", "/v2/tasks/batch-create", [task] * 1000).status_code == 201
        asked = {"action": "cancel", "filter": {"queue": "many"}, "rate": 400}
        made = product.ask("POST", "/v2/tasks/bulk", asked).json()

        def now() -> dict[str, Any]:
            found: dict[str, Any] = product.ask("GET", f"/v2/bulk/{made['id']}").json()
            return found

        for share in (0.2, 0.6):
            eventually(lambda share=share: now()["done"] > TASKS * share, within=60)
            for pid in product.pids("beat"):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: now()["status"] == "done", within=60)
        found = now()
        assert (found["total"], found["done"], found["refused"]) == (TASKS, TASKS, 0)
        assert product.ask("GET", "/v2/tasks?queue=many&status=queued").json() == []

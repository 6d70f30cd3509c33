"""Backups between a Redis 7.0 and a Valkey, either way, by the commands of the page."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from tests.conftest import SECRET, environment, eventually
from tests.e2e.product import PROGRAM
from tests.export.conftest import need
from tests.receiver import Answer, Receiver
from tests.workers.test_pump import pumping
from timeball.dispatch import intake, schedules
from timeball.dispatch.house import House, open_house
from timeball.ids import id_text
from timeball.model.project import Project
from timeball.model.task import Draft, Request
from timeball.settings import Settings
from timeball.store import projects


@pytest.fixture(scope="module")
def redis_house() -> Iterator[House]:
    """A house on a Redis of Debian's, beside the Valkey that tests use otherwise."""
    program = shutil.which("redis-server")
    need(None if program else "redis-server is not installed")
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        words = [program, "--port", "0", "--unixsocket", f"{folder}/s", "--dir", folder]
        words += ["--save", "", "--appendonly", "yes", "--loglevel", "warning"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            settings = Settings(
                redis_url=f"unix://{folder}/s",
                secret=SECRET,
                dev=True,
                allowed_targets=("localhost",),
            )
            opened = open_house(settings)
            eventually(lambda: _answers(opened))
            assert "valkey_version" not in opened.client.info("server")
            yield opened
            opened.client.close()
        finally:
            process.kill()
            process.wait()


def _answers(house: House) -> bool:
    try:
        return bool(house.client.ping())
    except redis.RedisError:
        return False


def command(house: House, *words: str) -> None:
    done = subprocess.run(
        [str(PROGRAM), *words],
        env=environment(house.settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["redis to valkey", "valkey to redis"])
def test_all_go_over_and_none_is_called_twice(
    house: House, redis_house: House, way: str, tmp_path: Path
) -> None:
    old, new = (redis_house, house) if way == "redis to valkey" else (house, redis_house)
    old.client.flushall()
    new.client.flushall()
    project = projects.create_project(old.client, old.vault, "test")
    with Receiver(lambda _: Answer(delay=0.02)) as receiver:
        ids = _submit(old, project, receiver.url, 200)
        stop = threading.Event()

        def load() -> None:
            while not stop.wait(0.02):
                ids.extend(_submit(old, project, receiver.url, 5))

        rule = {"request": Request(receiver.url), "cron": "0 0 1 1 *", "name": "yearly"}
        made = schedules.create(old, project.id, rule)
        few = replace(old, settings=replace(old.settings, pump_calls=2))
        thread = threading.Thread(target=load)
        thread.start()
        with pumping(few):
            eventually(lambda: len(receiver.received) >= 5)
            command(old, "backup", str(tmp_path / "under-load.gz"))
            stop.set()
            thread.join()
        before = len(receiver.received)
        assert before < len(ids)
        command(new, "restore", str(tmp_path / "under-load.gz"))
        there = intake.get_many(new, project.id, ids[:200])
        assert len(there) == 200
        new.client.flushall()
        command(old, "backup", "--moving", str(tmp_path / "moving.gz"))
        command(new, "restore", str(tmp_path / "moving.gz"))
        assert schedules.get(new, project.id, made.id).name == "yearly"
        with pumping(new):
            eventually(lambda: len(set(receiver.tasks())) == len(ids), within=60)
            left = new.prefix(project.id) + f"end:{project.id}:2"
            eventually(lambda: new.client.zcard(left) == len(ids))
    every = Counter(receiver.tasks())
    assert set(every) == {id_text(task_id) for task_id in ids}
    assert max(every.values()) == 1


def _submit(house: House, project: Project, url: str, count: int) -> list[bytes]:
    drafts = [Draft(project.id, Request(url)) for _ in range(count)]
    return [task.id for task in intake.submit(house, project.id, drafts)]

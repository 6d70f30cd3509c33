"""Two servers on one append-only file would ruin it, so a server that outlived its `up` is ended first."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import redis

from tests.conftest import eventually
from timeball.up import valkey
from timeball.up.folder import Folder


def _start(folder: Folder) -> tuple[subprocess.Popen[bytes], redis.Redis]:
    listen = valkey.socket_path(folder)
    config = valkey.write_config(folder, listen)
    server = subprocess.Popen([valkey.find_server(), str(config)], stdout=subprocess.DEVNULL)
    client = redis.Redis(unix_socket_path=str(listen))
    eventually(lambda: listen.exists() and _pings(client))
    return server, client


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_it_is_ended_and_what_it_held_is_kept(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.open()
    first, client = _start(folder)
    client.set("kept", "yes")
    # In life, init reaps it; here this process does.
    with ThreadPoolExecutor() as pool:
        ended = pool.submit(first.wait, 10)
        valkey.stop_stale(folder)
        assert ended.result() == 0
    second, client = _start(folder)
    assert client.get("kept") == b"yes"
    second.kill()
    second.wait()


def test_what_is_no_server_of_this_folder_is_left_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.open()
    with subprocess.Popen(["sleep", "60"]) as other:
        (tmp_path / "redis.pid").write_text(str(other.pid))
        valkey.stop_stale(folder)
        assert other.poll() is None
        other.kill()


def test_a_killed_server_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.open()
    server, client = _start(folder)
    for number in range(1000):
        client.rpush("numbers", number)
    server.kill()
    server.wait()
    server, client = _start(folder)
    assert client.llen("numbers") == 1000
    server.kill()
    server.wait()

"""The embedded server runs on jemalloc where the machine has it, unless somebody has chosen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest
import redis

from tests.conftest import eventually
from timeball.up import valkey
from timeball.up.folder import Folder

LIBC = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=10000"}


def test_the_first_library_that_is_there_is_taken(tmp_path: Path) -> None:
    there, other = tmp_path / "libjemalloc.so.2", tmp_path / "other.so"
    for path in (there, other):
        path.touch()
    places = [str(tmp_path / "none.so"), str(there), str(other)]
    assert valkey.tuned({}, places) == {"LD_PRELOAD": str(there)}


def test_without_one_the_c_library_is_tuned(tmp_path: Path) -> None:
    assert valkey.tuned({}, [str(tmp_path / "none.so")]) == LIBC
    assert valkey.tuned({}, []) == LIBC


@pytest.mark.parametrize("chosen", ["LD_PRELOAD", "GLIBC_TUNABLES"])
def test_who_has_chosen_is_left_alone(tmp_path: Path, chosen: str) -> None:
    there = tmp_path / "libjemalloc.so.2"
    there.touch()
    assert valkey.tuned({chosen: ""}, [str(there)]) == {}


def test_a_library_that_cannot_be_loaded_does_no_harm(tmp_path: Path) -> None:
    broken = tmp_path / "libjemalloc.so.2"
    broken.write_bytes(b"this is no library")
    extra = valkey.tuned({}, [str(broken)])
    assert extra == {"LD_PRELOAD": str(broken)}
    server = [valkey.find_server(), "--version"]
    said = subprocess.run(server, env={**os.environ, **extra}, capture_output=True, text=True)
    assert said.returncode == 0
    assert "v=" in said.stdout


def test_the_server_has_loaded_it_where_it_is(tmp_path: Path) -> None:
    extra = valkey.tuned({})
    there = any(Path(library).exists() for library in valkey.JEMALLOC)
    assert ("LD_PRELOAD" in extra) == there
    folder = Folder(tmp_path)
    config = valkey.write_config(folder, valkey.socket_path(folder))
    command = [valkey.find_server(), str(config)]
    with subprocess.Popen(
        command, env={**os.environ, **extra}, stdout=subprocess.DEVNULL
    ) as server:
        try:
            eventually(lambda: _listens(valkey.socket_path(folder)))
            loaded = {mapped.path for mapped in psutil.Process(server.pid).memory_maps()}
            assert any("libjemalloc" in path for path in loaded) == there
        finally:
            server.kill()


def _listens(path: Path) -> bool:
    try:
        return bool(redis.Redis(unix_socket_path=str(path)).ping())
    except redis.ConnectionError:
        return False

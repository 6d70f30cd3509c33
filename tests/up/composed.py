"""What docker-compose.yml starts, without Docker: its commands, its environment, its folders of secrets."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import redis
import requests
import yaml

from bench.stack import free_port
from deploy import compose_init
from tests.conftest import eventually
from tests.e2e.product import PROGRAM

COMPOSE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "docker-compose.yml").read_text()
)
VARIABLE = re.compile(r"\$\{\w+:-([^{}]*(?:\$\{\w+:-[^}]*\})?[^{}]*)\}")
WITNESS = "user witness on nopass ~* &* +@all\n"
"""A user of the test's, which asks who was refused what."""


def make_volumes(folder: Path, patch: pytest.MonkeyPatch, port: int = 0) -> None:
    """The volumes as `secrets` fills them, for a Redis on a port of this machine."""
    for name in ("run", "data", *(f"roles/{role}" for role in compose_init.KNOWS)):
        (folder / name).mkdir(parents=True)
    patch.setattr(compose_init, "FOLDER", folder / "run")
    patch.setattr(compose_init, "ROLES", folder / "roles")
    patch.setattr(compose_init, "DATA", folder / "data")
    patch.setattr(compose_init, "ADDRESS", f"127.0.0.1:{port}")
    compose_init.make_secrets({})


@contextmanager
def server(program: str, folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis on `redis.conf` in a folder."""
    command = [program, str(folder / "redis.conf"), "--loglevel", "warning", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Composed:
    """The services of docker-compose.yml that are named, on a server program. A context."""

    def __init__(self, program: str, patch: pytest.MonkeyPatch, *services: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tb-"))
        self.program, self.patch, self.services = program, patch, services
        self.ports = {name: free_port() for name in ("redis", "api", "flower")}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._server = None
        self.key = ""

    def __enter__(self) -> Self:
        make_volumes(self.folder, self.patch, self.ports["redis"])
        with (self.folder / "run/redis.acl").open("a") as acl:
            acl.write(WITNESS)
        words = ("--bind", "127.0.0.1", "--port", str(self.ports["redis"]))
        self._server = server(self.program, self.folder / "run", *words)
        self._server.__enter__()
        try:
            self.witness = redis.Redis(
                port=self.ports["redis"], username="witness", password="w", decode_responses=True
            )
            eventually(self._pings)
            for name, value in self.environment("init", "run").items():
                self.patch.setenv(name, value)
            compose_init.make_key()
            self.key = (self.folder / "run/first_key").read_text().strip()
            for service in self.services:
                self.start(service)
            eventually(self._all_there, within=60)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if self._server is not None:
            self._server.__exit__(None, None, None)
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- services ---------------------------------------------------------------------------------

    def environment(self, service: str, place: str) -> dict[str, str]:
        """The environment of a service, whose /run/timeball is `place`."""
        said: Mapping[str, str] = COMPOSE["services"][service]["environment"]
        found = {k: v for k, v in os.environ.items() if not k.startswith("TIMEBALL_")}
        for name, value in said.items():
            while VARIABLE.search(value):
                value = VARIABLE.sub(r"\1", value)
            value = value.replace("/run/timeball", str(self.folder / place))
            found[name] = value.replace("/var/lib/timeball", str(self.folder / "data"))
        found["TIMEBALL_ALLOWED_TARGETS"] = "localhost"
        return found

    def start(self, service: str) -> None:
        """Start a service on what its volume at /run/timeball holds."""
        said = COMPOSE["services"][service]
        [volume] = [v.split(":")[0] for v in said["volumes"] if "/run/timeball" in v]
        place = "roles/" + volume.removeprefix("secrets-")
        environment = self.environment(service, place)
        words = list(said.get("command", ["flower"]))
        if service == "flower":
            environment["FLOWER_BASIC_AUTH"] = (
                (self.folder / place / "flower_login").read_text().strip()
            )
        if service in self.ports:
            words = [words[0], "--port", str(self.ports[service])]
        with (self.folder / f"{service}.log").open("ab") as log:
            self.processes[service] = subprocess.Popen(
                [str(PROGRAM), *words],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def run(self, *words: str, stdin: bytes = b"") -> bytes:
        """What the service `operator` prints for a command."""
        done = subprocess.run(
            [str(PROGRAM), *words],
            cwd=self.folder,
            env=self.environment("operator", "run"),
            input=stdin,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def ask(self, method: str, path: str, value: Any = None) -> requests.Response:
        """A request with the first key."""
        return requests.request(
            method,
            f"http://127.0.0.1:{self.ports['api']}{path}",
            json=value,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=20,
        )

    def words(self) -> str:
        """Who was refused what, and the ends of all logs."""
        return f"{self.refused()}\n" + "\n".join(
            f"-- {path.name}\n"
            + "\n".join(path.read_text(errors="replace").splitlines()[-8:])[-1500:]
            for path in sorted(self.folder.glob("*.log"))
        )

    def refused(self) -> list[tuple[str, str]]:
        """Who was refused what by the store, so far."""
        return [(e["username"], f"{e['reason']} {e['object']}") for e in self.witness.acl_log()]

    def _pings(self) -> bool:
        try:
            return bool(self.witness.ping())
        except redis.RedisError:
            return False

    def _all_there(self) -> bool:
        ended = {n: p.returncode for n, p in self.processes.items() if p.poll() is not None}
        assert not ended, f"{ended}\n{self.words()}"
        signed = {name.split(":")[0] for name in self.witness.hkeys("tb:{0}:roll")}
        if not {"worker", "exporter", "beat"} & set(self.services) <= signed:
            return False
        try:
            return self.ask("GET", "/readyz").status_code == 200
        except requests.ConnectionError:
            return False

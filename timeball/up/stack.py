"""What `timeball up` runs: which programs with which settings, and what it says once they are ready."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from timeball import settings
from timeball.egress import Policy
from timeball.errors import ConfigError
from timeball.up import commands, ports, ready, valkey
from timeball.up.console import Console
from timeball.up.folder import Folder, write_atomically, write_run
from timeball.up.program import Probe, Program
from timeball.up.supervisor import Supervisor

T = TypeVar("T")

FLOWER_USER = "timeball"
ROLES = ("up", "api", "worker", "exporter", "beat", "redis", "flower", "inbox")

# The doors go first, and the workers with them, so that calls in flight get the longest time to end; then the
# inbox, where such a call may be going; then the store. 8.5 s in all if each uses up its patience.
_DOORS, _INBOX, _STORE = 0, 1, 2
_DOOR_SECONDS, _WORKER_SECONDS, _INBOX_SECONDS, _STORE_SECONDS = 2.0, 6.0, 0.7, 1.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line of `up` says. A port of 0 means any free one."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    inbox_port: int = 9000
    flower_port: int = 5555
    workers: int = field(default_factory=commands.default_processes)
    beats: int = 1
    flower: bool = True
    logs: str = "auto"
    ready_file: Path | None = None


def run(options: Options, environ: Mapping[str, str], began: float) -> int:
    """Run everything until told to stop; the exit code. `began` is the monotonic instant of the command.

    Raises ConfigError with every fault found before anything is started.
    """
    faults: list[str] = []
    commands.allow_descriptors()
    os.umask(
        0o077
    )  # the store's files and exports are their owner's alone, whatever folder was there already
    folder = Folder(options.data)
    given = _attempt(faults, lambda: settings.load(environ)) or settings.Settings()
    _attempt(faults, lambda: Policy.parse(given.allowed_targets, given.denied_targets))
    if given.alert_urls:
        from timeball.dispatch import messengers  # the others need nothing of it to start

        faults += messengers.faults(given.alert_urls)
    server = None
    if "TIMEBALL_REDIS_URL" not in _named(environ):
        server = _attempt(faults, valkey.find_server)
    ready_file = options.ready_file
    if ready_file is not None:
        _attempt(faults, lambda: _check_writable(ready_file))
    _attempt(faults, folder.open)
    if faults:
        folder.close()
        raise ConfigError(faults)
    try:
        return _Stack(options, environ, given, folder, server, began).run()
    finally:
        folder.close()


class _Stack:
    """One run: its ports, its environment, its programs, its facts."""

    def __init__(
        self,
        options: Options,
        environ: Mapping[str, str],
        given: settings.Settings,
        folder: Folder,
        server: str | None,
        began: float,
    ) -> None:
        self.options = options
        self.folder = folder
        self.server = server
        self.began = began
        self.listen = valkey.socket_path(folder) if server else None
        self.redis_url = f"unix://{self.listen}" if self.listen else given.redis_url
        self.ports: dict[str, ports.Port] = {}
        self._take_port("api", options.host, options.port)
        self._take_port("inbox", options.host, options.inbox_port)
        if options.flower:
            self._take_port("flower", "127.0.0.1", options.flower_port)
        folder.keep_ports({name: (p.wanted, p.number) for name, p in self.ports.items()})
        self.flower_password = folder.kept_word("flower_password")
        as_json = _as_json(options.logs, given.log_format)
        self.own = self._own_settings(environ, given, as_json)
        self.environment = {
            # Celery's word to root, at every start: who runs `up` has chosen the user.
            "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
            # Each thread of the API would take memory from a heap of its own, and give none of it back.
            "MALLOC_ARENA_MAX": "2",
            **_absolute(environ),
            **self.own,
            "PYTHONUNBUFFERED": "1",
        }
        self.console = Console(
            2, as_json=as_json, colour=os.isatty(2) and "NO_COLOR" not in environ
        )
        self.pids: Mapping[str, list[int]] = {}

    def _take_port(self, role: str, host: str, wanted: int) -> None:
        self.ports[role] = ports.take(host, wanted, self.folder.last_port(role, wanted))

    def run(self) -> int:
        """Run it; the exit code."""
        if self.listen is not None:
            valkey.stop_stale(self.folder)
            self.listen.unlink(missing_ok=True)
            valkey.write_config(self.folder, self.listen)
        if self.options.ready_file is not None:
            # Of an earlier run that was killed: until the new one is there, nothing is ready.
            self.options.ready_file.unlink(missing_ok=True)
        for name, port in self.ports.items():
            if port.moved:
                self.console.say(
                    f"port {port.wanted} is taken: the {name} listens on {port.number}"
                )
        leftovers = [self.folder.run_file]
        if self.options.ready_file is not None:
            leftovers.append(self.options.ready_file.resolve())
        if self.listen is not None:
            leftovers.append(self.listen)
        supervisor = Supervisor(
            self.programs(),
            self.console,
            on_ready=self._ready,
            on_pids=self._pids_changed,
            leftovers=leftovers,
            hold=self.folder.lock_descriptor,
        )
        write_run(self.folder, self.own, self.facts())
        try:
            return supervisor.run()
        finally:
            for path in leftovers:
                path.unlink(missing_ok=True)
            self.console.say(f"stopped; the data stays in {self.folder.path}")
            self.console.drain(0.5)

    # -- settings ---------------------------------------------------------------------------------

    def _own_settings(
        self, environ: Mapping[str, str], given: settings.Settings, as_json: bool
    ) -> dict[str, str]:
        """The settings that `up` makes: what the user has set is kept."""
        named = _named(environ)
        own = {
            "TIMEBALL_REDIS_URL": self.redis_url,
            "TIMEBALL_OWN_PORTS": ",".join(map(str, {*given.own_ports, *self.own_ports()})),
            "TIMEBALL_LOG_FORMAT": "json" if as_json else "text",
        }
        defaults = {
            "TIMEBALL_DEV": "1",
            "TIMEBALL_ALLOWED_TARGETS": "localhost",
            "TIMEBALL_PUBLIC_URL": self.url("api"),
            "TIMEBALL_INBOX_URL": self.url("inbox"),
            **({"TIMEBALL_FLOWER_URL": self.url("flower")} if "flower" in self.ports else {}),
            "TIMEBALL_EXPORTS_DIR": str(self.folder.path / "exports"),
        }
        machine = given.own_addresses or _own_addresses(self.options.host)
        if machine:
            own["TIMEBALL_OWN_ADDRESSES"] = ",".join(machine)
        own |= {name: value for name, value in defaults.items() if name not in named}
        if "TIMEBALL_SECRET" not in named:
            self.folder.kept_word("secret")
            own["TIMEBALL_SECRET_FILE"] = str(self.folder.secret_file)
        else:
            own |= {
                name: value
                for name, value in _absolute(environ).items()
                if name in {"TIMEBALL_SECRET", "TIMEBALL_SECRET_FILE"}
            }
        return own

    def own_ports(self) -> list[int]:
        """Our own ports that calls may never reach; the inbox is there to be called."""
        found = [self.ports[name].number for name in ("api", "flower") if name in self.ports]
        parts = urlsplit(self.redis_url)
        if parts.scheme in {"redis", "rediss"} and parts.hostname in {
            "localhost",
            "127.0.0.1",
            "::1",
        }:
            found.append(parts.port or 6379)
        return found

    # -- programs ---------------------------------------------------------------------------------

    def programs(self) -> list[Program]:
        """All programs, the store first."""
        after = frozenset({"redis"} if self.server else ())
        found: list[Program] = []

        def add(
            name: str,
            argv: tuple[str, ...],
            *,
            role: str = "",
            probe: Probe | None = None,
            once: bool = False,
            phase: int = _DOORS,
            patience: float = _DOOR_SECONDS,
            extra: Mapping[str, str] | None = None,
        ) -> None:
            found.append(
                Program(
                    name=name,
                    role=role or name,
                    argv=argv,
                    # Not where the user stands: granian and Celery put that folder on the path of Python.
                    cwd=self.folder.path,
                    environment={**self.environment, **(extra or {})},
                    needs=after if name != "redis" else frozenset(),
                    probe=probe,
                    once=once,
                    stop_phase=phase,
                    patience_seconds=patience,
                    goes_last=name == "redis",
                )
            )

        if self.server is not None and self.listen is not None:
            config = self.folder.path / "redis.conf"
            add(
                "redis",
                (self.server, str(config)),
                probe=valkey.probe(self.listen),
                phase=_STORE,
                patience=_STORE_SECONDS,
                extra=valkey.tuned(self.environment),
            )
        host = self.options.host
        local = self._reached_at(host)
        port = self.ports["api"].number
        add(
            "api",
            commands.api(host, port),
            probe=Probe.http(local, port, "/readyz"),
        )
        add("worker", commands.worker(self.options.workers), patience=_WORKER_SECONDS)
        add("exporter", commands.exporter(1), patience=_WORKER_SECONDS)
        for number in range(1, self.options.beats + 1):
            add("beat" if number == 1 else f"beat-{number}", commands.beat(), role="beat")
        port = self.ports["inbox"].number
        add(
            "inbox",
            commands.inbox(host, port),
            probe=Probe.http(local, port, "/_inbox/count"),
            phase=_INBOX,
            patience=_INBOX_SECONDS,
        )
        if "flower" in self.ports:
            port = self.ports["flower"].number
            add(
                "flower",
                commands.flower("127.0.0.1", port),
                # 401: it answers, and asks for the password.
                probe=Probe.http("127.0.0.1", port, "/", expects=b"HTTP/1.1 401"),
                extra={"FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{self.flower_password}"},
            )
        files = (str(self.folder.key_file), str(self.folder.login_file))
        key = (sys.executable, "-P", "-m", "timeball.up.firstkey", *files)
        add("key", key, once=True)
        return found

    # -- what is told -----------------------------------------------------------------------------

    def _reached_at(self, host: str) -> str:
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - listens nowhere

    def url(self, name: str) -> str:
        """Where a role is reached from this machine."""
        host = "127.0.0.1" if name == "flower" else self._reached_at(self.options.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.ports[name].number}"

    def facts(self) -> dict[str, Any]:
        """What scripts may rely on: addresses, the key, the processes."""
        key = self.folder.key_file
        flower = "flower" in self.ports
        return {
            "url": self.url("api"),
            "api_key": key.read_text().strip() if key.exists() else None,
            "inbox_url": self.url("inbox"),
            "login_url": self.url("api") + self.folder.login_path(),
            "redis_url": self.redis_url,
            "flower_url": self.url("flower") if flower else None,
            "flower_user": FLOWER_USER if flower else None,
            "flower_password": self.flower_password if flower else None,
            "workers": self.options.workers,
            "data": str(self.folder.path),
            "pids": {role: self.pids.get(role, []) for role in ROLES} if self.pids else {},
        }

    def _pids_changed(self, pids: Mapping[str, list[int]]) -> None:
        self.pids = pids
        facts = self.facts()
        write_run(self.folder, self.own, facts)
        if self.options.ready_file is not None:
            write_atomically(self.options.ready_file, ready.as_json(facts))

    def _ready(self) -> None:
        block = ready.block(self.facts(), self.environment, time.monotonic() - self.began)
        self.console.drain(0.2)
        try:
            print(block, flush=True)
        except OSError:  # nobody reads our standard output
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open to the end


def _attempt(faults: list[str], action: Callable[[], T]) -> T | None:
    """The answer of an action; its faults are collected instead of raised."""
    try:
        return action()
    except ConfigError as error:
        faults += error.faults
        return None


def _own_addresses(host: str) -> tuple[str, ...]:
    """The addresses of this machine at which a server on `host` is reached, loopback left out."""
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - listens nowhere
        return () if host in {"localhost", "::1"} or host.startswith("127.") else (host,)
    found = set()
    for name in (socket.gethostname(), socket.getfqdn()):
        with contextlib.suppress(OSError):
            found |= {str(entry[4][0]) for entry in socket.getaddrinfo(name, None)}
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        # Connecting a datagram socket sends nothing; it only asks for the address that would be used.
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect((far, 9))
            found.add(str(trial.getsockname()[0]))
    return tuple(sorted(address.partition("%")[0] for address in found))


def _named(environ: Mapping[str, str]) -> set[str]:
    """The settings that the user has given, by the name without `_FILE`. An empty value gives none."""
    return {
        name.removesuffix("_FILE") if name != "TIMEBALL_CA_FILE" else name
        for name, value in environ.items()
        if name.startswith(settings.PREFIX) and value != ""
    }


def _absolute(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the paths in our settings made absolute: the programs stand in another folder."""
    return {
        name: str(Path(value).resolve())
        if name.startswith(settings.PREFIX) and name.endswith(("_FILE", "_DIR")) and value
        else value
        for name, value in environ.items()
    }


def _check_writable(path: Path) -> None:
    """Raises ConfigError when the ready file could not be written at the end."""
    if path.is_dir() or not os.access(path.resolve().parent, os.W_OK | os.X_OK):
        raise ConfigError(
            [f"cannot write the ready file {path}: its folder must exist and be writable"]
        )


def _as_json(wanted: str, setting: str) -> bool:
    chosen = wanted if wanted != "auto" else setting
    return chosen == "json" or (chosen == "auto" and not os.isatty(2))

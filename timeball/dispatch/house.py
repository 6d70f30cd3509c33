"""The parts that every verb needs, opened once a process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from celery import Celery

from timeball import logs, queue
from timeball.dispatch import traces
from timeball.dispatch.gate import Gate
from timeball.dispatch.traces import Traces
from timeball.errors import ConfigError, StoreError
from timeball.settings import Settings
from timeball.store import format as store_format
from timeball.store import keys
from timeball.store.projects import Vault
from timeball.store.scripts import Client, connect
from timeball.store.tasks import Bell

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class House:
    """Settings, the store, the vault and the queue of one process."""

    settings: Settings
    client: Client
    vault: Vault
    celery: Celery
    traces: Traces | None = None
    """What traces, where somebody asked for it."""
    gate: Gate = field(default_factory=Gate)

    @property
    def horizon_ms(self) -> int:
        """How far ahead bells are sent."""
        return int(self.settings.bell_horizon.total_seconds() * 1000)

    def shard(self, project: str) -> int:
        return keys.shard_of(project, self.settings.shards)

    def prefix(self, project: str) -> str:
        """What the keys of a project's tasks begin with."""
        return keys.prefix(self.shard(project))

    def ring(self, project: str, bells: Iterable[Bell]) -> None:
        """Send the messages that a move asked for."""
        for bell in bells:
            queue.send_bell(self.celery, bell.kind, self.shard(project), bell.delay)


def open_house(settings: Settings, store_timeout: float = 5.0) -> House:
    """Raises ConfigError when there is no master secret; nothing is connected yet.

    `store_timeout` is how many seconds a command may take before the store counts as away.
    """
    if settings.secret is None:
        raise ConfigError(["TIMEBALL_SECRET is not set: it encrypts signing secrets at rest"])
    return House(
        settings=settings,
        client=connect(settings.redis_url, timeout=store_timeout),
        vault=Vault(settings.secret),
        celery=queue.make_app(settings),
        traces=traces.make(settings),
    )


def refuse_newer(settings: Settings) -> None:
    """Mark a store as this version's, unless it is an older one's. Each role asks at its start.

    Raises ConfigError when a newer Timeball has worked on it. A store that is away refuses nothing: a role waits
    for it, and leaves a record of a version that it does not know as it is.
    """
    client = connect(settings.redis_url, timeout=3.0)
    try:
        words = store_format.refusal(client)
        if words is None:
            store_format.mark(client)
    except StoreError:
        return
    finally:
        client.close()
    if words is not None:
        log.error("this store is not for this version", error=words)
        raise ConfigError([words])


def check_store(house: House) -> list[str]:
    """What makes this Redis unfit to keep tasks, in words; empty when it is fit.

    Raises StoreUnavailable when it does not answer.
    """
    from timeball.store.scripts import store_errors

    faults = []
    with store_errors():
        memory = house.client.info("memory")
        persistence = house.client.info("persistence")
        server = house.client.info("server")
    newer = store_format.refusal(house.client)
    if newer is not None:
        faults.append(newer)
    version = str(server.get("redis_version", "0"))
    if int(version.partition(".")[0]) < 7:
        faults.append(f"Redis {version} is too old: Timeball needs 7.0 or later")
    if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
        faults.append(
            f"Redis evicts keys when it is full (maxmemory-policy {memory.get('maxmemory_policy')}): "
            "set maxmemory-policy noeviction, or tasks would vanish"
        )
    if not persistence.get("aof_enabled"):
        faults.append(
            "Redis keeps no append-only file (appendonly no): set appendonly yes, or a restart loses tasks"
        )
    return faults

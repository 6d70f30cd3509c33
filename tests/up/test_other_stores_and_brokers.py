"""Timeball on a Redis with TLS, behind sentinels, and with a broker apart, of Redis's kind and RabbitMQ's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from bench.stack import free_port
from tests.conftest import eventually
from tests.e2e.product import Product
from tests.export.conftest import need
from tests.hostile.endpoints import make_certificate
from timeball.queue import make_app
from timeball.settings import Settings

pytestmark = pytest.mark.stack

REDIS = shutil.which("redis-server")
RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
KEEPS = ("--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        yield Path(folder)


def folder_of(place: Path) -> Path:
    """Where the product lives: what runs beside it is none of its own."""
    folder = place / "product"
    folder.mkdir()
    return folder


@contextmanager
def running(*words: str, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server, killed in the end with all its children."""
    folder.mkdir(exist_ok=True)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def redis_server(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    need(None if REDIS else "redis-server is not installed")
    assert REDIS is not None
    with running(REDIS, *KEEPS, "--dir", str(folder), *words, folder=folder) as process:
        yield process


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def delivers(product: Product, path: str, count: int = 20, within: float = 20) -> None:
    """See tasks called once each, and an occurrence of a schedule."""
    fields = {"request": {"url": product.inbox + path}}
    rule = {"cron": "* * * * * *", **fields, "max_runs": 1}
    assert product.ask("POST", "/v2/schedules", rule).status_code == 201
    for _ in range(count):
        product.create(product.inbox + path)
    eventually(lambda: len(product.received(path)) == count + 1, within=within, every=0.2)


def test_a_store_with_tls(place: Path) -> None:
    make_certificate(place, "ca", "ca")
    make_certificate(place, "server", "localhost", by="ca")
    port = free_port()
    url = f"rediss://localhost:{port}/0?ssl_ca_certs={place}/ca.pem"
    tls = {"--tls-cert-file": "server.pem", "--tls-key-file": "server.key"}
    words = [word for name, file in tls.items() for word in (name, str(place / file))]
    words += ["--tls-ca-cert-file", f"{place}/ca.pem", "--tls-auth-clients", "no"]
    with redis_server(place / "store", "--port", "0", "--tls-port", str(port), *words):
        client = redis.Redis.from_url(url)
        eventually(lambda: answers(client))
        stranger = redis.Redis.from_url(f"rediss://localhost:{port}/0")
        with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
            stranger.ping()
        with Product(folder_of(place), environment={"TIMEBALL_REDIS_URL": url}) as product:
            delivers(product, "/tls")


def test_a_broker_of_its_own(place: Path) -> None:
    """Tasks stay in the store, bells go to the broker; one that loses all of them loses no task."""
    port = free_port()
    broker = redis.Redis(port=port)
    with ExitStack() as stack:
        stack.enter_context(redis_server(place / "broker", "--port", str(port)))
        eventually(lambda: answers(broker))
        environment = {"TIMEBALL_BROKER_URL": f"redis://127.0.0.1:{port}/0"}
        product = stack.enter_context(Product(folder_of(place), environment=environment))
        delivers(product, "/apart")
        store = redis.Redis.from_url(product.facts["redis_url"])
        assert not [name for name in store.keys("*") if not name.startswith(b"tb:{")]
        assert broker.keys()
        assert not broker.keys("tb:*")
        broker.flushall()
        delivers(product, "/again")


def test_celery_is_told_of_every_sentinel_and_of_the_service() -> None:
    url = "sentinel://u:p@one:1,two/kept"
    asked = Settings(redis_url=url)
    assert asked.broker == "sentinel://u:p@one:1/0;sentinel://u:p@two:26379/0"
    assert make_app(asked).conf.broker_transport_options["master_name"] == "kept"
    apart = Settings(redis_url=url, broker_url="amqp://host//")
    assert apart.broker == "amqp://host//"
    assert "master_name" not in make_app(apart).conf.broker_transport_options


@pytest.mark.soak
def test_sentinels_choose_another_master(place: Path) -> None:
    ports = [free_port() for _ in range(3)]
    with ExitStack() as stack:
        master = stack.enter_context(redis_server(place / "one", "--port", str(ports[0])))
        eventually(lambda: answers(redis.Redis(port=ports[0])))
        of = ("--replicaof", f"127.0.0.1 {ports[0]}", "--repl-diskless-sync-delay", "0")
        stack.enter_context(redis_server(place / "two", "--port", str(ports[1]), *of))
        replica = redis.Redis(port=ports[1])
        eventually(lambda: answers(replica))
        eventually(lambda: replica.info("replication").get("master_link_status") == "up")
        (place / "sentinel").mkdir()
        (place / "sentinel/conf").write_text(
            f"port {ports[2]}\ndir {place}/sentinel\n"
            f"sentinel monitor kept 127.0.0.1 {ports[0]} 1\n"
            "sentinel down-after-milliseconds kept 500\nsentinel failover-timeout kept 5000\n"
        )
        assert REDIS is not None
        words = (REDIS, f"{place}/sentinel/conf", "--sentinel")
        stack.enter_context(running(*words, folder=place / "sentinel"))
        watch = redis.Redis(port=ports[2])
        eventually(lambda: answers(watch) and watch.sentinel_slaves("kept"), within=20)
        # the first sentinel is away, the second is asked
        url = f"sentinel://127.0.0.1:{free_port()},127.0.0.1:{ports[2]}/kept"
        product = stack.enter_context(
            Product(folder_of(place), environment={"TIMEBALL_REDIS_URL": url})
        )
        delivers(product, "/before")
        later = [product.create(product.inbox + "/later", delay="3s") for _ in range(20)]
        eventually(lambda: _caught_up(ports[0]))
        master.kill()
        eventually(lambda: replica.info("replication")["role"] == "master", within=20)
        eventually(product.ready, within=20)
        eventually(lambda: len(product.received("/later")) >= len(later), within=30, every=0.2)
        delivers(product, "/after", within=30)


def _caught_up(port: int) -> bool:
    """Whether the replica has all that the master wrote."""
    found = redis.Redis(port=port).info("replication")
    return bool(found["slave0"]["offset"] == found["master_repl_offset"])


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_rabbitmq_carries_the_bells(place: Path) -> None:
    need(None if RABBIT.exists() else "rabbitmq-server is not installed")
    port, distribution, mapper = free_port(), free_port(), free_port()
    (place / "rabbit").mkdir()
    (place / "rabbit/rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    environment = {
        "HOME": str(place / "rabbit"),
        "RABBITMQ_NODENAME": f"timeball{port}@localhost",
        "RABBITMQ_BASE": str(place / "rabbit"),
        "RABBITMQ_MNESIA_BASE": str(place / "rabbit/mnesia"),
        "RABBITMQ_LOG_BASE": str(place / "rabbit/logs"),
        "RABBITMQ_CONFIG_FILE": str(place / "rabbit/rabbitmq"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "rabbit/plugins"),
        "RABBITMQ_PID_FILE": str(place / "rabbit/pid"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    mapping = ("epmd", "-address", "127.0.0.1", "-port", str(mapper))
    with (
        running(*mapping, folder=place / "epmd"),  # or Erlang starts one that outlives it
        running(str(RABBIT), folder=place / "rabbit", **environment),
    ):
        eventually(lambda: listens(port), within=300, every=0.5)
        broker = {"TIMEBALL_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{port}//"}
        with Product(folder_of(place), environment=broker) as product:
            delivers(product, "/rabbit")
            store = redis.Redis.from_url(product.facts["redis_url"])
            assert not [name for name in store.keys("*") if not name.startswith(b"tb:{")]

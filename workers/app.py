"""The Celery app of the workers: `celery -A workers.app worker -P prefork`.

Each prefork child runs at most one pump at a time; its caller, with all its connections, is made once.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
from contextlib import suppress
from functools import cache
from multiprocessing import RawValue
from typing import Any

from celery import bootsteps
from celery.signals import (
    setup_logging,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)

from timeball import __version__, egress, logs, queue
from timeball.dispatch.house import House, open_house, refuse_newer
from timeball.errors import ConfigError, StoreError
from timeball.settings import load
from timeball.store import roll
from timeball.store.scripts import connect
from workers.call import Caller
from workers.prepare import Signers
from workers.pump import Pump
from workers.tell import SAMPLED_A_SECOND, Teller

WATCHDOG_SECONDS = 60

settings = load()
app = queue.make_app(settings)
log = logs.get(__name__)

# Set in the main process before the fork of the children, so that they see it change.
_stopping = RawValue("b", 0)


@setup_logging.connect
def _configure_logs(**_: Any) -> None:
    logs.configure(settings, "worker")


@worker_init.connect
def _refuse_newer(**_: Any) -> None:
    try:
        refuse_newer(settings)
    except ConfigError as error:
        raise SystemExit(str(error)) from None  # a signal's handler may raise nothing less


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    _stopping.value = 1


@worker_process_init.connect
def _forget_parent(**_: Any) -> None:
    # a child must not use connections that were opened before the fork
    _house.cache_clear()
    _caller.cache_clear()
    _signers.cache_clear()
    _teller.cache_clear()
    # a call makes objects by the dozen and no cycles: look for those rarely, and never among what came before
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@cache
def _house() -> House:
    return open_house(settings)


@cache
def _caller() -> Caller:
    return Caller(
        egress.Policy.parse(
            settings.allowed_targets,
            settings.denied_targets,
            settings.own_ports,
            settings.own_addresses,
        ),
        connect_timeout_ms=round(settings.connect_timeout.total_seconds() * 1000),
        keep_bytes=settings.response_keep_bytes,
        read_bytes=settings.response_read_bytes,
        ca_file=settings.ca_file,
    )


@cache
def _signers() -> Signers:
    return Signers(_house().client, _house().vault)


@cache
def _teller(node: str) -> Teller | None:
    if settings.events == "off":
        return None
    return Teller(app, node, SAMPLED_A_SECOND if settings.events == "sampled" else None)


def _must_stop() -> bool:
    """Asked by the pump in every turn of its loop; also feeds the watchdog.

    A loop that hangs, in a callback or in native code, is ended by the alarm after a minute: its tasks have
    long been rescued, and the pool starts a fresh process.
    """
    signal.setitimer(signal.ITIMER_REAL, WATCHDOG_SECONDS)
    return bool(_stopping.value)


@app.task(name=queue.PUMP_JOB)
def pump(shard: int) -> None:
    """One run of the pump on a shard."""
    worker = f"{socket.gethostname()}:{os.getpid()}"
    try:
        teller = _teller(pump.request.hostname or worker)
        calls = Pump(_house(), shard, _caller(), _signers(), worker, _must_stop, teller).run()
        log.info("the pump sleeps", shard=shard, calls=calls)
    except Exception:
        # whatever it has come to, the next pump begins without the calls that this one leaves behind
        with suppress(Exception):
            _caller().close()
        _caller.cache_clear()
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@app.task(name=queue.EXPORT_JOB)
def export(shard: int) -> None:
    """Write the exports of a shard that are due."""
    from workers.export import Exporter  # the databases' libraries: pumps do without

    worker = f"{socket.gethostname()}:{os.getpid()}"
    done = Exporter(_house(), shard, worker, lambda: bool(_stopping.value)).run()
    log.info("the exporter sleeps", shard=shard, exports=done)


class RollCall(bootsteps.StartStopStep):
    """The worker's main process signs the roll every two seconds."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.client = connect(settings.redis_url, timeout=1.0, connect_timeout=1.0)
        self.who = f"{socket.gethostname()}:{os.getpid()}"
        self.entry: Any = None

    def start(self, parent: Any) -> None:
        self.entry = parent.timer.call_repeatedly(roll.EVERY_SECONDS, self.sign, (parent,))
        # not before bells are heard: whoever reads the roll takes this worker to be at work
        worker_ready.connect(lambda **_: self.sign(parent), weak=False)

    def sign(self, parent: Any) -> None:
        if not parent.consumer or not parent.consumer.task_consumer:
            return
        facts = {"processes": parent.concurrency, "version": __version__}
        try:
            roll.sign_in(self.client, self.role(parent), self.who, facts)
        except StoreError:
            log.debug("the roll could not be signed")

    def role(self, parent: Any) -> str:
        """Which of the two sorts of workers this is: by what it consumes."""
        consumed = set(parent.app.amqp.queues.consume_from)
        return "exporter" if consumed == {queue.EXPORT_QUEUE} else "worker"

    def stop(self, parent: Any) -> None:
        if self.entry is not None:
            self.entry.cancel()
        try:
            roll.sign_off(self.client, self.role(parent), self.who)
        except StoreError:
            log.debug("the roll could not be signed off")


app.steps["worker"].add(RollCall)

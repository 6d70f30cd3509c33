"""The command line of each role: what `timeball api` becomes, and what `up` starts.

The doors are named here as text only: the house does not import them.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress

from timeball.store import keys

API_THREADS = 32
INBOX_THREADS = 128
HEADERS_BYTES = 128 * 1024
"""The most that is held of a request's headers before they are whole."""
CONNECTIONS = 8192
"""Connections that a process of the API holds at a time, as far as it may have descriptors for them."""
DESCRIPTORS, SPARE_DESCRIPTORS = 16_384, 512
FLOWER_TASKS = 10_000
"""How many finished jobs Flower remembers: its default of 100,000 costs a few hundred MB."""


def allow_descriptors() -> None:
    """Let this process and those that it starts open more than the 1,024 files that many systems give at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # then it is as many as there are
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS
    return max(128, min(CONNECTIONS, soft - SPARE_DESCRIPTORS))


def _python(*words: str) -> tuple[str, ...]:
    # -P: a folder named `api` or `workers` where the user happens to stand must not be taken for ours.
    return (sys.executable, "-P", "-m", *words)


def api(host: str, port: int, processes: int = 1) -> tuple[str, ...]:
    """The API behind granian."""
    return _granian("api.app:create_app", host, port, API_THREADS, processes)


def inbox(host: str, port: int) -> tuple[str, ...]:
    """The inbox behind granian: one process, since it keeps what it receives in memory."""
    return _granian("api.inbox:create_inbox", host, port, INBOX_THREADS, 1)


def _granian(
    target: str, host: str, port: int, threads: int, processes: int, kill_seconds: int = 2
) -> tuple[str, ...]:
    return _python(
        "granian",
        *("--interface", "wsgi", "--factory", "--no-ws"),
        *("--host", host, "--port", str(port)),
        # Nobody needs HTTP/2 here, which would come unasked for, with floods of its own. And strangers shall not
        # have 400 kB held for each connection, as by default.
        *("--http", "1", "--http1-buffer-size", str(HEADERS_BYTES)),
        *("--workers", str(processes), "--blocking-threads", str(threads)),
        # Granian counts connections, those too that rest or send their headers slowly: with few, whoever opens
        # so many shuts out all others.
        *("--backlog", "2048", "--backpressure", str(_connections())),
        # No respawn: granian waits 3.5 s before it, and whoever runs us starts all of it anew at once.
        *("--workers-kill-timeout", str(kill_seconds)),
        *("--log-level", "error"),
        target,
    )


def worker(processes: int, name: str = "worker") -> tuple[str, ...]:
    """A Celery worker with a pool of that many processes: it makes the calls."""
    return _celery_worker(processes, name, keys.PUMP_QUEUE)


def exporter(processes: int, name: str = "exporter") -> tuple[str, ...]:
    """A Celery worker of its own for exports, which take long: calls never wait behind one.

    It is started when the first export is there; until then a small process stands in its place.
    """
    return _python("timeball.up.standby", *_celery_worker(processes, name, keys.EXPORT_QUEUE))


def _celery_worker(processes: int, name: str, consumed: str) -> tuple[str, ...]:
    return _python("workers.run", consumed, str(processes), name)


def beat() -> tuple[str, ...]:
    """Celery's beat with our scheduler; any number may run, one leads."""
    return _python("beat.run")


def flower(host: str, port: int) -> tuple[str, ...]:
    """Flower over the workers' Celery app. User and password come by FLOWER_BASIC_AUTH: arguments show in `ps`."""
    return _python(
        *("celery", "--quiet", "-A", "workers.app", "flower"),
        *(f"--address={host}", f"--port={port}", f"--max-tasks={FLOWER_TASKS}"),
        "--read-only=True",  # who wants to change something has the dashboard, which writes down who did
        "--logging=error",
    )


def default_processes() -> int:
    """As many pumps as there are cores, and two at least: one that is stuck does not stop the house."""
    return max(
        2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    )

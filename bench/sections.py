"""What is measured: one function a section, each on a fresh stack, beside plain Celery where that can do it."""

from __future__ import annotations

from collections.abc import Callable

from bench.footprint import idlecost, kept, memory
from bench.latency import burst, idle, steady
from bench.measure import Figure, Options
from bench.rates import drain, ingest, slow

SECTIONS: dict[str, Callable[[Options], list[Figure]]] = {
    "drain": drain,
    "ingest": ingest,
    "steady": steady,
    "idle": idle,
    "burst": burst,
    "memory": memory,
    "kept": kept,
    "idlecost": idlecost,
    "slow": slow,
}

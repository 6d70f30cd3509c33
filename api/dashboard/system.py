"""The system: what a look at it finds, the store, the processes, the versions."""

from __future__ import annotations

import platform
from importlib import metadata

from flask import Response

from api.dashboard import shown
from api.dashboard.desk import Visit
from api.health import what_is_missing
from timeball import __version__
from timeball.dispatch import findings
from timeball.dispatch.findings import SILENT_AFTER_SECONDS, Finding, Weight, number
from timeball.model.visitor import Role
from timeball.store import figures, logins, roll

KNOWN_SECONDS = 1.0
PACKAGES = {
    "celery": "Celery",
    "kombu": "Kombu",
    "redis": "redis-py",
    "pycurl": "PycURL",
    "flask": "Flask",
    "granian": "Granian",
    "flower": "Flower",
}


def system(visit: Visit) -> Response:
    """The page."""
    house = visit.house
    info = visit.desk.cache.get(
        "info", KNOWN_SECONDS, lambda: figures.memory_and_persistence(house.client)
    )
    crew = roll.roll(house.client)
    found = [Finding(Weight.BAD, words) for words in what_is_missing(house)]
    found += findings.look(house, info, crew, logins.real_now())
    return visit.page(
        "system.html",
        found=found,
        store=_store_facts(info),
        memory=_memory(info),
        versions=_versions(info),
        crew=crew,
        silent_after=SILENT_AFTER_SECONDS,
    )


def _memory(info: dict[str, str]) -> tuple[float, str]:
    """How full the store is, of 1000, and in words; of its limit, or else of the machine."""
    used, limit = number(info, "used_memory"), number(info, "maxmemory")
    machine = number(info, "total_system_memory")
    whole = limit or machine
    of = shown.size(limit) if limit else f"the machine's {shown.size(machine)}, for it has no limit"
    return (min(1000.0, 1000 * used / whole) if whole else 0.0), f"{shown.size(used)} of {of}"


def _store_facts(info: dict[str, str]) -> list[tuple[str, str]]:
    on = {"1": "on", "0": "off"}
    return [
        ("Up for", shown.span(float(number(info, "uptime_in_seconds")))),
        ("Memory at its peak", shown.size(number(info, "used_memory_peak"))),
        ("When full", info.get("maxmemory_policy", "?")),
        ("Append-only file", on.get(info.get("aof_enabled", ""), "?")),
        ("Last write of it", info.get("aof_last_write_status", "?")),
        ("Size of it", shown.size(number(info, "aof_current_size"))),
        ("Clients", info.get("connected_clients", "?")),
        ("Commands a second", info.get("instantaneous_ops_per_sec", "?")),
    ]


def _versions(info: dict[str, str]) -> list[tuple[str, str]]:
    server = "Valkey" if "valkey_version" in info else "Redis"
    return [
        ("Timeball", __version__),
        (server, info.get(f"{server.lower()}_version", "?")),
        ("Python", platform.python_version()),
        *((title, _version(name)) for name, title in PACKAGES.items()),
    ]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


ROUTES = (("GET", "/system", "system", system, Role.VIEWER),)

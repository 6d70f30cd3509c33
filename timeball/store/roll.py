"""The roll: which workers and beats are there. Each signs in every two seconds.

One hash, `roll`, on shard 0: `<role>:<name>` to JSON; whoever has been silent for a minute is struck off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from timeball.store import keys
from timeball.store.scripts import Client, command, store_errors

KEY = keys.prefix(0) + "roll"
EVERY_SECONDS = 2.0
FORGOTTEN_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One process on the roll: how long ago it signed in, and what it said of itself."""

    role: str
    name: str
    age_seconds: float
    facts: dict[str, Any]


def sign_in(client: Client, role: str, name: str, facts: dict[str, Any]) -> None:
    """Say that this process is alive. Raises StoreUnavailable."""
    with store_errors():
        client.hset(KEY, f"{role}:{name}", orjson.dumps({**facts, "at": _now(client)}))


def sign_off(client: Client, role: str, name: str) -> None:
    """Say that this process goes."""
    with store_errors():
        client.hdel(KEY, f"{role}:{name}")


def roll(client: Client) -> list[Entry]:
    """Everybody on the roll, by role and name; the long silent ones are struck off on the way."""
    now = _now(client)
    told = command(client, "HGETALL", KEY)
    entries = []
    for who, text in zip(told[::2], told[1::2], strict=True):
        role, _, name = who.decode().partition(":")
        facts = orjson.loads(text)
        age = now - facts.pop("at")
        if age > FORGOTTEN_AFTER_SECONDS:
            command(client, "HDEL", KEY, who)
        else:
            entries.append(Entry(role, name, max(0.0, age), facts))
    return sorted(entries, key=lambda e: (e.role, e.name))


def _now(client: Client) -> float:
    seconds, micros = command(client, "TIME")
    return int(seconds) + int(micros) / 1_000_000

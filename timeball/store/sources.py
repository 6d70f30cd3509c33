"""Sources and saved segments of a project, as texts: what they mean is the business of `timeball.export`."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from timeball.errors import InvalidField
from timeball.store.projects import Vault
from timeball.store.scripts import Client, store_errors

MOST = 1000
"""Sources of a project, and its saved segments: a list answers all of them at once."""


def put(client: Client, vault: Vault, prefix: str, project: str, index: str, text: str) -> None:
    """Keep a source, encrypted as a whole: its URL holds a password. Raises InvalidField for one too many."""
    key = f"{prefix}sources:{project}"
    with store_errors():
        if not client.hexists(key, index) and client.hlen(key) >= MOST:
            raise InvalidField("index", f"is one too many: a project has at most {MOST} sources")
        client.hset(key, index, vault.seal(text))


def get(client: Client, vault: Vault, prefix: str, project: str, index: str) -> str | None:
    """A source's text."""
    with store_errors():
        sealed = client.hget(f"{prefix}sources:{project}", index)
    return None if sealed is None else vault.open(sealed.decode())


def every(client: Client, vault: Vault, prefix: str, project: str) -> list[str]:
    """The texts of a project's sources, by index."""
    with store_errors():
        raw = client.hgetall(f"{prefix}sources:{project}")
    return [vault.open(sealed.decode()) for _, sealed in sorted(raw.items())]


def remove(client: Client, prefix: str, project: str, index: str) -> bool:
    """Forget a source; False when there was none."""
    with store_errors():
        return bool(client.hdel(f"{prefix}sources:{project}", index))


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved segment. `segment` is its JSON text; `version` grows with every change."""

    id: str
    name: str
    segment: str
    version: int
    modified_ms: int


def save_segment(client: Client, prefix: str, project: str, saved: Saved) -> None:
    """Keep a segment under its id."""
    record = [saved.name, saved.segment, saved.version, saved.modified_ms]
    with store_errors():
        client.hset(f"{prefix}segments:{project}", saved.id, orjson.dumps(record))


def new_segment_id(client: Client, prefix: str, project: str) -> str:
    """An id that no segment of the project has had. Raises InvalidField for one too many."""
    with store_errors():
        if client.hlen(f"{prefix}segments:{project}") >= MOST:
            raise InvalidField("name", f"is one too many: a project has at most {MOST} segments")
        return str(client.incr(f"{prefix}segment_number:{project}"))


def get_segment(client: Client, prefix: str, project: str, segment_id: str) -> Saved | None:
    """A saved segment, None when there is none."""
    with store_errors():
        raw = client.hget(f"{prefix}segments:{project}", segment_id)
    return None if raw is None else _saved(segment_id, raw)


def _saved(segment_id: str, raw: bytes) -> Saved:
    name, segment, version, modified_ms = orjson.loads(raw)
    return Saved(segment_id, name, segment, version, modified_ms)


def segments(client: Client, prefix: str, project: str) -> list[Saved]:
    """A project's saved segments in the order of their making."""
    with store_errors():
        raw = client.hgetall(f"{prefix}segments:{project}")
    found = [_saved(i.decode(), r) for i, r in raw.items()]
    return sorted(found, key=lambda saved: int(saved.id))


def remove_segment(client: Client, prefix: str, project: str, segment_id: str) -> bool:
    """Forget a segment; False when there was none."""
    with store_errors():
        return bool(client.hdel(f"{prefix}segments:{project}", segment_id))

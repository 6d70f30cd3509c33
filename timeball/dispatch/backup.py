"""Backup and restore: a store as one stream of lines, compressed; and leaving, as lines that anybody can read.

The first line says what this is, and holds a word sealed by the master secret, since keys and signing secrets are
of no use under another one; the last holds a digest of all before it, so that half a backup is known as such.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import IO, Any

import orjson

import timeball
from timeball.dispatch.house import House
from timeball.errors import Conflict, InputError
from timeball.store import keys, pumps, roll, snapshot
from timeball.store.projects import project_ids
from timeball.store.snapshot import KeyPart, Part, SchedulePart, TaskPart

FORMAT = 1
SEALED_WORD = "timeball backup"
AT_ONCE = 500
AWAY_AFTER_SECONDS = 10.0

Progress = Callable[[Counter[str]], None]
"""Is told now and then how many tasks, schedules and keys went over."""


class DamagedBackup(InputError):
    """What was read is no whole backup of ours."""


def who_works(house: House) -> list[str]:
    """The roles that work on a store now, as far as it knows."""
    fresh = {e.role for e in roll.roll(house.client) if e.age_seconds < AWAY_AFTER_SECONDS}
    shards = range(house.settings.shards)
    if any(pumps.awake(house.client, keys.prefix(shard)) for shard in shards):
        fresh.add("worker")
    return sorted(fresh)


def back_up(house: House, out: IO[bytes], progress: Progress = lambda _: None) -> Counter[str]:
    """Write all that the store holds. Answers how many tasks, schedules and keys. Raises StoreError."""
    digest, counts = hashlib.sha256(), Counter[str]()
    projects = project_ids(house.client)
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as packed:

        def line(value: dict[str, Any]) -> None:
            text = orjson.dumps(value) + b"\n"
            digest.update(text)
            packed.write(text)

        line(
            {
                "timeball": "backup",
                "format": FORMAT,
                "version": timeball.__version__,
                "at": datetime.now(UTC).isoformat(),
                "shards": house.settings.shards,
                "sealed": house.vault.seal(SEALED_WORD),
            }
        )
        for shard in range(house.settings.shards):
            here = [project for project in projects if house.shard(project) == shard]
            for part in snapshot.read(house.client, keys.prefix(shard), here):
                value = _dump(shard, part)
                line(value)
                counts[_kind(value)] += 1
                if counts.total() % AT_ONCE == 0:
                    progress(counts)
        line({"end": dict(counts)})
        packed.write(orjson.dumps({"sha256": digest.hexdigest()}) + b"\n")
    progress(counts)
    return counts


def restore(house: House, source: IO[bytes], progress: Progress = lambda _: None) -> Counter[str]:
    """Put a backup into an empty store.

    Raises Conflict when the store is not empty, ConfigError for another master secret, DamagedBackup when the
    backup ends early or was changed: the store then holds a part, and must be emptied.
    """
    if not snapshot.is_empty(house.client):
        raise Conflict("the store is not empty: a backup is restored into an empty one")
    counts: Counter[str] = Counter()
    waiting: dict[int, list[Part]] = {}
    lines = _lines(source)
    _check_head(house, next(lines, {}))
    for value in lines:
        shard, part = _load(value)
        waiting.setdefault(shard, []).append(part)
        counts[_kind(value)] += 1
        if len(waiting[shard]) >= AT_ONCE:
            snapshot.write(house.client, keys.prefix(shard), waiting.pop(shard))
            progress(counts)
    for shard, parts in waiting.items():
        snapshot.write(house.client, keys.prefix(shard), parts)
    progress(counts)
    return counts


def _check_head(house: House, head: dict[str, Any]) -> None:
    if head.get("timeball") != "backup":
        raise DamagedBackup("this is no backup of Timeball's")
    if head["format"] != FORMAT:
        raise DamagedBackup(
            f"this backup has format {head['format']}; this Timeball reads {FORMAT}: use one like "
            f"the one that made it ({head['version']})"
        )
    if head["shards"] != house.settings.shards:
        raise DamagedBackup(
            f"this backup has {head['shards']} shards: set TIMEBALL_SHARDS={head['shards']}"
        )
    house.vault.open(head["sealed"])


def _lines(source: IO[bytes]) -> Iterator[dict[str, Any]]:
    """The lines but the last two, which are compared with what came before."""
    digest, counts = hashlib.sha256(), Counter[str]()
    end: dict[str, int] | None = None
    try:
        with gzip.GzipFile(fileobj=source, mode="rb") as packed:
            for text in packed:
                value: dict[str, Any] = orjson.loads(text)
                if end is not None:
                    if value.get("sha256") != digest.hexdigest() or end != dict(counts):
                        raise DamagedBackup("the backup was changed: it is not what was written")
                    return
                digest.update(text)
                if "end" in value:
                    end = value["end"]
                    continue
                if "timeball" not in value:
                    counts[_kind(value)] += 1
                yield value
    except (OSError, EOFError, orjson.JSONDecodeError) as error:
        raise DamagedBackup(f"the backup cannot be read to its end: {error}") from None
    raise DamagedBackup("the backup ends early")


def _kind(value: dict[str, Any]) -> str:
    return "tasks" if "t" in value else "schedules" if "s" in value else "keys"


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _texts(raw: tuple[bytes, ...]) -> list[str]:
    return [_text(one) for one in raw]


def _dump(shard: int, part: Part) -> dict[str, Any]:
    match part:
        case TaskPart():
            value: dict[str, Any] = {"n": shard, "t": _text(part.id), "r": _text(part.record)}
            if part.earlier:
                value["a"] = _texts(part.earlier)
            if part.place is not None:
                value["p"] = part.place
            return value
        case SchedulePart():
            lists = {
                "sp": _texts(part.pending),
                "sw": _texts(part.waiting),
                "sh": _texts(part.history),
            }
            return {"n": shard, "s": part.id, "r": _text(part.record), **lists}
        case KeyPart():
            held = part.value
            held = _text(held) if part.type == "string" else [_word(word) for word in held]
            return {
                "n": shard,
                "k": _text(part.name),
                "y": part.type,
                "v": held,
                "x": part.life_ms,
            }


def _word(word: Any) -> Any:
    return word if isinstance(word, float) else _text(word)


def _load(value: dict[str, Any]) -> tuple[int, Part]:
    raw = base64.b64decode
    if "t" in value:
        earlier = tuple(raw(one) for one in value.get("a", ()))
        return value["n"], TaskPart(raw(value["t"]), raw(value["r"]), earlier, value.get("p"))
    if "s" in value:
        lists = (tuple(raw(one) for one in value[name]) for name in ("sp", "sw", "sh"))
        return value["n"], SchedulePart(value["s"], raw(value["r"]), *lists)
    held = value["v"]
    if value["y"] == "string":
        held = raw(held)
    else:
        held = [word if isinstance(word, float | int) else raw(word) for word in held]
    return value["n"], KeyPart(raw(value["k"]), value["y"], held, value["x"])

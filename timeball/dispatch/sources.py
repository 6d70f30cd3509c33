"""What a chain may export: its registered sources, and its saved segments."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from timeball import logs
from timeball.dispatch import own
from timeball.dispatch.house import House
from timeball.egress import Policy
from timeball.errors import InvalidField, NotFound
from timeball.export.columns import Column
from timeball.export.segments import parse_segment
from timeball.export.sources import Source, family, from_json, resolve, to_json
from timeball.settings import Settings
from timeball.store import pumps, sources
from timeball.store.sources import Saved

COLUMNS_KNOWN_SECONDS = 60.0
"""So long the columns of a source are taken as they were; the worker always looks anew."""

log = logs.get(__name__)

_lock = threading.Lock()
_known: dict[Source, tuple[float, tuple[Column, ...]]] = {}


@cache
def policy(settings: Settings) -> Policy:
    """Where the databases of confined sources may be: where calls may lead."""
    return Policy.parse(
        settings.allowed_targets,
        settings.denied_targets,
        settings.own_ports,
        settings.own_addresses,
    )


def confined(settings: Settings, data: Mapping[str, Any]) -> Source:
    """A source as somebody else than the operator may register it.

    What only the operator may open is left to the command line: files of the server (but in development mode),
    variables of its environment, hosts that calls may not reach. Raises InvalidField.
    """
    if "confined" in data:
        raise InvalidField("confined", "is unknown")
    source = from_json(data)
    if source.url_env is not None:
        raise InvalidField("url_env", "can only be given by timeball sources add")
    url = resolve(source)
    if family(url) == "sqlite" and not settings.dev:
        raise InvalidField("url", "must not name a file here: use timeball sources add")
    if set(url.query) - {"sslmode"}:
        raise InvalidField("url", "may carry sslmode and no other option here")
    return replace(source, confined=True)


def register(house: House, project: str, source: Source) -> tuple[Column, ...]:
    """Try a source and keep it, in place of one for the same index. Answers its columns. Raises InvalidField."""
    if source.index in own.COLUMNS:
        raise InvalidField(
            "index", f"must not be {source.index}, which is one of the product's own"
        )
    found = probe(house, source)
    text = orjson.dumps(to_json(source)).decode()
    sources.put(house.client, house.vault, house.prefix(project), project, source.index, text)
    log.info("a source was registered", project=project, index=source.index, columns=len(found))
    return found


def probe(house: House, source: Source) -> tuple[Column, ...]:
    """Try a source, without keeping it. Answers its columns. Raises InvalidField."""
    from timeball.export import (
        databases,  # with SQLAlchemy: an API that nobody asks for exports does without
    )

    return databases.probe(source, policy(house.settings))


def get(house: House, project: str, index: str) -> Source:
    """A registered source. Raises NotFound."""
    text = sources.get(house.client, house.vault, house.prefix(project), project, index)
    if text is None:
        raise NotFound(f"there is no source for the index {index[:64]!r}")
    return from_json(orjson.loads(text))


def every(house: House, project: str) -> list[Source]:
    """A project's sources, by index; its own two are not among them."""
    texts = sources.every(house.client, house.vault, house.prefix(project), project)
    return [from_json(orjson.loads(text)) for text in texts]


def shown(source: Source) -> dict[str, Any]:
    """A source as answers show it: the URL is hidden, for it holds a password."""
    told = {**to_json(source), "url": None if source.url is None else "hidden"}
    del told["confined"]
    return told


def remove(house: House, project: str, index: str) -> None:
    """Forget a source; exports of it that wait will end in an error. Raises NotFound."""
    if not sources.remove(house.client, house.prefix(project), project, index):
        raise NotFound(f"there is no source for the index {index[:64]!r}")
    log.info("a source was removed", project=project, index=index)


def check_index(house: House, project: str, index: str) -> None:
    """Raises InvalidField when nothing can be exported under an index."""
    if index in own.COLUMNS:
        return
    registered = [source.index for source in every(house, project)]
    if index not in registered:
        known = ", ".join((*registered, *own.COLUMNS))
        raise InvalidField("target.export_index", f"must be an index of this chain: {known}")


def check_segment(
    house: House, project: str, chain: int, index: str, data: object, path: str
) -> None:
    """Raises InvalidField with the path of what is wrong in a segment; ExportError when its source is away."""
    if index in own.COLUMNS:
        parse_segment(data, own.source(chain, index, Path("/nowhere")), own.COLUMNS[index], path)
        return
    source = get(house, project, index)
    parse_segment(data, source, columns(house, source), path)


def fields(house: House, project: str, index: str) -> tuple[Column, ...]:
    """The columns of an index of a chain. Raises NotFound, InvalidField, ExportError."""
    return own.COLUMNS.get(index) or columns(house, get(house, project, index))


def count(house: House, project: str, index: str, data: object, now: datetime) -> int:
    """How many rows of a registered index are in a segment, or are there at all, without one.

    Raises NotFound, InvalidField, ExportError: also when counting takes longer than somebody waits.
    """
    from timeball.export import counting

    return counting.count(get(house, project, index), data, now, policy(house.settings))


def columns(house: House, source: Source) -> tuple[Column, ...]:
    """The columns of a source as they were a moment ago. Raises InvalidField, ExportError."""
    now = time.monotonic()
    with _lock:
        found = _known.get(source)
    if found is None or found[0] < now:
        from timeball.export import databases

        found = (now + COLUMNS_KNOWN_SECONDS, databases.columns(source, policy(house.settings)))
        with _lock:
            if len(_known) > 1000:
                _known.clear()
            _known[source] = found
    return found[1]


def save_segment(
    house: House, project: str, chain: int, name: str, data: Any, segment_id: str | None = None
) -> Saved:
    """Check and keep a segment; with an id in place of the one before. Raises InvalidField, NotFound."""
    index = data.get("index") if isinstance(data, dict) else None
    if not isinstance(index, str):
        raise InvalidField("segment.index", "must be an index of this chain")
    try:
        check_index(house, project, index)
    except InvalidField as error:
        raise InvalidField("segment.index", error.message) from None
    check_segment(house, project, chain, index, data, "segment")
    prefix, version = house.prefix(project), 1
    if segment_id is None:
        segment_id = sources.new_segment_id(house.client, prefix, project)
    else:
        version = segment(house, project, segment_id).version + 1
    now_ms, _ = pumps.clock(house.client, prefix)
    saved = Saved(segment_id, name, orjson.dumps(data).decode(), version, int(now_ms))
    sources.save_segment(house.client, prefix, project, saved)
    return saved


def segment(house: House, project: str, segment_id: str) -> Saved:
    """A saved segment. Raises NotFound."""
    found = sources.get_segment(house.client, house.prefix(project), project, segment_id)
    if found is None:
        raise NotFound("there is no such segment")
    return found


def segments(house: House, project: str) -> list[Saved]:
    """A project's saved segments, oldest first."""
    return sources.segments(house.client, house.prefix(project), project)


def remove_segment(house: House, project: str, segment_id: str) -> None:
    """Forget a segment; exports by it will end in an error, never in all rows. Raises NotFound."""
    if not sources.remove_segment(house.client, house.prefix(project), project, segment_id):
        raise NotFound("there is no such segment")

"""The routes of what a chain may export: `/v2/sources` and `/v2/segments`. Ours."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Request, Response
from werkzeug.exceptions import Forbidden

from api import body
from api.answers import nothing, reply
from api.auth import Caller
from api.door import Door
from api.spaaza.dump import instant
from api.spaaza.read import chain_of
from timeball.dispatch import own, sources
from timeball.errors import InvalidField
from timeball.export.columns import Column
from timeball.store import codec
from timeball.store.sources import Saved


class Catalog:
    """The verbs of sources and of saved segments."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def _body(self, request: Request) -> dict[str, Any]:
        raw = body.read(request.environ, self.door.request_limit_bytes)
        data = body.load_json(raw)
        if type(data) is not dict:
            raise InvalidField("", "must be an object")
        return data

    def add_source(self, caller: Caller, request: Request) -> Response:
        """Try a source and keep it, confined to what others than the operator may open."""
        chain, data = chain_of(caller), self._body(request)
        if data.setdefault("chain", chain) != chain:
            raise Forbidden(f"the chain {data['chain']!r} is not that of this key")
        source = sources.confined(self.door.settings, data)
        columns = sources.register(self.door.house, caller.project, source)
        return reply({**sources.shown(source), "columns": [_column(c) for c in columns]}, 201)

    def sources(self, caller: Caller, request: Request) -> Response:
        """A chain's sources, and the indexes that are always there."""
        chain_of(caller)
        found = sources.every(self.door.house, caller.project)
        shown = [{**sources.shown(source), "own": False} for source in found]
        always = [
            {"index": index, "own": True, "columns": [_column(c) for c in columns]}
            for index, columns in own.COLUMNS.items()
        ]
        return reply([*shown, *always])

    def remove_source(self, caller: Caller, request: Request, index: str) -> Response:
        """Forget a source."""
        sources.remove(self.door.house, caller.project, index)
        return nothing()

    def add_segment(self, caller: Caller, request: Request) -> Response:
        """Save a segment."""
        return reply(self._save(caller, request), 201)

    def change_segment(self, caller: Caller, request: Request, segment_id: str) -> Response:
        """Save a segment in place of another; exports that name it follow at their next run."""
        return reply(self._save(caller, request, segment_id))

    def _save(self, caller: Caller, request: Request, segment_id: str | None = None) -> Any:
        chain, data = chain_of(caller), self._body(request)
        name = data.get("name", "")
        if not isinstance(name, str) or len(name) > 200:
            raise InvalidField("name", "must be a text of at most 200 characters")
        house, segment = self.door.house, data.get("segment")
        return _segment(
            sources.save_segment(house, caller.project, chain, name, segment, segment_id)
        )

    def segments(self, caller: Caller, request: Request) -> Response:
        """A chain's saved segments."""
        return reply([_segment(s) for s in sources.segments(self.door.house, caller.project)])

    def segment(self, caller: Caller, request: Request, segment_id: str) -> Response:
        """One saved segment."""
        return reply(_segment(sources.segment(self.door.house, caller.project, segment_id)))

    def remove_segment(self, caller: Caller, request: Request, segment_id: str) -> Response:
        """Forget a segment."""
        sources.remove_segment(self.door.house, caller.project, segment_id)
        return nothing()


def _column(column: Column) -> dict[str, Any]:
    return {"name": column.name, "kind": column.kind, "type": column.type}


def _segment(saved: Saved) -> dict[str, Any]:
    return {
        "id": saved.id,
        "name": saved.name,
        "segment": orjson.loads(saved.segment),
        "version": saved.version,
        "last_modified": instant(codec.from_ms(saved.modified_ms)),
    }

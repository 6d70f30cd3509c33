"""Exports: the list, one with its log and its file, and what may be done with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Response, redirect, request, send_file, url_for

from api.dashboard import segment_form, shown
from api.dashboard.commands import curl
from api.dashboard.desk import Visit, base_url
from api.spaaza.dump import dump_target
from api.spaaza.tasks import one_range_at_most
from timeball.dispatch import export_files, own, sources
from timeball.dispatch import exports as verbs
from timeball.errors import Conflict, NotFound
from timeball.model.export import Code, Export, LogLine
from timeball.model.visitor import Role
from timeball.store import codec
from timeball.store.exports import LOG_LINES

PAGE = 50
LIVE_SECONDS = 1.0
MOST = 20_000
LOG_PAGE = 50

BADGES = {
    Code.READY: "",
    Code.INPROGRESS: "in-flight",
    Code.DONE: "succeeded",
    Code.ERROR: "dead",
}
"""The colour of each state."""


@dataclass(frozen=True, slots=True)
class Row:
    """An export as pages show it. `progress` is the last line of its log that has numbers, while it runs."""

    it: Export
    progress: LogLine | None
    has_file: bool

    @property
    def title(self) -> str:
        return shown.line(self.it.order.desc or f"{self.it.order.index} export")


def chain_of(visit: Visit) -> int:
    """The number of the project's chain. Raises NotFound."""
    if visit.project.chain is None:
        raise NotFound("the project has no chain")
    return visit.project.chain


def no_chain(visit: Visit) -> Response | None:
    """The page that says how a chain is made, when the project is none."""
    if visit.project.chain is not None:
        return None
    chains = [project for project in visit.projects if project.chain is not None]
    return visit.page("exports_none.html", chains=chains)


def _row(export: Export) -> Row:
    running = export.code is Code.INPROGRESS
    told = next((line for line in export.logs if "rows" in line.facts), None)
    ready = export.code is Code.DONE or (export.code is Code.READY and bool(export.order.repeat))
    return Row(export, told if running else None, ready and export.result is not None)


def exports(visit: Visit) -> Response:
    """The list, newest first."""
    return no_chain(visit) or visit.page("exports.html", **_listed(visit))


def live(visit: Visit) -> Response:
    """Only what changes of the list."""
    key = tuple(request.args.get(name, "") for name in ("state", "index", "from"))
    return visit.live("exports_live.html", key, LIVE_SECONDS, lambda: _listed(visit))


def _listed(visit: Visit) -> dict[str, Any]:
    state, index = request.args.get("state", ""), request.args.get("index", "")
    start = _whole(request.args.get("from", ""), MOST)

    def wanted() -> Iterator[Export]:
        for export in verbs.find(visit.house, visit.project.id):
            if state in ("", export.code) and index in ("", export.order.index):
                yield export

    found = list(islice(wanted(), start, start + PAGE + 1))
    query = urlencode({"state": state, "index": index, "from": start})
    more = urlencode({"state": state, "index": index, "from": start + PAGE})
    indexes = [source.index for source in sources.every(visit.house, visit.project.id)]
    return {
        "rows": [_row(export) for export in found[:PAGE]],
        "state": state,
        "index": index,
        "states": list(Code),
        "badges": BADGES,
        "indexes": [*indexes, *own.COLUMNS],
        "start": start,
        "query": query,
        "next_url": f"{url_for('dashboard.exports')}?{more}" if len(found) > PAGE else None,
        "now": codec.from_ms(visit.now_ms()),
        "command_text": asked_by_curl(visit, EXAMPLE | {"chain": visit.project.chain}),
    }


EXAMPLE = {
    "desc": "What Timeball did",
    "target": {"action": "export", "export_index": "tasks"},
    "trigger": {},
}
"""An export that a chain without a source can make."""


def asked_by_curl(visit: Visit, task: dict[str, Any]) -> str:
    """The command that makes an export."""
    return curl(base_url(visit.desk), "tasks", task).replace("/v2/tasks", "/spaaza/tasks", 1)


def _whole(text: str, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
    return min(number, most)


def export(visit: Visit, number: int) -> Response:
    """One export: its facts, its file, its log."""
    return visit.page("export.html", **_facts(visit, number))


def export_live(visit: Visit, number: int) -> Response:
    """Only what changes of an export's page."""
    key = number, request.args.get("from", "")
    return visit.live("export_live.html", key, LIVE_SECONDS, lambda: _facts(visit, number))


def _facts(visit: Visit, number: int) -> dict[str, Any]:
    start = _whole(request.args.get("from", ""), LOG_LINES)
    found = verbs.get(visit.house, visit.project.id, number, LOG_PAGE + 1, start)
    trigger = found.order.trigger
    target = dump_target(found.order.target, visit.desk.dumper.hidden)
    return {
        "row": _row(found),
        "it": found,
        "badges": BADGES,
        "waits": found.code in (Code.READY, Code.INPROGRESS),
        "rule": _segment_words(trigger),
        "start": start,
        "logs": found.logs[:LOG_PAGE],
        "older": start + LOG_PAGE if len(found.logs) > LOG_PAGE else None,
        "sent": shown.escaped(
            orjson.dumps(
                {"target": target, "trigger": trigger}, option=orjson.OPT_INDENT_2
            ).decode()
        ),
        "now": codec.from_ms(visit.now_ms()),
    }


def _segment_words(trigger: Mapping[str, Any]) -> str:
    inline = trigger.get("segment")
    return "" if inline is None else segment_form.in_words(inline)


def act(visit: Visit, number: int, verb: str) -> Response:
    """Run, cancel or delete an export."""
    house, project, here = visit.house, visit.project.id, url_for("dashboard.export", number=number)
    if verb == "run":
        before = verbs.start(house, project, number)
        visit.wrote("run export", str(number), before=before.code)
        joined = before.code is Code.INPROGRESS
        return visit.go(here, "It runs already." if joined else "It begins now.")
    if verb == "cancel":
        before = verbs.get(house, project, number, 0)
        verbs.cancel(house, project, number)
        visit.wrote("cancel export", str(number), before=before.code)
        running = before.code is Code.INPROGRESS
        told = "Asked to stop: within a second or two it does." if running else "Taken back."
        return visit.go(here, told)
    if verb == "delete":
        before = verbs.get(house, project, number, 0)
        verbs.delete(house, project, number)
        visit.wrote("delete export", str(number), before=before.order.index)
        return visit.go(url_for("dashboard.exports"), f"Deleted {number}, and its file with it.")
    raise NotFound("there is no such verb")


def download(visit: Visit, number: int) -> Response:
    """The file itself, or a bucket's link to it; written into the audit log, for it is the chain's data."""
    found = verbs.get(visit.house, visit.project.id, number, 0)
    try:
        result, where = export_files.file_of(visit.house, found)
    except (Conflict, export_files.Gone) as error:
        here = url_for("dashboard.export", number=number)
        said = str(error)
        return visit.go(here, f"{said[:1].upper()}{said[1:]}.", False)
    part = request.headers.get("Range", "")
    visit.wrote("download export", str(number), part[:40], result.name)
    if isinstance(where, str):
        return Response(status=303, headers={"Location": redirect(where).headers["Location"]})
    one_range_at_most(request.environ)
    answer = send_file(
        where,
        as_attachment=True,
        download_name=result.name,
        conditional=True,
        etag=result.sha256,
        last_modified=result.at,
    )
    return answer


ROUTES = (
    ("GET", "/exports", "exports", exports, Role.VIEWER),
    ("GET", "/exports/live", "exports_live", live, Role.VIEWER),
    ("GET", "/exports/<int:number>", "export", export, Role.VIEWER),
    ("GET", "/exports/<int:number>/live", "export_live", export_live, Role.VIEWER),
    ("GET", "/exports/<int:number>/file", "export_file", download, Role.OPERATOR),
    ("POST", "/exports/<int:number>/<verb>", "act_export", act, Role.OPERATOR),
)

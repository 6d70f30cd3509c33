"""`/metrics`: what machines that watch are told, to whoever may know it."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Response, request

from api.answers import headers_of, reply
from api.door import App, Door
from timeball.dispatch.metrics import Board

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/metrics"
TYPE = "text/plain; version=0.0.4; charset=utf-8"


def add(app: App) -> None:
    """Add the route. It tells of all projects, so no project's key opens it."""
    board = Board(lambda: app.door.house)
    app.add_url_rule(PATH, "metrics", lambda: _metrics(app.door, board), methods=["GET"])
    app.wsgi_app = Scrapes(app.wsgi_app, app.door, board)  # type: ignore[method-assign]  # as Flask says


class Scrapes:
    """WSGI around the app: a scrape that may be answered does not go through Flask, which costs more than it.

    All others go the long road untouched, and what goes wrong is raised there.
    """

    def __init__(self, long: WSGIApplication, door: Door, board: Board) -> None:
        self.long, self.door, self.board = long, door, board

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = environ["PATH_INFO"] == PATH and environ["REQUEST_METHOD"] == "GET"
        if not asked or not _may(_token(self.door), environ):
            return self.long(environ, start_response)
        try:
            text = self.board.text()
        except Exception:
            return self.long(environ, start_response)
        start_response("200 OK", headers_of(environ, text, (("Content-Type", TYPE),)))
        return [text]


def _metrics(door: Door, board: Board) -> Response:
    token = _token(door)
    if token is None:
        return reply({"message": "set TIMEBALL_METRICS_TOKEN to a token, or to `open`"}, 403)
    if not _may(token, request.environ):
        wanted = (("WWW-Authenticate", 'Bearer realm="metrics"'),)
        return reply({"message": "send TIMEBALL_METRICS_TOKEN as a bearer token"}, 401, wanted)
    return Response(board.text(), content_type=TYPE)


def _token(door: Door) -> str | None:
    return door.settings.metrics_token or ("open" if door.settings.dev else None)


def _may(token: str | None, environ: dict[str, Any]) -> bool:
    """Whether a request that came with these headers may read them."""
    if token is None or token == "open":  # noqa: S105 - says that none is needed
        return token is not None
    scheme, _, sent = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), token.encode())

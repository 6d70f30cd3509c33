"""`/metrics`: what machines that watch are told, to whoever may know it."""

from __future__ import annotations

import hmac

from flask import Response, request

from api.answers import reply
from api.door import App, Door
from timeball.dispatch.metrics import Board

TYPE = "text/plain; version=0.0.4; charset=utf-8"


def add(app: App) -> None:
    """Add the route. It tells of all projects, so no project's key opens it."""
    board = Board(lambda: app.door.house)
    app.add_url_rule("/metrics", "metrics", lambda: _metrics(app.door, board), methods=["GET"])


def _metrics(door: Door, board: Board) -> Response:
    token = door.settings.metrics_token or ("open" if door.settings.dev else None)
    if token is None:
        return reply({"message": "set TIMEBALL_METRICS_TOKEN to a token, or to `open`"}, 403)
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if token != "open" and not (  # noqa: S105 - says that none is needed
        scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), token.encode())
    ):
        wanted = (("WWW-Authenticate", 'Bearer realm="metrics"'),)
        return reply({"message": "send TIMEBALL_METRICS_TOKEN as a bearer token"}, 401, wanted)
    return Response(board.text(), content_type=TYPE)

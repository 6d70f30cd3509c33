"""The app: every route of the API, its health, and how errors are answered."""

from __future__ import annotations

import gc
import sys
from http import HTTPStatus

from flask import Response, request
from werkzeug.exceptions import HTTPException

from api import dashboard, health, metrics, openapi
from api.answers import SAFETY, Answer, request_id
from api.door import App, Door
from api.mergent import bulk, explain, hosts, keys, queues, routes, schedules, secrets
from api.mergent.dump import hide
from api.mergent.errors import Fault, Rejected, shape, shape_faults
from api.mergent.short import ShortRoad
from api.spaaza import routes as spaaza
from api.spaaza.errors import reply
from timeball import logs
from timeball.dispatch.house import refuse_newer
from timeball.errors import Conflict, InvalidField, NotFound, StoreFull, StoreUnavailable
from timeball.settings import Settings, load

log = logs.get(__name__)


def create_app(settings: Settings | None = None) -> App:
    """The WSGI app. Without settings those of the environment count, and logs are set up by them.

    With settings nothing is connected before the first request. Raises ConfigError.
    """
    alone = settings is None  # this app is all that its process is for
    if settings is None:
        settings = load()
        logs.configure(settings, "api")
        refuse_newer(settings)
    app = App("api", static_folder=None)
    app.door = Door(settings)
    hide(settings.hidden_headers)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    health.add(app)
    metrics.add(app)
    tasks = routes.Tasks(app.door)
    for name, prefix in (("v2", "/v2"), ("bare", "")):
        dialect = routes.blueprint(app.door, name, tasks)
        schedules.add(dialect, app.door)
        queues.add(dialect, app.door)
        keys.add(dialect, app.door)
        secrets.add(dialect, app.door)
        hosts.add(dialect, app.door)
        explain.add(dialect, app.door)
        bulk.add(dialect, app.door)
        app.register_blueprint(dialect, url_prefix=prefix)
    dashboard.add(app)
    spaaza.add(app)
    openapi.add(app)
    _answer_errors(app)
    app.after_request(_make_safe)
    app.wsgi_app = ShortRoad(app.wsgi_app, tasks)  # type: ignore[method-assign]  # as Flask says to wrap it
    if alone:
        # a request makes objects by the dozen and few cycles, and none among what is there before the first
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        # A thread that has its answer from the store waits so long for one that reads a batch: by default 5 ms,
        # in which the store has nothing to do.
        sys.setswitchinterval(0.001)
    return app


def _make_safe(response: Response) -> Response:
    if not isinstance(response, Answer):
        for name, value in (*SAFETY, ("X-Request-Id", request_id())):
            response.headers.setdefault(name, value)
    return response


def _answer_errors(app: App) -> None:
    @app.errorhandler(Rejected)
    def rejected(error: Rejected) -> Response:
        return reply(shape_faults(error.faults), error.status)

    @app.errorhandler(InvalidField)
    def invalid(error: InvalidField) -> Response:
        return reply(shape_faults([Fault(error.field, error.message)]), 422)

    @app.errorhandler(NotFound)
    def not_found(error: NotFound) -> Response:
        return reply(shape(str(error)), 404)

    @app.errorhandler(Conflict)
    def conflict(error: Conflict) -> Response:
        return reply(shape(str(error)), 409)

    @app.errorhandler(StoreUnavailable)
    def unavailable(error: StoreUnavailable) -> Response:
        log.warning("a request found no store", request=request_id(), error=str(error))
        full = isinstance(error, StoreFull)
        message = "the store is full" if full else "the store cannot be reached"
        return reply(
            shape(f"{message} just now: nothing was changed, try again"),
            503,
            (("Retry-After", "1"),),
        )

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        status = error.code or 500
        headers = tuple((k, v) for k, v in error.get_headers() if k.lower() not in _BODY_HEADERS)
        return reply(shape(_words(error, status)), status, headers)

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        name = request_id()
        log.error("a request failed", request=name, route=str(request.url_rule), exc_info=error)
        return reply(shape(f"Timeball failed to answer; its log tells why under {name}"), 500)


_BODY_HEADERS = {"content-type", "content-length"}


def _words(error: HTTPException, status: int) -> str:
    """A message for people; what werkzeug says by itself is about browsers and servers."""
    if status == 404:
        return f"there is no route {request.path[:200]}: the API's are under /v2/tasks and /v2/schedules"
    if status == 405:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return f"{request.method[:20]} is not possible on {request.path[:200]}: use {allowed}"
    if error.description and error.description != type(error).description:
        return error.description
    return HTTPStatus(status).phrase.lower()

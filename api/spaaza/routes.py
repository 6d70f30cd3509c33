"""The routes of the Spaaza dialect.

All of them stand under `/spaaza`. Under `/` and `/v2` those stand that Mergent's dialect has not; the paths that
both have are shared out in `api.mergent.routes`.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, request

from api.door import App, Door
from api.spaaza import errors
from api.spaaza.catalog import Catalog
from api.spaaza.tasks import Exports
from timeball.dispatch.export_files import Gone
from timeball.export.failures import ExportError, ExportUnavailable
from timeball.model.project import Scope

Route = tuple[str, str, str, Scope]

SHARED: tuple[Route, ...] = (
    ("GET", "/tasks", "find", Scope.READ),
    ("POST", "/tasks", "create", Scope.WRITE),
    ("GET", "/tasks/<task_id>", "get", Scope.READ),
    ("DELETE", "/tasks/<task_id>", "delete", Scope.WRITE),
    ("POST", "/tasks/<task_id>/cancel", "cancel", Scope.WRITE),
)
TASKS: tuple[Route, ...] = (
    ("POST", "/tasks/<task_id>/execute", "execute", Scope.WRITE),
    ("GET", "/tasks/<task_id>/download_url", "download_url", Scope.READ),
)
CATALOG: tuple[Route, ...] = (
    ("GET", "/sources", "sources", Scope.READ),
    ("POST", "/sources", "add_source", Scope.ADMIN),
    ("DELETE", "/sources/<index>", "remove_source", Scope.ADMIN),
    ("GET", "/segments", "segments", Scope.READ),
    ("POST", "/segments", "add_segment", Scope.WRITE),
    ("GET", "/segments/<segment_id>", "segment", Scope.READ),
    ("PUT", "/segments/<segment_id>", "change_segment", Scope.WRITE),
    ("DELETE", "/segments/<segment_id>", "remove_segment", Scope.WRITE),
)
"""Method, path, verb, and the scope a key needs."""


def add(app: App) -> None:
    """Add the routes and the errors that only they raise."""
    door = app.door
    exports, catalog = Exports(door), Catalog(door)
    for name, prefix in (("", ""), ("v2", "/v2"), ("alone", "/spaaza")):
        made = Blueprint(f"spaaza{name}", __name__)
        _add(made, door, exports, (*SHARED, *TASKS) if name == "alone" else TASKS)
        if prefix:
            _add(made, door, catalog, CATALOG)
        app.register_blueprint(made, url_prefix=prefix)

    @app.get("/files/<name>")
    def files(name: str) -> Response:
        return exports.send(request, name)

    @app.errorhandler(Gone)
    def gone(error: Gone) -> Response:
        return errors.reply({"message": str(error)}, 410)

    @app.errorhandler(ExportError)
    def source_away(error: ExportError) -> Response:
        status = 503 if isinstance(error, ExportUnavailable) else 422
        said = {"message": f"the source of the index: {error}", "param": "target.export_index"}
        return errors.reply(said, status)


def _add(made: Blueprint, door: Door, verbs: object, routes: tuple[Route, ...]) -> None:
    for method, path, verb, scope in routes:
        made.add_url_rule(path, verb, _guarded(door, getattr(verbs, verb), scope), methods=[method])


def _guarded(door: Door, verb: Callable[..., Response], scope: Scope) -> Callable[..., Response]:
    def view(**path: str) -> Response:
        authorization = request.environ.get("HTTP_AUTHORIZATION")
        caller = door.doorman.admit(door.house, authorization, scope)
        if door.rate is not None:
            door.rate.count(door.house, caller.key_id, request.environ)
        return verb(caller, request, **path)

    return view

"""The blueprint: every page with the role it needs, the guard before them, and how errors look."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Blueprint, Response, render_template, request, url_for
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.exceptions import NotFound as NoPage

from api.answers import request_id
from api.dashboard import (
    audit,
    bulk,
    dead,
    entry,
    export_form,
    exports,
    find,
    hosts,
    keys,
    load,
    overview,
    project,
    queues,
    schedules,
    segments,
    settings,
    sources,
    system,
    task_form,
    tasks,
)
from api.dashboard.desk import NAV, Desk, Visit, base_url, chosen, see
from api.door import App
from timeball import __version__, logs
from timeball.errors import Conflict, InputError, NotFound, StoreError, StoreFull
from timeball.model.visitor import Role

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MOST_FORM_BYTES = 4 * 1024 * 1024

View = Callable[..., Response]
Route = tuple[str, str, str, View, Role]
"""Method, path, name, view, and the role it needs."""

ROUTES: tuple[Route, ...] = (
    *overview.ROUTES,
    *find.ROUTES,
    *tasks.ROUTES,
    *bulk.ROUTES,
    *task_form.ROUTES,
    *schedules.ROUTES,
    *load.ROUTES,
    *queues.ROUTES,
    *hosts.ROUTES,
    *dead.ROUTES,
    *sources.ROUTES,
    *segments.ROUTES,
    *export_form.ROUTES,
    *exports.ROUTES,
    *project.ROUTES,
    *keys.ROUTES,
    *settings.ROUTES,
    *system.ROUTES,
    *audit.ROUTES,
)

log = logs.get(__name__)


def add(app: App) -> None:
    """Add the dashboard to an app: all under `/dashboard`, and `/` for browsers leads there."""
    desk = app.extensions["dashboard"] = Desk(app.door)
    made = Blueprint("dashboard", __name__, template_folder="templates", static_folder="static")
    for method, path, name, view, role in ROUTES:
        made.add_url_rule(path, name, _guarded(desk, view, role), methods=[method])
    entry.add(made, desk)
    made.add_url_rule("/<path:rest>", "nowhere", _nowhere, methods=["GET", "POST"])
    made.after_request(_protect)
    _answer_errors(made, desk)
    app.register_blueprint(made, url_prefix="/dashboard")
    app.add_url_rule("/", "root", _root, methods=["GET"])


def _root() -> Response:
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    if best != "text/html":
        raise NoPage()
    return see("/dashboard")


def _nowhere(rest: str) -> Response:
    raise NoPage()


def _guarded(desk: Desk, view: View, role: Role) -> View:
    def guarded(**path: str) -> Response:
        request.max_form_memory_size = request.max_content_length = MOST_FORM_BYTES
        session = desk.sessions.find(desk.house, request)
        if session is None:
            return _to_sign_in()
        if request.method == "POST" and not desk.sessions.right(
            session, request.form.get("csrf", "")
        ):
            raise Forbidden(
                "This form was not sent from a page of your session. Go back, load the page anew, "
                "and send it again."
            )
        if not session.visitor.role.may(role):
            raise Forbidden(
                f"Your session's role is {session.visitor.role}; this needs {role}. "
                f"A new link: timeball login --role {role}"
            )
        found = desk.projects()
        project = chosen(found)
        if project is None:
            return Response(
                render_template("empty.html", base=base_url(desk)),
                content_type="text/html; charset=utf-8",
            )
        return view(Visit(desk, session, project, found), **path)

    return guarded


def _to_sign_in() -> Response:
    if request.headers.get("X-Live"):
        return Response("signed out", 401, content_type="text/plain; charset=utf-8")
    return see(url_for("dashboard.sign_in"))


def _protect(answer: Response) -> Response:
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["X-Frame-Options"] = "DENY"
    answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.endpoint != "dashboard.static":
        answer.headers["Cache-Control"] = "no-store"
    return answer


def _answer_errors(made: Blueprint, desk: Desk) -> None:
    def page(status: int, message: str) -> Response:
        text = render_template(
            "error.html",
            status=status,
            phrase=HTTPStatus(status).phrase,
            message=message,
            version=__version__,
            nav=NAV,
        )
        return Response(text, status, content_type="text/html; charset=utf-8")

    @made.errorhandler(InputError)
    def wrong(error: InputError) -> Response:
        if isinstance(error, NotFound):
            return page(
                404,
                f"{str(error).capitalize()}. It may have been deleted, or belong to another project.",
            )
        if request.method == "POST" and request.referrer:
            answer = see(_own(request.referrer))
            desk.sessions.tell(answer, request, f"Nothing was changed: {error}", False)
            return answer
        return page(409 if isinstance(error, Conflict) else 422, f"{error}.")

    @made.errorhandler(StoreError)
    def away(error: StoreError) -> Response:
        log.warning("a page found no store", request=request_id(), error=str(error))
        what = "is full" if isinstance(error, StoreFull) else "does not answer"
        return page(
            503, f"The store {what} just now; nothing was changed. Load the page again in a moment."
        )

    @made.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        status = error.code or 500
        if status == 404:
            return page(404, "There is no such page.")
        said = error.description if error.description != type(error).description else None
        return page(status, said or f"{HTTPStatus(status).phrase}.")

    @made.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        name = request_id()
        log.error("a page failed", request=name, route=str(request.url_rule), exc_info=error)
        return page(500, f"This page failed; the log of the API tells why under {name}.")


def _own(url: str) -> str:
    """Path and query of one of our own pages."""
    parts = urlsplit(url)
    if not parts.path.startswith("/dashboard"):
        return "/dashboard"
    return parts.path + (f"?{parts.query}" if parts.query else "")

"""Sources: what the chain may export, tried and registered here; their URLs are shown to nobody."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import InvalidToken
from flask import Response, request, url_for

from api.dashboard import exports, forms
from api.dashboard.desk import Visit
from api.dashboard.forms import Form
from timeball.dispatch import own
from timeball.dispatch import sources as verbs
from timeball.errors import ConfigError, InvalidField, NotFound
from timeball.export.columns import Column, Times
from timeball.export.failures import ExportError
from timeball.export.sources import Source, family
from timeball.model.visitor import Role

FIELDS = (
    "index",
    "url",
    "table",
    "chain_column",
    "deleted_column",
    "times",
    "order_by",
    "allowed",
    "denied",
    "prefix",
)
LISTS = ("order_by", "allowed", "denied")


def sources(visit: Visit) -> Response:
    """The sources of the chain, and what is always there."""
    missing = exports.no_chain(visit)
    if missing is not None:
        return missing
    found = verbs.every(visit.house, visit.project.id)
    return visit.page(
        "sources.html", rows=[(source, kind_of(source)) for source in found], own=own.COLUMNS
    )


def kind_of(source: Source) -> str:
    """The kind of database, which is all that is shown of a URL."""
    if source.url_env is not None:
        return f"${source.url_env}"
    from sqlalchemy.engine import make_url

    return family(make_url(source.url or ""))


def source(visit: Visit, index: str) -> Response:
    """One source, and its columns as they were within a minute."""
    found = verbs.get(visit.house, visit.project.id, index)
    columns: tuple[Column, ...] = ()
    fault = ""
    try:
        columns = verbs.columns(visit.house, found)
    except InvalidField as error:
        fault = f"{error.field} {error.message}"
    except ExportError as error:
        fault = str(error)
    return visit.page("source.html", it=found, kind=kind_of(found), columns=columns, fault=fault)


def new(visit: Visit) -> Response:
    """The form for a new source; of one that is there, all but its URL is filled in."""
    form = Form(dict.fromkeys(FIELDS, ""))
    if request.args.get("from"):
        found = verbs.get(visit.house, visit.project.id, request.args["from"])
        form.values |= {
            name: str(getattr(found, name) or "") for name in FIELDS if name not in (*LISTS, "url")
        }
        form.values |= {name: ", ".join(getattr(found, name)) for name in LISTS}
    return exports.no_chain(visit) or _form_page(visit, form)


def _form_page(
    visit: Visit,
    form: Form,
    status: int = 200,
    columns: tuple[Column, ...] = (),
    sealed: str = "",
) -> Response:
    form.values["url"] = ""
    return visit.page(
        "source_new.html",
        status,
        form=form,
        times=list(Times),
        columns=columns,
        sealed=sealed,
        dev=visit.house.settings.dev,
    )


def save(visit: Visit) -> Response:
    """Try a source; and keep it, unless it was only to be tried.

    The URL holds a password: it goes back to the page under our seal, never as it was typed.
    """
    form = forms.typed(request.form, FIELDS)
    url = form["url"].strip() or _unsealed(visit)
    sealed = visit.house.vault.seal(f"{visit.session.id} {url}") if url else ""
    data: dict[str, Any] = {
        "chain": exports.chain_of(visit),
        **forms.plain(form, (name for name in FIELDS if name not in (*LISTS, "url"))),
        **{name: forms.words(form[name]) for name in LISTS},
        "url": url,
    }
    try:
        given = verbs.confined(visit.house.settings, data)
        if "test" in request.form:
            columns = verbs.probe(visit.house, given)
            return _form_page(visit, form, columns=columns, sealed=sealed)
        columns = verbs.register(visit.house, visit.project.id, given)
    except InvalidField as error:
        form.reject(error)
        return _form_page(visit, form, 422, sealed=sealed)
    visit.wrote("register source", given.index, after=f"{kind_of(given)} {given.table}")
    told = f"Registered, with {len(columns)} columns."
    return visit.go(url_for("dashboard.source", index=given.index), told)


def _unsealed(visit: Visit) -> str:
    """The URL that was typed before in this session."""
    try:
        text = visit.house.vault.open(request.form.get("sealed", "")[:8192])
    except (ConfigError, InvalidToken):
        return ""
    session, _, url = text.partition(" ")
    return url if session == visit.session.id else ""


def act(visit: Visit, index: str, verb: str) -> Response:
    """Try or remove a source."""
    found = verbs.get(visit.house, visit.project.id, index)
    here = url_for("dashboard.source", index=index)
    if verb == "test":
        try:
            columns = verbs.probe(visit.house, found)
        except InvalidField as error:
            return visit.go(here, f"It does not work: {error.field} {error.message}.", False)
        return visit.go(here, f"It works: {len(columns)} columns.")
    if verb == "remove":
        verbs.remove(visit.house, visit.project.id, index)
        visit.wrote("remove source", index, before=f"{kind_of(found)} {found.table}")
        told = f"Removed {index}. Exports of it that wait will end in an error."
        return visit.go(url_for("dashboard.sources"), told)
    raise NotFound("there is no such verb")


ROUTES = (
    ("GET", "/exports/sources", "sources", sources, Role.VIEWER),
    ("GET", "/exports/sources/new", "new_source", new, Role.ADMIN),
    ("POST", "/exports/sources/new", "create_source", save, Role.ADMIN),
    ("GET", "/exports/sources/<index>", "source", source, Role.VIEWER),
    ("POST", "/exports/sources/<index>/<verb>", "act_source", act, Role.ADMIN),
)

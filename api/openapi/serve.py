"""Serving the documents and the page that shows them: nothing comes from another host."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, render_template

from api.openapi import mergent, spaaza
from api.openapi.operation import template

DOCUMENTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "mergent": mergent.document,
    "spaaza": spaaza.document,
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def written(name: str) -> bytes:
    """A document as it is served, and as it is committed under docs/openapi."""
    return orjson.dumps(DOCUMENTS[name](), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


_FOR_PEOPLE = re.compile(r"/|/dashboard(/.*)?|/docs(/.*)?|/openapi/\w+[.]json")
_PREFIXES = {"mergent": ("/v2", ""), "spaaza": ("/spaaza", "/v2", "")}


def undocumented(app: Flask) -> list[str]:
    """The routes of an app that no document tells: pages for people, and the documents themselves, apart."""
    told = {
        (method.upper(), prefix + path)
        for name, prefixes in _PREFIXES.items()
        for path, item in orjson.loads(written(name))["paths"].items()
        for method in item
        for prefix in prefixes
    }
    return [
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if not _FOR_PEOPLE.fullmatch(rule.rule) and (method, template(rule.rule)) not in told
    ]


def add(app: Flask) -> None:
    """Add `/openapi/<dialect>.json` and `/docs`. They need no key: every copy tells the same."""
    made = Blueprint("docs", __name__, template_folder="templates", static_folder="static")
    made.add_url_rule("", "page", lambda: _page("mergent"), methods=["GET"])
    for name in DOCUMENTS:
        app.add_url_rule(
            f"/openapi/{name}.json", f"openapi_{name}", _document(name), methods=["GET"]
        )
        made.add_url_rule(f"/{name}", name, lambda name=name: _page(name), methods=["GET"])
    made.after_request(_protect)
    app.register_blueprint(made, url_prefix="/docs")


def _document(name: str) -> Callable[[], Response]:
    return lambda: Response(written(name), content_type="application/json")


def _page(name: str) -> Response:
    text = render_template("docs.html", shown=name, names=list(DOCUMENTS))
    return Response(text, content_type="text/html; charset=utf-8")


def _protect(answer: Response) -> Response:
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["X-Frame-Options"] = "DENY"
    if answer.mimetype != "text/html":
        answer.headers["Cache-Control"] = "public, max-age=3600"
    return answer

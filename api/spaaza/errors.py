"""Errors as the Spaaza dialect tells them: `{"error": {"code", "name", "description", "fields"}}`.

Which dialect a request speaks is known from its path, its body or its credential: `id:secret` speaks Spaaza.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Response, request

from api import answers

_NAMES = {
    400: "bad_request",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    410: "gone",
    413: "too_large",
    415: "unsupported_media_type",
    408: "too_slow",
    422: "invalid_fields",
    429: "too_many_requests",
    503: "unavailable",
}


def speak() -> None:
    """From here on this request is answered in this dialect."""
    request.environ["timeball.spaaza"] = True


def spoken() -> bool:
    """Whether the request that is being served speaks this dialect."""
    environ = request.environ
    if "timeball.spaaza" in environ or request.path.startswith(("/spaaza/", "/files/")):
        return True
    scheme, _, rest = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return scheme.lower() == "bearer" and ":" in rest


def reply(value: dict[str, Any], status: int, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """An error, given in Mergent's shape, in that of the dialect which is spoken."""
    return answers.reply(translated(value, status) if spoken() else value, status, headers)


def translated(value: dict[str, Any], status: int) -> dict[str, Any]:
    """An error of Mergent's shape in this dialect's."""
    faults = value.get("errors") or ([value] if "param" in value else [])
    fields = {fault.get("param", ""): fault["message"] for fault in reversed(faults)}
    return {
        "error": {
            "code": status,
            "name": _NAMES.get(status, "error"),
            "description": value["message"],
            "fields": fields,
        }
    }

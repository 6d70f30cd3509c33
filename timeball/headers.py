"""Which headers a task may give its call. Pure.

A header that frames the message or belongs to one connection is libcurl's to write; taken from a caller, it could
smuggle a second request (RFC 9110, section 7.6.1; RFC 9112, section 6.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from timeball.errors import InvalidField

HEADERS_LIMIT = 50
HEADER_BYTES_LIMIT = 8192
"""For all headers together, each counted as its line is sent: name, colon, space, value, line end."""

_FORBIDDEN = re.compile(
    r"host|content-length|transfer-encoding|te|connection|keep-alive|upgrade|trailer|expect|http2-settings"
    r"|proxy-.*",
    re.IGNORECASE | re.DOTALL,
).fullmatch
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch  # RFC 9110, section 5.5


SECRET_NAME = r"[A-Z][A-Z0-9_]{0,63}"  # noqa: S105 - what names look like
_SECRET = re.compile(r"\{\{ *secret\.(" + SECRET_NAME + r") *\}\}")
_SECRET_ALONE = re.compile(r"(?:[A-Za-z-]+ )?\{\{ *secret\.[A-Z0-9_]+ *\}\}").fullmatch


def named_secrets(value: str) -> list[str]:
    """The secrets of its project that a header's value names, as `{{secret.NAME}}`."""
    return _SECRET.findall(value) if "{{" in value else []


def fill_secrets(value: str, secrets: Mapping[str, str]) -> str:
    """A value with the secrets in place of their names. Raises KeyError with the name of one that is not there."""
    return _SECRET.sub(lambda match: secrets[match[1]], value)


SHORTEST_HIDDEN = 6
"""Shorter values are left where they are found: they may well be something else."""


def without_secrets(raw: bytes, secrets: Mapping[str, str]) -> bytes:
    """What an endpoint sent, with the names of secrets in place of their values where it sent those back."""
    for name, value in sorted(secrets.items(), key=lambda item: -len(item[1])):
        if len(value) >= SHORTEST_HIDDEN:
            for spelt in {value.encode("latin-1"), value.encode()}:
                raw = raw.replace(spelt, b"{{secret.%b}}" % name.encode())
    return raw


def only_names_a_secret(value: str) -> bool:
    """Whether a value holds nothing secret itself: a scheme at most, and the name of a secret."""
    return _SECRET_ALONE(value) is not None


def check_header(name: str, value: str) -> None:
    """Raises InvalidField for `request.headers.<name>` when a call may not carry this header."""
    _check_name(name)
    if not (value.isascii() and value.isprintable()) and not _VALUE(value):
        raise _wrong(name, "must be Latin-1 text on one line, without control characters")
    if "{{" in value and re.search(r"\{\{ *secret\b", _SECRET.sub("", value)):
        raise _wrong(name, "names no secret: write {{secret.NAME}}, with a name of A-Z, 0-9 and _")


def check_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The headers as a Request keeps them, in the order given, each checked. Costs 0.3 us a header.

    Raises InvalidField for the one that is wrong, or for `request.headers` when there are too many.
    """
    if len(headers) > HEADERS_LIMIT:
        raise InvalidField(
            "request.headers", f"must be at most {HEADERS_LIMIT}; there are {len(headers)}"
        )
    size = 0
    for name, value in headers.items():
        size += len(name) + len(value) + 4
        if size > HEADER_BYTES_LIMIT:
            raise InvalidField(
                "request.headers", f"must have at most {HEADER_BYTES_LIMIT} bytes in all"
            )
        check_header(name, value)
    return tuple(headers.items())


def header_lines(headers: Iterable[tuple[str, str]]) -> list[bytes]:
    """Checked headers as libcurl takes them. A blank value is written `Name;`, else libcurl drops the header."""
    return [
        f"{name}: {value}".encode("latin-1") if value.strip(" \t") else f"{name};".encode("latin-1")
        for name, value in headers
    ]


@lru_cache(maxsize=1024)
def _check_name(name: str) -> None:
    if not _TOKEN(name):
        raise _wrong(name, "is not a header name: use letters, digits and - as in X-Order-Id")
    if _FORBIDDEN(name):
        raise _wrong(name, "belongs to the connection and cannot be set by a task")


def _wrong(name: str, message: str) -> InvalidField:
    return InvalidField(f"request.headers.{name[:100]}", message)

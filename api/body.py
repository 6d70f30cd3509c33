"""Reading what a client sends: bounded, whatever its headers claim, and JSON without its traps.

Clients disagree about headers: some send JSON chunked and without a Content-Type, `curl -d` calls it a form. So
the bytes decide. JSON is read by orjson, which refuses NaN, Infinity, lone surrogates and whatever is not UTF-8;
what it lets pass (keys given twice, whole numbers beyond 64 bits) is found from two counts of the text, and only
a suspicious text is read again, ten times slower, by the standard library.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from typing import Any
from urllib.parse import parse_qsl

import orjson
from werkzeug.exceptions import (
    BadRequest,
    RequestEntityTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)

from api.slow import HURRY_SECONDS, turns

DEPTH_LIMIT = 254
"""How deep JSON may be nested: what orjson can write again."""
FORM_FIELDS_LIMIT = 200

_READ_AT_ONCE = 64 * 1024

_FORM = "application/x-www-form-urlencoded"
_ROUNDED = re.compile(rb"e\+[0-9]+[,}\]]")
_FORM_KEY = re.compile(r"([^\[\]]{1,100})((?:\[[^\[\]]{0,100}\]){0,3})").fullmatch


def read(environ: dict[str, Any], limit_bytes: int) -> bytes:
    """The body of a request, with or without a Content-Length.

    Raises RequestEntityTooLarge as soon as it is known to be longer than the limit, BadRequest when it ends
    early, RequestTimeout when it comes too slowly, UnsupportedMediaType when it is compressed (a bomb costs its
    sender nothing), ServiceUnavailable when too many senders are slow.
    """
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in ("identity", ""):
        raise UnsupportedMediaType("a compressed body is not taken: send it without")
    stated = environ.get("CONTENT_LENGTH")
    length = None
    if stated:
        if not (stated.isascii() and stated.isdigit()):
            raise BadRequest("the Content-Length is not a number")
        length = int(stated[:19])
        if length > limit_bytes:
            raise too_large(limit_bytes)
    elif not environ.get("wsgi.input_terminated"):
        return b""
    turn = turns.take(environ, limit_bytes if length is None else length)
    try:
        if length is None:
            return _read_to_end(environ["wsgi.input"], limit_bytes)
        return _read_stated(environ["wsgi.input"], length)
    except BadRequest:
        if time.monotonic() - turn.since >= HURRY_SECONDS:
            raise RequestTimeout(
                "the body came too slowly, or broke off: send it at once"
            ) from None
        raise
    except OSError as error:
        raise BadRequest("the body broke off") from error
    finally:
        turns.give(turn)


def too_large(limit_bytes: int) -> RequestEntityTooLarge:
    """The answer to a body beyond the limit."""
    return RequestEntityTooLarge(f"the request is too large: at most {limit_bytes} bytes are taken")


def _read_stated(stream: Any, length: int) -> bytes:
    body: bytes = stream.read(length)
    if len(body) == length:
        return body
    parts, size = [body], len(body)
    while size < length and (part := stream.read(length - size)):
        parts.append(part)
        size += len(part)
    if size < length:
        raise BadRequest("the body is shorter than its Content-Length")
    return b"".join(parts)


def _read_to_end(stream: Any, limit_bytes: int) -> bytes:
    parts, size = [], 0
    while part := stream.read(min(_READ_AT_ONCE, limit_bytes + 1 - size)):
        parts.append(part)
        size += len(part)
        if size > limit_bytes:
            raise too_large(limit_bytes)
    return b"".join(parts)


def load(raw: bytes, content_type: str = "") -> Any:
    """What a body says: JSON whatever the Content-Type, or a form when it is called one and is no JSON.

    Raises BadRequest, or UnsupportedMediaType for what is called something else and indeed is no JSON.
    """
    if content_type.lower().startswith(_FORM) and raw.lstrip()[:1] not in (b"{", b"[", b'"', b""):
        return load_form(raw)
    try:
        return load_json(raw)
    except BadRequest:
        kind = content_type.partition(";")[0].strip().lower()
        if kind.startswith(("multipart/", "image/")) or kind.endswith("xml"):
            raise UnsupportedMediaType(f"{kind[:100]} is not taken: send JSON") from None
        raise


def load_json(raw: bytes) -> Any:
    """A JSON text by RFC 8259, strictly: UTF-8, each key once, numbers kept whole. Raises BadRequest."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(_why_no_json(raw, error)) from None
    try:
        again = orjson.dumps(value)
    except TypeError:
        raise BadRequest(f"the JSON is nested deeper than {DEPTH_LIMIT} levels") from None
    # Each key has a colon in both texts, and so has each colon in a string, unless it is written \u003a:
    # so a key given twice, which orjson drops, makes the first count greater.
    if raw.count(b":") != again.count(b":") or b"\\u003" in raw or _ROUNDED.search(again + b","):
        return _load_slowly(raw)
    return value


def _load_slowly(raw: bytes) -> Any:
    try:
        return json.loads(raw, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise BadRequest(f"the JSON is nested deeper than {DEPTH_LIMIT} levels") from None
    except ValueError as error:  # a number of more digits than Python reads
        raise BadRequest(f"this is not JSON that can be taken: {error}"[:200]) from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise BadRequest(f"the JSON has the key {twice[:100]!r} twice in one object")
    return made


def _why_no_json(raw: bytes, error: Exception) -> str:
    if not raw.strip():
        return "the body is empty: send a JSON object"
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw[:4]:
        return "the body is not UTF-8: JSON is sent as UTF-8 (RFC 8259, section 8.1)"
    return f"the body is not valid JSON: {error}"


def dump_json(value: Any) -> bytes:
    """The text of a value that `load_json` read, in its shortest form."""
    try:
        return orjson.dumps(value)
    except TypeError:  # a whole number beyond 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def load_form(raw: bytes) -> dict[str, Any]:
    """A form body as an object: `request[url]=...` becomes `{"request": {"url": ...}}`. Raises BadRequest."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=FORM_FIELDS_LIMIT,
        )
    except ValueError:
        raise BadRequest("the body is neither JSON nor a form that can be read") from None
    form: dict[str, Any] = {}
    for key, value in pairs:
        match = _FORM_KEY(key)
        if match is None:
            raise BadRequest(
                f"the form field {key[:100]!r} cannot be read: write it like request[url]"
            )
        path = [match[1], *match[2][1:-1].split("][")] if match[2] else [match[1]]
        _place(form, path, value, key)
    return form


def _place(form: dict[str, Any], path: list[str], value: str, key: str) -> None:
    *folders, last = path
    if not last and folders:
        last = folders.pop()
        inside = _folder(form, folders, key).setdefault(last, [])
        if not isinstance(inside, list):
            raise BadRequest(f"the form field {key[:100]!r} is both a list and a text")
        inside.append(value)
        return
    inside = _folder(form, folders, key)
    if last in inside:
        raise BadRequest(f"the form field {key[:100]!r} is there twice")
    inside[last] = value


def _folder(form: dict[str, Any], folders: list[str], key: str) -> dict[str, Any]:
    for folder in folders:
        form = form.setdefault(folder, {})
        if not isinstance(form, dict):
            raise BadRequest(f"the form field {key[:100]!r} is both a group and a text")
    return form

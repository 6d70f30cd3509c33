"""W3C Trace Context: what the headers of a request say of the trace that it is part of."""

from __future__ import annotations

import re
from typing import Any

_PARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
).fullmatch
_MEMBER = re.compile(
    r"[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
).fullmatch
_MOST_MEMBERS = 32
_MOST_CHARACTERS = 512
"""As many as must be passed on (section 3.3.1.5); a longer one is cut behind a whole member."""


def told(environ: dict[str, Any]) -> tuple[str, str | None] | None:
    """(`traceparent`, `tracestate`) of a request; one that is malformed is as if it were not there."""
    parent: str | None = environ.get("HTTP_TRACEPARENT")
    if parent is None or not _PARENT(parent):
        return None
    text: str | None = environ.get("HTTP_TRACESTATE")
    return parent, _state(text) if text else None


def _state(text: str) -> str | None:
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    names = {member.partition("=")[0] for member in members}
    if len(members) > _MOST_MEMBERS or len(names) < len(members) or not all(map(_MEMBER, members)):
        return None
    while len(kept := ",".join(members)) > _MOST_CHARACTERS:
        members.pop()
    return kept or None

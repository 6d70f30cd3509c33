"""How libcurl is told a method, what its codes mean in words of ours, and how its headers are read."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import pycurl

from timeball.model.attempt import Outcome

_REFUSED = frozenset(
    {
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_ISSUER_ERROR,
    }
)

_UNSAID = {100: "a header of the response is longer than is taken"}
"""libcurl's code CURLE_TOO_LARGE comes without words."""


def explain(code: int, message: str) -> tuple[Outcome, str]:
    """How a call ended that libcurl gave up with a code, and why."""
    message = message or _UNSAID.get(code, f"libcurl gave up with its code {code}")
    # over HTTP/2 it quotes what the peer sent, and pycurl makes lone surrogates of what is no text
    message = message.encode(errors="surrogateescape").decode(errors="backslashreplace")
    if not message.isprintable():
        message = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return Outcome.TIMED_OUT, message
    if code == pycurl.E_COULDNT_CONNECT or code in _REFUSED:
        return Outcome.REFUSED, message
    return Outcome.UNREACHABLE, message


@lru_cache(256)
def is_status(begins: bytes) -> bool:
    """Whether a status line that begins so has a status of three digits (RFC 9112, section 4).

    libcurl takes the first three digits, whatever follows: 20000 would be a success.
    """
    return re.match(rb"HTTP/[0-9.]+ [1-9][0-9][0-9](?:[ \r\n]|$)", begins) is not None


def no_status(begins: bytes) -> tuple[Outcome, str]:
    """How a call ended whose answer has no such status, and why."""
    shown = ascii(begins.decode("latin-1").strip())
    return Outcome.UNREACHABLE, f"the answer has no status of three digits: it begins with {shown}"


def set_method(curl: Any, method: str, body: bytes) -> None:
    """Let a handle that does more than POST go on with this method and body."""
    curl.setopt(pycurl.NOBODY, 0)
    if method == "HEAD":
        curl.setopt(pycurl.HTTPGET, 1)
        curl.unsetopt(pycurl.CUSTOMREQUEST)
        curl.setopt(pycurl.NOBODY, 1)
    elif body:
        curl.setopt(pycurl.POSTFIELDS, body)
        curl.setopt(pycurl.CUSTOMREQUEST, method)
    else:
        curl.setopt(pycurl.HTTPGET, 1)
        curl.setopt(pycurl.CUSTOMREQUEST, method)


def last_header(raw: bytes, name: bytes) -> str | None:
    """The last value of a header in a block of raw lines."""
    found = None
    for line in raw.split(b"\r\n"):
        key, colon, value = line.partition(b":")
        if colon and key.strip().lower() == name:
            found = value.strip().decode("latin-1")
    return found

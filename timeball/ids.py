"""Identifiers: how they are made, written and read.

A task id is a UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 random bits, so ids
sort by the time they were made and cannot be guessed. Inside the house it is 16 bytes; only the edges write
the 36 characters.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections import deque

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_task_id() -> bytes:
    """A fresh task id, 16 bytes."""
    return stamp_id(time.time_ns() // 1_000_000, random_bytes(10))


def new_task_ids(count: int) -> list[bytes]:
    """Fresh task ids of one instant, each at two thirds of what one alone costs."""
    at_ms, random = time.time_ns() // 1_000_000, os.urandom(10 * count)
    return [stamp_id(at_ms, random[i : i + 10]) for i in range(0, 10 * count, 10)]


_random: deque[bytes] = deque()
os.register_at_fork(after_in_child=_random.clear)  # or two processes would make the same ids


def random_bytes(length: int) -> bytes:
    """At most 16 bytes that nobody can guess.

    The kernel is asked for a few thousand at once: each time lets other threads go first, which costs the API
    more than all else about an id.
    """
    while True:
        try:
            return _random.popleft()[:length]
        except IndexError:
            fresh = os.urandom(4096)
            _random.extend(fresh[i : i + 16] for i in range(0, 4096, 16))


def stamp_id(at_ms: int, tail: bytes, version: int = 0x70) -> bytes:
    """The 16 bytes of an id of the instant `at_ms` (Unix milliseconds) whose other bits are `tail` (10 bytes)."""
    return (
        at_ms.to_bytes(6, "big")
        + bytes((version | (tail[0] & 0x0F), tail[1], 0x80 | (tail[2] & 0x3F)))
        + tail[3:]
    )


def occurrence_id(schedule_id: str, at_ms: int) -> bytes:
    """The id of the one task that an occurrence becomes: the same for the same schedule and instant.

    A UUID version 8 (RFC 9562, section 5.8): the instant, then a SHA-256 of both, so a second submit of one
    occurrence meets the first.
    """
    digest = hashlib.sha256(f"{schedule_id}@{at_ms}".encode()).digest()
    return stamp_id(at_ms, digest[:10], version=0x80)


def id_text(raw: bytes) -> str:
    """The 36 characters of an id of 16 bytes."""
    h = raw.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def id_bytes(text: str) -> bytes | None:
    """The 16 bytes of an id as a caller wrote it, or None when it is no id."""
    if len(text) != 36 or text[8] != "-" or text[13] != "-" or text[18] != "-" or text[23] != "-":
        return None
    try:
        return bytes.fromhex(text.replace("-", "")) if text.isascii() and " " not in text else None
    except ValueError:
        return None


def token(length: int) -> str:
    """A random word of `length` characters from 62, about 5.95 bits each."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))

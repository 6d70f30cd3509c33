"""Endpoints that lie, by what they do; `KINDS` has them all."""

from __future__ import annotations

from tests.hostile.kinds import broken, elsewhere, endless, framing, http2, slow
from tests.hostile.kinds.kind import KINDS, TIMED_OUT, Act, Kind, Reader, Writer

__all__ = [
    "KINDS",
    "TIMED_OUT",
    "Act",
    "Kind",
    "Reader",
    "Writer",
    "broken",
    "elsewhere",
    "endless",
    "framing",
    "http2",
    "slow",
]

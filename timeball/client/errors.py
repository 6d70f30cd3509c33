"""What can go wrong between a caller and Timeball.

Refused                     an answer of 400 or above
├── Invalid                 400, 413, 415, 422: `faults` names each wrong field
├── Forbidden               401, 403: the key is wrong, ended, or may not do this
├── Missing                 404: there is no such thing in this project
└── Conflicting             409: its state does not allow it
Unreachable                 no answer, or 429 or 5xx, however often it was asked
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Fault(NamedTuple):
    """One thing that is wrong: the field ('' for the whole), and why."""

    field: str
    message: str


class Refused(Exception):
    """The API said no. `request_id` finds the request in Timeball's log."""

    def __init__(self, status: int, told: Any, request_id: str | None) -> None:
        self.status, self.request_id = status, request_id
        self.message = str(told.get("message", told)) if isinstance(told, dict) else str(told)
        listed = told.get("errors") or () if isinstance(told, dict) else ()
        self.faults = [Fault(f.get("param", ""), f.get("message", "")) for f in listed]
        super().__init__(f"{status}: {self.message}")


class Invalid(Refused):
    """What was sent is not right."""


class Forbidden(Refused):
    """The key may not."""


class Missing(Refused):
    """There is no such thing."""


class Conflicting(Refused):
    """Not in this state."""


class Unreachable(Exception):
    """No answer that counts. A task may be sent again with the same `idempotency_key`."""


_KINDS = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: Missing,
    409: Conflicting,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}


def refusal(status: int, told: Any, request_id: str | None) -> Refused:
    """The error of an answer."""
    return _KINDS.get(status, Refused)(status, told, request_id)

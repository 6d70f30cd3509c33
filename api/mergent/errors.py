"""Errors as Mergent's clients read them: `{"message", "param"?, "errors"?}`.

`errors` is a list of `{"message", "param"}` or absent: an object breaks both client libraries, null the gem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from timeball.errors import InputError

SHOWN_FAULTS = 100
"""More faults than this are not listed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field: its dotted path, and a phrase that follows it. No path is the whole body."""

    param: str
    message: str
    too_large: bool = False

    @property
    def sentence(self) -> str:
        return f"{self.param or 'the body'} {self.message}"


class Rejected(InputError):
    """Fields are wrong; `faults` has all of them, `status` is 422, or 413 when a body is too large."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults[0].sentence)
        self.faults = tuple(faults)
        self.status = 413 if any(fault.too_large for fault in faults) else 422


def shape(message: str, param: str | None = None) -> dict[str, Any]:
    """An error with one cause."""
    return {"message": message, "param": param} if param else {"message": message}


def shape_faults(faults: Sequence[Fault]) -> dict[str, Any]:
    """An error about fields: the first one leads, all are listed."""
    first = faults[0]
    more = len(faults) - 1
    answer: dict[str, Any] = {"message": first.sentence + (f" (and {more} more)" if more else "")}
    if first.param:
        answer["param"] = first.param
    answer["errors"] = [
        {"message": fault.sentence, "param": fault.param}
        if fault.param
        else {"message": fault.sentence}
        for fault in faults[:SHOWN_FAULTS]
    ]
    return answer

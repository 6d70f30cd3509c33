"""Every error of the house, in one tree.

TimeballError
├── ConfigError            settings that cannot work; lists all faults at once
├── StoreError             the store did what it must not
│   ├── StoreUnavailable   Redis is away, or refuses writes for now (answered with 503)
│   └── StoreFull          Redis has no memory left (answered with 503)
└── InputError             what a caller sent cannot be taken
    ├── InvalidField       one named field is wrong (422)
    ├── NotFound           no such thing for this caller (404)
    └── Conflict           the thing is in a state that forbids it (409)
"""

from __future__ import annotations

from collections.abc import Sequence


class TimeballError(Exception):
    """Base of all errors that the product raises on purpose."""


class ConfigError(TimeballError):
    """The settings cannot work. `faults` holds one sentence a fault, all of them."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class StoreError(TimeballError):
    """The store answered what it never should."""


class StoreUnavailable(StoreError):
    """Redis does not answer. Nothing was promised to the caller; try again."""


class StoreFull(StoreUnavailable):
    """Redis has no memory left for new data; what it holds is safe."""


class InputError(TimeballError):
    """What a caller sent cannot be taken; the message says what to do."""


class InvalidField(InputError):
    """One field is wrong. `field` is its dotted path as the caller wrote it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class NotFound(InputError):
    """There is no such thing, or it is not the caller's: the two look the same."""


class Conflict(InputError):
    """The thing exists, but its state forbids what was asked."""

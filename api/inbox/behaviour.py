"""How the inbox answers when the query of the URL tells it to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAX_DELAY_SECONDS = 60.0
MAX_HANG_SECONDS = 120.0
MAX_RETRY_AFTER_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What was asked for. `times` limits it to the first deliveries of a task; None means always."""

    status: int = 200
    times: int | None = None
    retry_after: int | None = None
    delay_seconds: float = 0.0
    hang: bool = False
    no_retry: bool = False

    def at(self, time: int) -> Behaviour:
        """The behaviour of the delivery that is number `time` of its task, counted from 1."""
        return PLAIN if self.times is not None and time > self.times else self

    @property
    def words(self) -> str:
        """What was done, to be shown beside the answer; empty when nothing was asked for."""
        done = []
        if self.hang:
            done.append("hung")
        if self.delay_seconds:
            done.append(f"waited {self.delay_seconds:g} s")
        if self.retry_after is not None:
            done.append(f"Retry-After: {self.retry_after}")
        if self.no_retry:
            done.append("Task-No-Retry: true")
        return ", ".join(done)


PLAIN = Behaviour()


def read(query: Mapping[str, str]) -> tuple[Behaviour, list[str]]:
    """The behaviour that a query asks for, and what is wrong with it, in words.

    Other parameters are the sender's own and are left alone.
    """
    faults: list[str] = []

    def number(name: str, low: float, high: float) -> float | None:
        text = query.get(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            faults.append(f"{name} must be a number from {low:g} to {high:g}, not {text!r}")
            return None
        return value

    no_retry, hang = (
        query.get(name, "0") not in {"0", "", "false"} for name in ("no_retry", "hang")
    )
    status = number("status", 200, 599)
    retry_after = number("retry_after", 0, MAX_RETRY_AFTER_SECONDS)
    times = number("times", 0, 1_000_000)
    delay = number("delay", 0, MAX_DELAY_SECONDS)
    if status is None:
        # Asked to hold a task off or to stop it, but not how: a 200 would end it well.
        status = 429 if retry_after is not None else 500 if no_retry else 200
    found = Behaviour(
        status=int(status),
        times=None if times is None else int(times),
        retry_after=None if retry_after is None else int(retry_after),
        delay_seconds=delay or 0.0,
        hang=hang,
        no_retry=no_retry,
    )
    return found, faults

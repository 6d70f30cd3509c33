"""The Python client: what curl can say, typed, with retries that never make a task twice.

    from timeball.client import Timeball

    timeball = Timeball("https://timeball.example", "tb_...")      # or TIMEBALL_URL and TIMEBALL_KEY
    task = timeball.tasks.create("https://example.com/hook", body="hello", delay="5m")

It needs `requests` and nothing else of Timeball's: no store, no Celery.
"""

from timeball.client.errors import (
    Conflicting,
    Forbidden,
    Invalid,
    Missing,
    Refused,
    Unreachable,
)
from timeball.client.resources import Queues, Schedules, Tasks
from timeball.client.values import Attempt, Schedule, Task
from timeball.client.wire import Wire

__all__ = [
    "Attempt",
    "Conflicting",
    "Forbidden",
    "Invalid",
    "Missing",
    "Refused",
    "Schedule",
    "Task",
    "Timeball",
    "Unreachable",
]


class Timeball:
    """One project of a Timeball. Safe to share between threads; close it, or use it as a context."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 10.0,
        tries: int = 5,
    ) -> None:
        """`timeout` is that of one request in seconds; `tries` how often one is made at most.

        Raises ValueError when neither the arguments nor TIMEBALL_URL and TIMEBALL_KEY say where and who.
        """
        self.wire = Wire(url, key, timeout=timeout, tries=tries)
        self.tasks = Tasks(self.wire)
        self.schedules = Schedules(self.wire)
        self.queues = Queues(self.wire)

    def close(self) -> None:
        """Close its connections."""
        self.wire.close()

    def __enter__(self) -> "Timeball":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""kombu's Redis channel, made to outlive what others put into its queues.

As kombu and Celery 5.7 have it, an error over one message ends the worker that took it: an item that is no JSON,
one without the properties of a message, a job whose body is said to be raw bytes, or whose time limit is a word.
Whoever can write to the broker could so stop every worker again and again. Here such a message is thrown away
and the worker goes on: what the queues hold are hints, and beat rings again for all that is due.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from queue import Empty
from typing import Any

from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel
from redis.exceptions import RedisError

from timeball import logs

_OURS = (Empty, OSError, RedisError, OperationalError)
"""What tells of the connection, or that there was nothing: Celery sees to these."""

log = logs.get(__name__)

Callback = Callable[[Any], Any]


def harden(channel: Any = Channel) -> None:
    """Change kombu's channel for this process; a second time changes nothing."""
    if getattr(channel, "hardened", False):
        return
    channel.hardened = True
    # A worker that loses its broker gives unacknowledged messages back while it closes, and kombu 5.7 falls over
    # when that connection is gone. A bell need not be given back.
    channel.do_restore = False
    channel._brpop_read = _outlive(channel._brpop_read)
    channel._receive_one = _outlive(channel._receive_one)
    channel.basic_consume = _consume(channel.basic_consume)


def _outlive(read: Callable[..., Any]) -> Callable[..., Any]:
    """Read from the broker; what cannot be made into a message is no reason to end."""

    def careful(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return read(self, *args, **options)
        except _OURS:
            raise
        except Exception as error:
            _say("what came from the broker is no message: it was thrown away", error)
            return True

    return careful


def _consume(consume: Callable[..., Any]) -> Callable[..., Any]:
    """Have the messages of a queue handled; one that cannot be is acknowledged, so that it takes no place."""

    def careful(
        self: Any, queue: str, no_ack: bool, callback: Callback, *args: Any, **options: Any
    ) -> Any:
        def handle(message: Any) -> Any:
            try:
                if not no_ack:
                    _check_job(message)
                return callback(message)
            except _OURS:
                raise
            except Exception as error:
                _say("a message of the broker makes no sense: it was thrown away", error)
                if not no_ack and not message.acknowledged:
                    message.ack()
                return None

        return consume(self, queue, no_ack, handle, *args, **options)

    return careful


def _check_job(message: Any) -> None:
    """Raises ValueError for what Celery trusts and would fall over later, away from the message it came with."""
    headers = message.headers
    if message.content_type != "application/json" or not isinstance(headers, dict):
        raise ValueError("not a job in JSON")
    for name in ("task", "id"):
        if not isinstance(headers.get(name), str):
            raise ValueError(f"its {name} is no text")
    for name in ("eta", "expires"):
        if headers.get(name) is not None:
            datetime.fromisoformat(headers[name])
    if not isinstance(headers.get("retries") or 0, int):
        raise ValueError("its retries are no number")
    hard, soft = headers.get("timelimit") or (None, None)
    if not all(limit is None or isinstance(limit, int | float) for limit in (hard, soft)):
        raise ValueError("its time limits are no numbers")


def _say(what: str, error: Exception) -> None:
    # only the kind of error: its words may hold what the message held
    log.warning(what, error=type(error).__name__)

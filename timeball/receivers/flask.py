"""A decorator for views of Flask."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, request

from timeball.receivers.receiver import Call, Receiver


def handler(receiver: Receiver) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a view of `handle(call, **parts of the path)`. What it returns is answered; None is 204."""

    def decorate(handle: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handle)
        def view(**parts: Any) -> Any:
            def run(call: Call) -> Any:
                return handle(call, **parts)

            reply, returned = receiver.handle(dict(request.headers), request.get_data(), run)
            if returned is not None:
                return returned
            return Response(reply.body, reply.status, dict(reply.headers))

        return view

    return decorate

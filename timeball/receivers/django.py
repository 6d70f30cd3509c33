"""A decorator for views of Django. It lifts the check for CSRF: the signature stands in its place."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from timeball.receivers.receiver import Call, Receiver


def handler(receiver: Receiver) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a view of `handle(call, **parts of the path)`. What it returns is answered; None is 204."""

    def decorate(handle: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(handle)
        def view(request: HttpRequest, **parts: Any) -> Any:
            def run(call: Call) -> Any:
                return handle(call, **parts)

            reply, returned = receiver.handle(dict(request.headers), request.body, run)
            if returned is not None:
                return returned
            return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))

        return cast(Callable[..., Any], csrf_exempt(view))

    return decorate

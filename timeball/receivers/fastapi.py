"""A decorator for routes of FastAPI and Starlette; the handler may be a coroutine or not."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from timeball.receivers.receiver import Receiver, Reply


def handler(
    receiver: Receiver,
) -> Callable[[Callable[..., Any]], Callable[[Request], Awaitable[Response]]]:
    """Makes a route of `handle(call)`. A value that it returns is answered as JSON; None is 204.

    What the receiver remembers with (`seen`) runs in a thread, so that a Redis holds up no other request.
    """

    def decorate(handle: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]]:
        async def route(request: Request) -> Response:
            body = await request.body()
            begun = await run_in_threadpool(receiver.begin, dict(request.headers), body)
            if isinstance(begun, Reply):
                return _response(begun)
            if begun.reply is not None:
                return _response(begun.reply)
            try:
                if inspect.iscoroutinefunction(handle):
                    returned = await handle(begun.call)
                else:
                    returned = await run_in_threadpool(handle, begun.call)
            except BaseException as error:
                reply = receiver.end(begun.call, error)
                if reply is None:
                    raise
                return _response(reply)
            reply = await run_in_threadpool(receiver.end, begun.call)
            assert reply is not None
            if isinstance(returned, Response):
                return returned
            return _response(reply) if returned is None else JSONResponse(returned)

        # Only these two are taken over: FastAPI reads the parameters of what it is given.
        route.__name__, route.__doc__ = handle.__name__, handle.__doc__
        return route

    return decorate


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers))

"""What the routes need of their process: settings, the house, who may enter, what calls may reach."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from flask import Flask, Request, current_app
from werkzeug.routing import MapAdapter

from api.allowance import Quotas, Rate
from api.auth import Doorman
from api.cursors import Signer
from timeball.dispatch.house import House, open_house
from timeball.egress import Policy
from timeball.settings import Settings

STORE_TIMEOUT_SECONDS = 0.9
"""A sender waits: what is asked twice of a silent store is answered within two seconds, with 503."""


@dataclass
class Door:
    """Made once an app. The house is opened by the process that first serves a request, so after any fork."""

    settings: Settings
    doorman: Doorman = field(default_factory=Doorman)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opened: tuple[int, House] | None = None

    @property
    def house(self) -> House:
        """The house of this process. Raises ConfigError when the settings have no master secret."""
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            with self._lock:
                if self._opened is None or self._opened[0] != os.getpid():
                    self._opened = (os.getpid(), _open(self.settings))
                opened = self._opened
        return opened[1]

    @cached_property
    def policy(self) -> Policy:
        """What calls of this installation may reach, as far as a URL tells."""
        return Policy.parse(
            self.settings.allowed_targets,
            self.settings.denied_targets,
            self.settings.own_ports,
            self.settings.own_addresses,
        )

    @cached_property
    def rate(self) -> Rate | None:
        """Counts the requests of keys, where they are limited."""
        limit = self.settings.key_requests_per_minute
        return Rate(limit) if limit else None

    @cached_property
    def quotas(self) -> Quotas:
        """What projects may have."""
        return Quotas(self.settings)

    @cached_property
    def signer(self) -> Signer:
        """Signs the cursors of lists."""
        return Signer(self.settings.secret or "")

    @property
    def request_limit_bytes(self) -> int:
        """The largest request that makes one task: a body may double in size when it is written as JSON."""
        return 2 * self.settings.body_limit_bytes + 64 * 1024


def _open(settings: Settings) -> House:
    """A house whose bells give up at once: a task is kept without them, and its sender waits for the answer."""
    house = open_house(settings, store_timeout=STORE_TIMEOUT_SECONDS)
    house.celery.conf.broker_transport_options |= {
        "max_retries": 1,
        "interval_start": 0,
        "connect_retries_timeout": 1,
        "socket_connect_timeout": 0.5,
        "socket_timeout": 1,
    }
    return house


class App(Flask):
    """A Flask app that knows its door."""

    door: Door

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view of ours is a coroutine, and to look costs 2 us each time."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """As Flask's, without looking at the host, which no route depends on: saves 15 us a request."""
        if request is None:
            return super().create_url_adapter(None)
        environ = request.environ
        return MapAdapter(
            self.url_map,
            environ.get("HTTP_HOST", "localhost"),
            "/",
            "",
            environ["wsgi.url_scheme"],
            request.path,
            request.method,
        )


def here() -> Door:
    """The door of the request that is being served."""
    return cast(App, current_app).door

"""The routes of hosts, ours: how each stands, how many calls it may have in flight, its breaker."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from api import body
from api.answers import reply
from api.door import Door
from api.mergent.dump import instant
from api.mergent.queues import MOST_SLOTS, number
from api.mergent.routes import Call, guarded
from api.mergent.schemas import Strict, load
from timeball import logs
from timeball.dispatch import hosts
from timeball.egress import Policy, check_url
from timeball.errors import InvalidField
from timeball.model.host import HostState
from timeball.model.project import Scope

_ANY = Policy.parse(("0.0.0.0/0", "::/0"), ())
"""A host that may not be called may be limited all the same."""

log = logs.get(__name__)


class HostLimitSchema(Strict):
    """What a host may have at once."""

    concurrency = number("concurrency", MOST_SLOTS)


_SCHEMA = HostLimitSchema()


def dump_host(state: HostState) -> dict[str, Any]:
    """A host as it stands."""
    return {
        "host": state.host,
        "breaker": state.breaker,
        "until": instant(state.until),
        "opened": state.opened,
        "failed_in_row": state.failed_in_row,
        "well": state.well,
        "failed": state.failed,
        "failures": state.how,
        "last_failed_at": instant(state.last_failed_at),
        "waiting": state.waiting,
        "in_flight": state.in_flight,
        "concurrency": state.limit,
        "own_concurrency": state.own,
    }


class Hosts:
    """The verbs of hosts."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def find(self, call: Call) -> Response:
        """List the hosts that failed within the hour, are held, or have a limit of their own."""
        found = hosts.list_hosts(self.door.house, call.caller.project)
        return reply([dump_host(state) for state in found])

    def get(self, call: Call, host: str) -> Response:
        """Show one host, whether anything is known of it or not."""
        return self._one(call, self._named(host))

    def _one(self, call: Call, host: str) -> Response:
        return reply(dump_host(hosts.get_host(self.door.house, call.caller.project, host)))

    def _named(self, host: str) -> str:
        """A host as tasks name it. Raises InvalidField."""
        try:
            return host_as_called(host)
        except InvalidField as error:
            raise InvalidField("host", error.message) from None

    def update(self, call: Call, host: str) -> Response:
        """Change how many calls a host may have in flight over all workers; null leaves it to the project."""
        named = self._named(host)
        raw = body.read(call.request.environ, self.door.request_limit_bytes)
        changes = load(_SCHEMA, body.load_json(raw))
        if "concurrency" in changes:
            most = changes["concurrency"]
            hosts.limit_host(self.door.house, call.caller.project, named, most)
            self._say("a host was limited", call, named)
        return self._one(call, named)

    def close(self, call: Call, host: str) -> Response:
        """Forget a host's trouble: all that waits for it may be called."""
        named = self._named(host)
        hosts.close_breaker(self.door.house, call.caller.project, named)
        self._say("a breaker was closed", call, named)
        return self._one(call, named)

    def probe(self, call: Call, host: str) -> Response:
        """Let one call to a held host through now; how it ends decides for the others."""
        named = self._named(host)
        hosts.probe(self.door.house, call.caller.project, named)
        self._say("a host was probed", call, named)
        return self._one(call, named)

    def _say(self, event: str, call: Call, host: str) -> None:
        log.info(event, host=host, project=call.caller.project, key=call.caller.key_id)


def host_as_called(host: str) -> str:
    """A host, with its port where URLs name one, in the form that URLs are kept in. Raises InvalidField."""
    if host == "" or any(sign in host for sign in "/?#@\\"):
        raise InvalidField("host", "must be a host, with its port where the URLs of tasks name one")
    return check_url(f"http://{host}/", _ANY).url.removeprefix("http://").removesuffix("/")


ROUTES: tuple[tuple[str, str, str, Scope], ...] = (
    ("GET", "/hosts", "find", Scope.READ),
    ("GET", "/hosts/<host>", "get", Scope.READ),
    ("PATCH", "/hosts/<host>", "update", Scope.WRITE),
    ("POST", "/hosts/<host>/close", "close", Scope.WRITE),
    ("POST", "/hosts/<host>/probe", "probe", Scope.WRITE),
)
"""Method, path, verb of `Hosts`, and the scope a key needs."""


def add(made: Blueprint, door: Door) -> None:
    """Add the routes to the dialect's blueprint."""
    verbs = Hosts(door)
    for method, path, verb, scope in ROUTES:
        view = guarded(door, getattr(verbs, verb), scope)
        made.add_url_rule(path, f"hosts_{verb}", view, methods=[method])

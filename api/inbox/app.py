"""The inbox as a WSGI app. Everything under `/_inbox/` is its own; every other path records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import BoundedSemaphore, Event
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from flask import Flask, Response, redirect, render_template, request

from api.inbox.behaviour import MAX_HANG_SECONDS, Behaviour, read
from api.inbox.record import BODY_BYTES, KEPT, Counters, Received, Ring
from api.inbox.signatures import UNKNOWN, Checker, Verdicts
from api.slow import turns
from timeball import logs, settings

OWN = "/_inbox/"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
PAGE_ROWS = 100

READ_BYTES = 16 * 1024 * 1024
"""The longest body that is read whole, so that its signature can be checked."""

HELD = 48
"""Requests that may wait or hang at a time: fewer than the server's threads, so that others get through."""

ELSEWHERE = "the inbox shows what came at its own address alone: give that as TIMEBALL_INBOX_URL"

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_OWN = Path(__file__).parent / "static"
_FILES = {
    "dashboard.css": (_OWN.parents[1] / "dashboard" / "static", "text/css; charset=utf-8"),
    "inbox.css": (_OWN, "text/css; charset=utf-8"),
    "inbox.js": (_OWN, "text/javascript; charset=utf-8"),
}
"""What the page needs, each with its folder and type; its look is the dashboard's."""
_PAGES = (("", "Overview"), ("/tasks", "Tasks"), ("/schedules", "Schedules"), ("/dead", "Dead"))
"""Pages of the dashboard that the inbox leads to."""


class Checks(Protocol):
    """What judges the signatures of a request."""

    def check(self, headers: Mapping[str, str], body: bytes) -> Verdicts: ...


def create_inbox(checker: Checks | None = None) -> Flask:
    """The app. Settings come from the environment unless a checker is given."""
    public_url = own_url = None
    if checker is None:
        loaded = settings.load()
        logs.configure(loaded, "inbox")
        checker = Checker(loaded)
        public_url, own_url = loaded.public_url, loaded.inbox_url
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False
    inbox = Inbox(checker, public_url, own_url)
    options: dict[str, Any] = {"methods": METHODS, "provide_automatic_options": False}
    app.add_url_rule(OWN + "<name>", "own", inbox.own, **options)
    app.add_url_rule("/", "root", lambda: inbox.take(), **options)
    app.add_url_rule("/<path:path>", "any", lambda path: inbox.take(), **options)
    app.after_request(_protect)
    return app


class Inbox:
    """What was received, and the answers to it."""

    def __init__(self, checker: Checks, public_url: str | None, own_url: str | None) -> None:
        self.ring = Ring()
        self.counters = Counters()
        self._checker = checker
        self._public_url = public_url
        self._own_name = urlsplit(own_url or "").hostname
        self._slots = BoundedSemaphore(HELD)
        self._never = Event()
        self._static = {name: (folder / name).read_bytes() for name, (folder, _) in _FILES.items()}

    def take(self) -> Response:
        """Record a delivery, or show what was recorded."""
        if self._is_delivery():
            return self._receive()
        if not self._is_asked_by_its_name():
            return _plain(421, ELSEWHERE)
        if request.method in {"GET", "HEAD"}:
            return self._show()
        if request.method == "DELETE":
            self.ring.clear()
            self.counters.clear()
            return Response(status=204)
        return Response(status=204, headers={"Allow": ", ".join(METHODS)})

    def own(self, name: str) -> Response:
        """The page's own files, its look for news, and its button."""
        if not self._is_asked_by_its_name():
            return _plain(421, ELSEWHERE)
        if name in self._static:
            return Response(self._static[name], content_type=_FILES[name][1])
        if name == "count":
            return Response(self.ring.state(), content_type="text/plain; charset=utf-8")
        if name == "clear" and request.method == "POST":
            origin = request.headers.get("Origin")
            if origin is not None and urlsplit(origin).netloc != request.host:
                return _plain(403, "another site's page may not clear the inbox")
            self.ring.clear()
            self.counters.clear()
            answer = redirect("/", 303)
            return Response(status=303, headers={"Location": answer.headers["Location"]})
        return _plain(404, "the inbox has no such page")

    def _is_asked_by_its_name(self) -> bool:
        """Whether the request names an address, a name without dots, or the one that the settings give.

        Anybody's name may be made to lead here, and a page under it would read what came, secrets and all.
        """
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
        bare = host.removesuffix(".")
        if "." not in bare or ":" in bare or bare.endswith(".localhost") or bare == self._own_name:
            return True
        return bare.rpartition(".")[2].isdigit()

    # -- receiving --------------------------------------------------------------------------------

    def _is_delivery(self) -> bool:
        headers = request.headers
        if any(name in headers for name in ("Timeball-Task", "X-Mergent-Task", "webhook-id")):
            return True
        if request.method in {"POST", "PUT", "PATCH"}:
            return True
        return request.method == "DELETE" and request.path != "/"

    def _receive(self) -> Response:
        at = datetime.now(UTC)
        body, body_bytes = _read_body()
        headers = tuple(request.headers.items())
        query = request.query_string.decode("utf-8", "replace")
        whole = len(body) == body_bytes
        verdicts = self._checker.check(dict(headers), body) if whole else Verdicts(UNKNOWN, UNKNOWN)
        task = request.headers.get("Timeball-Task") or request.headers.get("X-Mergent-Task")
        asked, faults = read(dict(parse_qsl(query)))
        behaviour = asked.at(self.counters.count(task or "", request.path, query))
        held = behaviour.hang or behaviour.delay_seconds > 0
        if faults:
            status, told = 400, "; ".join(faults)
        elif held and not self._slots.acquire(blocking=False):
            held, status, told = False, 503, f"{HELD} requests are held already"
        else:
            status, told = behaviour.status, behaviour.words
        number = self.ring.next_number()
        self.ring.add(
            Received(
                number=number,
                at=at,
                method=request.method,
                path=request.path,
                query=query,
                headers=headers,
                body=body[:BODY_BYTES],
                body_bytes=body_bytes,
                task=task,
                attempt=request.headers.get("Timeball-Attempt"),
                mergent=verdicts.mergent,
                webhook=verdicts.webhook,
                status=status,
                told=told,
            )
        )
        if status in {400, 503} and told and status != behaviour.status:
            return _json({"message": told}, status)
        if held:
            try:
                # WSGI does not say when the client goes, so the limit ends what a timeout of his has left.
                seconds = MAX_HANG_SECONDS if behaviour.hang else behaviour.delay_seconds
                self._never.wait(seconds)
            finally:
                self._slots.release()
        return _answer(behaviour, number)

    # -- showing ----------------------------------------------------------------------------------

    def _show(self) -> Response:
        path = request.args.get("path", None if request.path == "/" else request.path)
        limit = request.args.get("limit", "")
        most = min(int(limit), KEPT) if limit.isascii() and limit.isdigit() else KEPT
        best = request.accept_mimetypes.best_match(["application/json", "text/html"])
        if best != "text/html":
            listed = [received.as_json() for received in self.ring.list(path, most)]
            return _json(listed, 200)
        state = self.ring.state()  # before the rows: what comes meanwhile changes it
        rows = self.ring.list(path, KEPT)
        page = render_template(
            "inbox.html",
            rows=[_Row(received) for received in rows[:PAGE_ROWS]],
            total=len(rows),
            state=state,
            path=path,
            base=request.host_url.rstrip("/"),
            public_url=self._public_url,
            pages=_PAGES,
            kept=KEPT,
        )
        return Response(page, content_type="text/html; charset=utf-8")


class _Row:
    """A request as the page shows it."""

    def __init__(self, received: Received) -> None:
        self.it = received
        self.time = received.at.strftime("%H:%M:%S.") + f"{received.at.microsecond // 1000:03}"
        self.date = received.at.strftime("%Y-%m-%d")
        self.kind = f"{received.status // 100}xx"
        self.body = _shown_body(received)
        self.signatures = (("Standard Webhooks", received.webhook), ("Mergent", received.mergent))


def _shown_body(received: Received) -> str:
    text = received.text
    if text is None:
        return f"{received.body_bytes} bytes that are no text"
    if len(text) < BODY_BYTES // 4 and text[:1] in {"{", "["}:
        try:
            return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            pass
    return text


def _read_body() -> tuple[bytes, int]:
    """The body, and how long it was. What is longer than the limit is read on but not kept.

    Straight from the server: Werkzeug takes a chunked body without a length for an empty one.
    """
    stream = request.environ["wsgi.input"]
    kept = bytearray()
    total = 0
    turn = turns.take(request.environ, min(request.content_length or READ_BYTES, READ_BYTES))
    try:
        while chunk := stream.read(65536):
            total += len(chunk)
            if len(kept) < READ_BYTES:
                kept += chunk
    except OSError:  # it broke off, or came too slowly: what is there is shown
        pass
    finally:
        turns.give(turn)
    return bytes(kept[:READ_BYTES]), total


def _answer(behaviour: Behaviour, number: int) -> Response:
    answer = _json({"received": number}, behaviour.status)
    if behaviour.status in {204, 205, 304}:
        answer = Response(status=behaviour.status)
    if behaviour.retry_after is not None:
        answer.headers["Retry-After"] = str(behaviour.retry_after)
    if behaviour.no_retry:
        answer.headers["Task-No-Retry"] = "true"
    return answer


def _json(value: object, status: int) -> Response:
    text = json.dumps(value, ensure_ascii=False)
    return Response(text, status, content_type="application/json; charset=utf-8")


def _plain(status: int, text: str) -> Response:
    return Response(text + "\n", status, content_type="text/plain; charset=utf-8")


def _protect(answer: Response) -> Response:
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["X-Content-Type-Options"] = "nosniff"
    # Not no-referrer: browsers would then send `Origin: null` with the page's own form.
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["Cache-Control"] = "no-store"
    return answer

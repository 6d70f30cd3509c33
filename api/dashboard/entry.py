"""Signing in by a one-time link or a password, signing out, choosing a project."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template, request, url_for

from api.dashboard.desk import Desk, base_url, see
from api.dashboard.sessions import PROJECT
from timeball import logs
from timeball.model.visitor import Visitor, Written
from timeball.store import logins, members

PROJECT_LIFE_SECONDS = 365 * 86400

log = logs.get(__name__)


def add(made: Blueprint, desk: Desk) -> None:
    """Add the pages that need no role."""

    def sign_in() -> Response:
        text = request.args.get("t", "")
        if not text:
            if desk.sessions.find(desk.house, request) is not None:
                return see(url_for("dashboard.overview"))
            return _page(401)
        if request.method == "HEAD":  # a look at the link by a program must not use it up
            return _page(200)
        client = desk.house.client
        visitor = logins.take_link(client, text) if len(text) <= 100 else None
        if visitor is None:
            if not logins.may_fail(client, request.remote_addr or ""):
                return _page(429, "Too many wrong links from your address. Wait a minute.")
            return _page(401, "This link was used already, or is older than 15 minutes.")
        return _let_in(desk, visitor, "a link")

    def with_password() -> Response:
        if not _from_our_page(desk):
            return _page(403, "This form was not sent from this page. Load it anew and try again.")
        name = request.form.get("name", "").strip()[:60]
        password = request.form.get("password", "")
        client = desk.house.client
        if not members.may_try(client, request.remote_addr or "", name):
            return _page(429, "Too many tries to sign in. Wait a minute.")
        visitor = members.check(client, name, password, desk.house.settings.admin_password)
        if visitor is None:
            log.info("a password was wrong", address=request.remote_addr)
            return _page(401, "Name and password do not belong together.")
        return _let_in(desk, visitor, "a password")

    def sign_out() -> Response:
        session = desk.sessions.find(desk.house, request)
        answer = see(url_for("dashboard.sign_in"))
        if session is not None and desk.sessions.right(session, request.form.get("csrf", "")):
            desk.sessions.end(desk.house, session, answer)
        return answer

    def choose() -> Response:
        answer = redirect(url_for("dashboard.overview"), 303)
        done = Response(status=303, headers={"Location": answer.headers["Location"]})
        remember_project(done, request.args.get("id", "")[:40])
        return done

    made.add_url_rule("/login", "sign_in", sign_in, methods=["GET"])
    made.add_url_rule("/login", "with_password", with_password, methods=["POST"])
    made.add_url_rule("/logout", "sign_out", sign_out, methods=["POST"])
    made.add_url_rule("/choose", "choose", choose, methods=["GET"])


def remember_project(answer: Response, project_id: str) -> None:
    """Have the browser show this project from now on."""
    answer.set_cookie(
        PROJECT,
        project_id,
        max_age=PROJECT_LIFE_SECONDS,
        path="/dashboard",
        httponly=True,
        samesite="Lax",
    )


def _let_in(desk: Desk, visitor: Visitor, by: str) -> Response:
    answer = see(url_for("dashboard.overview"))
    desk.sessions.begin(visitor, answer, request)
    line = Written(
        logins.real_now(),
        visitor.name,
        visitor.role,
        request.remote_addr or "",
        project="",
        verb="sign in",
        subject=f"by {by}",
    )
    logins.write_down(desk.house.client, line)
    log.info("a visitor signed in", visitor=visitor.name, role=visitor.role)
    return answer


def _from_our_page(desk: Desk) -> bool:
    """Whether the browser says that a form comes from a page of ours; old ones say nothing."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    ours = {request.host, urlsplit(base_url(desk)).netloc}
    return origin is None or urlsplit(origin).netloc in ours


def _page(status: int, message: str = "") -> Response:
    text = render_template("login.html", message=message)
    answer = Response(text, status, content_type="text/html; charset=utf-8")
    if status == 429:
        answer.headers["Retry-After"] = "60"
    return answer

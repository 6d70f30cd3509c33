"""Schedules: the list, one schedule with its past and next runs, the form with its preview."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Response, render_template, request, url_for

from api.dashboard import forms, shown
from api.dashboard.commands import Commands, bare, commands, curl
from api.dashboard.desk import Visit, base_url
from api.dashboard.forms import Form
from api.dashboard.past import Run, counted, runs
from api.mergent.dump import is_secret
from api.mergent.errors import Rejected
from api.mergent.schedule_schemas import RuleSchema, ScheduleReader
from api.mergent.schemas import load
from timeball.dispatch import schedules as verbs
from timeball.errors import Conflict, InvalidField, NotFound
from timeball.ids import id_bytes, id_text
from timeball.model.schedule import CatchUp, Overlap, Schedule, Share
from timeball.model.task import BodyKind, Method, Priority
from timeball.model.visitor import Role
from timeball.store import codec
from timeball.timing import agenda
from timeball.timing.agenda import Preview

PAGE = 50
AHEAD = 10
STRIP, SHORT_STRIP = 30, 12
"""Past runs drawn on a schedule's page, and in each row of the list."""
TIMING = ("cron", "rrule", "dtstart", "timezone", "start_at", "end_at", "max_runs", "window")
PLAIN = (
    *("name", "description", "queue", "timeout", "overlap", "catch_up", "catch_up_window"),
    *("paused_until", "priority", "concurrency_key", "ordering_key"),
    *forms.TOLD,
    *("on_failing", "on_recovered"),
)
WATCH = ("failing_after", "pause_when_failing")
FIELDS = (
    "request.url",
    "request.method",
    "request.headers",
    "request.body",
    "tags",
    *PLAIN,
    *WATCH,
    *TIMING,
    *forms.RETRY,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A schedule as the list shows it: its rule in words, whether it pauses now."""

    it: Schedule
    words: str
    paused: bool
    past: list[Run]


def _row(schedule: Schedule, now: datetime, past: list[Run]) -> Row:
    try:
        words = agenda.rule_of(schedule, proven=True).describe()
    except InvalidField:  # of a version whose rules were looser
        words = schedule.cron or schedule.rrule or ""
    until = schedule.paused_until
    paused = schedule.paused or (until is not None and until > now)
    return Row(schedule, words, paused, past[::-1])


def schedules(visit: Visit) -> Response:
    """A page of the list, newest first."""
    project, name = visit.project.id, request.args.get("name", "").strip() or None
    signer, position = visit.desk.door.signer, None
    purpose = f"dashboard schedules {name!r}"
    if request.args.get("cursor"):
        position = signer.open(request.args["cursor"], project, purpose)
    page = verbs.find(visit.house, project, name, PAGE, position)
    now = codec.from_ms(visit.now_ms())
    ids = [one.id for one in page.schedules]
    pasts = runs(visit, verbs.histories(visit.house, project, ids, SHORT_STRIP))
    next_url = None
    if page.cursor is not None:
        query = {"name": name or "", "cursor": signer.sign(page.cursor, project, purpose)}
        next_url = url_for("dashboard.schedules") + "?" + urlencode(query)
    each = {"request": {"url": "https://example.com/tick"}, "cron": "* * * * *", "name": "tick"}
    return visit.page(
        "schedules.html",
        rows=[_row(one, now, past) for one, past in zip(page.schedules, pasts, strict=True)],
        name=name or "",
        next_url=next_url,
        now=now,
        command_text=curl(base_url(visit.desk), "schedules", each),
    )


def schedule(visit: Visit, schedule_id: str) -> Response:
    """One schedule."""
    wanted, project = _id(schedule_id), visit.project.id
    found = verbs.get(visit.house, project, wanted)
    now = codec.from_ms(visit.now_ms())
    preview, fault = None, ""
    try:
        preview = verbs.preview(visit.house, found, AHEAD)
    except InvalidField as error:
        fault = f"{error.field} {error.message}"
    dumper = visit.desk.dumper
    [history] = runs(visit, [verbs.history(visit.house, project, wanted)])
    return visit.page(
        "schedule.html",
        row=_row(found, now, history[:STRIP]),
        it=found,
        preview=preview,
        fault=fault,
        history=history,
        counted=counted(found, verbs.fates(visit.house, project, wanted)),
        window=_window(found.window),
        headers=[
            (name, dumper.hidden(value) if is_secret(name) else value)
            for name, value in found.request.headers
        ],
        id_text=id_text,
        now=now,
        run_text=bare(base_url(visit.desk), f"schedules/{wanted}/run"),
    )


def act(visit: Visit, schedule_id: str, verb: str) -> Response:
    """Pause, resume, run or delete a schedule."""
    wanted, house, project = _id(schedule_id), visit.house, visit.project.id
    here = url_for("dashboard.schedule", schedule_id=wanted)
    if verb == "run":
        task = verbs.run(house, project, wanted)
        visit.wrote("run schedule", wanted, after=id_text(task.id))
        where = url_for("dashboard.task", task_id=id_text(task.id))
        return visit.go(where, "An extra task was made; this is it.")
    if verb == "pause":
        verbs.pause(house, project, wanted)
        visit.wrote("pause schedule", wanted)
        return visit.go(
            here, "Paused: it makes no more tasks; those not yet called were taken back."
        )
    if verb == "resume":
        verbs.resume(house, project, wanted)
        visit.wrote("resume schedule", wanted)
        return visit.go(here, "It goes on. What came to pass meanwhile is not made up for.")
    if verb == "delete":
        before = verbs.get(house, project, wanted)
        verbs.delete(house, project, wanted)
        visit.wrote("delete schedule", wanted, before=before.cron or before.rrule or "")
        return visit.go(url_for("dashboard.schedules"), "Deleted, with its tasks not yet called.")
    raise NotFound("there is no such verb")


def new(visit: Visit) -> Response:
    """The form for a new schedule."""
    return _form_page(visit, Form({**dict.fromkeys(FIELDS, ""), "timezone": "UTC"}))


def edit(visit: Visit, schedule_id: str) -> Response:
    """The form of a schedule that is there."""
    found = verbs.get(visit.house, visit.project.id, _id(schedule_id))
    return _form_page(visit, _filled(visit, found), found)


def _filled(visit: Visit, it: Schedule) -> Form:
    if it.request.body_kind is BodyKind.BASE64:
        raise Conflict("the body of this schedule is no text: change it with the API")
    dumped = visit.desk.dumper.request(it.request)
    return Form(
        {
            "request.url": it.request.url,
            "request.method": it.request.method,
            "request.headers": "\n".join(f"{n}: {v}" for n, v in dumped["headers"].items()),
            "request.body": dumped["body"] or "",
            "tags": ", ".join(it.tags),
            "name": it.name or "",
            "description": it.description or "",
            "queue": it.queue,
            "timeout": shown.written(it.timeout) if it.timeout else "",
            **forms.retry_typed(it.retry),
            "paused_until": shown.exact(it.paused_until),
            "priority": it.priority,
            "concurrency_key": it.concurrency_key or "",
            "ordering_key": it.ordering_key or "",
            **forms.told(it),
            "on_failing": it.on_failing or "",
            "on_recovered": it.on_recovered or "",
            "failing_after": str(it.failing_after),
            "pause_when_failing": "yes" if it.pause_when_failing else "no",
            "overlap": it.overlap,
            "catch_up": it.catch_up,
            "catch_up_window": shown.written(it.catch_up_window),
            "cron": it.cron or "",
            "rrule": it.rrule or "",
            "dtstart": shown.exact(it.dtstart),
            "timezone": it.timezone,
            "start_at": shown.exact(it.start_at),
            "end_at": shown.exact(it.end_at),
            "max_runs": str(it.max_runs or ""),
            "window": _window(it.window),
        }
    )


def _window(window: timedelta | Share) -> str:
    """A window as the form reads it."""
    if isinstance(window, Share):
        return str(window)
    return shown.written(window) if window else ""


def _timing(form: Form) -> dict[str, Any]:
    out = forms.plain(form, TIMING)
    if "max_runs" in out:
        out["max_runs"] = forms.number(form, "max_runs")
    return out


def _data(form: Form) -> dict[str, Any]:
    """The form as the API's JSON. Raises Rejected."""
    out = {"request": forms.request_of(form), **forms.plain(form, PLAIN), **_timing(form)}
    if form["tags"].strip():
        out["tags"] = forms.words(form["tags"])
    if retry := forms.retry_of(form):
        out["retry"] = retry
    if form["failing_after"].strip() not in ("", "3"):
        out["failing_after"] = forms.number(form, "failing_after")
    if form["pause_when_failing"] == "yes":
        out["pause_when_failing"] = True
    return out


def _form_page(
    visit: Visit, form: Form, edited: Schedule | None = None, status: int = 200
) -> Response:
    return visit.page(
        "schedule_new.html",
        status,
        form=form,
        schedule_id=edited and edited.id,
        methods=list(Method),
        overlaps=list(Overlap),
        catch_ups=list(CatchUp),
        priorities=list(Priority),
        **_previewed(visit, form, edited),
    )


def _previewed(visit: Visit, form: Form, edited: Schedule | None) -> dict[str, Any]:
    """The next instants of the rule as typed so far, and the commands; faults go to the form."""
    found: Preview | None = None
    if form["cron"].strip() or form["rrule"].strip():
        try:
            fields = load(RuleSchema(), _timing(form))
            found = verbs.preview_rule(visit.house, visit.project.id, fields, AHEAD)
        except (Rejected, InvalidField) as error:
            if not form.faults:
                form.reject(error)
    written: Commands | None = None
    if form["request.url"].strip():
        known = bool(form.faults)
        try:
            written = _commands(visit, form, edited)
            if not known:
                ScheduleReader(visit.desk.terms).fields(_data(form))
        except (Rejected, InvalidField) as error:
            if not known:
                form.reject(error)
    return {"preview": found, "commands": written}


def _commands(visit: Visit, form: Form, edited: Schedule | None) -> Commands | None:
    """What the form does, over the API; None when it changes nothing. Raises Rejected."""
    if edited is None:
        return commands(base_url(visit.desk), "schedules", _data(form))
    _, changes = _differences(visit, form, edited)
    if not changes:
        return None
    return commands(base_url(visit.desk), f"schedules/{edited.id}", changes, "PATCH")


def _differences(
    visit: Visit, form: Form, edited: Schedule
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those fields that a form changes, as the API has them: what they are, and what they will be."""
    unset: dict[str, Any] = dict.fromkeys((*PLAIN, *TIMING, "tags", "retry"))
    return forms.differences({**unset, **_data(_filled(visit, edited))}, {**unset, **_data(form)})


def preview(visit: Visit) -> Response:
    """The rule in words and its next instants, as typed so far."""
    form, edit = forms.typed(request.form, FIELDS), request.form.get("edit", "")
    edited = verbs.get(visit.house, visit.project.id, _id(edit)) if edit else None
    values = _previewed(visit, form, edited)
    text = render_template("schedule_preview.html", form=form, shown=shown, **values)
    return Response(text, content_type="text/html; charset=utf-8")


def save(visit: Visit, schedule_id: str | None = None) -> Response:
    """Make or change a schedule, or show what is wrong with it."""
    form, house, project = forms.typed(request.form, FIELDS), visit.house, visit.project.id
    reader = ScheduleReader(visit.desk.terms)
    edited = None if schedule_id is None else verbs.get(house, project, _id(schedule_id))
    try:
        data = _data(form)
        if edited is None:
            made = verbs.create(house, project, reader.fields(data))
            visit.wrote("create schedule", made.id, after=made.cron or made.rrule or "")
            told = "The schedule is made."
        else:
            made = verbs.update(house, project, edited.id, _changes(visit, reader, data, edited))
            was, now = _differences(visit, form, edited)
            visit.wrote("change schedule", made.id, forms.audited(was), forms.audited(now))
            told = "The schedule is changed, and its tasks not yet called with it."
    except (Rejected, InvalidField) as error:
        form.reject(error)
        return _form_page(visit, form, edited, 422)
    return visit.go(url_for("dashboard.schedule", schedule_id=made.id), told)


def _changes(
    visit: Visit, reader: ScheduleReader, data: dict[str, Any], before: Schedule
) -> dict[str, Any]:
    """All that the form shows, what was emptied included."""
    unset: dict[str, Any] = dict.fromkeys((*PLAIN, *WATCH, *TIMING, "tags", "retry"))
    sent = {"method": "POST", "headers": {}, "body": "", **data["request"]}
    known = before.request.body.decode(errors="replace")
    if sent["body"] == known.replace("\r\n", "\n"):  # a browser writes line ends its own way
        sent["body"] = known
    changes = reader.changes({**unset, **data, "request": sent})
    if changes.get("cron") is None and changes.get("rrule") is None:
        raise InvalidField("cron", "is missing: give cron, like 0 9 * * 1-5, or rrule")
    headers = changes["request"].get("headers", ())
    changes["request"]["headers"] = visit.desk.dumper.unhide(headers, before.request.headers)
    return changes


def _id(text: str) -> str:
    found = id_bytes(text)
    if found is None:
        raise NotFound("there is no such schedule")
    return id_text(found)


ROUTES = (
    ("GET", "/schedules", "schedules", schedules, Role.VIEWER),
    ("GET", "/schedules/new", "new_schedule", new, Role.OPERATOR),
    ("POST", "/schedules/new", "create_schedule", save, Role.OPERATOR),
    ("POST", "/schedules/preview", "preview_schedule", preview, Role.OPERATOR),
    ("GET", "/schedules/<schedule_id>", "schedule", schedule, Role.VIEWER),
    ("GET", "/schedules/<schedule_id>/edit", "edit_schedule", edit, Role.OPERATOR),
    ("POST", "/schedules/<schedule_id>/edit", "save_schedule", save, Role.OPERATOR),
    ("POST", "/schedules/<schedule_id>/<verb>", "act_schedule", act, Role.OPERATOR),
)

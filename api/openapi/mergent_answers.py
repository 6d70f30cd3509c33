"""What the Mergent dialect answers, as JSON Schemas. Fields that Mergent did not have say "Ours"."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from api.mergent.dump import STATES
from api.mergent.queues import PERIODS
from api.openapi.shapes import (
    Shape,
    flag,
    instant,
    many,
    maybe,
    number,
    ref,
    some,
    text,
    thing,
    uuid,
    whole,
)
from timeball.model.attempt import Outcome
from timeball.model.bulk import Action, BulkState
from timeball.model.explanation import Certainty, Reason
from timeball.model.explanation import Scope as Whose
from timeball.model.host import Breaker
from timeball.model.project import Scope
from timeball.model.schedule import CatchUp, Fate, Overlap
from timeball.model.task import Method, Priority


def word(kind: type[StrEnum] | Iterable[str], about: str = "") -> Shape:
    """A string that is one of some words."""
    return text(about, enum=[*map(str, kind)])


_HEADERS = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "description": "Headers by name; a secret one's value is shown as `hidden:` and a digest.",
}

_CALLBACKS = {
    name: maybe(text("Ours: the URL that is told."))
    for name in ("on_success", "on_failure", "on_attempt")
}

_KEY: dict[str, Shape] = {
    "id": text(),
    "scopes": many(word(Scope)),
    "label": maybe(text()),
    "created_at": instant(),
    "expires_at": maybe(instant()),
    "revoked_at": maybe(instant()),
    "last_used_at": maybe(instant("Right to a minute.")),
}

SHAPES: dict[str, Shape] = {
    "Request": some(
        "The request that is made, as far as it may be shown.",
        ("url", "method", "headers", "body"),
        url=text(),
        method=word(Method, "Ours."),
        headers=_HEADERS,
        body=maybe(text("The body as text; null where there is none or it is no text.")),
        body_base64=text("Ours: the body where it is no text.", contentEncoding="base64"),
    ),
    "RetryTable": thing(
        "A policy with a fixed list of waits, such as Mergent's own.",
        max_attempts=whole("Attempts in all."),
        waits=many(number(), "Seconds to wait after each attempt but the last."),
    ),
    "RetryPolicy": thing(
        "A policy of exponential back-off; times in seconds.",
        max_attempts=whole(),
        min_backoff=number(),
        max_backoff=number(),
        max_doublings=whole(),
        jitter=number(),
        max_age=maybe(number()),
    ),
    "Task": thing(
        "A task as it stands.",
        id=uuid(),
        name=maybe(text()),
        queue=text(),
        status=word(STATES, "`queued`, `working`, `success`, `failure`; ours: `cancelled`."),
        request=ref("Request"),
        scheduled_for=maybe(instant("When it was to be called; null is at once.")),
        created_at=instant(),
        due_at=maybe(instant("Ours: when the next attempt is due; null when there is none.")),
        started_at=maybe(instant("Ours: when the last attempt began.")),
        ended_at=maybe(instant("Ours.")),
        attempts_count=whole("Ours: attempts that have begun."),
        timeout=number("Ours: the total time of a call, in seconds."),
        retry={
            "oneOf": [ref("RetryTable"), ref("RetryPolicy")],
            "description": "Ours: the policy that its attempts follow.",
        },
        tags=many(text(), "Ours."),
        priority=word(Priority, "Ours."),
        concurrency_key=maybe(text("Ours.")),
        ordering_key=maybe(text("Ours.")),
        **_CALLBACKS,
    ),
    "Attempt": thing(
        "Ours: one attempt that ended.",
        number=whole("From 1."),
        outcome=word(Outcome, "How it ended; only `answered` with a 2xx status is a success."),
        started_at=instant(),
        timing=thing(
            "Milliseconds from the start; 0 where a step did not happen.",
            dns=number(),
            connect=number(),
            tls=number(),
            first_byte=number(),
            total=number(),
        ),
        response=maybe(
            some(
                "What the endpoint answered, its body cut; null where it did not.",
                ("status", "headers", "body_cut", "body"),
                status=whole(),
                headers=_HEADERS,
                body_cut=flag("Whether there was more of the body than is kept."),
                body=maybe(text()),
                body_base64=text("The body where it is no text.", contentEncoding="base64"),
            )
        ),
        error=maybe(text()),
        hint=maybe(text("What to do about an outcome that may surprise, such as a redirect.")),
        worker=maybe(text()),
        next_attempt_at=maybe(instant()),
    ),
    "Schedule": thing(
        "A schedule as it stands.",
        id=uuid(),
        name=maybe(text()),
        description=maybe(text()),
        queue=text(),
        request=ref("Request"),
        cron=maybe(text()),
        rrule=maybe(text()),
        dtstart=maybe(instant()),
        paused=flag(),
        scheduled_for=maybe(instant("The next occurrence; null when there is none.")),
        created_at=instant(),
        timezone=text("Ours."),
        paused_until=maybe(instant("Ours.")),
        start_at=maybe(instant("Ours.")),
        end_at=maybe(instant("Ours.")),
        max_runs=maybe(whole("Ours.")),
        runs_count=whole("Ours: occurrences that became tasks."),
        skipped_count=whole("Ours: occurrences that `overlap` left out."),
        missed_count=whole("Ours: how often `catch_up` left occurrences out; see the history."),
        overlap=word(Overlap, "Ours."),
        catch_up=word(CatchUp, "Ours."),
        catch_up_window=number("Ours: seconds."),
        window={
            "oneOf": [number(), text()],
            "description": "Ours: seconds, or a text like `25%`: a share of the time until the occurrence after.",
        },
        timeout=number("Ours: seconds."),
        retry={"oneOf": [ref("RetryTable"), ref("RetryPolicy")], "description": "Ours."},
        tags=many(text(), "Ours."),
        priority=word(Priority, "Ours: of its tasks."),
        concurrency_key=maybe(text("Ours: of its tasks.")),
        ordering_key=maybe(text("Ours: of its tasks.")),
        **_CALLBACKS,
        on_failing=maybe(text("Ours: the URL that is told.")),
        on_recovered=maybe(text("Ours: the URL that is told.")),
        failing_after=whole("Ours: failures in a row."),
        pause_when_failing=flag("Ours."),
    ),
    "Occurrence": thing(
        "Ours: one instant of a schedule, and what became of it.",
        occurrence=instant(),
        outcome=word(Fate),
        due_at=maybe(instant()),
        until=maybe(instant("The last of several that were left out together.")),
        task_id=maybe(uuid()),
    ),
    "Preview": thing(
        "Ours: when a rule fires next.",
        rule=text("The rule in words."),
        timezone=text(),
        next=many(
            thing(
                "One instant.",
                occurrence=instant(),
                local=text("The same on the wall of the time zone."),
                due_at=instant("When its call is due: later by the share of the window."),
                gap=flag("Whether a clock change left the wall time out, so that it moved."),
                fold=flag("Whether the wall time comes twice."),
            )
        ),
    ),
    "Limits": thing(
        "Ours: limits of a queue or of a project; null is none.",
        rate=maybe(whole()),
        per={"oneOf": [word(PERIODS), number()], "description": "The window of `rate`."},
        burst=whole(),
        concurrency=maybe(whole()),
        key_concurrency=maybe(whole()),
        paused=flag(),
    ),
    "Host": thing(
        "Ours: a host of a project's endpoints as it stands.",
        host=text("With its port where URLs name one."),
        breaker=word(Breaker),
        until=maybe(instant("When one call tries, or until when the host asked for quiet.")),
        opened=whole("How often in a row the breaker has opened."),
        failed_in_row=whole("Calls that failed one after the other."),
        well=whole("Calls that went well since its first failure."),
        failed=whole("Calls that failed."),
        failures={
            "type": "object",
            "additionalProperties": whole(),
            "description": "The same, by status or outcome.",
        },
        last_failed_at=maybe(instant()),
        waiting=whole("Due tasks that were set aside for it."),
        in_flight=maybe(whole("Null where it is not limited: then nobody counts.")),
        concurrency=maybe(whole("Calls that it may have in flight; null is no limit.")),
        own_concurrency=flag("Whether that is its own limit, or the project's for every host."),
    ),
    "Explanation": thing(
        "Ours: why a task is not called at this moment, and when it will be.",
        id=uuid(),
        status=word(STATES),
        at=instant("The instant of which this tells."),
        words=text("All of it, for people."),
        reasons=many(
            some(
                "One reason, with the facts that belong to it.",
                ("reason", "words"),
                reason=word(Reason),
                words=text(),
                scope=word(Whose, "Whose limit, key or host it is."),
                name=text("Of the key or host."),
                until=instant("When it ends by itself."),
                ahead=whole("Tasks that go before."),
                limit=whole("Calls that may be in flight."),
                in_flight=whole("Calls that are."),
                rate=whole("Calls that may begin in `per_seconds`."),
                per_seconds=number(),
                failed_in_row=whole(),
            ),
            "The weightiest first.",
        ),
        starts_at=maybe(instant("When its call starts; null when nobody can say.")),
        certainty=maybe(word(Certainty)),
    ),
    "Deleted": thing("Ours: what a purge did.", deleted=whole("Tasks that were deleted.")),
    "Error": some(
        "An error. `errors` lists all that is wrong, and is absent where no field is to blame.",
        ("message",),
        message=text("What is wrong and what to do, for people."),
        param=text("The dotted path of the field to blame."),
        errors=many(some("One fault.", ("message",), message=text(), param=text()), minItems=1),
    ),
    "Bulk": some(
        "Ours: one verb over many tasks, and how far it came.",
        (
            *("id", "action", "status", "total", "total_exact", "done", "refused", "rate"),
            *("created_by", "created_at", "ended_at", "error"),
        ),
        id=text(),
        action=word(Action),
        status=word(BulkState),
        total=whole("Tasks that it means, as counted at the start."),
        total_exact=flag("False where that is an estimate."),
        done=whole(),
        refused=whole("Tasks that were no longer in a state where it can be done."),
        rate=maybe(number("Tasks a second.")),
        created_by=text(),
        created_at=instant(),
        ended_at=maybe(instant()),
        error=maybe(text()),
        filter=maybe({"type": "object", "description": "What it was asked for."}),
    ),
    "Counted": thing(
        "Ours: how many tasks a bulk would mean.",
        action=word(Action),
        dry_run=flag(),
        count=whole(),
        exact=flag(),
    ),
    "Key": thing("Ours: a key without its text.", **_KEY),
    "NewKey": thing(
        "Ours: a key that was made just now.",
        **_KEY,
        key=text("What is sent as the Bearer token; never answered again."),
    ),
    "SigningSecret": thing(
        "Ours: a live secret that calls are signed with, without its text.",
        expires_at=maybe(instant("The end of its grace, when it was replaced.")),
    ),
    "NewSecret": thing(
        "Ours: the signing secret that was made just now.",
        secret=text("`whsec_` and base64; never answered again."),
        previous_expires_at=maybe(instant("Until when calls are signed with the old one too.")),
    ),
    "Secret": thing("Ours: a secret without its value.", name=text(), changed_at=instant()),
    "Alive": thing("The process answers.", status=text(enum=["alive"])),
    "Ready": some(
        "Whether tasks would be taken, kept and called.",
        ("status",),
        status=text(enum=["ready", "not ready"]),
        message=text(),
        missing=many(text(), "What keeps it from being so, in words."),
    ),
}
SHAPES["Queue"] = thing(
    "Ours: a queue as it stands.",
    name=text(),
    waiting=whole(),
    in_flight=whole(),
    oldest_due_at=maybe(instant()),
    **SHAPES["Limits"]["properties"],
)
SHAPES["ProjectLimits"] = thing(
    "Ours: limits of a whole project; null is none.",
    **SHAPES["Limits"]["properties"],
    host_concurrency=maybe(whole("Calls in flight of each host that has no limit of its own.")),
)

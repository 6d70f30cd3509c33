"""TIMEBALL_ALERT_URLS: alerts by mail, Slack and others, through Apprise, to servers of the test's own."""

from __future__ import annotations

import email
import email.policy
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from apprise.plugins.slack import NotifySlack

from tests.conftest import eventually
from tests.receiver import Answer, Receiver
from tests.schedules.conftest import World
from tests.schedules.test_somebody_is_told_when_it_goes_wrong import count
from timeball.dispatch import alerts, messengers
from timeball.dispatch.house import House
from timeball.errors import ConfigError
from timeball.settings import load
from timeball.store import acl
from timeball.store.scripts import connect

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


class Mailbox:
    """Keeps what an SMTP server of our own is given."""

    def __init__(self) -> None:
        self.mails: list[email.message.EmailMessage] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's)
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@pytest.fixture
def smtp() -> Iterator[tuple[Mailbox, str]]:
    """A mail server on loopback: what it was given, and the URL by which Apprise sends to it."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        url = (
            f"mailto://127.0.0.1:{port}?from=timeball@example.com&to=ops@example.com,me@example.com"
        )
        yield mailbox, url
    finally:
        controller.stop()


def told_by(house: House, *urls: str) -> House:
    return replace(house, settings=replace(house.settings, alert_urls=urls))


def waiting(house: House) -> int:
    return int(house.client.llen(messengers.KEY))


def test_mail_slack_and_json_say_what_begins_and_what_is_over(
    world: World, smtp: tuple[Mailbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox, mail = smtp
    with Receiver() as receiver:
        monkeypatch.setattr(NotifySlack, "webhook_url", f"{receiver.url}/services")
        watched = told_by(world.house, mail, SLACK, f"json://127.0.0.1:{receiver.port}/hook")
        count(world, dead=2)
        alerts.watch(watched, 1)
        eventually(lambda: waiting(watched) == 0)
        alerts.watch(watched, 1)
        world.pass_by(minutes=17)
        alerts.watch(watched, 1)
        eventually(lambda: waiting(watched) == 0)
    words = "Timeball, test: 2 tasks died in the last 5 minutes"
    assert [m["Subject"] for m in mailbox.mails[::2]] == ["Timeball: test", "Timeball: test (over)"]
    assert {m["To"] for m in mailbox.mails} == {"ops@example.com", "me@example.com"}
    text = mailbox.mails[0].get_body(("plain", "html"))
    assert text is not None
    assert words in text.get_content()
    sent = {r.path: json.loads(r.body) for r in receiver.received[:2]}
    assert sent["/hook"]["title"] == "Timeball: test"
    assert sent["/hook"]["message"] == words
    assert words in json.dumps(sent["/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"])
    assert [json.loads(r.body)["type"] for r in receiver.received if r.path == "/hook"] == [
        "warning",
        "success",
    ]


def test_one_that_fails_is_tried_again_and_holds_up_nobody(world: World) -> None:
    status = 500
    with Receiver(lambda r: Answer(status if r.path == "/bad" else 200)) as receiver:
        urls = [f"json://127.0.0.1:{receiver.port}/{path}" for path in ("bad", "good")]
        watched = told_by(world.house, *urls)
        for number in range(2):
            messengers.put(watched, "Timeball: test", f"alert {number}", good=False)
        messengers.send(watched)
        assert sorted(r.path for r in receiver.received) == ["/bad", "/good", "/good"]
        assert waiting(watched) == 2
        status = 200
        messengers.send(watched)
        said = [json.loads(r.body)["message"] for r in receiver.received if r.path == "/bad"]
        assert said == ["alert 0", "alert 0", "alert 1"]
        assert waiting(watched) == 0


def test_the_user_of_beat_may_do_it(world: World, redis_url: str) -> None:
    rules = acl.rules("beat").split()
    world.client.execute_command("ACL", "SETUSER", "beat", "on", ">of-a-test", *rules)
    try:
        by_beat = connect(redis_url.replace("unix://", "unix://beat:of-a-test@"))
        with Receiver() as receiver:
            url = f"json://127.0.0.1:{receiver.port}/hook"
            watched = replace(told_by(world.house, url), client=by_beat)
            count(world, dead=1)
            alerts.watch(watched, 1)
            eventually(lambda: receiver.received and not waiting(world.house))
    finally:
        by_beat.close()
        world.client.execute_command("ACL", "DELUSER", "beat")


def test_after_an_hour_it_is_given_up_and_what_nobody_is_named_for_is_dropped(world: World) -> None:
    with Receiver(lambda _: Answer(500)) as receiver:
        watched = told_by(world.house, f"json://127.0.0.1:{receiver.port}/bad")
        messengers.put(watched, "Timeball: test", "an alert", good=False)
        world.pass_by(minutes=59)
        messengers.send(watched)
        assert waiting(watched) == 1
        world.pass_by(minutes=2)
        messengers.send(watched)
        assert waiting(watched) == 0
        messengers.put(watched, "Timeball: test", "an alert", good=False)
        messengers.send(told_by(world.house))
        assert waiting(watched) == 0
        assert len(receiver.received) == 2


def test_a_wrong_url_is_told_at_the_start_without_its_secret() -> None:
    with pytest.raises(ConfigError) as told:
        load({"TIMEBALL_ALERT_URLS": "mailto://me:hunter2@example.com hunter2"})
    assert "hunter2" not in str(told.value)
    given = load({"TIMEBALL_ALERT_URLS": f"{SLACK}\nmailtoo://me:hunter2@example.com\n"})
    assert list(messengers.faults(given.alert_urls)) == [
        "TIMEBALL_ALERT_URLS: Apprise cannot make anything of URL 2 of 2, which begins with mailtoo://"
    ]

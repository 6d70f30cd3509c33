"""`timeball tasks`, `dead`, `tail`, `replay`, `projects`, `doctor`, `backup`, `export`, `completion`."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.api.conftest import Pump
from tests.conftest import SECRET, eventually
from tests.receiver import Answer, Receiver
from timeball.cli import cli
from timeball.client import Timeball
from timeball.dispatch.house import House
from timeball.errors import TimeballError
from timeball.model.project import ApiKey, Project
from timeball.model.task import State
from timeball.settings import Settings

URL = "https://example.com/hook"


class Line:
    """The command line of somebody with the test's store and key."""

    def __init__(self, settings: Settings, url: str, key: str) -> None:
        self.environ = {
            "TIMEBALL_URL": url,
            "TIMEBALL_KEY": key,
            "TIMEBALL_REDIS_URL": settings.redis_url,
            "TIMEBALL_SECRET": SECRET,
            "TIMEBALL_ALLOWED_TARGETS": "localhost",
        }

    def run(self, *words: str, **options: Any) -> Result:
        return CliRunner().invoke(cli, words, env=self.environ, **options)

    def __call__(self, *words: str, **options: Any) -> str:
        """What it prints when all goes well."""
        done = self.run(*words, **options)
        assert done.exit_code == 0, done.output + repr(done.exception)
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json").splitlines()[-1])  # the API logs there, too


@pytest.fixture
def line(settings: Settings, url: str, api_key: tuple[ApiKey, str]) -> Line:
    return Line(settings, url, api_key[1])


@pytest.fixture
def hand(house: House, project: Project) -> Pump:
    return Pump(house, project)


def test_a_task_is_made_shown_and_taken_back(line: Line, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"\xff\x00")
    words = ["--delay", "1h", "--name", "n", "--tag", "a", "--tag", "b", "-H", "X-Kind: order"]
    made = line.json("tasks", "create", URL, "--body", f"@{body}", "--attempts", "3", *words)
    assert made["request"]["headers"] == {"X-Kind": "order"}
    assert made["request"]["body_base64"] == "/wA="
    assert (made["tags"], made["retry"]["max_attempts"]) == (["a", "b"], 3)
    assert [t["id"] for t in line.json("tasks", "list", "--tag", "a")] == [made["id"]]
    assert made["id"] in line("tasks", "list", "--status", "queued")
    assert "X-Kind" in line("tasks", "show", made["id"])
    assert line.json("tasks", "attempts", made["id"]) == []
    assert line("tasks", "cancel", made["id"]).endswith(f"cancelled {made['id']}\n")
    assert line("tasks", "run", made["id"]).endswith(f"queued {made['id']}\n")
    assert line("tasks", "delete", made["id"]).endswith(f"deleted {made['id']}\n")
    done = line.run("tasks", "show", made["id"])
    assert done.exit_code == 1
    assert f"there is no task '{made['id']}'" in done.output
    assert line.run("tasks", "list").stderr.endswith("no tasks\n")
    wrong = line.run("tasks", "create", "nowhere").stderr
    assert wrong.endswith("Error: request.url 'nowhere' must begin with http:// or https://\n")


def test_what_is_wrong_is_said_in_words(line: Line) -> None:
    done = line.run("tasks", "create", "ftp://x")
    assert done.exit_code == 1
    assert "request.url" in done.output
    assert "NAME:VALUE" in line.run("tasks", "create", URL, "-H", "x").output
    line.environ["TIMEBALL_URL"] = "http://127.0.0.1:9"
    line.environ["TIMEBALL_KEY"] = ""
    assert isinstance(line.run("tasks", "list").exception, TimeballError)


def test_a_schedule_is_made_shown_and_forgotten(line: Line) -> None:
    words = ["--timezone", "Europe/Paris", "--name", "nine", "--body", "go", "-H", "X-Kind: a"]
    made = line.json("schedules", "create", URL, "--cron", "0 9 * * *", *words, "--overlap", "skip")
    assert (made["cron"], made["timezone"], made["overlap"]) == (
        "0 9 * * *",
        "Europe/Paris",
        "skip",
    )
    assert made["request"] == {**made["request"], "body": "go", "headers": {"X-Kind": "a"}}
    assert "0 9 * * *" in line("schedules", "show", "nine")
    task = line("schedules", "run", "nine").split()[-1]
    assert [one["id"] for one in line.json("tasks", "list")] == [task]
    shown = line.json("schedules", "show", "nine")
    assert shown["id"] == made["id"]
    assert [(one["outcome"], one["task_id"]) for one in shown["history"]] == [("asked", task)]
    for wrong in ([], ["--cron", "0 9 * * *", "--rrule", "FREQ=DAILY"]):
        done = line.run("schedules", "create", URL, *wrong)
        assert (done.exit_code, "--cron or --rrule" in done.output) == (2, True)
    done = line.run("schedules", "create", URL, "--cron", "0 99 * * *")
    assert done.exit_code == 1
    assert "99" in done.output
    assert line("schedules", "delete", "nine", input="y\n").endswith("deleted nine\n")
    assert line.json("schedules", "list") == []


def test_a_schedule_is_made_with_all_that_it_may_say(line: Line) -> None:
    said: dict[str, Any] = {
        "rrule": "FREQ=DAILY",
        "dtstart": "2099-03-01T09:00:00.000Z",
        "start_at": "2099-03-02T00:00:00.000Z",
        "end_at": "2099-04-01T00:00:00.000Z",
        "max_runs": 7,
        "catch_up": "all",
        "catch_up_window": 600,
        "overlap": "allow",
        "window": "25%",
        "paused": True,
        "description": "of the shop",
        "timeout": 20,
        "on_success": f"{URL}/well",
        "on_failure": f"{URL}/dead",
        "on_attempt": f"{URL}/each",
        "on_failing": f"{URL}/failing",
        "failing_after": 2,
        "pause_when_failing": True,
        "on_recovered": f"{URL}/again",
    }
    spans = {"catch_up_window": "10m", "timeout": "20s"}
    words = [
        word
        for name, value in said.items()
        for word in (f"--{name.replace('_', '-')}", spans.get(name, str(value)))
        if word != "True"
    ]
    made = line.json("schedules", "create", URL, *words, "--attempts", "4", "--tag", "shop")
    assert {name: made[name] for name in said} == said
    assert (made["retry"]["max_attempts"], made["tags"]) == (4, ["shop"])
    wrong = line.run("schedules", "create", URL, "--cron", "@daily", "--failing-after", "0")
    assert (wrong.exit_code, "failing_after" in wrong.output) == (1, True)


def test_the_doctor_tries_who_is_told_of_alerts(line: Line) -> None:
    with Receiver(lambda r: Answer(200 if r.path == "/good" else 500)) as receiver:
        here = f"json://127.0.0.1:{receiver.port}"
        line.environ["TIMEBALL_ALERT_URLS"] = f"{here}/good {here}/bad"
        told = json.loads(line.run("doctor", "--alerts", "--json").stdout.splitlines()[-1])
        assert sorted(r.path for r in receiver.received) == ["/bad", "/good"]
    assert [(f["good"], f["words"]) for f in told if f["check"] == "alerts"] == [
        (True, "json:// took it"),
        (False, "json:// did not take it"),
    ]


def test_dead_tasks_are_sent_again_and_forgotten(line: Line, hand: Pump) -> None:
    ids = [line.json("tasks", "create", URL, "--queue", q)["id"] for q in "aab"]
    for claimed in hand.take(3):
        hand.end(claimed, State.DEAD)
    assert {t["id"] for t in line.json("dead", "list")} == set(ids)
    assert line("dead", "redrive", "--all", "--queue", "a", "--rate", "50").endswith("redrove 2\n")
    assert [t["id"] for t in line.json("dead", "list")] == [ids[2]]
    assert line("dead", "delete", "--all", input="y\n").endswith("forgot 1\n")
    assert line.json("dead", "list") == []
    assert line.run("dead", "redrive").exit_code == 2


def test_a_queued_task_is_changed(line: Line) -> None:
    made = line.json("tasks", "create", URL, "--delay", "1h", "-H", "X-Old: a", "--tag", "old")
    words = ["--url", URL + "/2", "-H", "X-New: b", "--body", "hello", "--tag", "new"]
    changed = line.json("tasks", "edit", made["id"], *words, "--attempts", "4", "--timeout", "7s")
    assert (changed["id"], changed["status"]) == (made["id"], "queued")
    asked = changed["request"]
    assert (asked["url"], asked["headers"], asked["body"]) == (URL + "/2", {"X-New": "b"}, "hello")
    assert (changed["tags"], changed["retry"]["max_attempts"]) == (["new"], 4)
    assert changed["scheduled_for"] == made["scheduled_for"]
    assert line.run("tasks", "edit", made["id"]).exit_code == 2
    line("tasks", "cancel", made["id"])
    done = line.run("tasks", "edit", made["id"], "--body", "x")
    assert (done.exit_code, "cancelled" in done.output) == (1, True)


def test_a_dead_task_is_changed_and_sent_again(line: Line, hand: Pump) -> None:
    body = ("--method", "PUT", "--body", "wrong")
    made = line.json("tasks", "create", URL, *body, "--attempts", "2", "--name", "n")
    early = line.run("dead", "edit", made["id"], "--body", "right")
    assert early.exit_code == 1, "it is not dead yet"
    hand.end(hand.take()[0], State.DEAD)
    changed = line.json("dead", "edit", made["id"], "--body", "right")
    assert (changed["id"], changed["status"]) == (made["id"], "queued")
    assert (changed["request"]["body"], changed["request"]["method"]) == ("right", "PUT")
    assert changed["name"] == "n"
    [claimed] = hand.take()
    assert claimed.body == b"right"
    assert claimed.attempt - claimed.base == 1, "its attempts begin afresh"
    hand.end(claimed, State.DEAD)
    later = line.json("dead", "edit", made["id"], "--delay", "1h", "--url", URL + "/other")
    assert later["request"]["url"] == URL + "/other"
    assert hand.take() == []


def test_tail_shows_attempts_as_they_end(line: Line, hand: Pump) -> None:
    line("tasks", "create", URL)
    hand.end(hand.take()[0], State.SUCCEEDED)
    shown: list[str] = []
    words = ("tail", "--every", "0.2", "--count", "1")
    thread = threading.Thread(target=lambda: shown.append(line(*words)))
    thread.start()
    made: list[str] = []

    def more() -> bool:
        made.append(line.json("tasks", "create", URL)["id"])
        for claimed in hand.take(10):
            hand.end(claimed, State.SUCCEEDED)
        return not thread.is_alive()

    eventually(more, within=20, every=0.3)
    assert any(task_id in shown[0] for task_id in made)
    assert "200" in shown[0]


def test_replay_makes_a_new_task_elsewhere(line: Line, timeball: Timeball) -> None:
    old = timeball.tasks.create(URL, json={"a": 1}, headers={"X-Api-Key": "k"}, tags=["t"])
    done = line.run("replay", old.id, "--to", "http://localhost:3000/dev", "--json")
    assert "left out the hidden header X-Api-Key" in done.stderr
    made = json.loads(done.stdout.splitlines()[-1])
    assert made["request"]["url"] == "http://localhost:3000/dev"
    assert (json.loads(made["request"]["body"]), made["tags"]) == ({"a": 1}, ["t"])
    assert timeball.tasks.get(old.id) == old


def test_projects_are_listed_with_how_they_stand(line: Line) -> None:
    line("tasks", "create", URL)
    [row] = line.json("projects", "list")
    assert (row["name"], row["waiting"], row["retries"]) == ("test", 1, True)
    line("projects", "create", "second")
    line("projects", "retries", "second", "off")
    assert "second" in line("projects", "list")
    assert not line.json("projects", "list")[1]["retries"]


def test_the_doctor_says_what_is_wrong(line: Line, house: House, project: Project) -> None:
    with Receiver() as receiver:
        done = line.run(
            "doctor", "--json", "--target", receiver.url, "--target", "http://10.0.0.1/"
        )
    found = [(f["check"], f["good"], f["words"]) for f in json.loads(done.stdout)]
    assert done.exit_code == 1
    assert ("worker", False, "none is there: timeball worker") in found
    assert ("signatures", True, "samples of 1 projects verify") in found
    assert ("store", True) in {(check, good) for check, good, _ in found}
    assert [good for check, good, _ in found if check == "target"] == [True, False]
    assert [good for check, good, _ in found if check == "clock"] == [True]
    house.client.config_set("appendonly", "no")
    try:
        assert "appendonly" in line.run("doctor").output
    finally:
        house.client.config_set("appendonly", "yes")
    line.environ["TIMEBALL_WRONG"] = "1"
    assert "TIMEBALL_WRONG is no setting" in line.run("doctor").output


def test_a_backup_is_a_whole_file_for_its_owner(
    line: Line, house: House, tmp_path: Path, hand: Pump
) -> None:
    line("tasks", "create", URL, "--delay", "1h")
    file = tmp_path / "backup"
    assert "backed up 1 tasks" in line.run("backup", str(file)).output
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]
    assert "not empty" in str(line.run("restore", str(file)).exception)
    house.client.flushall()
    assert "restored 1 tasks" in line.run("restore", str(file)).output
    assert len(line.json("tasks", "list")) == 1
    exported = [json.loads(text) for text in line("export").splitlines()]
    assert [(one["kind"], one["project"]) for one in exported] == [("task", "test")]
    hand.take(0)
    assert "still at work: worker" in str(line.run("backup", "--moving", str(file)).exception)
    house.client.flushall()
    file.write_bytes(file.read_bytes()[:100])
    assert "Empty the store" in line.run("restore", str(file)).output


def test_shells_complete_commands(line: Line) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_TIMEBALL_COMPLETE" in line("completion", shell)


def commands(group: Any = cli, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found.append((*path, name))
        if hasattr(command, "commands"):
            found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_reads_well(words: tuple[str, ...]) -> None:
    """Each command says what it does in a sentence, and each of its options what it is for."""
    done = CliRunner().invoke(cli, [*words, "--help"], terminal_width=100)
    assert done.exit_code == 0
    about = done.output.split("\n\n")[1].strip()
    assert about[0].isupper()
    assert about.rstrip()[-1] in ".:)"
    assert max(map(len, done.output.splitlines())) <= 100

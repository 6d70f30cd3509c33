"""What is wrong is said in words, all of it at once, with exit code 2 and no trace."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import timeball
from tests.conftest import SECRET, environment
from timeball.settings import Settings
from timeball.store import projects
from timeball.store.scripts import connect


def _run(
    *words: str, env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from timeball.cli import main; main()", *words]
    return subprocess.run(
        command, env=dict(env), cwd=cwd, capture_output=True, text=True, timeout=30
    )


def test_the_version_is_told(settings: Settings) -> None:
    done = _run("version", env=environment(settings))
    assert (done.returncode, done.stdout) == (0, timeball.__version__ + "\n")


def test_all_faults_are_told_at_once(settings: Settings) -> None:
    env = environment(settings, TIMEBALL_SHARDS="many", TIMEBALL_REDIS_ULR="x")
    done = _run("api", env=env)
    assert done.returncode == 2
    assert "TIMEBALL_SHARDS: 'many' must be a whole number" in done.stderr
    assert "did you mean TIMEBALL_REDIS_URL?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", ["up", "api", "worker", "beat"])
def test_targets_that_cannot_be_read_are_told_before_anything_starts(
    tmp_path: Path, settings: Settings, program: str
) -> None:
    done = _run(
        program, env=environment(settings, TIMEBALL_ALLOWED_TARGETS="10.0.0.1:*"), cwd=tmp_path
    )
    assert done.returncode == 2
    assert "TIMEBALL_ALLOWED_TARGETS: '10.0.0.1:*' has a wildcard" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("info",), "no timeball up runs on"),
        (("clock", "advance", "soon"), "'soon' is not a duration"),
        (("keys", "create"), "Missing option '--project'"),
        (("api", "--port", "70000"), "70000 is not in the range"),
        (("flower",), "FLOWER_BASIC_AUTH is not set"),
        (("up", "--ready-file", "missing/ready.json"), "cannot write the ready file"),
        (("keys", "revoke", "nothere1"), "there is no key 'nothere1'"),
    ],
)
def test_a_mistake_is_answered_in_words(
    tmp_path: Path, settings: Settings, words: tuple[str, ...], said: str
) -> None:
    done = _run(*words, env=environment(settings), cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_is_away_is_told_in_words(settings: Settings) -> None:
    env = environment(settings, TIMEBALL_REDIS_URL="unix:///nowhere/redis.sock")
    done = _run("keys", "list", env=env)
    assert done.returncode == 2
    assert done.stderr.startswith("timeball: ")
    assert "Traceback" not in done.stderr


def test_a_key_is_made_listed_and_revoked(settings: Settings) -> None:
    env = environment(settings)
    made = _run("keys", "create", "--project", "shop", "--scope", "read", "--json", env=env)
    told = json.loads(made.stdout)
    assert told["project"] == "shop"
    key = projects.authenticate(connect(settings.redis_url), told["key"])
    assert key is not None
    assert {str(s) for s in key.scopes} == {"read"}
    listed = json.loads(_run("keys", "list", "--project", "shop", "--json", env=env).stdout)
    assert [(k["id"], k["project"]) for k in listed] == [(key.id, "shop")]
    assert told["key"] not in json.dumps(listed)
    assert _run("keys", "revoke", key.id, env=env).returncode == 0
    assert projects.authenticate(connect(settings.redis_url), told["key"]) is None


def test_the_clock_moves_in_development_only(settings: Settings) -> None:
    env = environment(settings)
    moved = json.loads(_run("clock", "advance", "2h", "--json", env=env).stdout)
    assert moved["ahead_seconds"] == 7200
    assert json.loads(_run("clock", "reset", "--json", env=env).stdout)["ahead_seconds"] == 0
    refused = _run("clock", "advance", "2h", env={**env, "TIMEBALL_DEV": "0"})
    assert refused.returncode == 2
    assert "only moved in development" in refused.stderr


def test_the_settings_of_a_run_are_used(tmp_path: Path, settings: Settings) -> None:
    from timeball.up.folder import Folder, write_run

    own = {"TIMEBALL_REDIS_URL": settings.redis_url, "TIMEBALL_SECRET": SECRET}
    write_run(Folder(tmp_path), own, {})
    env = environment(settings, TIMEBALL_REDIS_URL="redis://127.0.0.1:1/0")
    done = _run("keys", "list", "--json", "--data", str(tmp_path), env=env)
    assert done.returncode == 0, done.stderr

"""The check of the committed tree finds what is true on one machine only, and stale locks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_tree import check_locks, find_foreign


@pytest.mark.parametrize(
    "parts",
    [
        ("--index-url https://", "pypi.", "org/simple"),
        ("https://files.", "pythonhosted.", "org/x.whl"),
        ("https://registry.", "npmjs.", "org/mergent"),
        ("cd ", "/work", "/main"),
        ('data = "', "/root", '/data"'),
        ("/home", "/anna/x"),
        ("~/.", "pyenv/versions"),
    ],
)
def test_a_place_of_one_machine_is_found(parts: tuple[str, ...]) -> None:
    assert [number for number, _ in find_foreign("fine\n" + "".join(parts) + "\n")] == [2]


@pytest.mark.parametrize(
    "line",
    ["FROM python:3.12-slim", "WORKDIR /app", "https://example.com/work/1", "a/root/b", "/tmp/x"],
)
def test_an_ordinary_line_passes(line: str) -> None:
    assert list(find_foreign(line)) == []


def test_locks_that_lag_behind_are_told(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# needs\nRedis>=8.1,<9\nflask>=3\nclick>=8\n")
    (tmp_path / "requirements-dev.txt").write_text("-r requirements.txt\npytest>=9\n")
    (tmp_path / "requirements.lock").write_text(
        "redis==7.9 \\\n    --hash=sha256:0\nclick==8.5 ; python_version < '4' \\\n    --hash=sha256:1\n"
    )
    (tmp_path / "requirements-otel.txt").write_text("sdk>=2\n")
    (tmp_path / "requirements-alerts.txt").write_text("apprise\n")
    (tmp_path / "requirements-extras.lock").write_text("sdk==1.9\nclick==8.5\nredis==7.8\n")
    (tmp_path / "requirements-dev.lock").write_text(
        "sdk==1.9\nredis==7.9\nclick==8.4\npytest==9.2.0\n"
    )
    assert list(check_locks(tmp_path)) == [
        "requirements.lock: redis 7.9 is not Redis<9,>=8.1 of requirements.txt: run make lock",
        "requirements.lock: flask>=3 of requirements.txt is missing: run make lock",
        "requirements-extras.lock: sdk 1.9 is not sdk>=2 of requirements-otel.txt: run make lock",
        "requirements-extras.lock: apprise of requirements-alerts.txt is missing: run make lock",
        "requirements-dev.lock: click is not 8.5 as in the other locks: run make lock",
        "requirements-extras.lock: redis is not 7.9 as in requirements.lock: run make lock",
    ]

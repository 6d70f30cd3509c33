"""The data folder: one run at a time, its secrets kept, its socket within reach."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from timeball.errors import ConfigError
from timeball.up import valkey
from timeball.up.folder import Folder, read_run, write_atomically, write_run

IMPORTS = "import sys, time; from pathlib import Path; from timeball.up.folder import Folder; "
HOLD = IMPORTS + "Folder(Path(sys.argv[1])).open(); print('held', flush=True); time.sleep(60)"


def test_a_second_run_is_refused_in_words(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        try:
            with pytest.raises(ConfigError, match=rf"already runs on .* \(process {first.pid}\)"):
                Folder(tmp_path).open()
        finally:
            first.kill()
            first.wait()
    Folder(tmp_path).open()


def test_a_run_waits_for_the_guard_of_a_killed_one(tmp_path: Path) -> None:
    """The guard inherits the lock and keeps it until all processes have gone."""
    die = "folder = Folder(Path(sys.argv[1])); folder.open(); import os, subprocess; "
    die += "subprocess.Popen(['sleep', '1'], pass_fds=[folder.lock_descriptor]); os._exit(0)"
    subprocess.run([sys.executable, "-c", IMPORTS + die, tmp_path], check=True)
    begun = time.monotonic()
    Folder(tmp_path).open()
    assert time.monotonic() - begun > 0.5


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot use .* as the data folder"):
        Folder(tmp_path / "file" / "data").open()


def test_secrets_are_made_once_and_are_the_owners_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    folder.open()
    first = folder.kept_word("secret")
    assert len(first) >= 32
    assert folder.kept_word("secret") == first
    assert stat.S_IMODE(folder.secret_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_other_commands_find_the_run(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    write_run(folder, {"TIMEBALL_DEV": "1"}, {"url": "http://x"})
    assert read_run(tmp_path) == ({"TIMEBALL_DEV": "1"}, {"url": "http://x"})
    assert stat.S_IMODE(folder.run_file.stat().st_mode) == 0o600
    folder.run_file.unlink()
    with pytest.raises(ConfigError, match="no timeball up runs on"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["x" * 120, "with space", "ünï"])
def test_a_path_that_is_no_good_for_a_socket_is_replaced_by_a_short_private_one(
    tmp_path: Path, name: str
) -> None:
    folder = Folder(tmp_path / name)
    folder.open()
    path = valkey.socket_path(folder)
    try:
        assert len(os.fsencode(path)) <= valkey.SUN_PATH_BYTES
        assert path.parent != folder.path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert valkey.socket_path(folder) == path
    finally:
        path.parent.rmdir()


def test_a_plain_path_is_used_as_it_is(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert valkey.socket_path(folder) == folder.path / "redis.sock"


def test_a_file_that_is_written_follows_no_link_and_takes_no_others_place(tmp_path: Path) -> None:
    """Beside a ready file in a folder that others may write to something may lie in wait."""
    victim, path = tmp_path / "victim", tmp_path / "ready.json"
    victim.write_text("untouched")
    waiting = tmp_path / f".ready.json.{os.getpid()}"
    waiting.symlink_to(victim)
    write_atomically(path, "a key")
    assert victim.read_text() == "untouched"
    waiting.write_text("")
    waiting.chmod(0o666)
    write_atomically(path, "a key")
    assert path.read_text() == "a key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

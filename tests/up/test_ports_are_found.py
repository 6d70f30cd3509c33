"""A port that is taken is passed over, also when the other one has only claimed it."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from timeball.errors import ConfigError
from timeball.up import ports


def _free() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def test_the_wanted_port_is_taken_when_it_is_free() -> None:
    number = _free()
    port = ports.take("127.0.0.1", number)
    assert port.number == number
    assert not port.moved


def test_the_next_one_is_taken_when_somebody_listens() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        wanted = other.getsockname()[1]
        port = ports.take("127.0.0.1", wanted)
        assert port.number > wanted
        assert port.moved


def test_one_port_is_never_given_twice() -> None:
    first = ports.take("127.0.0.1", _free())
    second = ports.take("127.0.0.1", first.number)
    assert second.number != first.number


def test_another_process_respects_the_claim_of_this_one() -> None:
    mine = ports.take("127.0.0.1", _free())
    code = f"from timeball.up import ports; print(ports.take('127.0.0.1', {mine.number}).number)"
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(theirs.stdout) != mine.number


def test_zero_is_any_free_port() -> None:
    port = ports.take("127.0.0.1", 0)
    assert port.number > 0
    assert not port.moved


def test_the_port_of_the_last_time_is_taken_again_while_it_is_free() -> None:
    last = _free()
    assert ports.take("127.0.0.1", 0, last).number == last
    held = ports.take("127.0.0.1", last)
    assert ports.take("127.0.0.1", 0, last).number != held.number


def test_an_address_of_another_machine_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1"):
        ports.take("192.0.2.1", _free())

"""Lines of all programs come out in one stream, which never blocks."""

from __future__ import annotations

import json
import os
import time

from timeball.up.console import BUFFER_BYTES, Console


def _read(descriptor: int) -> str:
    os.set_blocking(descriptor, False)
    return os.read(descriptor, 1 << 20).decode()


def test_each_line_stands_behind_the_name_of_its_program() -> None:
    out, into = os.pipe()
    console = Console(into, as_json=False, colour=False)
    console.relay("api", b"\x1b[32mlistens\x1b[0m\r\n")
    console.relay("worker", b"   \n")
    console.relay("worker", b"\xff is no text")
    assert _read(out) == "api     | listens\nworker  | \ufffd is no text\n"


def test_json_passes_through_and_other_lines_are_wrapped() -> None:
    out, into = os.pipe()
    console = Console(into, as_json=True, colour=True)
    console.relay("api", b'{"event":"listens","role":"api"}\n')
    console.relay("redis", "# Bereit für Anrufe".encode())
    first, second = _read(out).splitlines()
    assert first == '{"event":"listens","role":"api"}'
    assert json.loads(second) == {"role": "redis", "event": "# Bereit für Anrufe"}


def test_a_reader_that_sleeps_does_not_block_and_is_told_what_it_missed() -> None:
    out, into = os.pipe()
    console = Console(into, as_json=False, colour=False)
    begun = time.monotonic()
    lines = 2 * BUFFER_BYTES // 1000
    for _ in range(lines):
        console.relay("api", b"x" * 1000)
    assert time.monotonic() - begun < 2
    assert console.waiting
    seen = ""
    while console.waiting:
        seen += _read(out)
        console.flush()
    seen += _read(out)
    assert seen.count("x" * 1000) < lines
    assert "log lines were dropped" in seen


def test_a_reader_that_has_gone_is_forgotten() -> None:
    out, into = os.pipe()
    os.close(out)
    console = Console(into, as_json=False, colour=False)
    console.relay("api", b"hello")
    assert not console.waiting

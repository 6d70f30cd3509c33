"""The Lua linter finds what Redis would find only when the line runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.lint_lua import lint_folder, lint_text

HEAD = """\
-- move: do a thing.
-- KEYS[1]  prefix of the shard
-- Answers 1.
"""


def faults(code: str, head: str = HEAD, known: tuple[str, ...] = ()) -> list[str]:
    """The faults of a move with a true head, each with its line in the code (the head is line 0)."""
    offset = head.count("\n")
    report = lint_text("move.lua", head + code, known)
    return [f"{max(fault.line - offset, 0)}: {fault.text}" for fault in report.faults]


def test_a_sound_move_has_no_faults() -> None:
    code = """\
local out, n = {}, 0
local function put(id, _unused)
  n = n + 1
  out[n] = { id = id, [n] = #id, cjson.encode({}) }
end
for i, id in ipairs(redis.call('ZRANGE', KEYS[1] .. 'lane', 0, -1)) do
  if i % 2 == 0 then put(id) elseif bit.band(i, 1) > 0 then put(id:sub(2)) end
end
for _ = 1, math.floor(n) do table.remove(out) end
repeat
  local last = table.remove(out)
until not last
return { n, struct.pack('<d', n), P }
"""
    assert faults(code, known=("P",)) == []


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("return nme\n", "1: nme is not defined"),
        ("return os.time()\n", "1: os is not defined"),
        ("return os\n", "1: os is not defined"),
        ("count = 1\nreturn 1\n", "1: count = ... writes a global: say local"),
        ("function go() end\nreturn 1\n", "1: go = ... writes a global: say local"),
        ("local a, b = 1, 2\nreturn a\n", "1: local b is never read"),
        ("local a = 1\na = 2\nreturn 1\n", "1: local a is never read"),
        ("for i, v in ipairs(KEYS[1]) do redis.log(i) end\n", "1: local v is never read"),
        ("return function(id) return 1 end\n", "1: local id is never read"),
        (
            "local a = 1\ndo\n  local a = 2\n  redis.log(a)\nend\nreturn a\n",
            "3: local a shadows the one of line 4",
        ),
        ("local a = 1\nlocal a = a\nreturn a\n", "2: local a is declared twice, first on line 4"),
        ("local type = 1\nreturn type\n", "1: local type shadows the global"),
        ("local P = 1\nreturn P\n", "1: local P shadows the one of _head.lua"),
        ("return string.trim('')\n", "1: string.trim is not in Redis's Lua 5.1"),
        ("return table.unpack({})\n", "1: table.unpack is not in Redis's Lua 5.1"),
        ("return 7 // 2\n", "1: the operator // is not Lua 5.1"),
        ("return 7 & 2\n", "1: a bit operator is not Lua 5.1"),
        ("local a <const> = 1\nreturn a\n", "1: an attribute of a local is not Lua 5.1"),
        ("goto done\n::done::\nreturn 1\n", "1: goto is not Lua 5.1"),
        (r"return '\x41'" + "\n", r"1: the escape \x is not Lua 5.1, which reads it as x"),
        ("return 1 \n", "1: a tab, or blanks at the end"),
        ("return '" + "x" * 92 + "'\n", "1: 101 columns, 100 at most"),
        ("return 1\n\n", "2: does not end with one newline"),
        ("return ARGV[1]\n", "0: the head does not name ARGV[1]"),
        ("return #ARGV\n", "0: the head does not say ARGV[n..], but the code reads it as a list"),
    ],
)
def test_a_fault_is_told_with_its_line(code: str, fault: str) -> None:
    assert fault in faults(code, known=("P",))
    assert len(faults(code, known=("P",))) <= 2


@pytest.mark.parametrize("code", ["local x = = 1\n", "local x = 'abc\n", "if 1 then\n"])
def test_broken_syntax_is_told_and_nothing_is_printed(
    code: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (fault,) = faults(code)
    assert fault.startswith(("1: syntax: ", "2: syntax: "))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        ("\n", "0: the first line does not read: -- move: what it does"),
        (
            "-- other: x.\n-- KEYS[1]  p\n-- Answers 1.\n",
            "0: the first line does not read: -- move: what it does",
        ),
        ("-- move: x.\n-- KEYS[1]  p\n", "0: the head does not say what the move answers"),
        ("-- move: x.\n-- Answers 1.\n", "0: the head does not name KEYS[1]"),
        (
            "-- move: x.\n-- KEYS[1]  p\n-- ARGV[1] id\n-- Answers 1.\n",
            "0: the head names ARGV[1], which is not read",
        ),
    ],
)
def test_the_head_tells_the_truth(head: str, fault: str) -> None:
    assert fault in faults("return 1\n", head=head)


def test_a_list_of_arguments_is_told_from_where_it_begins() -> None:
    head = "-- move: x.\n-- KEYS[1]  p\n-- ARGV[1] id, ARGV[2..] tags\n-- Answers 1.\n"
    assert faults("return { ARGV[1], ARGV[2], unpack(ARGV, 3) }\n", head=head) == []


def test_locals_of_the_shared_head_are_known_and_must_be_read(tmp_path: Path) -> None:
    (tmp_path / "_head.lua").write_text(
        "-- Shared.\nlocal P = KEYS[1]\nlocal ON, OFF = 1, 0\nlocal function idle() return ON end\n"
    )
    (tmp_path / "move.lua").write_text(HEAD + "return P\n")
    count, told = lint_folder(tmp_path)
    assert count == 2
    assert told == [f"{tmp_path}/_head.lua:4: local idle is read by no file"]

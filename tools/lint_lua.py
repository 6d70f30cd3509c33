"""Lints the store's moves: `python -m tools.lint_lua timeball/store/lua`.

Redis runs Lua 5.1 in a sandbox, and says so only when the faulty line runs. So this says it before:
syntax, names that are not there, globals written by accident, locals that are unused, shadowed or
declared twice, and a head that does not tell the truth about KEYS, ARGV and the answer.

`_head.lua` is put before every other file, a part like `_take.lua` before those that say `WITH _take.lua`;
their locals are known there, and each must be read by one, but for CONSTANTS: a list of codes stays whole.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luaparser import ast, astnodes  # type: ignore[import-untyped]  # it tells no types

MAX_COLUMNS = 100
HEAD = "_head.lua"

LIBRARIES = {
    "redis": "call pcall error_reply status_reply sha1hex log setresp "
    "LOG_DEBUG LOG_VERBOSE LOG_NOTICE LOG_WARNING",
    "cjson": "encode decode null new array_mt empty_array empty_array_mt encode_keep_buffer "
    "encode_max_depth decode_max_depth encode_sparse_array encode_invalid_numbers",
    "cmsgpack": "pack unpack unpack_one unpack_limit",
    "struct": "pack unpack size",
    "bit": "tobit tohex bnot band bor bxor lshift rshift arshift rol ror bswap",
    "math": "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 "
    "max min modf pi pow rad sin sinh sqrt tan tanh",
    "string": "byte char find format gmatch gsub len lower match rep reverse sub upper",
    "table": "concat insert maxn remove sort",
}
"""What Redis offers a script and a move has reason to use; no chance, no clock but Redis TIME."""

FUNCTIONS = (
    "assert error getmetatable ipairs next pairs pcall rawequal rawget rawset select setmetatable "
    "tonumber tostring type unpack xpcall"
)
GLOBALS = {"KEYS", "ARGV", *FUNCTIONS.split(), *LIBRARIES}

NEWER = {
    astnodes.Goto: "goto",
    astnodes.Label: "a label",
    astnodes.Attribute: "an attribute of a local",
    astnodes.FloorDivOp: "the operator //",
    astnodes.BitOp: "a bit operator",
    astnodes.UBNotOp: "the operator ~",
}
"""Syntax that luaparser reads and Lua 5.1 does not."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing to mend, and its line."""

    line: int
    text: str


@dataclass(slots=True)
class Local:
    """A local of the file that is read; one of `_head.lua` has line 0."""

    name: str
    line: int
    read: bool = False


@dataclass(slots=True)
class Report:
    """What reading one file gave."""

    faults: list[Fault] = field(default_factory=list)
    top: dict[str, Local] = field(default_factory=dict)
    """Its locals outside of any function."""
    borrowed: set[str] = field(default_factory=set)
    """The locals of `_head.lua` that it reads."""


class Reader:
    """Walks one file's tree with a stack of scopes."""

    def __init__(self, known: Iterable[str], *, exports: bool) -> None:
        self.report = Report()
        self.exports = exports
        self.line = 1
        self.scopes: list[dict[str, Local]] = [{name: Local(name, 0) for name in known}]

    def fault(self, text: str, line: int | None = None) -> None:
        self.report.faults.append(Fault(line or self.line, text))

    # scopes

    def declare(self, name: Any) -> None:
        if isinstance(name, astnodes.Varargs):
            return
        if name.attribute is not None:
            self.fault("an attribute of a local is not Lua 5.1")
        if name.id != "_":
            seen = self.find(name.id)
            if seen and seen is self.scopes[-1].get(name.id):
                self.fault(f"local {name.id} is declared twice, first on line {seen.line}")
            elif seen:
                place = f"the one of line {seen.line}" if seen.line else f"the one of {HEAD}"
                self.fault(f"local {name.id} shadows {place}")
            elif name.id in GLOBALS:
                self.fault(f"local {name.id} shadows the global")
        self.scopes[-1][name.id] = Local(name.id, self.line)

    def find(self, name: str) -> Local | None:
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)

    @contextlib.contextmanager
    def scope(self, *, top: bool = False) -> Iterator[None]:
        self.scopes.append({})
        yield
        closed = self.scopes.pop()
        if top:
            self.report.top = closed
        if top and self.exports:
            return
        for name, local in closed.items():
            if not local.read and not name.startswith("_"):
                self.fault(f"local {name} is never read", local.line)

    # the walk: a method for each kind of node that declares or names something

    def visit(self, node: Any) -> None:
        if isinstance(node, list):
            for each in node:
                self.visit(each)
        if not isinstance(node, astnodes.Node) or isinstance(node, astnodes.Comment):
            return
        before, self.line = self.line, node.line or self.line
        for kind, what in NEWER.items():
            if isinstance(node, kind):
                self.fault(f"{what} is not Lua 5.1")
        method = getattr(self, f"visit_{type(node).__name__}", None)
        if method:
            method(node)
        elif isinstance(node, astnodes.Goto | astnodes.Label):
            pass  # what they name is no variable
        else:
            for name, child in vars(node).items():
                if not name.startswith("_"):
                    self.visit(child)
        self.line = before

    def visit_Chunk(self, node: Any) -> None:
        with self.scope(top=True):
            self.visit(node.body.body)

    def visit_Block(self, node: Any) -> None:
        with self.scope():
            self.visit(node.body)

    def visit_Repeat(self, node: Any) -> None:
        with self.scope():  # the condition sees the locals of the body
            self.visit(node.body.body)
            self.visit(node.test)

    def visit_LocalAssign(self, node: Any) -> None:
        self.visit(node.values)
        for target in node.targets:
            self.declare(target)

    def visit_Assign(self, node: Any) -> None:
        self.visit(node.values)
        for target in node.targets:
            self.assign(target)

    def assign(self, target: Any) -> None:
        if not isinstance(target, astnodes.Name):
            self.visit(target)
        elif not self.find(target.id):
            self.fault(f"{target.id} = ... writes a global: say local")

    def visit_Fornum(self, node: Any) -> None:
        self.visit([node.start, node.stop, node.step])
        self.enter([node.target], node.body)

    def visit_Forin(self, node: Any) -> None:
        self.visit(node.iter)
        self.enter(node.targets, node.body)

    def visit_LocalFunction(self, node: Any) -> None:
        self.declare(node.name)
        self.enter(node.args, node.body)

    def visit_Function(self, node: Any) -> None:
        self.assign(node.name)
        self.enter(node.args, node.body)

    def visit_AnonymousFunction(self, node: Any) -> None:
        self.enter(node.args, node.body)

    def visit_Method(self, node: Any) -> None:
        self.visit(node.source)
        with self.scope():
            self.scopes[-1]["self"] = Local("self", self.line, read=True)
            self.enter(node.args, node.body)

    def enter(self, names: list[Any], body: Any) -> None:
        with self.scope():
            for name in names:
                self.declare(name)
            self.visit(body.body)

    def visit_Name(self, node: Any) -> None:
        local = self.find(node.id)
        if local:
            local.read = True
            if not local.line:
                self.report.borrowed.add(node.id)
        elif node.id not in GLOBALS:
            self.fault(f"{node.id} is not defined")

    def visit_Index(self, node: Any) -> None:
        self.visit(node.value)
        if node.notation is astnodes.IndexNotation.SQUARE:
            self.visit(node.idx)
        elif isinstance(node.value, astnodes.Name) and not self.find(node.value.id):
            members = LIBRARIES.get(node.value.id)
            if members and node.idx.id not in members.split():
                self.fault(f"{node.value.id}.{node.idx.id} is not in Redis's Lua 5.1")

    def visit_Invoke(self, node: Any) -> None:
        self.visit(node.source)
        self.visit(node.args)

    def visit_Field(self, node: Any) -> None:
        if node.between_brackets:
            self.visit(node.key)
        self.visit(node.value)

    def visit_String(self, node: Any) -> None:
        if node.delimiter is not astnodes.StringDelimiter.DOUBLE_SQUARE:
            for escape in re.findall(r"\\(?:\\|([^\\]))", node.raw, re.DOTALL):
                if escape and escape not in "abfnrtv\"'\n0123456789":
                    self.fault(f"the escape \\{escape} is not Lua 5.1, which reads it as {escape}")


def parse(text: str) -> Any:
    """The tree of a file. Raises SyntaxException."""
    with contextlib.redirect_stderr(io.StringIO()):  # luaparser says it there too
        return ast.parse(text)


def lint_text(name: str, text: str, known: Iterable[str] = ()) -> Report:
    """Reads one file called `name`; `known` are the locals that stand before it."""
    reader = Reader(known, exports=name.startswith("_"))
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_COLUMNS:
            reader.fault(f"{len(line)} columns, {MAX_COLUMNS} at most", number)
        if line != line.rstrip() or "\t" in line:
            reader.fault("a tab, or blanks at the end", number)
    if not text.endswith("\n") or text.endswith("\n\n"):
        reader.fault("does not end with one newline", text.count("\n") or 1)
    for told in check_head(name, text):
        reader.fault(told, 1)
    try:
        reader.visit(parse(text))
    except ast.SyntaxException as error:
        place = re.search(r"line (\d+):", str(error))
        told = re.sub(r"^syntax errors: (line \d+:\d+: )?", "", str(error))
        if place:
            reader.fault(f"syntax: {told}", int(place[1]))
        else:
            reader.fault("syntax: something is open at the end", text.count("\n") or 1)
    reader.report.faults.sort()
    return reader.report


def check_head(name: str, text: str) -> Iterator[str]:
    """What the comment at the top of a move leaves out, or tells wrongly."""
    lines = re.match(r"(?:--.*\n)*", text)
    head = lines[0] if lines else ""
    if name.startswith("_"):
        if not head:
            yield "no comment at the top that says what the file is for"
        return
    move = name.removesuffix(".lua")
    if not re.match(rf"-- {re.escape(move)}: \w", head):
        yield f"the first line does not read: -- {move}: what it does"
    if "Answers " not in head:
        yield "the head does not say what the move answers"
    code = re.sub(r"--.*", "", text)
    for array in ("KEYS", "ARGV"):
        told = {int(n) for n in re.findall(rf"\b{array}\[(\d+)\]", head)}
        rest = min((int(n) for n in re.findall(rf"\b{array}\[(\d+)\.\.\]", head)), default=None)
        used = {int(n) for n in re.findall(rf"\b{array}\[(\d+)\]", code)}
        computed = re.search(rf"\b{array}\b(?!\[\d+\])", code)
        for number in sorted(used - told):
            if rest is None or number < rest:
                yield f"the head does not name {array}[{number}]"
        if computed and rest is None:
            yield f"the head does not say {array}[n..], but the code reads it as a list"
        if array == "ARGV" and not computed:
            for number in sorted(told - used):
                yield f"the head names ARGV[{number}], which is not read"
    if "KEYS[1]" not in head:
        yield "the head does not name KEYS[1]"


def lint_folder(folder: Path) -> tuple[int, list[str]]:
    """How many files there are, and all faults as `path:line: what`."""
    head = folder / HEAD
    files = sorted(path for path in folder.glob("*.lua") if path != head)
    faults: list[tuple[Path, Fault]] = []
    shared: dict[str, dict[str, Local]] = {}
    borrowed: set[str] = set()

    def read(path: Path) -> dict[str, Local]:
        """Reads a file behind its parts, each of them once; answers all locals that stand before and in it."""
        text = path.read_text()
        known: dict[str, Local] = {}
        for part in [HEAD, *re.findall(r"^-- WITH +(\S+)$", text, re.MULTILINE)]:
            if not (folder / part).exists():
                if part != HEAD:
                    faults.append((path, Fault(1, f"there is no {part}")))
            elif part != path.name:
                known |= seen[part] if part in seen else read(folder / part)
        report = lint_text(path.name, text, known)
        faults.extend((path, fault) for fault in report.faults)
        borrowed.update(report.borrowed)
        if path.name.startswith("_"):
            shared[path.name] = report.top
        seen[path.name] = known | report.top
        return seen[path.name]

    seen: dict[str, dict[str, Local]] = {}
    for path in ([head] if head.exists() else []) + files:
        if path.name not in seen:
            read(path)
    for part, locals_ in shared.items():
        for name, local in locals_.items():
            if not local.read and name not in borrowed and not name.isupper():
                faults.append(
                    (folder / part, Fault(local.line, f"local {name} is read by no file"))
                )
    count = len(files) + head.exists()
    return count, [f"{path}:{fault.line}: {fault.text}" for path, fault in faults]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m tools.lint_lua FOLDER", file=sys.stderr)
        return 2
    count, faults = lint_folder(Path(arguments[0]))
    for fault in faults:
        print(fault)
    if not count:
        print(f"no Lua files in {arguments[0]}", file=sys.stderr)
        return 2
    print(f"Lua: {count} files, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

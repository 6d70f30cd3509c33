"""Kills the process that passes a named point of the road, when a file asks for it.

Python imports this module at the start of every process whose PYTHONPATH has this folder. A point is armed by a
file of its name in the folder that `FAULT_POINTS` names; the process that passes there first takes the file away
(renames it to `<name>.<pid>`) and kills itself with -9, so a file means one kill.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from types import ModuleType
from typing import Any

FOLDER = os.environ.get("FAULT_POINTS", "")


def _always(_answer: object) -> bool:
    return True


def _has_tasks(answer: Any) -> bool:
    return bool(answer.tasks)


def _gave_back(answer: Any) -> bool:
    return answer is not None and answer.returned > 0


POINTS: tuple[tuple[str, str, str, str, Callable[[Any], bool]], ...] = (
    ("submit-before", "timeball.store.tasks", "submit", "before", _always),
    ("submit-after", "timeball.store.tasks", "submit", "after", _always),
    ("claim-after", "timeball.store.pumps", "claim", "after", _has_tasks),
    ("finish-before", "timeball.store.pumps", "finish", "before", _always),
    ("finish-after", "timeball.store.pumps", "finish", "after", _always),
    ("ring-after", "timeball.store.pumps", "ring", "after", _always),
    ("rescue-after", "timeball.store.pumps", "rescue", "after", _gave_back),
    ("expand-before", "timeball.store.schedules", "Expanding.__init__", "before", _always),
    ("expand-after", "timeball.store.schedules", "Expanding.bells", "after", _always),
)
"""Name, module, function, where in regard to it, and which of its answers count."""


def _pass(name: str) -> None:
    path = os.path.join(FOLDER, name)
    try:
        os.rename(path, f"{path}.{os.getpid()}")
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _before(real: Callable[..., Any], name: str) -> Callable[..., Any]:
    def wrapped(*args: Any, **named: Any) -> Any:
        _pass(name)
        return real(*args, **named)

    return wrapped


def _after(
    real: Callable[..., Any], name: str, counts: Callable[[Any], bool]
) -> Callable[..., Any]:
    def wrapped(*args: Any, **named: Any) -> Any:
        answer = real(*args, **named)
        if counts(answer):
            _pass(name)
        return answer

    return wrapped


class _Loader(importlib.abc.Loader):
    """Runs the real loader, then puts the points in."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self.real.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        self.real.exec_module(module)
        for name, where, function, when, counts in POINTS:
            if where == module.__name__:
                *owners, last = function.split(".")
                owner = reduce(getattr, owners, module)
                real = getattr(owner, last)
                new = _before(real, name) if when == "before" else _after(real, name, counts)
                setattr(owner, last, new)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that have points, with the loader above."""

    modules = frozenset(point[1] for point in POINTS)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self.modules:
            return None
        for finder in sys.meta_path:
            if finder is not self:
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    spec.loader = _Loader(spec.loader)
                    return spec
        return None


if FOLDER:
    sys.meta_path.insert(0, _Finder())

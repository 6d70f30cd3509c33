"""The points at which processes are killed are those that the code has: the table itself runs seldom."""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from inspect import isroutine

import pytest

from tests.faults.inject.sitecustomize import POINTS
from tests.faults.troubles import TROUBLES


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point[0])
def test_a_point_names_a_function(point: tuple[str, str, str, str, object]) -> None:
    _, module, function, when, _ = point
    assert isroutine(reduce(getattr, function.split("."), import_module(module)))
    assert when in ("before", "after")


def test_each_kind_has_a_name_of_its_own() -> None:
    assert len({trouble.name for trouble in TROUBLES}) == len(TROUBLES) >= 20

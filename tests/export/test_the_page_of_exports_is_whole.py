"""docs/exports.md names every operator, every field of a source, and no error that there is not."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from timeball.export.rules import Operator
from timeball.export.sources import Source

PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text()


def test_every_operator_is_explained() -> None:
    assert [operator for operator in Operator if f"`{operator}`" not in PAGE] == []


def test_every_field_of_a_source_is_explained() -> None:
    names = {one.name for one in fields(Source)} - {"confined"}
    assert [name for name in sorted(names) if f"`{name}`" not in PAGE] == []

"""Ids of tasks are UUIDs of version 7, each its own, whether made alone or many at once."""

from __future__ import annotations

import time
import uuid

from timeball.ids import id_bytes, id_text, new_task_id, new_task_ids


def test_each_is_a_uuid_of_version_7_of_its_instant() -> None:
    before_ms = time.time_ns() // 1_000_000
    made = [*new_task_ids(500), new_task_id()]
    after_ms = time.time_ns() // 1_000_000
    assert len(set(made)) == 501
    for raw in made:
        read = uuid.UUID(id_text(raw))
        assert (read.version, read.variant) == (7, uuid.RFC_4122)
        assert before_ms <= int.from_bytes(raw[:6]) <= after_ms
        assert id_bytes(id_text(raw)) == raw


def test_all_other_bits_are_random() -> None:
    """In 500 ids each of the 74 bits is both 0 and 1, but once in more tries than anybody makes."""
    made = [int.from_bytes(raw) for raw in new_task_ids(500)]
    fixed = (0xFFFFFFFFFFFF << 80) | (0xF << 76) | (0b11 << 62)
    changing = 0
    for one in made:
        changing |= one ^ made[0]
    assert changing == ~fixed & (1 << 128) - 1


def test_none_are_made_of_none() -> None:
    assert new_task_ids(0) == []

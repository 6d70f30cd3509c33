"""The texts that fuzzing begins with, and some made of them, go through every reader."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.texts import SEEDS, TARGETS, try_bytes, try_text


@pytest.mark.parametrize("name", TARGETS)
def test_texts_and_their_changes_end_in_words_or_are_right(name: str) -> None:
    chance = random.Random(7)
    for seed in SEEDS:
        try_text(name, seed)
        for _ in range(20):
            at, other = chance.randrange(len(seed) + 1), chance.choice(SEEDS)
            changed = (
                seed[:at] + chance.choice([other, "\0", "９", "-", "", "\n", "0" * 40]) + seed[at:]
            )
            try_text(name, changed)


def test_bytes_that_are_no_text() -> None:
    for first in range(0, 256, 3):
        try_bytes(bytes([first]) + b"\xff\xfe\x80a:\xed\xa0\x80b")
    try_bytes(b"")

"""What a walk along a rule may cost, so that no text can keep a thread busy.

Signals do not work in threads, and a library's loop cannot be left from outside; but each step can be paid
for, and a walk whose budget is spent ends where it stands.
"""

from __future__ import annotations


class OverBudget(Exception):
    """The walk was longer than its budget; what it had found so far is still right."""


class Budget:
    """What a walk may still cost, in units of about a microsecond."""

    __slots__ = ("left",)

    def __init__(self, units: int) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        """Pay for a step; raises OverBudget when nothing is left."""
        self.left -= units
        if self.left < 0:
            raise OverBudget

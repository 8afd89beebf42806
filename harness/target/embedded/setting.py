"""One value of a service that a fault may inject, an operator may change, and an undo or an expired lease may take
back.

Problem: the same limit is a fault when the harness sets it and a repair when an operator does. So the value
remembers whether it stands by injection, and what stood before. Always true: taking back never touches a value that
is not the injected one.
"""

from __future__ import annotations

from harness.contract.undo import Json, UndoOutcome


class Setting:
    """`value` is what holds now; `injected` whether it stands by a fault of ours."""

    def __init__(self, value: Json) -> None:
        self.value = value
        self.injected = False
        self._before: Json = value

    def inject(self, value: Json) -> None:
        """By a fault. A second injection keeps what stood before the first."""
        if not self.injected:
            self._before = self.value
        self.value = value
        self.injected = value != self._before

    def operate(self, value: Json) -> None:
        """By an operator: from now on this is the state of affairs."""
        self.value = value
        self.injected = False

    def undo(self, *, injected: Json, restore: Json) -> UndoOutcome:
        """Restores only where the injected value still stands."""
        if self.value == restore:
            self.injected = False
            return UndoOutcome.ALREADY
        if self.value != injected:
            return UndoOutcome.REPAIRED
        self.operate(restore)
        return UndoOutcome.RESTORED

    def expire(self) -> bool:
        """The lease is over: what was injected goes. True if anything changed."""
        if not self.injected:
            return False
        self.operate(self._before)
        return True

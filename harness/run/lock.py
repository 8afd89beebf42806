"""What a target can do that only one run at a time may use."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Lockable(Protocol):
    """A target of which one run at a time may have the use."""

    def acquire(self, run: str) -> None:
        """Raises `TargetBusyError` naming the run that has it."""
        ...

    def release(self) -> None:
        """No error where it isn't held."""
        ...

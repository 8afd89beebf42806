"""Nobody answers: the yardstick of what the target does on its own."""

from __future__ import annotations

from collections.abc import Mapping

from harness.history.commands import AnyCommand
from harness.history.events import AnyEvent
from harness.plugin import Brief


class NoResponder:
    """Does nothing, ever."""

    name = "none"
    mutates = False

    def start(self, brief: Brief) -> tuple[None, tuple[AnyCommand, ...]]:
        """Nothing to remember, nothing to do."""
        return None, ()

    def step(
        self,
        state: None,
        event: AnyEvent,
        issued: Mapping[str, AnyCommand],
    ) -> tuple[None, tuple[AnyCommand, ...]]:
        """Nothing."""
        return state, ()

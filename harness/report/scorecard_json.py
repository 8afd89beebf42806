"""scorecard.json: exactly the bytes that `drill score` gives."""

from __future__ import annotations

from harness.history.reader import History
from harness.history.scorecard import Scorecard
from harness.score import encode


class ScorecardJson:
    """The reporter `json`."""

    file = "scorecard.json"

    def render(self, history: History, card: Scorecard) -> bytes:
        """The scorecard's bytes."""
        return encode(card)

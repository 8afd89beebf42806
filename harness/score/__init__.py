"""The score of a run: a pure function of its history.

`score(history) -> Scorecard`, `encode(scorecard) -> bytes`. Everything that a number needs stands in the history; if a number
can't be derived from it, more must be recorded.
"""

from harness.score.card import SCORER, score
from harness.score.rounding import decode, encode

__all__ = ["SCORER", "decode", "encode", "score"]

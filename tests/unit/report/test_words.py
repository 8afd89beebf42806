"""How single things are put into words, where a reader could take them for something else."""

from __future__ import annotations

import msgspec

from harness.history.scorecard import Answer, Criterion, Verdict
from harness.report import headline, words
from harness.score import score
from tests.unit.report import made

HISTORY = made.rich()
CARD = score(HISTORY)


def test_arguments_that_were_left_out_are_not_told() -> None:
    given = {"link": "a-b", "columns": ["x"], "dose": 0.0, "format": None, "path": "", "dry": False}
    assert words.arguments_text(given) == "link=a-b columns=['x'] dose=0.0 dry=False"


def test_damaged_rows_have_their_unit() -> None:
    bad = msgspec.structs.replace(CARD.bad_minutes, total=0.0, corrupt_rows=0.25)
    told = words.bad_minutes_text(msgspec.structs.replace(CARD, bad_minutes=bad))
    assert told.endswith("corrupt rows written: 0.25 request-minutes")


def test_one_criterion_is_one() -> None:
    detect = Criterion("detect", Answer.MET, "seen")
    one = msgspec.structs.replace(CARD, verdict=Verdict.PASS, criteria=(detect,))
    two = msgspec.structs.replace(one, criteria=(detect, Criterion("mitigate", Answer.MET, "seen")))
    assert headline.sentence(HISTORY.header.plan, one).startswith("The one criterion is met: ")
    assert headline.sentence(HISTORY.header.plan, two).startswith("All 2 criteria met: ")


def test_a_failed_environment_is_said_once() -> None:
    card = msgspec.structs.replace(CARD, verdict=Verdict.ENV_ERROR, reasons=("the environment failed: no room",))
    assert headline.sentence(HISTORY.header.plan, card).lower().count("the environment failed") == 1


def test_an_end_that_nobody_can_tell_is_left_open() -> None:
    ends = [("2 %", "7 %"), ("2 %", None), (None, "7 %"), (None, None)]
    assert [words.interval_text(low, high) for low, high in ends] == [
        "2 % to 7 %",
        "2 % or more",
        "up to 7 %",
        "nothing ruled out",
    ]

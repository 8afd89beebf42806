"""The golden histories: one small run per thing that a reader of a scorecard should meet. Made by the builders, kept as files.

Regenerate both files of each with `python -m tests.golden.stories`, and look at the difference before committing it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from harness.contract.faults import Cure, CureKind, Damage
from harness.contract.words import Action, EndReason
from harness.history import events as e
from harness.history.lines import encode_line
from harness.history.reader import read
from harness.score import encode, score
from tests.golden.build import BASELINE, GOOD, WRONG, Story, bad_model, control, fault, ns, plan

FOLDER = Path(__file__).parents[2] / "fixtures" / "golden"


def quarantined() -> Story:
    """A fault with a mask: five rows damaged, four of them withdrawn, one clean row withdrawn with them."""
    hit = fault(fault="data.scale", damage=Damage(by_mask=True, debts={"quarantined": "quarantine"}))
    final = msgspec.structs.replace(BASELINE, data={"quarantine": 5})
    story = bad_model(plan(faults=(hit,)), final=final)
    story.add(e.MaskRead(t_ns=ns(5), fault=0, ids=[f"t{n}" for n in range(5)], columns=[["amount"]] * 5))
    return story.records(9.8, "quarantine", *({"id": f"t{n}"} for n in (0, 1, 2, 3, 77)))


def external() -> Story:
    """A cause beyond the operator: mitigated by a fail-over, never repaired, and nothing asks for it."""
    beyond = plan(faults=(fault(cure=Cure(CureKind.EXTERNAL), damage=None),), recover=None)
    return (
        bad_model(beyond, responds=False, end_at=36.0, reason=EndReason.BUDGET)
        .without(lambda event: isinstance(event, e.Sample) and event.t_ns >= ns(9.5))
        .samples(9.5, 36.0, GOOD)
        .act(9.0, Action.FAILOVER, upstream="features")
    )


def too_short() -> Story:
    """Two bad samples: harm, but no impact; all else as it should be."""
    return (
        bad_model(impact=False)
        .without(lambda event: isinstance(event, e.Sample) and ns(4.5) <= event.t_ns < ns(5.5))
        .samples(4.5, 5.5, WRONG)
    )


STORIES: dict[str, Callable[[], Story]] = {
    "well-answered": bad_model,
    "nobody-answers": lambda: bad_model(responds=False, end_at=36.0, reason=EndReason.BUDGET),
    "debt-left": lambda: bad_model(rescores=False),
    "not-witnessed": lambda: bad_model(present=False, responds=False, reason=EndReason.INVALID_INJECTION),
    "control": control,
    "control-paged": lambda: control().alert(6.0),
    "aborted": lambda: bad_model(responds=False, end_at=9.0, reason=EndReason.STOP_CONDITION),
    "quarantined": quarantined,
    "external": external,
    "too-short": too_short,
}


def history_bytes(story: Story) -> bytes:
    history = story.history()
    return b"".join(map(encode_line, (history.header, *history.events())))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, story in STORIES.items():
        path = FOLDER / f"{name}.jsonl"
        path.write_bytes(history_bytes(story()))
        card = score(read(path))
        path.with_suffix(".scorecard.json").write_bytes(encode(card))
        print(f"{name}: {card.verdict}: {'; '.join(card.reasons)}")


if __name__ == "__main__":
    main()

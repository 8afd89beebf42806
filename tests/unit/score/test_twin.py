"""A run against its twin: joined over epochs, final decisions only, noise told apart from damage."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import msgspec
import pytest

from harness.contract.faults import Damage
from harness.contract.words import Arm, Phase
from harness.errors import UsageError
from harness.history import events as e
from harness.history.reader import History
from harness.score.twin import Repair, twin
from harness.spec.plan import PlannedQuality, PlannedReading
from tests.golden.build import Story, fault, ns, plan

SENT = 200
DAMAGED = range(100, 140)
QUALITY = PlannedQuality("decisions", "truth", "decision", "decline", "label", "synthetic", same="seq")
READINGS = tuple(PlannedReading(name, id="id", time="t") for name in ("decisions", "rescored", "lineage"))
BY_MASK = fault(fault="data.scale", damage=Damage(by_mask=True, debts={"rescored": "rescored"}))


def run(
    epoch: int,
    *,
    arm: Arm = Arm.FAULT,
    wrong: Collection[int] = (),
    rescored: dict[int, str] | None = None,
    late: dict[int, str] | None = None,
    noisy: Collection[int] = (),
    damaged: Collection[int] = DAMAGED,
    **changes: Any,
) -> History:
    """SENT payments that are approved unless `wrong`; `noisy` ones disagree by themselves; `late` are scored after the end."""
    faults = () if arm is Arm.CONTROL else (BY_MASK,)
    story = Story(plan(arm=arm, faults=faults, quality=QUALITY, readings=READINGS, **changes)).begin()
    for n in range(SENT):
        declined = (n in wrong) != (n in noisy)
        record = {
            "id": f"t-{epoch}-{n}",
            "seq": n,
            "decision": "decline" if declined else "approve",
            "synthetic": False,
        }
        story.records(2 + n / 20, "decisions", record)
        story.records(2 + n / 20, "lineage", {"id": f"t-{epoch}-{n}", "status": "stored"})
    story.records(2, "decisions", {"id": "golden-1", "seq": -1, "decision": "decline", "synthetic": True})
    if faults:
        story.inject(4.0)
        story.add(e.MaskRead(t_ns=ns(11), fault=0, ids=[f"t-{epoch}-{n}" for n in damaged]))
    for at, decided in ((14, rescored), (19, late)):
        for n, decision in (decided or {}).items():
            story.records(at, "rescored", {"id": f"t-{epoch}-{n}", "decision": decision})
            story.records(at, "lineage", {"id": f"t-{epoch}-{n}", "status": "quarantined"})
    story.phase(13, Phase.RESPOND).end(16)
    return story.history()


def test_what_was_scored_again_as_the_twin_has_it_is_repaired() -> None:
    found = twin(run(4, wrong=DAMAGED, rescored=dict.fromkeys(DAMAGED, "approve")), run(6, arm=Arm.CONTROL))
    assert (found.repair, found.damaged.decided, found.damaged.agree) == (Repair.REPAIRED, 40, 40)
    assert (found.damaged.at_first, found.undamaged.decided, found.undamaged.agree) == (0, 160, 160)
    assert found.rows == {"run": {"quarantined": 40, "stored": 160}, "twin": {"stored": 200}}
    assert found.damaged_rows == {"run": {"quarantined": 40}, "twin": {"stored": 40}}


def test_damage_that_changed_no_decision_proves_no_repair_and_is_told_so() -> None:
    rescored = dict.fromkeys(DAMAGED, "approve")
    harmless = twin(run(4, rescored=rescored), run(6, arm=Arm.CONTROL))
    hurt = twin(run(4, wrong=range(100, 106), rescored=rescored), run(6, arm=Arm.CONTROL))
    assert (harmless.repair, hurt.repair) == (Repair.REPAIRED, Repair.REPAIRED)
    assert harmless.reason.endswith("they did so at first, too: no decision shows whether it was repaired")
    assert hurt.reason == "damaged requests agree with the twin as often as undamaged ones"


def test_what_nobody_scored_again_is_not_repaired() -> None:
    found = twin(run(4, wrong=DAMAGED), run(6, arm=Arm.CONTROL))
    assert (found.repair, found.damaged.agree) == (Repair.NOT_REPAIRED, 0)


def test_scored_again_with_the_same_mistake_is_not_repaired() -> None:
    found = twin(run(4, wrong=DAMAGED, rescored=dict.fromkeys(DAMAGED, "decline")), run(6, arm=Arm.CONTROL))
    assert found.repair is Repair.NOT_REPAIRED


def test_what_is_scored_after_the_end_is_too_late() -> None:
    found = twin(run(4, wrong=DAMAGED, late=dict.fromkeys(DAMAGED, "approve")), run(6, arm=Arm.CONTROL))
    assert (found.repair, found.damaged.agree) == (Repair.NOT_REPAIRED, 0)


def test_damaged_ones_may_disagree_as_often_as_others_do() -> None:
    noisy = range(0, SENT, 20)
    left = [n for n in DAMAGED if n not in noisy]
    found = twin(run(4, wrong=DAMAGED, rescored=dict.fromkeys(left, "approve"), noisy=noisy), run(6, arm=Arm.CONTROL))
    assert found.undamaged.agree == 152
    assert found.damaged.agree == 40
    assert twin(run(4, noisy=noisy), run(6, arm=Arm.CONTROL)).repair is Repair.REPAIRED


def test_a_response_that_makes_all_decisions_wrong_is_no_repair() -> None:
    found = twin(run(4, wrong=range(SENT)), run(6, arm=Arm.CONTROL))
    assert (found.repair, found.damaged.agree, found.undamaged.agree) == (Repair.UNDECIDED, 0, 0)


def test_a_repair_that_left_out_a_quarter_is_none() -> None:
    found = twin(run(4, wrong=DAMAGED, rescored=dict.fromkeys(DAMAGED[:30], "approve")), run(6, arm=Arm.CONTROL))
    assert (found.repair, found.damaged.agree) == (Repair.NOT_REPAIRED, 30)


def test_golden_requests_are_nobodys() -> None:
    found = twin(run(4), run(6, arm=Arm.CONTROL))
    assert found.damaged.decided + found.undamaged.decided == SENT


def test_nothing_damaged_is_no_repair() -> None:
    assert twin(run(4, damaged=()), run(6, arm=Arm.CONTROL)).repair is Repair.NOTHING_DAMAGED


def test_without_undamaged_ones_nobody_knows_the_noise() -> None:
    assert twin(run(4, damaged=range(10, SENT)), run(6, arm=Arm.CONTROL)).repair is Repair.UNDECIDED


def test_without_a_field_that_is_the_same_ids_join() -> None:
    by_id = msgspec.structs.replace(QUALITY, same=None)
    runs = [run(4, wrong=DAMAGED), run(4, arm=Arm.CONTROL)]
    made = [
        dataclasses.replace(
            one,
            header=msgspec.structs.replace(one.header, plan=msgspec.structs.replace(one.header.plan, quality=by_id)),
        )
        for one in runs
    ]
    assert twin(*made).damaged.decided == 40


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (run(6, arm=Arm.CONTROL, seed=8), "seed differs"),
        (run(6, arm=Arm.CONTROL, scenario="another"), "scenario differs"),
        (run(6, arm=Arm.CONTROL, target="another"), "target differs"),
        (run(6), "its twin a control"),
    ],
    ids=["seed", "scenario", "target", "arm"],
)
def test_what_is_no_twin_is_refused(other: History, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        twin(run(4), other)

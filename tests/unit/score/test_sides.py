"""Debt, collateral, conformance, diagnosis, outcome: what is reported beside the times."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.contract.faults import Against, Component, Damage
from harness.contract.words import Action, Observation, ReportKind
from harness.history import commands as c
from harness.history import events as e
from harness.history.scorecard import Answer, Collateral, Conformance, DebtItem, Diagnosis, Scorecard, Verdict
from harness.score import score
from harness.spec.plan import PlannedAllow, PlannedReading
from tests.golden.build import BASELINE, Story, bad_model, fault, ns, plan


def card(story: Story) -> Scorecard:
    return score(story.history())


def after(**changes: Any) -> e.Snapshot:
    return msgspec.structs.replace(BASELINE, **changes)


def side(story: Story, safeguard: str) -> Collateral:
    return next(one for one in card(story).collateral if one.safeguard == safeguard)


# --- debt -----------------------------------------------------------------------------------------------------------


def test_a_debt_counts_the_records_of_users_alone() -> None:
    assert card(bad_model()).debt == (DebtItem("rescored", 9, 9),)
    assert card(bad_model(rescores=False)).debt == (DebtItem("rescored", 9, 0),)


def test_what_bore_the_mark_before_the_injection_is_no_damage_of_ours() -> None:
    story = bad_model().records(2.0, "decisions", {"id": "old", "model_version": "2", "synthetic": False})
    assert card(story).debt == (DebtItem("rescored", 9, 9),)


def test_what_still_bears_the_mark_is_not_repaid() -> None:
    story = bad_model(rescores=False)
    story.records(10.0, "rescored", *({"id": f"t{n:04d}", "model_version": 2} for n in range(45, 91, 5)))
    assert card(story).debt == (DebtItem("rescored", 9, 0),)


def test_a_reading_that_is_not_declared_is_not_observed_and_lowers_nothing() -> None:
    bare = plan(readings=plan().readings[:1])
    scored = card(bad_model(bare, rescores=False))
    assert (scored.debt[0].damaged, scored.verdict) == (None, Verdict.PASS)


def test_a_declared_reading_that_was_not_read_leaves_the_recovery_open() -> None:
    story = bad_model().without(
        lambda event: isinstance(event, e.CommandIssued) and isinstance(event.command, c.CollectReadings)
    )
    scored = card(story)
    assert (scored.debt[0].repaid, scored.verdict) == (None, Verdict.INCONCLUSIVE)


def test_a_mask_is_joined_by_id_not_by_count() -> None:
    masked = plan(faults=(fault(damage=Damage(by_mask=True, debts={"quarantined": "quarantine"})),))
    mask = e.MaskRead(t_ns=ns(5), fault=0, ids=["a", "b"])
    others = bad_model(masked).add(mask).records(9.8, "quarantine", {"id": "x"}, {"id": "y"})
    assert card(others).debt == (DebtItem("quarantined", 2, 0),)
    same = bad_model(masked).add(mask).records(9.8, "quarantine", {"id": "a"}, {"id": "b"})
    assert card(same).debt == (DebtItem("quarantined", 2, 2),)


def skewed(*rescored: tuple[str, float]) -> Scorecard:
    """Three decisions, of which one was made on another value than the true one; and what was scored again, on which value."""
    damage = Damage(False, "decisions", "size", None, {"rescored": "rescored"}, Against("truth", 0.1))
    truth = PlannedReading("truth", id="id", time="t")
    made = plan(faults=(fault(damage=damage),), readings=(*plan().readings, truth))
    story = bad_model(made, rescores=False)
    story.records(2.0, "decisions", {"id": "before", "size": 20.0})
    story.records(2.0, "truth", {"id": "before", "label": 0, "size": 3.0})
    story.records(5.0, "truth", *({"id": name, "label": 0, "size": 3.0} for name in "abc"))
    story.records(
        5.1, "decisions", {"id": "a", "size": 3.05}, {"id": "b", "size": 20.0}, {"id": "c"}, {"id": "d", "size": 9}
    )
    story.records(9.8, "rescored", *({"id": name, "size": size} for name, size in rescored))
    return card(story)


def test_a_skew_owes_the_records_whose_value_was_not_the_true_one() -> None:
    assert skewed().debt == (DebtItem("rescored", 1, 0),)
    assert skewed(("a", 3.0), ("c", 3.0)).debt == (DebtItem("rescored", 1, 0),)
    assert skewed(("b", 3.0)).debt == (DebtItem("rescored", 1, 1),)


def test_scoring_again_by_the_same_skew_repays_nothing() -> None:
    assert skewed(("b", 20.0)).debt == (DebtItem("rescored", 1, 0),)
    assert skewed(("b", 20.0), ("b", 3.0)).debt == (DebtItem("rescored", 1, 1),)


def test_a_skew_whose_truth_is_not_declared_is_not_observed() -> None:
    damage = Damage(False, "decisions", "size", None, {"rescored": "rescored"}, Against("nobody"))
    scored = card(bad_model(plan(faults=(fault(damage=damage),)), rescores=False))
    assert (scored.debt[0].damaged, "nobody" in scored.debt[0].reason) == (None, True)


def test_a_debt_that_is_read_seldom_may_have_been_repaid_since_the_reading_before() -> None:
    readings = tuple(msgspec.structs.replace(reading, every_s=3.0) for reading in plan().readings)
    seldom, often = card(bad_model(plan(readings=readings))), card(bad_model())
    assert (seldom.moments.t_recover, often.moments.t_recover) == (ns(10.1), ns(10.1))  # both by the debt
    assert seldom.times.ttr.resolution_s == pytest.approx((often.times.ttr.resolution_s or 0.0) + 2.5)


def test_recovery_waits_for_the_debt() -> None:
    assert card(bad_model()).moments.t_recover == ns(10.1)


# --- collateral -----------------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[str, e.Snapshot]] = {
    "restarted": ("services", after(services=BASELINE.services | {"gateway": "99:2"})),
    "stopped": ("services", after(services=BASELINE.services | {"serving-b": ""})),
    "scaled to zero": ("replicas", after(replicas=BASELINE.replicas | {"serving": 0})),
    "another configuration": ("config", after(config={"gateway/timeout_s": 9.0})),
    "edited rules": ("alert-rules", after(rules="rules-2")),
    "silenced": ("silences", after(silences=("s1",))),
    "rows withdrawn": ("data", after(data={"quarantine": 40})),
    "rows gone": ("data", after(data={"quarantine": -1})),
}
MISSING: dict[str, e.Snapshot] = {
    "services": after(services={}),
    "replicas": after(replicas={}),
    "versions": after(versions={"serving-a": "1", "serving-b": "1"}),
    "config": after(config={}),
    "alert-rules": after(rules=None),
    "silences": after(silences=None),
    "data": after(data={}),
}


@pytest.mark.parametrize(("safeguard", "final"), BROKEN.values(), ids=BROKEN.keys())
def test_a_change_breaks_its_safeguard_and_no_other_and_spoils_the_recovery(
    *, safeguard: str, final: e.Snapshot
) -> None:
    scored = card(bad_model(final=final))
    assert [one.safeguard for one in scored.collateral if not one.kept] == [safeguard]
    assert scored.verdict is Verdict.FAIL
    allowed = plan(allow=(PlannedAllow(safeguard),))
    assert card(bad_model(allowed, final=final)).verdict is Verdict.PASS


@pytest.mark.parametrize(("safeguard", "final"), MISSING.items(), ids=MISSING.keys())
def test_a_safeguard_that_cant_be_read_is_not_kept(*, safeguard: str, final: e.Snapshot) -> None:
    story = bad_model(final=final)
    assert side(story, safeguard).kept is None
    assert card(story).verdict is Verdict.INCONCLUSIVE


def test_what_is_allowed_somewhere_is_not_allowed_elsewhere() -> None:
    restarted = after(services=BASELINE.services | {"gateway": "99:2", "features": "98:2"})
    one = side(bad_model(plan(allow=(PlannedAllow("services", "gateway"),)), final=restarted), "services")
    assert (one.kept, one.changes, one.allowed) == (False, ("features was restarted",), ("gateway was restarted",))


def test_another_version_is_allowed_as_a_model_alias() -> None:
    moved = after(versions={"risk/champion": "3", "serving-a": "3", "serving-b": "3"})
    assert side(bad_model(final=moved), "versions").kept is True
    assert side(bad_model(plan(allow=()), final=moved), "versions").kept is False


def test_our_own_injection_that_still_stands_is_not_the_responder_s_doing() -> None:
    ours = after(versions={"risk/champion": "2", "serving-a": "2", "serving-b": "1"})
    assert side(bad_model(plan(allow=()), final=ours), "versions").kept is True


def test_a_service_that_the_fault_broke_may_be_restarted() -> None:
    restarted = after(services=BASELINE.services | {"serving-a": "99:2"})
    aimed = plan(faults=(fault(components=(Component("service", "serving-a"),)),))
    assert side(bad_model(final=restarted), "services").kept is False
    assert side(bad_model(aimed, final=restarted), "services").kept is True
    died = bad_model(final=restarted).add(e.ServiceExited(t_ns=ns(6), service="serving-a", reason="memory"))
    assert side(died, "services").kept is True
    asked = bad_model(final=restarted).add(e.ServiceExited(t_ns=ns(6), service="serving-a", reason="asked", asked=True))
    assert side(asked, "services").kept is False


def test_a_service_that_the_fault_broke_may_not_be_left_down() -> None:
    down = after(services=BASELINE.services | {"serving-a": ""}, replicas=BASELINE.replicas | {"serving": 1})
    aimed = plan(faults=(fault(components=(Component("service", "serving-a"),)),))
    assert [side(bad_model(aimed, final=down), name).kept for name in ("services", "replicas")] == [True, True]
    stopped = bad_model(aimed, final=down).act(9.2, Action.STOP, service="serving-a")
    assert [side(stopped, name).kept for name in ("services", "replicas")] == [False, False]


def test_a_silence_that_is_gone_again_was_still_a_silence() -> None:
    assert side(bad_model().act(9.2, Action.SILENCE, alert="CanaryWrong"), "silences").kept is False
    assert side(bad_model().act(9.2, Action.SILENCE, alert="CanaryWrong", ok=False), "silences").kept is True


def test_withdrawing_damaged_rows_is_no_collateral_and_a_share_of_clean_ones_may_be_lost() -> None:
    masked = fault(damage=Damage(by_mask=True, debts={"quarantined": "quarantine"}))
    withdrawn = after(data={"quarantine": 2})
    mask = e.MaskRead(t_ns=ns(5), fault=0, ids=["a", "b"])
    only = bad_model(plan(faults=(masked,)), final=withdrawn).add(mask)
    assert side(only.records(9.8, "quarantine", {"id": "a"}, {"id": "b"}), "data").kept is True
    clean = bad_model(plan(faults=(masked,)), final=withdrawn).add(mask)
    assert side(clean.records(9.8, "quarantine", {"id": "a"}, {"id": "t0045"}), "data").kept is False
    lenient = tuple(msgspec.structs.replace(one, share=0.5) for one in plan().safeguards)
    some = bad_model(plan(faults=(masked,), safeguards=lenient), final=withdrawn).add(mask)
    assert side(some.records(9.8, "quarantine", {"id": "a"}, {"id": "t0045"}), "data").kept is True
    strict = tuple(msgspec.structs.replace(one, share=0.01) for one in plan().safeguards)
    less = bad_model(plan(faults=(masked,), safeguards=strict), final=withdrawn).add(mask)
    assert side(less.records(9.8, "quarantine", {"id": "a"}, {"id": "t0045"}), "data").kept is False


# --- conformance ----------------------------------------------------------------------------------------------------


def conformance(story: Story) -> Conformance:
    found = card(story).conformance
    assert found is not None
    return found


def test_a_response_by_the_book() -> None:
    found = conformance(bad_model())
    assert (found.required_done, found.required, found.order_kept, found.guards_kept) == (5, 5, True, True)
    assert (found.forbidden_done, found.out_of_time) == ((), ())
    assert [step.outcome for step in found.steps] == ["passed"] * 5 + ["not reached"]


def test_nothing_done_is_nothing_kept() -> None:
    found = conformance(bad_model(responds=False, end_at=36.0))
    assert (found.required_done, found.order_kept, found.guards_kept) == (0, None, None)
    assert found.out_of_time == ("acknowledge", "ack", "roll-back")


def test_a_change_before_the_guard_and_out_of_order_is_seen() -> None:
    found = conformance(
        bad_model(responds=False).act(7.3, Action.ROLLBACK, step="roll-back").end_step(7.8, "roll-back")
    )
    assert (found.order_kept, found.guards_kept) == (False, False)


def test_a_guard_that_passes_after_the_change_guarded_nothing() -> None:
    early = bad_model().act(7.25, Action.ROLLBACK, model="risk")
    assert conformance(early).guards_kept is False


def test_a_forbidden_action_counts_when_attempted_until_its_step_is_done() -> None:
    early = bad_model().act(7.3, Action.RETRAIN, ok=False)
    late = bad_model().act(12.0, Action.RETRAIN)
    assert conformance(early).forbidden_done == ("retrain: the labels may be bad",)
    assert conformance(late).forbidden_done == ()


def test_of_a_person_steps_are_told_by_what_was_done() -> None:
    story = bad_model(responds=False).say(7.5, ReportKind.ACK).observe(7.6, Observation.VERSIONS)
    story.say(8.0, ReportKind.DIAGNOSE, cause="model").act(8.5, Action.ROLLBACK, model="risk")
    found = conformance(story)
    assert [step.outcome for step in found.steps] == ["passed"] * 4 + ["not reached"] * 2
    assert (found.order_kept, found.guards_kept, found.required_done) == (True, True, 4)


# --- diagnosis ------------------------------------------------------------------------------------------------------


def test_a_diagnosis_is_a_vector() -> None:
    found = card(bad_model()).diagnosis
    assert (found.component, found.hops, found.cause, found.cause_right) == ("model/risk", 0, "model", True)


@pytest.mark.parametrize(
    ("said", "hops"),
    [("risk", 0), ("serving-a", 1), ("gateway", 2), ("features", 3), ("gateway-features", 3), ("moon", None)],
)
def test_a_component_is_judged_by_its_distance(*, said: str, hops: int | None) -> None:
    assert card(bad_model().say(8.2, ReportKind.DIAGNOSE, component=said)).diagnosis.hops == hops


@pytest.mark.parametrize(
    ("onset", "right"),
    [(1_767_603_604.0, True), (1_767_603_660, True), ("2026-01-05T09:00:04Z", True), (1.0, False), ("soon", False)],
)
def test_an_onset_is_right_within_a_minute(*, onset: object, right: bool) -> None:
    assert card(bad_model().say(8.2, ReportKind.DIAGNOSE, onset=onset)).diagnosis.onset_right is right


def test_an_onset_read_off_the_targets_own_clock_is_right_by_that_clock() -> None:
    """The target's clock is 10 minutes ahead: what it shows of the injection at 4 s is 09:10:04."""
    story = bad_model().say(8.2, ReportKind.DIAGNOSE, onset="2026-01-05T09:10:04Z")
    assert card(story).diagnosis.onset_right is False
    ahead = 1_767_603_600_000_000_000 + 600 * 10**9
    story.add(e.ClockPair(t_ns=ns(2), source="monitoring", wall_ns=ahead + 2 * 10**9, error_ns=10**6))
    story.add(e.ClockPair(t_ns=ns(3), source="monitoring", wall_ns=0, error_ns=10**9))
    assert card(story).diagnosis.onset_right is True


def test_a_diagnosis_without_credit_locates_nothing() -> None:
    story = bad_model(responds=False).say(7.5, ReportKind.DIAGNOSE, component="features", cause="network")
    assert card(story).moments.t_loc is None
    assert card(story.say(9.0, ReportKind.DIAGNOSE, cause="model", scope=["risk"])).moments.t_loc == ns(9.0)
    assert card(story).diagnosis.scope_right is True


def test_a_guess_before_the_injection_diagnoses_nothing() -> None:
    """It is injected at 4.0."""
    guessed = card(bad_model(responds=False).say(3.9, ReportKind.DIAGNOSE, component="model/risk", cause="model"))
    assert (guessed.moments.t_loc, guessed.diagnosis) == (None, Diagnosis())
    named = card(bad_model(responds=False).say(4.0, ReportKind.DIAGNOSE, component="model/risk", cause="model"))
    assert (named.moments.t_loc, named.diagnosis.hops) == (ns(4.0), 0)


# --- outcome --------------------------------------------------------------------------------------------------------


def test_the_outcome_is_cat_times_the_root_of_criteria_and_safeguards() -> None:
    assert card(bad_model()).outcome == 1.0
    restarted = card(bad_model(final=after(services=BASELINE.services | {"gateway": "99:2"})))
    assert restarted.outcome == pytest.approx((2 / 3 * 3 / 4) ** 0.5, rel=1e-5)
    assert card(bad_model(final=after(rules="rules-2"))).outcome == 0.0
    assert card(bad_model(final=None)).outcome is None


def test_recoverable_safeguards_cost_at_most_a_tenth() -> None:
    wrecked = after(
        services=BASELINE.services | {"gateway": "99:2"},
        versions=BASELINE.versions | {"risk/champion": "9"},
        silences=("s1",),
        config={"gateway/timeout_s": 9.0},
    )
    scored = card(bad_model(plan(allow=(), recover=None), final=wrecked))
    assert scored.outcome == pytest.approx(0.1**0.5, rel=1e-5)


def test_a_catastrophic_safeguard_that_cant_be_read_leaves_the_run_open() -> None:
    story = bad_model(plan(recover=None), final=after(rules=None))
    assert card(story).verdict is Verdict.INCONCLUSIVE


def test_a_catastrophic_safeguard_fails_a_run_whose_criteria_are_met() -> None:
    story = bad_model(plan(recover=None), final=after(rules="rules-2"))
    assert {one.answer for one in card(story).criteria} == {Answer.MET}
    assert card(story).verdict is Verdict.FAIL

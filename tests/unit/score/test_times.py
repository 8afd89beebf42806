"""Moments, durations, and the criteria that limits make of them."""

from __future__ import annotations

import msgspec
import pytest

from harness.contract.faults import Cure, CureKind
from harness.contract.words import Action, Arm, Effect, EndReason, Layer, ReportKind, Severity
from harness.history import commands as c
from harness.history import events as e
from harness.history.scorecard import Answer, Criterion, Scorecard, Time
from harness.score import score
from harness.spec.plan import PlannedDetect, PlannedHeartbeat, PlannedLimit, PlannedRule
from tests.golden.build import BASELINE, GOOD, WRONG, Story, bad_model, control, fault, ns, plan

BUDGET = EndReason.BUDGET


def card(story: Story) -> Scorecard:
    return score(story.history())


def criterion(story: Story, name: str) -> Criterion:
    return next(one for one in card(story).criteria if one.name == name)


def without_pages(event: e.AnyEvent) -> bool:
    return isinstance(event, e.AlertReceived)


# --- onset ----------------------------------------------------------------------------------------------------------


def test_the_zero_is_the_last_moment_without_the_effect_but_not_before_the_injection() -> None:
    at = card(bad_model()).moments
    assert (at.t_inject, at.t_active_from, at.t_active_to) == (ns(4.0), ns(4.0), ns(4.2))
    seen_absent = bad_model().add(e.WitnessRead(t_ns=ns(4.15), res_ns=50_000_000, fault=0, effect=Effect.ABSENT))
    assert card(seen_absent).moments.t_active_from == ns(4.1)


def test_a_witness_that_sees_only_what_has_been_so_for_a_while_moves_the_zero_back() -> None:
    """Its *absent* at 4.15 speaks of 3.65: from the injection on the effect may have been there."""
    blind = plan(faults=(fault(witness_blind_s=0.5),))
    seen_absent = bad_model(blind).add(e.WitnessRead(t_ns=ns(4.15), res_ns=0, fault=0, effect=Effect.ABSENT))
    scored = card(seen_absent)
    assert (scored.moments.t_active_from, scored.moments.t_active_to) == (ns(4.0), ns(4.2))
    assert scored.times.ttrepair.resolution_s == pytest.approx(0.7 + scored.times.ttd.resolution_s - 0.2, abs=0.02)


def test_impact_is_the_first_bad_sample_of_the_window_that_decided() -> None:
    assert card(bad_model()).moments.t_impact == ns(4.5)
    assert card(bad_model(impact=False)).moments.t_impact is None


# --- detection ------------------------------------------------------------------------------------------------------


def test_ttd_splits_into_sense_hold_and_deliver_beside_its_floor() -> None:
    times = card(bad_model()).times
    assert [t.value_s for t in (times.ttd, times.sense, times.hold, times.deliver)] == [3.0, 1.5, 1.0, 0.5]
    assert (times.ttd.floor_s, times.ttd.resolution_s, times.lead.value_s) == (2.0, 0.205, 2.5)


def test_each_part_has_its_own_error_and_its_own_floor() -> None:
    """The zero is 0.2 s wide; both ends of hold are of the monitoring's clock, so only their texts blur it."""
    settings = msgspec.structs.replace(plan().alerts, group_wait_s=0.25)
    story = bad_model(plan(alerts=settings), page_at=None).alert(7.0, cond=5.5, fire=6.5, error=0.1, cut=0.001)
    scored = card(story)
    parts = [scored.times.sense, scored.times.hold, scored.times.deliver]
    assert [part.value_s for part in parts] == [1.5, 1.0, 0.5]
    assert [part.resolution_s for part in parts] == [pytest.approx(0.3), 0.001, pytest.approx(0.105)]
    floors = [part.floor_s for part in parts]
    assert floors == [settings.scrape_s + settings.evaluation_s, 1.0, 0.25]
    assert scored.times.ttd.floor_s == pytest.approx(sum(floors))
    told = scored.monitoring
    assert told is not None
    assert (told.rule, told.hold_s, told.clock, told.clock_error_s) == ("CanaryWrong", 1.0, "monitoring", 0.1)


@pytest.mark.parametrize(("hold_s", "held_s"), [(0.0, 0.0), (0.3, 0.5), (0.5, 0.5), (1.1, 1.5), (1.5, 1.5)])
def test_a_hold_lasts_whole_evaluations(*, hold_s: float, held_s: float) -> None:
    """Rules are evaluated each 0.5 s."""
    rules = tuple(msgspec.structs.replace(rule, hold_s=hold_s) for rule in plan().alerts.rules)
    scored = card(bad_model(plan(alerts=msgspec.structs.replace(plan().alerts, rules=rules))))
    assert (scored.times.hold.floor_s, scored.times.ttd.floor_s) == (held_s, 1.0 + held_s)


def test_a_page_for_missing_heartbeats_has_a_floor_of_its_own_and_no_parts() -> None:
    beat = PlannedHeartbeat("Watchdog", "Silent", Layer.AVAILABILITY, every_s=1.0, within_s=1.5)
    rule = PlannedRule("Silent", Layer.AVAILABILITY, Severity.PAGE, 1.5)
    settings = msgspec.structs.replace(plan().alerts, heartbeat=beat, rules=(rule, *plan().alerts.rules))
    expected = PlannedDetect(Layer.AVAILABILITY, 8.0, Severity.PAGE)
    story = bad_model(plan(alerts=settings, detect=expected), page_at=None).alert(7.0, "Silent", layer="availability")
    scored = card(story)
    assert scored.times.ttd.floor_s == 2.5
    assert (scored.times.sense.floor_s, scored.times.deliver.floor_s) == (None, None)
    assert scored.monitoring is not None
    assert scored.monitoring.heartbeat_s == 2.5


WRONG_PAGES = {
    "another layer": {"layer": "latency"},
    "a ticket": {"severity": Severity.TICKET},
    "resolved": {"status": "resolved"},
    "true before the injection": {"cond": 3.0, "fire": 3.9},
}


@pytest.mark.parametrize("wrong", WRONG_PAGES.values(), ids=WRONG_PAGES.keys())
def test_a_page_of_another_kind_detects_nothing(wrong: dict[str, object]) -> None:
    story = bad_model(page_at=None).alert(6.0, **({"cond": 5.0} | wrong))  # type: ignore[arg-type]  # a table of keywords
    scored = card(story)
    assert (scored.moments.t_page, scored.times.ttd.censored, scored.times.ttd.value_s) == (None, True, 9.5)


def test_how_long_an_objective_may_have_been_lost_before_its_sample_is_resolution_of_the_lead() -> None:
    """The sample before the impact at 4.5 began at 3.98, but nothing was there before 4.0."""
    assert card(bad_model()).times.lead.resolution_s == 0.505


@pytest.mark.parametrize(("fired", "answer"), [(5.2, Answer.NOT_OBSERVED), (4.8, Answer.MISSED), (6.5, Answer.MET)])
def test_of_an_alert_that_tells_only_when_it_fired_the_hold_counts_back(fired: float, answer: Answer) -> None:
    """CanaryWrong holds for a second: fired at 4.8 its condition was true before the injection at 4.0."""
    assert criterion(bad_model(page_at=None).alert(7.0, fire=fired), "detect").answer is answer


def test_a_chronic_alert_detects_nothing() -> None:
    assert card(bad_model(baseline=msgspec.structs.replace(BASELINE, firing=("CanaryWrong",)))).moments.t_page is None
    assert card(bad_model().alert(2.0, cond=1.5)).moments.t_page is None
    assert card(bad_model().alert(2.0, cond=1.5).alert(3.0, status="resolved")).moments.t_page == ns(7.0)


def test_where_the_clocks_cant_tell_detection_is_not_decided() -> None:
    detect = criterion(bad_model(page_at=None).alert(6.0, cond=4.5, error=1.0), "detect")
    assert (detect.answer, detect.reading) == (Answer.NOT_OBSERVED, None)


def test_a_page_may_be_narrowed_to_one_rule() -> None:
    narrow = plan(detect=PlannedDetect(Layer.MODEL_QUALITY, within_s=8.0, alert="LowQuality"))
    assert card(bad_model(narrow)).moments.t_page is None
    assert card(bad_model(narrow).alert(8.0, "LowQuality", cond=7.0)).moments.t_page == ns(8.0)


def test_a_layer_that_the_alert_does_not_tell_is_the_declared_one() -> None:
    assert card(bad_model(page_at=None).alert(7.0, layer="", cond=6.0)).moments.t_page == ns(7.0)


def test_a_person_may_notice_before_the_page_but_the_page_is_still_expected() -> None:
    story = bad_model(page_at=None).say(5.0, ReportKind.DIAGNOSE, declared=True)
    assert (card(story).times.ttd.value_s, criterion(story, "detect").answer) == (1.0, Answer.MISSED)


# --- responses ------------------------------------------------------------------------------------------------------


def test_the_durations_of_a_response() -> None:
    times = card(bad_model()).times
    values = [t.value_s for t in (times.tta, times.tte, times.ttl, times.ttm, times.ttrepair, times.ttr)]
    assert values == [0.2, 0.2, 1.0, 2.5, 2.0, 6.1]


def test_an_acknowledgement_counts_from_the_page_that_called_though_another_one_detects() -> None:
    """The one that counts comes at 7.0 and is acknowledged at 7.2; an earlier one is about something else."""
    called = card(bad_model().alert(6.5, "InputOdd", layer="data", cond=6.0, fire=6.4))
    assert (called.times.tta.value_s, called.moments.t_called, called.moments.t_page) == (0.7, ns(6.5), ns(7.0))
    assert called.times.ttd == card(bad_model()).times.ttd


def test_who_acknowledges_the_first_page_needn_t_do_so_again() -> None:
    early = bad_model(responds=False).alert(6.5, "InputOdd", layer="data", cond=6.0, fire=6.4).say(6.6, ReportKind.ACK)
    assert (card(early).times.tta.value_s, card(early).moments.t_ack) == (0.1, ns(6.6))
    found = card(early).conformance
    assert found is not None
    assert "acknowledge" not in found.out_of_time
    late = card(bad_model(responds=False).alert(6.5, "InputOdd", cond=6.0).say(8.6, ReportKind.ACK)).conformance
    assert late is not None
    assert "acknowledge" in late.out_of_time  # 1.6 s after the page that counts, 2.1 s after the first; 2 s are allowed


def test_neither_a_ticket_nor_what_fired_before_calls_anybody() -> None:
    story = bad_model().alert(6.5, "InputDrift", layer="distribution", severity=Severity.TICKET, cond=6.0)
    story.alert(2.0, "Old", layer="data", cond=1.5).alert(6.0, "Old", layer="data", cond=1.5)
    assert card(story).moments.t_called == ns(7.0)
    unpaged = card(bad_model(page_at=None).alert(6.5, "InputOdd", layer="data", cond=6.0))
    assert (unpaged.moments.t_page, unpaged.times.tta.value_s) == (None, 0.7)


def test_a_page_that_had_gone_by_the_injection_or_goes_after_it_calls_when_it_fires_anew() -> None:
    story = bad_model().alert(2.0, "Old", layer="data", cond=1.5).alert(5.0, "Old", layer="data", status="resolved")
    assert card(story.alert(6.0, "Old", layer="data", cond=6.0)).moments.t_called == ns(6.0)


def test_where_a_ticket_is_what_counts_it_calls_unless_a_page_came_first() -> None:
    seldom = plan(detect=PlannedDetect(Layer.DISTRIBUTION, within_s=8.0, severity=Severity.TICKET))
    story = bad_model(seldom).alert(6.5, "InputDrift", layer="distribution", severity=Severity.TICKET, cond=6.0)
    assert (card(story).moments.t_page, card(story).moments.t_called) == (ns(6.5), ns(6.5))
    assert card(story.alert(6.2, "InputOdd", layer="data", cond=6.0)).moments.t_called == ns(6.2)


def test_what_never_happened_is_censored_at_the_end_and_never_a_result() -> None:
    times = card(bad_model(responds=False, end_at=36.0, reason=BUDGET)).times
    assert [(t.value_s, t.censored, t.at_ns) for t in (times.ttm, times.ttr)] == [
        (29.0, True, None),
        (32.0, True, None),
    ]


def test_what_has_no_zero_is_not_observed() -> None:
    times = card(bad_model(page_at=None, responds=False)).times
    assert times.ttm == Time(reason="nobody noticed, so there is no zero")
    assert times.tta.value_s is None


def test_mitigation_is_stamped_at_the_start_of_its_hold() -> None:
    assert card(bad_model(good_at=10.5)).moments.t_mitig == ns(10.5)


def test_the_harness_s_lag_widens_the_resolution() -> None:
    story = bad_model().add(e.Lag(t_ns=ns(8), worst_ns=300_000_000))
    assert (card(story).times.ttd.resolution_s, card(story).harness_lag_s) == (0.505, 0.3)


# --- limits ---------------------------------------------------------------------------------------------------------


def test_a_limit_is_met_missed_or_inside_the_resolution() -> None:
    answers = {}
    for within_s in (5.6, 5.5, 5.2, 4.7):
        limited = plan(mitigate=PlannedLimit(within_s, hold_s=2.0))
        answers[within_s] = criterion(bad_model(limited), "mitigate").answer
    met, unknown, missed = Answer.MET, Answer.NOT_OBSERVED, Answer.MISSED
    assert answers == {5.6: met, 5.5: met, 5.2: unknown, 4.7: missed}


def test_one_lucky_sample_is_no_mitigation() -> None:
    story = bad_model(responds=False, end_at=36.0, reason=BUDGET).without(
        lambda event: isinstance(event, e.Sample) and ns(10.0) <= event.t_ns < ns(10.4)
    )
    assert criterion(story.samples(10.0, 10.4, GOOD), "mitigate").answer is Answer.MISSED


def test_a_relapse_is_no_mitigation() -> None:
    story = bad_model().without(lambda event: isinstance(event, e.Sample) and event.t_ns >= ns(12.9))
    assert criterion(story.samples(12.9, 13.4, WRONG), "mitigate").answer is Answer.MISSED


def test_an_objective_that_cant_be_read_at_the_decisive_time_leaves_it_open() -> None:
    story = bad_model().without(lambda event: isinstance(event, e.Sample) and event.t_ns >= ns(9.5))
    unread = criterion(story.samples(9.5, 13.5, GOOD | {"decision-quality": None}), "mitigate")
    assert (unread.answer, unread.reading) == (Answer.NOT_OBSERVED, None)


def test_a_run_that_ends_in_the_middle_of_a_hold_leaves_it_open() -> None:
    assert criterion(bad_model(good_at=13.0), "mitigate").answer is Answer.NOT_OBSERVED


def test_two_samples_far_apart_hold_nothing() -> None:
    story = bad_model().without(lambda event: isinstance(event, e.Sample) and ns(9.6) < event.t_ns < ns(13.3))
    assert criterion(story.samples(13.3, 13.8, GOOD), "mitigate").answer is Answer.NOT_OBSERVED


def test_the_last_sample_stands_for_two_intervals_and_no_longer() -> None:
    def last_at(seconds: float) -> Story:
        return bad_model(good_at=10.5).without(lambda event: isinstance(event, e.Sample) and event.t_ns > ns(seconds))

    assert criterion(last_at(10.6), "mitigate").answer is Answer.NOT_OBSERVED
    assert criterion(last_at(11.1), "mitigate").answer is Answer.NOT_OBSERVED
    assert criterion(last_at(11.6), "mitigate").answer is Answer.MET
    near = bad_model(good_at=11.3).without(lambda event: isinstance(event, e.Sample) and event.t_ns > ns(11.9))
    assert criterion(near, "mitigate").answer is Answer.NOT_OBSERVED


def test_an_effect_that_comes_after_its_window_is_not_witnessed() -> None:
    late = bad_model().without(lambda event: isinstance(event, e.WitnessRead) and ns(4.1) < event.t_ns < ns(9))
    assert card(late.witness(4.2, 7.2, Effect.ABSENT).witness(7.2, 9.0, Effect.PRESENT)).moments.t_active_from is None


def test_without_an_impact_there_is_nothing_to_mitigate() -> None:
    story = bad_model(impact=False)
    assert criterion(story, "mitigate").answer is Answer.MET
    assert (card(story).times.ttm.value_s, card(story).times.ttr.value_s) == (None, 6.1)


def unwatched(story: Story, start: float, stop: float) -> Story:
    return story.without(lambda event: isinstance(event, e.Sample) and ns(start) < event.t_ns < ns(stop))


def test_of_a_stretch_that_nobody_watched_no_harm_can_be_denied() -> None:
    for start, stop in ((4.0, 7.0), (6.0, 9.0), (10.0, 14.0)):
        assert criterion(unwatched(bad_model(impact=False), start, stop), "mitigate").answer is Answer.NOT_OBSERVED
    assert criterion(unwatched(bad_model(impact=False), 6.0, 7.9), "mitigate").answer is Answer.MET


def test_but_a_claim_before_harm_could_show_proves_nothing() -> None:
    early = bad_model(impact=False, responds=False, end_at=9.0)
    assert criterion(early, "mitigate").answer is Answer.NOT_OBSERVED


def short(kinds: dict[str, float], start: float, stop: float) -> Story:
    """The drill with a harm of its own length instead of its own harm: too few samples to be an impact."""
    story = bad_model(impact=False).without(
        lambda event: isinstance(event, e.Sample) and ns(start) <= event.t_ns < ns(stop)
    )
    return story.samples(start, stop, GOOD | kinds)


def test_harm_too_short_to_be_an_impact_is_told_as_harm() -> None:
    scored = card(short({"correctness": 0.4}, 9.0, 10.0))
    said = "2 bad samples of correctness, not long enough to count (3 of 5)"
    assert (scored.moments.t_impact, scored.bad_samples) == (None, {"correctness": 2})
    assert (scored.times.ttm.reason, scored.times.lead.reason) == (said, said)
    mitigate = next(one for one in scored.criteria if one.name == "mitigate")
    assert mitigate.answer is Answer.MET
    assert mitigate.reason.endswith(said)


def test_nobody_has_recovered_before_the_last_bad_sample_is_over() -> None:
    """All else is well by 10.1; the bad sample is that of 11.0, which began at 10.98, the next good one that of 11.5."""
    scored = card(short({"correctness": 0.4}, 11.0, 11.5))
    assert scored.times.ttr.value_s == 7.5
    assert scored.times.ttr.resolution_s == pytest.approx(0.2 + 0.52)
    to_the_end = short({"correctness": 0.4}, 12.5, 13.5)
    assert criterion(to_the_end, "recover").answer is Answer.NOT_OBSERVED


def test_a_control_with_a_bad_sample_holds_and_says_so() -> None:
    story = control().without(lambda event: isinstance(event, e.Sample) and event.t_ns == ns(8.0))
    scored = card(story.samples(8.0, 8.5, GOOD | {"availability": 0.5, "latency": None}, ok=4))
    held = next(one for one in scored.criteria if one.name == "objectives hold")
    assert held.answer is Answer.MET
    assert held.reason.endswith("; 1 bad sample of availability, not long enough to count (3 of 5)")
    assert scored.bad_minutes.errors == pytest.approx(0.5 * 0.5 / 60, rel=1e-5)


# --- repair ---------------------------------------------------------------------------------------------------------


def test_what_the_harness_heals_repairs_nothing() -> None:
    story = bad_model(responds=False, end_at=36.0, reason=BUDGET)
    assert (card(story).moments.t_repair, card(story).faults[0].healed) == (None, True)


def test_a_heal_in_mid_run_ends_the_evidence() -> None:
    story = bad_model()
    story.issue(8.9, c.HealFault, fault=0, why="stop-condition")
    assert (card(story).moments.t_repair, card(story).moments.t_end) == (None, ns(8.9))


def test_an_unknown_witness_leaves_the_repair_open() -> None:
    story = bad_model().without(lambda event: isinstance(event, e.WitnessRead) and ns(9) <= event.t_ns < ns(13.5))
    recover = criterion(story.witness(9.0, 13.5, Effect.UNKNOWN), "recover")
    assert (recover.answer, recover.reading) == (Answer.NOT_OBSERVED, None)


def test_what_could_not_be_read_before_the_repair_is_its_resolution() -> None:
    story = bad_model().without(lambda event: isinstance(event, e.WitnessRead) and ns(9) <= event.t_ns < ns(10.6))
    repair = card(story.witness(9.0, 10.6, Effect.UNKNOWN)).times.ttrepair
    assert (repair.at_ns, repair.resolution_s) == (ns(10.6), pytest.approx(1.81 + 0.005))


def by_action(**arguments: object) -> Cure:
    return Cure(CureKind.ACTION, Action.FAILOVER, arguments)


def test_an_action_cure_counts_only_from_its_action_on() -> None:
    cured = plan(faults=(fault(cure=by_action(upstream="features"), damage=None),))
    assert card(bad_model(cured)).moments.t_repair is None
    other = bad_model(cured).act(9.4, Action.FAILOVER, upstream="registry")
    assert card(other).moments.t_repair is None
    done = bad_model(cured).act(9.4, Action.FAILOVER, upstream="features", after=0.5)
    assert card(done).moments.t_repair == ns(10.0)
    assert card(done).times.ttrepair.resolution_s == pytest.approx(0.1 + 0.005)  # since the action was done
    refused = bad_model(cured).act(9.4, Action.FAILOVER, upstream="features", ok=False)
    assert card(refused).moments.t_repair is None


def test_a_fault_that_its_cure_lifted_needs_no_heal_of_the_harness() -> None:
    story = bad_model(plan(faults=(fault(cure=by_action(), damage=None),)), heal=False).act(9.0, Action.FAILOVER)
    assert card(story).faults[0].healed is False
    lifted = story.issue(9.4, c.HealFault, fault=0, why="cure")
    story.add(e.FaultHealed(t_ns=ns(9.5), command=lifted, fault=0, from_ns=ns(9.4), undos=()))
    found = card(story)
    assert (found.faults[0].healed, found.faults[0].heal_undo_s, found.moments.t_end) == (True, 0.1, ns(13.5))


def test_a_target_that_is_taken_down_is_not_broken_again() -> None:
    story = bad_model().witness(14.95, 15.1, Effect.PRESENT)
    assert (card(story).faults[0].healed, card(story).faults[0].cleared_ns) == (True, ns(9.0))
    assert card(bad_model().witness(14.45, 14.6, Effect.PRESENT)).faults[0].healed is False


def test_a_heal_that_failed_is_no_heal() -> None:
    story = bad_model().without(lambda event: isinstance(event, e.FaultHealed))
    assert card(story).faults[0].healed is False
    failed = bad_model()
    failed.told = [
        msgspec.structs.replace(event, undos=(e.UndoApplied("alias", "risk/champion", "failed", "no answer"),))
        if isinstance(event, e.FaultHealed)
        else event
        for event in failed.told
    ]
    assert card(failed).faults[0].healed is False


def test_an_external_cause_is_never_repaired_and_censors_nothing() -> None:
    beyond = plan(faults=(fault(cure=Cure(CureKind.EXTERNAL)),), recover=None)
    scored = card(bad_model(beyond))
    assert (scored.moments.t_repair, scored.times.ttr.value_s, scored.times.ttr.censored) == (None, None, False)


def test_with_several_faults_the_first_counts_for_the_zero_and_all_for_the_repair() -> None:
    both = plan(faults=(fault(), fault(index=1, damage=None)))
    story = bad_model(both).inject(6.0, index=1).witness(5.0, 6.2, Effect.ABSENT, index=1)
    story.witness(6.2, 10.9, Effect.PRESENT, index=1).witness(10.9, 13.5, Effect.ABSENT, index=1)
    at = card(story).moments
    assert (at.t_active_from, at.t_repair) == (ns(4.0), ns(10.9))


# --- bad-minutes ----------------------------------------------------------------------------------------------------


def test_bad_minutes_count_every_bad_sample_also_those_too_few_to_be_an_impact() -> None:
    bad = card(short({"correctness": 0.4}, 9.0, 10.0)).bad_minutes
    assert bad.wrong == pytest.approx(1.0 * 5 / 8 / 60, rel=1e-5)


def test_bad_minutes_run_from_the_zero_to_the_end() -> None:
    bad = card(bad_model()).bad_minutes
    assert bad.wrong == pytest.approx(5.0 * 5 / 8 / 60, rel=1e-5)
    assert (bad.total, bad.errors, bad.slow, bad.stale) == (bad.wrong, 0.0, 0.0, 0.0)


def test_bad_minutes_are_defined_when_nobody_recovers_and_none_where_nothing_is_declared() -> None:
    never = card(bad_model(responds=False, end_at=36.0, reason=BUDGET)).bad_minutes
    assert never.total == pytest.approx(31.5 * 5 / 8 / 60, rel=1e-5)
    blind = plan(slis=plan().slis[:1])
    assert (card(bad_model(blind)).bad_minutes.wrong, card(bad_model(blind)).bad_minutes.errors) == (None, 0.0)


def test_while_an_objective_is_met_nothing_of_it_counts() -> None:
    slow = GOOD | {"latency": 0.4, "correctness": 0.95}
    story = bad_model(responds=False).without(lambda event: isinstance(event, e.Sample) and event.t_ns >= ns(4.5))
    bad = card(story.samples(4.5, 13.5, slow, sent=20, ok=20, slow=10, wrong=1)).bad_minutes
    assert (bad.wrong, bad.slow) == (0.0, pytest.approx(9.0 * 0.5 / 60, rel=1e-5))


def test_a_control_has_no_times_and_an_exposure() -> None:
    quiet = plan(arm=Arm.CONTROL, faults=())
    story = Story(quiet).begin().samples(1.0, 13.5, GOOD)
    scored = card(story.end(13.5, BUDGET, heal=False))
    assert scored.times.ttd.value_s is None
    assert scored.faults == ()

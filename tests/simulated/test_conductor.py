"""The conductor in virtual time: every way a run can end, and that nothing is left broken."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from harness.contract.words import Action, Arm, Effect, EndReason, Kind, Phase, ReportKind, SliKind
from harness.errors import ImpossibleEventError
from harness.history.commands import (
    Act,
    CollectReadings,
    EndStep,
    EnterPhase,
    HealFault,
    InjectFault,
    Say,
    SecureUndo,
    SetTimer,
)
from harness.history.events import CommandIssued, Done, Sample, ServiceExited, WitnessRead
from harness.plugin import Responder
from harness.respond.none import NoResponder
from harness.respond.playbook import PlaybookResponder
from harness.respond.restart_all import RestartAllResponder
from harness.run.machine import Conductor
from harness.run.replay import replay
from harness.run.simulated import Simulated, Trouble, simulate
from harness.run.stubworld import Behaviour
from harness.spec.plan import PlannedAbort
from tests.simulated.plans import BY_ACTION, EXTERNAL, a_plan, planned_fault

SEES = {"versions": {"champion": "2", "previous": "1"}}
CURED_BY_ROLLBACK = Behaviour(cures=frozenset({Action.ROLLBACK}), observations=SEES)


def commands_of(run: Simulated, kind: type) -> list:
    return [e.command for e in run.events if isinstance(e, CommandIssued) and isinstance(e.command, kind)]


def phases_of(run: Simulated) -> list[Phase]:
    return [command.phase for command in commands_of(run, EnterPhase)]


def assert_clean(run: Simulated) -> None:
    assert run.order_faults == ()
    assert run.standing == ()
    assert run.finish is not None
    assert run.finish.dirty == ()


def test_nobody_answers_runs_to_the_budget_and_is_healed():
    run = simulate(a_plan(planned_fault()), NoResponder(), CURED_BY_ROLLBACK)
    assert run.finish.reason is EndReason.BUDGET
    assert phases_of(run) == [
        Phase.BASELINE,
        Phase.INJECT,
        Phase.RESPOND,
        Phase.SETTLE,
        Phase.CLEANUP,
        Phase.AFTERWARDS,
        Phase.ENDED,
    ]
    assert run.virtual_s > 30
    assert_clean(run)


def test_the_budget_counts_from_where_a_blind_witness_s_effect_may_have_begun():
    def budget_s(blind_s: float) -> float:
        run = simulate(a_plan(replace(planned_fault(), witness_blind_s=blind_s)), NoResponder(), CURED_BY_ROLLBACK)
        return next(timer.after_s for timer in commands_of(run, SetTimer) if timer.name == "budget")

    assert budget_s(1.0) < budget_s(0.0)


def test_the_playbook_cures_claims_and_ends_early():
    run = simulate(a_plan(planned_fault()), PlaybookResponder(), CURED_BY_ROLLBACK)
    assert run.finish.reason is EndReason.CLAIMED
    assert run.virtual_s < 20
    assert [c.arguments for c in commands_of(run, Act)] == [{"to": "1"}]
    assert [(c.step, c.outcome) for c in commands_of(run, EndStep)] == [
        ("ack", "passed"),
        ("look", "passed"),
        ("fix", "passed"),
        ("escalate", "skipped"),
        ("resolve", "passed"),
    ]
    assert_clean(run)


def test_the_readings_are_collected_once_and_then_all_is_healed():
    run = simulate(a_plan(planned_fault()), PlaybookResponder(), CURED_BY_ROLLBACK)
    assert len(commands_of(run, CollectReadings)) == 1
    assert len(commands_of(run, HealFault)) == 1


def test_a_failed_step_escalates_and_nobody_claims():
    blind = Behaviour(cures=frozenset({Action.ROLLBACK}), observations={"versions": {"champion": "1"}})
    run = simulate(a_plan(planned_fault()), PlaybookResponder(), blind)
    said = [command.report for command in commands_of(run, Say)]
    assert said == [ReportKind.ACK, ReportKind.ESCALATE]
    assert commands_of(run, Act) == []
    assert run.finish.reason is EndReason.BUDGET
    assert_clean(run)


def test_restart_all_restarts_everything_and_claims():
    run = simulate(a_plan(planned_fault()), RestartAllResponder(), Behaviour())
    assert [c.arguments["service"] for c in commands_of(run, Act)] == ["a", "b"]
    assert run.state.claim_ns is not None
    assert run.finish.reason is EndReason.BUDGET  # it cured nothing, so the claim ends nothing
    assert_clean(run)


def test_a_control_injects_nothing_and_is_watched_for_the_whole_budget():
    run = simulate(a_plan(arm=Arm.CONTROL), PlaybookResponder(), CURED_BY_ROLLBACK)
    assert commands_of(run, InjectFault) == []
    assert run.virtual_s > 30
    assert_clean(run)


def test_a_decoy_is_watched_for_the_whole_budget():
    run = simulate(a_plan(planned_fault(), arm=Arm.DECOY, kind=Kind.DECOY), NoResponder(), Behaviour(impact=False))
    assert run.finish.reason is EndReason.BUDGET
    assert_clean(run)


def test_an_ineffective_injector_is_an_invalid_injection():
    run = simulate(a_plan(planned_fault()), PlaybookResponder(), Behaviour(bites=False))
    assert run.finish.reason is EndReason.INVALID_INJECTION
    assert Phase.RESPOND not in phases_of(run)
    assert_clean(run)


def test_a_broken_baseline_injects_nothing():
    run = simulate(a_plan(planned_fault()), NoResponder(), Behaviour(baseline_good=False))
    assert run.finish.reason is EndReason.ENVIRONMENT
    assert "objectives did not hold" in run.finish.detail
    assert commands_of(run, InjectFault) == []
    assert_clean(run)


def test_a_witness_that_sees_nothing_before_the_injection_says_why():
    run = simulate(a_plan(planned_fault()), NoResponder(), Behaviour(blind="no record has a field 'amuont'"))
    assert run.finish.reason is EndReason.ENVIRONMENT
    assert run.finish.detail.endswith("is absent before the injection: no record has a field 'amuont'")
    assert commands_of(run, InjectFault) == []
    assert_clean(run)


def test_a_stop_condition_heals_at_once_in_the_middle_of_a_fault():
    abort = PlannedAbort(sli=SliKind.AVAILABILITY, for_s=2.0, below=0.5)
    run = simulate(a_plan(planned_fault(), aborts=(abort,)), NoResponder(), Behaviour())
    assert run.finish.reason is EndReason.STOP_CONDITION
    assert run.finish.detail == "availability below 0.5 for 2 s"
    assert run.virtual_s < 12
    assert [c.why for c in commands_of(run, HealFault)] == ["stop-condition"]
    assert_clean(run)


def test_an_action_that_is_the_declared_cure_lifts_the_fault():
    step = a_plan().playbook.steps[2]
    reroute = replace(step, do=Action.REROUTE, arguments={"link": "a-b", "note": "x"}, requires=())
    playbook = replace(a_plan().playbook, steps=(reroute, a_plan().playbook.steps[4]))
    run = simulate(a_plan(planned_fault(cure=BY_ACTION), playbook=playbook), PlaybookResponder(), Behaviour())
    assert [c.why for c in commands_of(run, HealFault)] == ["cure"]
    assert run.finish.reason is EndReason.CLAIMED
    assert_clean(run)


def test_a_claim_without_the_action_that_alone_ends_the_cause_ends_nothing():
    rolled_back = simulate(a_plan(planned_fault(cure=BY_ACTION)), PlaybookResponder(), CURED_BY_ROLLBACK)
    assert rolled_back.state.claim_ns is not None
    assert rolled_back.finish.reason is EndReason.BUDGET  # users were served well, by a mitigation
    assert_clean(rolled_back)


def test_a_witness_that_fell_silent_shows_no_recovery():
    conductor = Conductor(a_plan(planned_fault()), PlaybookResponder())

    def ordered(silent: bool) -> list:
        state, commands, mended = conductor.start(), [], False
        for event in simulate(conductor.plan, PlaybookResponder(), CURED_BY_ROLLBACK).events:
            if not (isinstance(event, CommandIssued) or mended):
                state, _ = conductor.step(state, event)
            mended = state.phase is Phase.SETTLE and state.faults[0].effect is Effect.ABSENT
        for _ in range(20):
            t_ns = state.now_ns + 500_000_000
            if not silent:
                state, _ = conductor.step(state, WitnessRead(t_ns=t_ns, fault=0, effect=Effect.ABSENT))
            state, more = conductor.step(state, Sample(t_ns=t_ns, values={"availability": 1.0}))
            commands += more
        return [type(command) for command in commands]

    assert CollectReadings in ordered(silent=False)
    assert ordered(silent=True) == []


def test_an_external_cause_ends_when_objectives_are_back():
    run = simulate(
        a_plan(planned_fault(cure=EXTERNAL)), PlaybookResponder(), Behaviour(impact=False, observations=SEES)
    )
    assert run.finish.reason is EndReason.CLAIMED
    assert_clean(run)


def test_several_faults_are_healed_last_in_first_out():
    plan = a_plan(planned_fault(0, onset_s=0.2), planned_fault(1, onset_s=2.0))
    run = simulate(plan, NoResponder(), Behaviour())
    assert [c.fault for c in commands_of(run, HealFault)] == [1, 0]
    assert_clean(run)


def test_undos_that_fail_are_tried_again_and_then_called_dirty():
    once = simulate(a_plan(planned_fault()), NoResponder(), Behaviour(undo_fails=2))
    assert_clean(once)
    never = simulate(a_plan(planned_fault()), NoResponder(), Behaviour(undo_fails=50))
    assert never.finish.dirty == (0,)
    assert never.standing == ("stub/0",)


@pytest.mark.parametrize("at_s", [0.02, 0.2, 1.0, 2.5, 5.0, 20.0, 31.0, 34.0])
def test_a_signal_at_any_time_heals(at_s: float):
    run = simulate(a_plan(planned_fault()), NoResponder(), Behaviour(), Trouble(signal_at_s=at_s))
    assert run.finish.reason in (EndReason.SIGNAL, EndReason.BUDGET)
    if at_s < 30:
        assert run.finish.reason is EndReason.SIGNAL
        assert run.virtual_s < at_s + 2
    assert_clean(run)


def test_a_service_that_dies_unasked_before_the_injection_is_the_environments_fault():
    conductor = Conductor(a_plan(planned_fault()), NoResponder())
    run = simulate(a_plan(planned_fault()), NoResponder(), Behaviour())
    state = conductor.start()
    for event in run.events:
        if isinstance(event, CommandIssued):
            continue
        state, _ = conductor.step(state, event)
        if state.phase is Phase.BASELINE:
            break
    died = ServiceExited(t_ns=state.now_ns, service="a", reason="exit", code=1)
    state, _ = conductor.step(state, died)
    assert state.reason is EndReason.ENVIRONMENT
    asked = ServiceExited(t_ns=state.now_ns, service="a", reason="asked", asked=True)
    assert conductor.step(state, asked)[0].reason is EndReason.ENVIRONMENT


def test_a_reply_to_what_was_never_commanded_is_an_error():
    conductor = Conductor(a_plan(), NoResponder())
    with pytest.raises(ImpossibleEventError):
        conductor.step(conductor.start(), Done(t_ns=1, command="c99"))


@pytest.mark.parametrize("responder", [NoResponder(), PlaybookResponder(), RestartAllResponder()])
def test_a_recorded_run_replays_to_the_same_commands(responder: Responder):
    plan = a_plan(planned_fault())
    run = simulate(plan, responder, CURED_BY_ROLLBACK)
    again = replay(plan, responder, run.events)
    assert again.differences == ()
    assert again.commands > 15


def test_replay_sees_a_history_that_was_altered():
    plan = a_plan(planned_fault())
    run = simulate(plan, NoResponder(), CURED_BY_ROLLBACK)
    altered = [e for e in run.events if not isinstance(e, Sample)]
    assert replay(plan, NoResponder(), altered).differences != ()


def test_replay_sees_a_command_that_no_event_led_to():
    plan = a_plan(planned_fault())
    run = simulate(plan, NoResponder(), CURED_BY_ROLLBACK)
    stray = CommandIssued(seq=10_000, t_ns=1, command=EnterPhase(id="c999", phase=Phase.ENDED), after=9_999)
    (found,) = replay(plan, NoResponder(), [*run.events, stray]).differences
    assert (found.seq, found.recorded, found.replayed) == (9_999, stray.command, None)


def test_no_undo_is_secured_after_its_injection():
    run = simulate(a_plan(planned_fault()), NoResponder(), Behaviour())
    order = [type(e.command) for e in run.events if isinstance(e, CommandIssued)]
    assert order.index(SecureUndo) < order.index(InjectFault)

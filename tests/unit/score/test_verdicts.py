"""Every verdict can be reached, each by its own cause, and only by it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from harness.contract.faults import Damage
from harness.contract.words import Action, Arm, Effect, EndReason, Kind, Phase, Severity
from harness.errors import Exit
from harness.history import commands as c
from harness.history import events as e
from harness.history.reader import recorded
from harness.history.scorecard import Answer, Scorecard, Verdict
from harness.score import score
from tests.golden.build import BASELINE, GOOD, Story, bad_model, control, fault, header, ns, plan

DECOY = plan(arm=Arm.DECOY, kind=Kind.DECOY, detect=None, mitigate=None, recover=None)


def card(story: Story) -> Scorecard:
    return score(story.history())


def seconds_of_errors(story: Story) -> Story:
    return story.samples(6.0, 9.0, GOOD | {"availability": 0.5}, every=0.25)


def decoy(story: Story | None = None) -> Story:
    return (story or bad_model(DECOY, impact=False, page_at=None, responds=False)).without(
        lambda event: isinstance(event, e.Records)
    )


VERDICTS: dict[str, tuple[Callable[[], Story], Verdict, Exit]] = {
    "well answered": (bad_model, Verdict.PASS, Exit.PASS),
    "control": (control, Verdict.PASS, Exit.PASS),
    "decoy": (decoy, Verdict.PASS, Exit.PASS),
    "no page": (lambda: bad_model(page_at=None, end_at=14.0), Verdict.FAIL, Exit.FAIL),
    "late page": (lambda: bad_model(page_at=12.3), Verdict.FAIL, Exit.FAIL),
    "nobody answers": (lambda: bad_model(responds=False, end_at=36.0), Verdict.FAIL, Exit.FAIL),
    "debt left": (lambda: bad_model(rescores=False), Verdict.FAIL, Exit.FAIL),
    "control pages": (lambda: control().alert(6.0), Verdict.FAIL, Exit.FAIL),
    "control is changed": (lambda: control().act(6.0, Action.RESTART, service="gateway"), Verdict.FAIL, Exit.FAIL),
    "control is bad": (lambda: seconds_of_errors(control()), Verdict.FAIL, Exit.FAIL),
    "decoy pages": (lambda: decoy().alert(6.0), Verdict.FAIL, Exit.FAIL),
    "decoy is changed": (lambda: decoy().act(6.0, Action.ROLLBACK, model="risk"), Verdict.FAIL, Exit.FAIL),
    "no final snapshot": (lambda: bad_model(final=None), Verdict.INCONCLUSIVE, Exit.UNDECIDED),
    "nothing expected": (
        lambda: bad_model(plan(detect=None, mitigate=None, recover=None)),
        Verdict.INCONCLUSIVE,
        Exit.UNDECIDED,
    ),
    "not there": (lambda: bad_model(present=False), Verdict.INVALID_INJECTION, Exit.UNDECIDED),
    "decoy is not there": (
        lambda: decoy(bad_model(DECOY, present=False, impact=False, page_at=None, responds=False)),
        Verdict.INVALID_INJECTION,
        Exit.UNDECIDED,
    ),
    "no witness": (
        lambda: bad_model().without(lambda event: isinstance(event, e.WitnessRead)),
        Verdict.INVALID_INJECTION,
        Exit.UNDECIDED,
    ),
    "there already": (
        lambda: bad_model().witness(3.9, 4.0, Effect.PRESENT, every=0.1),
        Verdict.INVALID_INJECTION,
        Exit.UNDECIDED,
    ),
    "never injected": (
        lambda: bad_model().without(
            lambda event: isinstance(event, e.CommandIssued) and isinstance(event.command, c.InjectFault)
        ),
        Verdict.INVALID_INJECTION,
        Exit.UNDECIDED,
    ),
    "stop condition": (lambda: bad_model(reason=EndReason.STOP_CONDITION), Verdict.ABORTED, Exit.ABORTED),
    "no traffic": (
        lambda: bad_model().without(lambda event: isinstance(event, e.Sample | e.LoadBucket) and event.t_ns > ns(4.1)),
        Verdict.NOT_EXPOSED,
        Exit.UNDECIDED,
    ),
    "nothing was hit": (
        lambda: bad_model(plan(faults=(fault(damage=Damage(by_mask=True)),))),
        Verdict.NOT_EXPOSED,
        Exit.UNDECIDED,
    ),
    "environment": (lambda: bad_model(reason=EndReason.ENVIRONMENT), Verdict.ENV_ERROR, Exit.ENVIRONMENT),
    "internal": (lambda: bad_model(reason=EndReason.INTERNAL), Verdict.ENV_ERROR, Exit.INTERNAL),
    "no set-up": (
        lambda: (
            Story().phase(0, Phase.SETUP).failed(0.1, c.SetUp, "gateway is not ready").end(1, EndReason.ENVIRONMENT)
        ),
        Verdict.ENV_ERROR,
        Exit.ENVIRONMENT,
    ),
    "baseline broken": (
        lambda: bad_model().samples(1.2, 4.0, GOOD | {"availability": 0.5}, every=0.3),
        Verdict.ENV_ERROR,
        Exit.ENVIRONMENT,
    ),
    "prober lost": (
        lambda: bad_model().add(e.ObserverLost(t_ns=ns(8), observer="prober")),
        Verdict.ENV_ERROR,
        Exit.ENVIRONMENT,
    ),
    "died before": (
        lambda: bad_model().add(e.ServiceExited(t_ns=ns(2), service="gateway", reason="exit", code=1)),
        Verdict.ENV_ERROR,
        Exit.ENVIRONMENT,
    ),
    "died in a control": (
        lambda: control().add(e.ServiceExited(t_ns=ns(8), service="gateway", reason="exit", code=1)),
        Verdict.ENV_ERROR,
        Exit.ENVIRONMENT,
    ),
}


@pytest.mark.parametrize(("story", "verdict", "code"), VERDICTS.values(), ids=VERDICTS.keys())
def test_each_verdict_has_its_cause(*, story: Callable[[], Story], verdict: Verdict, code: Exit) -> None:
    scored = card(story())
    assert (scored.verdict, scored.exit) == (verdict, code), scored.reasons
    assert scored.reasons != ()


def test_the_table_reaches_every_verdict() -> None:
    assert {verdict for _, verdict, _ in VERDICTS.values()} == set(Verdict)


@pytest.mark.parametrize(
    ("name", "code"), [("SIGHUP", 129), ("SIGINT", 130), ("SIGTERM", 143), ("stop", int(Exit.ABORTED))]
)
def test_a_signal_aborts_with_its_own_exit_code(*, name: str, code: int) -> None:
    story = bad_model(reason=EndReason.SIGNAL).add(e.SignalReceived(t_ns=ns(8), name=name))
    assert (card(story).verdict, card(story).exit) == (Verdict.ABORTED, code)


def test_a_stop_before_the_window_of_the_witness_is_over_is_no_invalid_injection() -> None:
    story = bad_model(present=False, responds=False, end_at=5.0, reason=EndReason.SIGNAL)
    assert card(story).verdict is Verdict.ABORTED


def test_a_service_that_dies_in_the_incident_is_part_of_it() -> None:
    story = bad_model().add(e.ServiceExited(t_ns=ns(8), service="serving-a", reason="exit", code=1))
    assert card(story).verdict is Verdict.PASS


def test_dirty_comes_before_everything() -> None:
    history = bad_model(heal=False, reason=EndReason.ENVIRONMENT).history()
    assert score(history).exit == Exit.ENVIRONMENT
    dirty = Story(plan())
    dirty.told = [*bad_model().told]
    told = [
        msgspec.structs.replace(event, command=msgspec.structs.replace(event.command, dirty=(0,)))
        if isinstance(event, e.CommandIssued) and isinstance(event.command, c.Finish)
        else event
        for event in dirty.told
    ]
    dirty.told = told
    assert (card(dirty).verdict, card(dirty).exit, card(dirty).dirty) == (Verdict.PASS, Exit.DIRTY, (0,))


def test_an_empty_history_says_nothing_of_the_target() -> None:
    scored = score(recorded(header(plan()), ()))
    assert (scored.verdict, scored.outcome, scored.criteria) == (Verdict.ENV_ERROR, None, ())


def test_a_history_that_breaks_off_is_no_result_and_what_was_injected_counts_as_dirty() -> None:
    story = bad_model().without(lambda event: event.t_ns > ns(10))
    scored = card(story)
    assert (scored.verdict, scored.exit, scored.dirty) == (Verdict.ENV_ERROR, Exit.DIRTY, (0,))


def test_a_ticket_is_no_page_and_a_note_no_change() -> None:
    story = control().alert(6.0, "InputDrift", severity=Severity.TICKET, layer="distribution")
    story.act(7.0, Action.ANNOTATE, text="saw a ticket")
    scored = card(story)
    assert (scored.verdict, scored.false_pages, scored.false_actions) == (Verdict.PASS, 0, 0)


def test_a_chronic_alert_is_no_false_page() -> None:
    story = control()
    story.told = [
        msgspec.structs.replace(event, snapshot=msgspec.structs.replace(BASELINE, firing=("CanaryWrong",)))
        if isinstance(event, e.SnapshotTaken)
        else event
        for event in story.told
    ]
    assert card(story.alert(6.0)).false_pages == 0


def test_false_pages_are_episodes() -> None:
    story = control().alert(6.0).alert(7.0).alert(8.0, status="resolved").alert(9.0).alert(9.5, "GatewayErrors")
    assert (card(story).false_pages, card(story).exposure_s) == (3, 9.5)


def test_a_control_that_could_not_be_read_is_not_decided() -> None:
    scored = card(control(values=GOOD | {"freshness": None}))
    assert scored.verdict is Verdict.INCONCLUSIVE
    assert [one.answer for one in scored.criteria] == [Answer.MET, Answer.MET, Answer.NOT_OBSERVED]


def test_a_control_that_nobody_watched_for_a_while_is_not_decided() -> None:
    gap = control().without(lambda event: isinstance(event, e.Sample) and ns(6) < event.t_ns < ns(9))
    assert score(gap.history()).verdict is Verdict.INCONCLUSIVE


def test_an_action_that_was_refused_changed_nothing_and_one_that_was_not_answered_may_have() -> None:
    refused = control().act(6.0, Action.RESTART, service="gateway", ok=False)
    assert card(refused).false_actions == 0
    unanswered = control()
    unanswered.issue(6.0, c.Act, action=Action.RESTART, arguments={}, by="playbook")
    assert (card(unanswered).false_actions, card(unanswered).verdict) == (1, Verdict.FAIL)

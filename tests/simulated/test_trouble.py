"""The harness is hurt: replies lost, doubled and late, and a crash at every boundary. Nothing stays broken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract.words import Action, Arm, SliKind
from harness.plugin import Responder
from harness.respond.none import NoResponder
from harness.respond.playbook import PlaybookResponder
from harness.respond.restart_all import RestartAllResponder
from harness.run.simulated import Trouble, simulate
from harness.run.stubworld import Behaviour
from harness.spec.plan import PlannedAbort
from tests.simulated.plans import BY_ACTION, EXTERNAL, STATE, a_plan, planned_fault

RESPONDERS: tuple[Responder, ...] = (NoResponder(), PlaybookResponder(), RestartAllResponder())
SEES = {"versions": {"champion": "2", "previous": "1"}}


@pytest.mark.parametrize("responder", RESPONDERS, ids=lambda r: r.name)
def test_a_crash_at_every_boundary_leaves_nothing_broken(responder: Responder):
    behaviour = Behaviour(cures=frozenset({Action.ROLLBACK}), observations=SEES, detect_s=1.0)
    plan = a_plan(planned_fault(0), planned_fault(1, cure=BY_ACTION, onset_s=1.5), budget_s=5.0)
    whole = simulate(plan, responder, behaviour)
    assert not whole.crashed
    assert whole.boundaries > 100
    for boundary in range(1, whole.boundaries + 1):
        run = simulate(plan, responder, behaviour, Trouble(crash_at=boundary))
        assert run.crashed
        assert run.standing == (), f"crash at boundary {boundary}"
        assert run.order_faults == ()


def test_the_crash_test_can_fail(monkeypatch: pytest.MonkeyPatch):
    """Without the reaper a crash leaves the fault in place: the assertion above is worth something."""
    monkeypatch.setattr("harness.run.simulated.SimulatedDriver._reap", lambda _driver: None)
    plan = a_plan(planned_fault(), budget_s=5.0)
    whole = simulate(plan, NoResponder())
    left = [
        b for b in range(1, whole.boundaries + 1) if simulate(plan, NoResponder(), trouble=Trouble(crash_at=b)).standing
    ]
    assert len(left) > 20


behaviours = st.builds(
    Behaviour,
    cures=st.sets(st.sampled_from([Action.ROLLBACK, Action.RESTART]), max_size=2).map(frozenset),
    detect_s=st.one_of(st.none(), st.floats(0.0, 12.0)),
    effect_s=st.floats(0.0, 4.0),
    heal_s=st.floats(0.0, 3.0),
    bites=st.booleans(),
    impact=st.booleans(),
    baseline_good=st.sampled_from([True, True, True, False]),
    undo_fails=st.integers(0, 2),
    observations=st.sampled_from([SEES, {}]),
)
troubles = st.builds(
    Trouble,
    seed=st.integers(0, 2**32),
    lost=st.floats(0.0, 0.3),
    doubled=st.floats(0.0, 0.3),
    late=st.floats(0.0, 0.2),
    crash_at=st.one_of(st.none(), st.integers(1, 400)),
    signal_at_s=st.one_of(st.none(), st.floats(0.0, 45.0)),
)
faults = st.lists(st.tuples(st.sampled_from([STATE, BY_ACTION, EXTERNAL]), st.floats(0.0, 5.0)), min_size=0, max_size=3)


@settings(max_examples=250, deadline=None)
@given(
    behaviour=behaviours,
    trouble=troubles,
    shapes=faults,
    responder=st.sampled_from(RESPONDERS),
    abort=st.booleans(),
)
def test_whatever_happens_the_run_ends_and_nothing_is_left_broken_unsaid(
    behaviour: Behaviour,
    trouble: Trouble,
    shapes: list,
    responder: Responder,
    abort: bool,
):
    planned = tuple(planned_fault(i, cure=cure, onset_s=onset) for i, (cure, onset) in enumerate(shapes))
    aborts = (PlannedAbort(sli=SliKind.AVAILABILITY, for_s=3.0, below=0.5),) if abort else ()
    arm = Arm.FAULT if planned else Arm.CONTROL
    run = simulate(a_plan(*planned, arm=arm, aborts=aborts), responder, behaviour, trouble)
    assert run.order_faults == ()
    if run.crashed:
        assert run.standing == ()
        return
    assert run.finish is not None
    named = {f"stub/{index}" for index in run.finish.dirty}
    assert set(run.standing) <= named
    assert run.virtual_s < 300

"""Planning: what is resolved, what is refused and in which words, and that the same gives the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contract.faults import Component, Cure, CureKind
from harness.contract.words import Action, Arm, Capability, Layer, SliKind
from harness.errors import HarnessError, UnsupportedError, UsageError
from harness.plan import describe, make_plan, not_declared
from harness.plugin import Inventory, load
from harness.spec.plan import Plan, PlannedCondition, PlannedDetect, PlannedEdge, PlannedLimit
from harness.spec.playbook import Cell, FrontMatter, Playbook, Section
from harness.spec.scenario import Scenario
from harness.spec.target import TargetSpec
from tests.doubles.stub_target import CAPABILITIES, SPEC, inventory

PROMOTE = {"fault": "model.promote", "model": "risk", "variant": "label-shuffled"}
SLOW = {"fault": "link.latency", "link": "gateway-features", "latency": "300ms"}
TARGETS = {"acknowledge": "5s", "detect": "8s", "mitigate": "15s", "recover": "20s"}
CELLS = (
    (Section.ACKNOWLEDGE, {"id": "ack", "report": "ack"}),
    (
        Section.ASSESS,
        {"id": "assess", "observe": "versions", "expect": {"champion": {"ne": "1"}, "a.b": {"in": [1, 2]}}},
    ),
    (
        Section.ACT,
        {
            "id": "rollback",
            "do": "rollback",
            "with": {"to": "${assess.previous_good}"},
            "verify_by": "versions",
            "verify": {"champion": {"eq": "${assess.previous_good}"}},
            "requires": ["assess"],
        },
    ),
)


def scenario(*faults: Mapping[str, Any], **changes: Any) -> Scenario:
    written = {
        "scenario": "example",
        "kind": "fault",
        "title": "An example",
        "incident": "latency-spike",
        "faults": faults or (PROMOTE,),
        "budget": "30s",
    }
    return Scenario.model_validate(written | changes)


def playbook(*cells: tuple[Section, Mapping[str, Any]], **head: Any) -> Playbook:
    front = {"id": "page", "title": "A page", "incident": "latency-spike", "severity": "sev1", "owner": "somebody"}
    return Playbook(
        head=FrontMatter.model_validate(front | {"answers": ["model-quality"], "targets": TARGETS} | head),
        cells=tuple((section, Cell.model_validate(cell)) for section, cell in (cells or CELLS)),
        text="",
    )


def plan(
    written: Scenario,
    *,
    page: Playbook | None = None,
    arm: Arm = Arm.FAULT,
    seed: int = 7,
    responder: str = "none",
    spec: TargetSpec = SPEC,
    known: Inventory | None = None,
) -> Plan:
    return make_plan(
        written,
        scenario_digest="s",
        target_spec=spec,
        inventory=known if known is not None else inventory(spec),
        playbook=page,
        arm=arm,
        seed=seed,
        responder=responder,
        responder_arguments={},
        faults=lambda name: load("fault", name),
        target_digest="t",
    )


def refusal(kind: type[HarnessError], written: Scenario, **how: Any) -> list[str]:
    with pytest.raises(kind) as refused:
        plan(written, **how)
    return [line.strip() for line in refused.value.message.splitlines()]


# --- what is resolved -------------------------------------------------------------------------------------------------


def test_a_fault_is_resolved_to_numbers() -> None:
    (fault,) = plan(scenario(SLOW)).faults
    drawn = {"stream": "downstream", "share": 1.0, "per": "connection"}
    assert fault.arguments == {"link": "gateway-features", "latency": 0.3, "jitter": 0.0, **drawn}
    assert (fault.dose, fault.components) == (0.3, (Component("link", "gateway-features"),))


def test_onsets_keep_their_distance_under_one_jitter() -> None:
    first, second = plan(scenario(PROMOTE, SLOW | {"after": "2s"})).faults
    assert second.onset_s - first.onset_s == pytest.approx(2.0)
    assert 0 <= first.onset_s < SPEC.alerts.scrape + SPEC.alerts.evaluation


def test_onsets_are_spread_over_the_evaluation_phase() -> None:
    onsets = [plan(scenario(), seed=seed).faults[0].onset_s for seed in range(200)]
    assert (min(onsets) < 0.1, max(onsets) > 1.9, max(onsets) < 2.0) == (True, True, True)


def test_faults_of_one_plan_draw_apart() -> None:
    nulls = {"fault": "data.null", "link": "merchants", "column": "amount"}
    first, second = plan(scenario(nulls, nulls)).faults
    assert first.seed != second.seed


def test_a_cure_of_the_scenario_wins() -> None:
    cure = {"kind": "action", "action": "restart", "with": {"service": "features"}}
    (fault,) = plan(scenario(SLOW | {"cure": cure})).faults
    assert fault.cure == Cure(CureKind.ACTION, Action.RESTART, {"service": "features"})


def test_silent_limits_are_the_playbooks() -> None:
    made = plan(scenario(expect={"mitigate": {"within": "10s", "hold": "4s"}}), page=playbook())
    assert made.detect == PlannedDetect(Layer.MODEL_QUALITY, 8.0)
    assert (made.mitigate, made.recover) == (PlannedLimit(10.0, 4.0), PlannedLimit(20.0, 3.0))
    assert made.hold_s == 4.0


def test_without_a_cure_a_silent_recovery_is_not_asked_for() -> None:
    assert plan(scenario(SLOW), page=playbook(answers=["latency"])).recover is None


def test_a_playbook_becomes_steps() -> None:
    made = plan(scenario(), page=playbook(), responder="playbook").playbook
    assert made is not None
    assert [step.id for step in made.steps] == ["ack", "assess", "rollback"]
    assert made.steps[1].expect == (PlannedCondition("champion", "ne", "1"), PlannedCondition("a.b", "in", [1, 2]))
    assert made.steps[2].verify == (PlannedCondition("champion", "eq", "${assess.previous_good}"),)


def test_the_graph_holds_links_and_declared_edges() -> None:
    edges = plan(scenario()).edges
    assert PlannedEdge("gateway", "features", "gateway-features") in edges
    assert PlannedEdge("risk", "serving-a") in edges
    assert len(edges) == len(SPEC.links) + len(SPEC.graph.edges)


# --- arms -------------------------------------------------------------------------------------------------------------


def test_a_control_injects_nothing_and_expects_nothing() -> None:
    made = plan(scenario(expect={"recover": {"within": "10s"}}), page=playbook(), arm=Arm.CONTROL)
    assert (made.faults, made.detect, made.mitigate, made.recover) == ((), None, None, None)


def test_a_decoy_makes_its_change_and_expects_nothing() -> None:
    season = {"fault": "source.shift", "regime": "season"}
    made = plan(scenario(season, kind="decoy"), page=playbook(), arm=Arm.DECOY)
    assert ([fault.fault for fault in made.faults], made.detect) == (["source.shift"], None)


@pytest.mark.parametrize(("kind", "arm"), [("fault", Arm.DECOY), ("decoy", Arm.FAULT)])
def test_an_arm_of_the_other_kind_is_refused(*, kind: str, arm: Arm) -> None:
    assert "its arms are" in refusal(UsageError, scenario(kind=kind), arm=arm)[0]


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_every_lacking_capability_is_told_at_once() -> None:
    null = {"fault": "data.null", "link": "merchants", "column": "amount"}
    poor = inventory(capabilities=frozenset({Capability.KILL, Capability.RESTART}))
    told = refusal(
        UnsupportedError, scenario(null, PROMOTE, {"fault": "process.kill", "service": "features"}), known=poor
    )
    assert told[1:] == [
        "faults[0]: data.null needs tap: target 'stub' (stub) can kill, restart",
        "faults[1]: model.promote needs model: target 'stub' (stub) can kill, restart",
    ]


@pytest.mark.parametrize("name", sorted(Capability))
def test_a_capability_that_is_taken_away_refuses_exactly_who_needs_it(name: Capability) -> None:
    faults = {
        Capability.KILL: {"fault": "process.kill", "service": "features"},
        Capability.PAUSE: {"fault": "process.pause", "service": "features"},
        Capability.LIMIT_CPU: {"fault": "cpu.withhold", "role": "serving", "share": 0.5},
        Capability.LIMIT_MEMORY: {"fault": "memory.limit", "role": "serving", "limit": "96MiB"},
        Capability.LINK: {"fault": "link.cut", "link": "merchants"},
        Capability.TAP: {"fault": "data.null", "link": "merchants", "column": "amount"},
        Capability.MODEL: PROMOTE,
        Capability.CONFIG: {"fault": "job.fail", "service": "features"},
    }
    lessened = inventory(capabilities=CAPABILITIES - {name})
    for needed, fault in faults.items():
        if needed is name:
            assert refusal(UnsupportedError, scenario(fault), known=lessened)[1].startswith("faults[0]")
        else:
            assert plan(scenario(fault), known=lessened).faults[0].fault == fault["fault"]


def test_every_wrong_argument_is_told_with_what_is_legal() -> None:
    told = refusal(
        UsageError,
        scenario(
            {"fault": "model.promot"},
            {"fault": "model.promote", "model": "risc", "variant": "x"},
            {"fault": "model.promote", "model": "risk", "variant": "label-shufled"},
            {"fault": "link.latency", "link": "gateway-featurs", "latency": 300, "jiter": "1ms"},
            {"fault": "data.null", "link": "merchants", "column": "amount", "dose": 1.5, "sent": "truths"},
            {"fault": "cpu.withhold", "role": "servin", "share": 0.5},
        ),
    )
    begins = [
        "faults[0]: unknown fault 'model.promot'. Did you mean 'model.promote'?",
        "faults[1] (model.promote): model: unknown model 'risc'. Did you mean 'risk'? Known: risk",
        "faults[2] (model.promote): variant: unknown variant of model 'risk' 'label-shufled'. Did you mean 'label-shuffled'?",
        "faults[3] (link.latency): unknown argument 'jiter'. Did you mean 'jitter'?",
        "faults[3] (link.latency): link: unknown link 'gateway-featurs'. Did you mean 'gateway-features'?",
        "faults[3] (link.latency): latency: 300 is no duration: write a number with its unit",
        "faults[4] (data.null): dose: 1.5 isn't legal; legal: a share above 0 and up to 1",
        "faults[4] (data.null): sent: unknown reading 'truths'. Did you mean 'truth'?",
        "faults[5] (cpu.withhold): role: unknown role 'servin'. Did you mean 'serving'?",
    ]
    assert [line[: len(begin)] for line, begin in zip(told, begins, strict=True)] == begins


def test_a_reading_may_be_left_out_where_the_fault_can_do_without() -> None:
    fault = {"fault": "config.skew", "service": "gateway", "key": "x", "value": 1, "field": "amount"}
    planned = plan(scenario(fault)).faults[0]
    assert (planned.arguments["repaid"], planned.arguments["received"]) == (None, "decisions")
    told = refusal(UsageError, scenario({**fault, "repaid": "rescord"}))
    assert "repaid: unknown reading 'rescord'" in told[0]


def test_a_reading_that_a_witness_needs_must_be_declared() -> None:
    spec = SPEC.model_copy(update={"readings": {}})
    fault = {"fault": "data.null", "link": "merchants", "column": "amount"}
    told = refusal(UsageError, scenario(fault), spec=spec)
    assert [line.partition(": ")[2] for line in told] == [
        "received: unknown reading 'decisions'. Known: none",
        "sent: unknown reading 'truth'. Known: none",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expect": {"detect": {"layer": "job", "within": "5s"}}}, "no rule makes a page of layer job"),
        (
            {"expect": {"detect": {"layer": "distribution", "within": "5s"}}},
            "no rule makes a page of layer distribution",
        ),
        ({"expect": {"detect": {"layer": "latency", "within": "5s", "alert": "Slo"}}}, "Did you mean 'Slow'?"),
        (
            {"expect": {"detect": {"layer": "job", "within": "5s", "alert": "Slow"}}},
            "rule 'Slow' is no page of layer job",
        ),
        ({"abort": [{"sli": "freshness", "above": 5, "for": "2s"}]}, "abort[0]: unknown SLI 'freshness'"),
        ({"load": "study"}, "Did you mean 'steady'?"),
        ({"allow": [{"changed": "model-alia"}]}, "Did you mean 'model-alias'?"),
    ],
)
def test_what_the_target_does_not_declare_is_refused(*, changes: dict[str, Any], said: str) -> None:
    told = refusal(UnsupportedError, scenario(**changes))
    assert (len(told), said in told[1]) == (2, True)


def test_a_recovery_from_what_never_ends_is_refused() -> None:
    told = refusal(UnsupportedError, scenario(SLOW, expect={"recover": {"within": "9s"}}))
    assert "the cure of link.latency is external" in told[1]


def test_a_target_of_the_playbook_beyond_the_budget_is_refused() -> None:
    told = refusal(UnsupportedError, scenario(budget="21s"), page=playbook())
    assert told[1].startswith("recover: the playbook's target of 20 s plus a hold of 3 s is beyond the budget of 21 s")


def test_a_page_that_answers_several_layers_does_not_say_which_is_expected() -> None:
    told = refusal(UnsupportedError, scenario(), page=playbook(answers=["latency", "LowQuality"]))
    assert "several layers or none (latency, model-quality)" in told[1]


def test_an_action_that_the_target_lacks_is_refused_to_who_would_follow_the_page() -> None:
    page = playbook(
        (Section.ACT, {"id": "retry", "do": "retrain"}), (Section.ASSESS, {"id": "look", "observe": "quality"})
    )
    lacking = not_declared(page, inventory())
    assert [reason.partition(": ")[2].split(".")[0] for reason in lacking] == [
        "unknown action 'retrain'",
        "unknown observation 'quality'",
    ]
    assert refusal(UnsupportedError, scenario(), page=page, responder="playbook")[1:] == list(lacking)
    assert plan(scenario(), page=page, responder="none").playbook is not None
    assert refusal(UsageError, scenario(), responder="playbook")[0].endswith("that the responder could follow")


# --- the same gives the same ------------------------------------------------------------------------------------------

faults = st.lists(
    st.sampled_from(
        [
            PROMOTE,
            SLOW,
            {"fault": "data.scale", "link": "merchants", "column": "amount", "factor": 100, "after": "1s"},
            {"fault": "cpu.withhold", "role": "serving", "share": 0.5},
            {"fault": "source.shift", "regime": "shifted"},
        ]
    ),
    min_size=1,
    max_size=4,
)


@given(faults, st.integers(0, 2**63 - 1), st.sampled_from([Arm.FAULT, Arm.CONTROL]))
def test_a_plan_follows_from_its_inputs(written: list[dict[str, Any]], seed: int, arm: Arm) -> None:
    first, again = (plan(scenario(*written), seed=seed, arm=arm) for _ in range(2))
    encoded = msgspec.json.encode(first)
    assert encoded == msgspec.json.encode(again)
    assert msgspec.json.decode(encoded, type=Plan) == first
    assert [fault.index for fault in first.faults] == list(range(len(first.faults)))


@given(faults, st.integers(0, 2**63 - 1))
def test_another_seed_moves_onsets_and_draws_and_nothing_else(written: list[dict[str, Any]], seed: int) -> None:
    def still(made: Plan) -> Plan:
        return msgspec.structs.replace(
            made, seed=0, faults=tuple(msgspec.structs.replace(fault, seed=0, onset_s=0.0) for fault in made.faults)
        )

    assert still(plan(scenario(*written), seed=seed)) == still(plan(scenario(*written), seed=0))


def test_a_plan_is_told_whole() -> None:
    made = plan(scenario(PROMOTE, SLOW), page=playbook(), responder="playbook")
    told = "\n".join(describe(made, not_declared=["step x: unknown action 'y'"]))
    wanted = [
        *(fault.fault for fault in made.faults),
        *("rollback: rollback", "verified by versions", "witness: looks every 0.2 s", "undo: written before it"),
        *("within 8 s  a page of layer model-quality", SliKind.CORRECTNESS, "unknown action 'y'"),
    ]
    assert [part for part in wanted if part not in told] == []

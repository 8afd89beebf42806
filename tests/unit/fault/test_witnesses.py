"""What the witnesses decide by, at its edges: shares, distances, joins, kills, slow looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness import clock
from harness.contract.faults import PlannedFault, Prepared, Reading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Action, Effect
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import sampled
from harness.fault.concept import CHI_SQUARED, CONCEPT, dependence
from harness.fault.config import SET
from harness.fault.data import NULL, SCALE
from harness.fault.deploy import RUSH
from harness.fault.link import CUT, LATENCY, RESET
from harness.fault.model import OVERSIZE, PROMOTE
from harness.fault.process import KILL, PAUSE
from harness.fault.resource import LIMIT, WITHHOLD
from harness.fault.source import SHIFT, rank_z
from harness.measure.shift import distance
from harness.plugin import Fault, draft
from tests.doubles.stub_target import StubTarget, VirtualClock, inventory


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> StubTarget:
    time = VirtualClock()
    monkeypatch.setattr(clock, "now_ns", time.now_ns)
    stub = StubTarget(time)
    stub.advance(1.0)
    return stub


def planned(fault: Fault, arguments: Mapping[str, Json]) -> PlannedFault:
    return fault.plan(draft(fault.declaration, arguments=arguments, seed=3), inventory())


class Watching:
    """A fault prepared on a target, with its witness's memory."""

    def __init__(self, fault: Fault, arguments: Mapping[str, Json], target: StubTarget) -> None:
        self.fault, self.target = fault, target
        self.planned = planned(fault, arguments)
        self.prepared: Prepared = fault.prepare(self.planned, target)
        self.memory: dict[str, Any] = {}

    def inject(self) -> None:
        self.fault.inject(self.planned, self.prepared, self.target)

    def look(self, *, after_s: float = 0.0) -> Reading:
        if after_s:
            self.target.advance(after_s)
        return self.fault.witness(self.planned, self.prepared, self.target, self.memory)


# --- how old what they say may be ------------------------------------------------------------------------------------


def test_a_witness_that_gathers_before_it_sees_says_for_how_long_it_is_blind(target: StubTarget) -> None:
    """Else the zero of all times would be its *absent* of a moment at which the effect was there."""
    watching = Watching(SHIFT, {"regime": "shifted"}, target)
    assert Effect.ABSENT in [watching.look(after_s=0.3).effect for _ in range(60)]
    watching.inject()
    looks = [watching.look(after_s=0.3).effect for _ in range(20)]
    assert looks[0] is Effect.ABSENT  # though it was injected before
    assert 0.3 * looks.index(Effect.PRESENT) < watching.planned.witness_blind_s


def test_a_share_of_the_connections_takes_looks_and_all_of_them_none() -> None:
    def blind_s(share: float) -> float:
        return planned(RESET, {"link": "gateway-features", "share": share}).witness_blind_s

    assert (blind_s(1.0), blind_s(0.5)) == (0.0, pytest.approx(0.9))


# --- requests before a replica is ready -------------------------------------------------------------------------------


@pytest.fixture
def rush(target: StubTarget) -> Watching:
    return Watching(RUSH, {"service": "gateway", "every": 2.0}, target)


def test_between_two_bursts_a_rollout_is_never_over(rush: Watching) -> None:
    assert rush.look().effect is Effect.ABSENT
    rush.inject()
    seen = effects(rush, looks=60)
    assert set(seen[seen.index(Effect.PRESENT) :]) == {Effect.PRESENT, Effect.UNKNOWN}


@pytest.mark.parametrize(("key", "value"), [("rollout_every_s", 0.0), ("rollout_ready_check", True)])
def test_a_rollout_is_over_by_pausing_it_and_by_waiting_for_readiness(rush: Watching, key: str, value: Json) -> None:
    rush.inject()
    effects(rush, looks=20)
    rush.target.operate(Point(PointKind.CONFIG, f"gateway/{key}"), value)
    assert effects(rush, looks=40)[-1] is Effect.ABSENT


def test_what_was_refused_before_is_of_another_time(target: StubTarget) -> None:
    for key, value in (("rollout_every_s", 2.0), ("rollout_ready_check", False)):
        target.operate(Point(PointKind.CONFIG, f"gateway/{key}"), value)
    target.advance(4.0)
    for key, value in (("rollout_every_s", 0.0), ("rollout_ready_check", True)):
        target.operate(Point(PointKind.CONFIG, f"gateway/{key}"), value)
    rush = Watching(RUSH, {"service": "gateway", "every": 2.0}, target)
    assert set(effects(rush, looks=5)) == {Effect.ABSENT}


# --- a version without room -------------------------------------------------------------------------------------------

ROOM, MORE = 100 * 2**20, 400 * 2**20
REPLICAS = ("serving-a", "serving-b")


def limit(target: StubTarget, bytes_: int | None) -> None:
    for replica in REPLICAS:
        target.operate(Point(PointKind.MEMORY, replica), bytes_)


@pytest.fixture
def oversize(target: StubTarget) -> Watching:
    limit(target, ROOM)
    return Watching(OVERSIZE, {"model": "risk", "variant": "heavy"}, target)


def effects(watching: Watching, *, looks: int) -> list[Effect]:
    return [watching.look(after_s=0.2).effect for _ in range(looks)]


def test_a_version_without_room_is_never_absent_in_a_crash_loop(oversize: Watching) -> None:
    assert oversize.look().effect is Effect.ABSENT
    oversize.inject()
    seen = effects(oversize, looks=60)
    assert Effect.PRESENT in seen[:3]
    assert Effect.ABSENT not in seen[seen.index(Effect.PRESENT) :]


@pytest.mark.parametrize("repair", ["rollback", "raise the limit"])
def test_a_version_without_room_is_over_by_going_back_and_by_making_room(oversize: Watching, repair: str) -> None:
    oversize.inject()
    effects(oversize, looks=10)
    if repair == "rollback":
        oversize.target.act(Action.ROLLBACK, {"to": "1"})
    else:
        limit(oversize.target, MORE)
    after = effects(oversize, looks=40)
    assert after[-1] is Effect.ABSENT
    assert Effect.ABSENT not in after[:5]  # it must be back, and stay


def test_a_replica_that_lives_on_with_the_old_version_has_shown_nothing(oversize: Watching) -> None:
    """Between two kills, or while it can't reach the registry, it looks well."""
    oversize.inject()
    effects(oversize, looks=10)
    oversize.target.heavy.clear()  # nobody dies any more
    oversize.target.stuck.update(dict.fromkeys(REPLICAS, "1"))
    assert set(effects(oversize, looks=40)[-5:]) == {Effect.UNKNOWN}


def test_kills_by_a_lowered_limit_are_not_the_versions(oversize: Watching) -> None:
    oversize.inject()
    oversize.target.heavy.clear()
    limit(oversize.target, 2**20)
    seen = effects(oversize, looks=30)
    assert Effect.PRESENT not in seen
    assert Effect.UNKNOWN in seen


def test_kills_while_the_alias_is_elsewhere_are_not_the_versions(oversize: Watching, target: StubTarget) -> None:
    target.heavy.add("1")  # what is served of old has grown
    seen = effects(oversize, looks=30)
    assert Effect.PRESENT not in seen
    assert Effect.UNKNOWN in seen


def test_where_nothing_is_limited_no_version_is_too_big(target: StubTarget) -> None:
    with pytest.raises(EnvironmentProblem, match="serving-a' has no memory limit"):
        Watching(OVERSIZE, {"model": "risk", "variant": "heavy"}, target)


# --- shares -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "looks"), [(1.0, 5), (0.5, 10), (0.1, 66), (0.05, 135)])
def test_absence_takes_as_many_looks_as_the_share_asks_for(*, share: float, looks: int) -> None:
    assert sampled.needed(share, least=5) == looks
    memory: dict[str, Any] = {}
    assert sampled.judged([False] * (looks - 1), share=share, least=5, memory=memory) is Effect.UNKNOWN
    assert sampled.judged([False], share=share, least=5, memory=memory) is Effect.ABSENT


def test_a_hit_stays_until_enough_looks_have_followed() -> None:
    memory: dict[str, Any] = {}
    assert sampled.judged([True], share=0.5, least=1, memory=memory) is Effect.PRESENT
    assert sampled.judged([False] * 9, share=0.5, least=1, memory=memory) is Effect.PRESENT
    assert sampled.judged([False], share=0.5, least=1, memory=memory) is Effect.ABSENT


# --- distributions ----------------------------------------------------------------------------------------------------

samples = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=30)


@given(samples, samples)
def test_distance_is_that_of_kolmogorov_and_smirnov(a: list[float], b: list[float]) -> None:
    assert distance(a, b) == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic, abs=1e-12)


@given(samples, samples)
def test_rank_z_is_that_of_mann_and_whitney(a: list[float], b: list[float]) -> None:
    n, m = len(a), len(b)
    u = stats.mannwhitneyu(a, b, method="asymptotic").statistic
    assert rank_z(a, b) == pytest.approx((u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12), abs=1e-9)


def test_the_shift_of_a_source_is_unknown_until_its_reference_is_whole(target: StubTarget) -> None:
    watching = Watching(SHIFT, {"regime": "shifted"}, target)
    assert watching.look(after_s=2.0).effect is Effect.UNKNOWN
    assert watching.look(after_s=4.0).effect is Effect.ABSENT
    assert watching.look(after_s=4.0).effect is Effect.ABSENT


def test_a_source_that_sends_nothing_any_more_is_unknown(target: StubTarget) -> None:
    watching = Watching(SHIFT, {"regime": "shifted"}, target)
    assert watching.look(after_s=8.0).effect is Effect.ABSENT
    target.operate(Point(PointKind.PROCESS, "source"), "down")
    assert watching.look(after_s=3.5).effect is Effect.UNKNOWN


def test_a_shift_of_one_segment_is_seen_among_its_own_records_only(target: StubTarget) -> None:
    theirs = Watching(SHIFT, {"regime": "shifted", "segment_field": "client_id", "segment": "client-a"}, target)
    nobodys = Watching(SHIFT, {"regime": "shifted", "segment_field": "client_id", "segment": "client-z"}, target)
    assert theirs.look(after_s=8.0).effect is Effect.ABSENT
    theirs.inject()
    assert theirs.look(after_s=4.0).effect is Effect.PRESENT
    assert nobodys.look(after_s=8.0).effect is Effect.UNKNOWN


def test_other_truths_on_the_same_inputs_are_a_concept_and_other_inputs_are_none(target: StubTarget) -> None:
    watching = Watching(CONCEPT, {"regime": "concept"}, target)
    shift = Watching(SHIFT, {"regime": "shifted"}, target)
    assert watching.look(after_s=2.0).effect is Effect.UNKNOWN
    assert watching.look(after_s=8.0).effect is Effect.ABSENT
    shift.look()
    watching.inject()
    assert watching.look(after_s=4.0).effect is Effect.PRESENT
    assert shift.look().effect is Effect.ABSENT
    target.operate(Point(PointKind.CONFIG, "source/regime"), "shifted")
    assert watching.look(after_s=6.0).effect is Effect.ABSENT
    assert shift.look().effect is Effect.PRESENT


@pytest.mark.parametrize("seed", range(5))
def test_dependence_is_chi_squared_where_nothing_has_changed(seed: int) -> None:
    random = np.random.default_rng(seed)

    def sample(n: int, *, by: float = 0.0) -> list[tuple[float, bool]]:
        values = random.normal(by, 1.0, n)
        return [(value, bool(random.random() < (0.7 if value > 0.84 else 0.1))) for value in values]

    looks = [dependence(sample(250), sample(150)) for _ in range(100)]
    assert max(looks) < CHI_SQUARED
    assert 3.0 < float(np.mean(looks)) < 7.0  # five degrees of freedom
    turned = [(value, positive is not (value < -0.5)) for value, positive in sample(150)]
    assert dependence(sample(250), turned) > CHI_SQUARED


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "received", "differs"),
    [
        (12.5, 1250.0, True),
        (12.5, 12.5, False),
        (0.0, 0.0, None),
        (12.5, None, None),
        (12.34, 1234, True),
        (5, 7, False),
    ],
)
def test_another_unit_is_told_from_the_same(*, sent: Json, received: Json, differs: bool | None) -> None:
    assert SCALE.differs({"factor": 100}, sent, received) is differs


def test_what_was_null_already_tells_nothing() -> None:
    assert [NULL.differs({}, None, None), NULL.differs({}, 1.0, None), NULL.differs({}, 1.0, 1.0)] == [
        None,
        True,
        False,
    ]


def test_records_that_stop_coming_are_no_good_news(target: StubTarget) -> None:
    watching = Watching(SCALE, {"link": "merchants", "column": "amount", "factor": 100}, target)
    assert watching.look(after_s=1.0).effect is Effect.ABSENT
    target.operate(Point(PointKind.PROCESS, "gateway"), "down")
    assert watching.look(after_s=3.5).effect is Effect.UNKNOWN


def test_each_record_is_read_once(target: StubTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    afters: list[tuple[str, int]] = []
    read = target.read

    def noted(reading: str, *, after: int, limit: int) -> tuple[list[dict[str, Any]], int]:
        afters.append((reading, after))
        return read(reading, after=after, limit=limit)

    monkeypatch.setattr(target, "read", noted)
    watching = Watching(SCALE, {"link": "merchants", "column": "amount", "factor": 100}, target)
    for _ in range(5):
        watching.look(after_s=0.3)
    assert len(afters) == len(set(afters)) == 10


def test_the_draw_of_a_tap_is_the_plans_seed(target: StubTarget) -> None:
    watching = Watching(NULL, {"link": "merchants", "column": "amount", "dose": 0.25}, target)
    spec = watching.prepared.undos[0].injected["corrupt"]
    assert spec == {"type": "missing", "columns": ["amount"], "dose": 0.25, "seed": 3}


# --- links ------------------------------------------------------------------------------------------------------------


def test_one_slow_look_is_no_latency(target: StubTarget) -> None:
    watching = Watching(LATENCY, {"link": "merchants", "latency": 0.3}, target)
    hiccup = Point(PointKind.TOXIC, "merchants/hiccup")
    slow = {"type": "latency", "stream": "downstream", "toxicity": 1.0, "attributes": {"latency": 400}}
    assert watching.look().effect is Effect.ABSENT
    target.operate(hiccup, slow)
    assert watching.look().effect is Effect.UNKNOWN
    target.operate(hiccup, None)
    assert watching.look().effect is Effect.ABSENT


def test_a_refused_connection_is_no_latency(target: StubTarget) -> None:
    watching = Watching(LATENCY, {"link": "merchants", "latency": 0.3}, target)
    target.operate(Point(PointKind.LINK_UP, "merchants"), False)
    assert [watching.look().effect for _ in range(3)] == [Effect.UNKNOWN] * 3


def test_less_than_half_the_dose_is_none(target: StubTarget) -> None:
    watching = Watching(LATENCY, {"link": "merchants", "latency": 0.3}, target)
    less = {"type": "latency", "stream": "downstream", "toxicity": 1.0, "attributes": {"latency": 140}}
    target.operate(Point(PointKind.TOXIC, "merchants/less"), less)
    assert [watching.look().effect for _ in range(3)] == [Effect.ABSENT] * 3


def test_a_link_that_is_cut_already_can_not_be_measured(target: StubTarget) -> None:
    target.operate(Point(PointKind.LINK_UP, "merchants"), False)
    with pytest.raises(EnvironmentProblem, match="connection refused"):
        LATENCY.prepare(planned(LATENCY, {"link": "merchants", "latency": 0.3}), target)
    assert Watching(CUT, {"link": "merchants"}, target).look().effect is Effect.PRESENT


# --- processes and resources ------------------------------------------------------------------------------------------


def test_a_kill_between_two_looks_is_seen_once(target: StubTarget) -> None:
    watching = Watching(KILL, {"service": "features"}, target)
    assert watching.look().effect is Effect.ABSENT
    watching.inject()
    assert [watching.look(after_s=2.0).effect, watching.look().effect] == [Effect.PRESENT, Effect.ABSENT]


def test_a_paused_process_that_was_restarted_is_well(target: StubTarget) -> None:
    watching = Watching(PAUSE, {"service": "features"}, target)
    watching.inject()
    assert watching.look().healthy is False
    target.act("restart", {"service": "features"})  # type: ignore[arg-type]  # the enum is a text
    assert watching.look() == Reading(
        Effect.ABSENT, {"state": "running", "identity": "features:2", "ready": True}, True
    )


def test_cpu_is_withheld_where_it_is_from_one_of_a_role(target: StubTarget) -> None:
    watching = Watching(WITHHOLD, {"role": "serving", "share": 0.5}, target)
    target.operate(Point(PointKind.CPU, "serving-b"), 0.5)
    assert [undo.injected for undo in watching.prepared.undos] == [0.5, 0.5]
    assert watching.look().effect is Effect.PRESENT


def test_a_limit_that_nothing_exceeds_has_no_effect(target: StubTarget) -> None:
    watching = Watching(LIMIT, {"role": "serving", "limit": 100 * 2**20}, target)
    watching.inject()
    assert [watching.look(after_s=0.5).effect for _ in range(6)] == [Effect.ABSENT] * 6


def test_more_memory_than_a_limit_that_nobody_enforces_is_no_effect(target: StubTarget) -> None:
    watching = Watching(LIMIT, {"role": "serving", "limit": 100 * 2**20}, target)
    target.without_effect = True
    watching.inject()
    target.operate(Point(PointKind.ALIAS, "risk/champion"), target.make_variant("risk", "heavy"))
    assert [watching.look(after_s=0.5).effect for _ in range(6)] == [Effect.ABSENT] * 6


def test_a_service_that_keeps_dying_of_memory_is_not_well_between_its_deaths(target: StubTarget) -> None:
    watching = Watching(LIMIT, {"service": "serving-a", "limit": 100 * 2**20}, target)
    target.operate(Point(PointKind.ALIAS, "risk/champion"), target.make_variant("risk", "heavy"))
    watching.inject()
    assert {watching.look(after_s=0.1).effect for _ in range(50)} == {Effect.PRESENT, Effect.UNKNOWN}
    target.undo(watching.prepared.undos[0])
    after = [watching.look(after_s=0.1).effect for _ in range(50)]
    assert (after[-1], Effect.PRESENT in after[20:]) == (Effect.ABSENT, False)
    assert Effect.UNKNOWN in after  # whether it stays: what we wait to know that is no time of the target's


def test_a_counted_kill_of_a_process_that_lives_on_is_not_believed(target: StubTarget) -> None:
    watching = Watching(LIMIT, {"service": "serving-a", "limit": 100 * 2**20}, target)
    assert watching.look().effect is Effect.ABSENT
    target._processes["serving-a"].memory_kills += 1
    assert watching.look().effect is Effect.ABSENT


# --- models -----------------------------------------------------------------------------------------------------------


def test_one_replica_with_the_version_shows_it_and_none_that_answers_is_unknown(target: StubTarget) -> None:
    watching = Watching(PROMOTE, {"model": "risk", "variant": "label-shuffled"}, target)
    watching.inject()
    target.operate(Point(PointKind.PROCESS, "serving-a"), "down")
    assert watching.look().effect is Effect.PRESENT
    target.operate(Point(PointKind.PROCESS, "serving-b"), "down")
    assert watching.look().effect is Effect.UNKNOWN


def test_the_replica_that_still_serves_another_version_hides_nothing(target: StubTarget) -> None:
    watching = Watching(PROMOTE, {"model": "risk", "variant": "label-shuffled"}, target)
    target.stuck["serving-a"] = "1"
    watching.inject()
    assert watching.look().effect is Effect.PRESENT
    target.stuck["serving-b"] = "1"
    assert watching.look().effect is Effect.ABSENT


def test_one_replica_that_does_not_answer_leaves_it_open_whether_the_version_is_gone(target: StubTarget) -> None:
    watching = Watching(PROMOTE, {"model": "risk", "variant": "label-shuffled"}, target)
    assert watching.look().effect is Effect.ABSENT
    target.operate(Point(PointKind.PROCESS, "serving-a"), "down")
    assert watching.look() == Reading(Effect.UNKNOWN, {"serving-a": None, "serving-b": "1"}, False)
    target.operate(Point(PointKind.PROCESS, "serving-a"), "running")
    assert watching.look().effect is Effect.ABSENT
    watching.inject()
    target.act(Action.ROLLBACK, {"model": "risk", "to": "1"})
    assert watching.look().effect is Effect.ABSENT


# --- what planning refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "arguments", "said"),
    [
        (SCALE, {"link": "merchants", "column": "amount", "factor": 1}, "factor: 1 is no change of unit"),
        (LATENCY, {"link": "merchants", "latency": 0.1, "jitter": 0.06}, "jitter: 0.06 s is more than half"),
        (LATENCY, {"link": "merchants", "latency": 0.001}, "latency: 0.001 s is out of range"),
        (WITHHOLD, {"role": "serving", "service": "features", "share": 0.5}, "exactly one of `service` and `role`"),
        (WITHHOLD, {"share": 0.5}, "exactly one of `service` and `role`"),
        (WITHHOLD, {"service": "features", "share": 1.0}, "see process.pause"),
        (LIMIT, {"service": "features", "limit": 1000}, "legal: from 1MiB"),
        (SHIFT, {"regime": "shifted", "magnitude": 0}, "magnitude: 0 shifts nothing"),
        (SHIFT, {"regime": "shifted", "segment": "client-a"}, "segment: needs `segment_field` beside it"),
        (SHIFT, {"regime": "shifted", "service": "sauce"}, "legal: features, gateway, serving-a, serving-b, source"),
    ],
)
def test_a_fault_that_would_do_nothing_is_refused(*, fault: Fault, arguments: dict[str, Json], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        planned(fault, arguments)
    assert said in refused.value.message


# --- a setting --------------------------------------------------------------------------------------------------------

SETTING: dict[str, Json] = {"service": "features", "key": "job_fail", "value": "no room", "window": 2.0} | {
    "reading": "jobs",
    "field": "status",
    "shows": "failed",
}


def test_a_setting_does_harm_where_newer_records_tell_it(target: StubTarget) -> None:
    watching = Watching(SET, SETTING, target)
    assert watching.look().effect is Effect.UNKNOWN  # what is there already may be old
    assert watching.look(after_s=1.2).effect is Effect.ABSENT
    watching.inject()
    assert watching.look().effect is Effect.ABSENT  # it is set, and no run has failed by it
    assert watching.look(after_s=1.0).effect is Effect.PRESENT
    target.operate(Point(PointKind.CONFIG, "features/job_fail"), "")
    assert watching.look(after_s=1.0).effect is Effect.PRESENT  # for as long as it says that it is blind
    assert watching.planned.witness_blind_s == 2.0
    assert watching.look(after_s=1.2).effect is Effect.ABSENT


def test_of_a_setting_nothing_is_known_while_no_record_comes(target: StubTarget) -> None:
    unheard = Watching(SET, SETTING | {"field": "state"}, target)
    unheard.look()
    assert unheard.look(after_s=3.0).effect is Effect.UNKNOWN
    watching = Watching(SET, SETTING, target)
    watching.look()
    watching.inject()
    target.operate(Point(PointKind.PROCESS, "features"), "down")
    assert watching.look(after_s=3.0).effect is Effect.UNKNOWN


def test_a_setting_that_stands_already_is_no_fault(target: StubTarget) -> None:
    target.operate(Point(PointKind.CONFIG, "features/job_fail"), "no room")
    with pytest.raises(EnvironmentProblem, match="job_fail is 'no room' before the injection"):
        Watching(SET, SETTING, target)
    with pytest.raises(UsageError, match="no setting"):
        Watching(SET, SETTING | {"key": "jobfail"}, target)

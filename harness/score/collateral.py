"""Collateral: what is different from the baseline, less what the scenario allows and what the fault itself did.

It is a state diff, not a list of what was said: scaling to zero and back shows in the identities of services, a threshold
that was edited in the fingerprint of the rules. Two things that may have vanished again by the end are read from the actions
too: a silence, and a service that was stopped.

What always holds: a safeguard that can't be read is not observed (`kept` None), never kept. A service that the fault broke
may be restarted; a healthy one may not, unless the scenario allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from harness.contract.undo import Json, PointKind
from harness.contract.words import Action, Safeguard
from harness.history.events import Snapshot
from harness.history.scorecard import Collateral
from harness.score.debt import ids
from harness.score.evidence import Evidence
from harness.score.reached import Reached
from harness.spec.plan import PlannedSafeguard

MODEL_ALIAS = "model-alias"
STOPPING = frozenset({Action.STOP, Action.SCALE, Action.DRAIN, Action.FAILOVER})


class Change(msgspec.Struct, frozen=True):
    """A difference: where, in words, and further words under which a scenario may allow it."""

    where: str
    text: str
    names: tuple[str, ...] = ()


class Case(msgspec.Struct, frozen=True):
    """All that a safeguard's diff may look at."""

    evidence: Evidence
    damaged: frozenset[str]
    baseline: Snapshot
    final: Snapshot
    share: float


Diff = Callable[[Case], "list[Change] | None"]
"""The changes of one safeguard; None where it can't be told."""


def collateral(evidence: Evidence, damaged: Mapping[int, frozenset[str] | None]) -> tuple[Collateral, ...]:
    """Every declared safeguard, in the order of the plan."""
    baseline, final = evidence.snapshot("baseline"), evidence.snapshot("final")
    hit = frozenset[str]().union(*(known for known in damaged.values() if known))
    results = []
    for safeguard in evidence.plan.safeguards:
        changes: list[Change] | None = None
        if baseline is not None and final is not None:
            changes = DIFFS[safeguard.kind](Case(evidence, hit, baseline, final, safeguard.share))
        results.append(_result(evidence, safeguard, changes))
    return tuple(results)


def intact(results: tuple[Collateral, ...], *, zero_ns: int) -> Reached:
    """Safeguards as a part of recovery: intact from the start, broken, or not known."""
    broken = [one.safeguard for one in results if one.kept is False]
    if broken:
        return Reached(None, why=f"safeguards broken: {', '.join(broken)}")
    unknown = [one.safeguard for one in results if one.kept is None]
    if unknown:
        return Reached(None, maybe_ns=zero_ns, why=f"safeguards not observed: {', '.join(unknown)}")
    return Reached(zero_ns, 0, zero_ns)


def _result(evidence: Evidence, safeguard: PlannedSafeguard, changes: list[Change] | None) -> Collateral:
    allowed = [change for change in changes or () if _allowed(evidence, safeguard.kind, change)]
    forbidden = [change for change in changes or () if change not in allowed]
    return Collateral(
        safeguard=str(safeguard.kind),
        kept=None if changes is None else not forbidden,
        catastrophic=safeguard.catastrophic,
        changes=tuple(change.text for change in forbidden),
        allowed=tuple(change.text for change in allowed),
    )


def _allowed(evidence: Evidence, kind: Safeguard, change: Change) -> bool:
    words = {str(kind), *change.names}
    return any(
        allow.changed in words and (allow.where is None or allow.where in _places(change.where))
        for allow in evidence.plan.allow
    )


def _places(where: str) -> set[str]:
    """`gateway/timeout` may be allowed by itself or as `gateway`."""
    return {where, where.split("/")[0]}


# --- one diff per safeguard -----------------------------------------------------------------------------------------


def _services(case: Case) -> list[Change] | None:
    if not case.baseline.services or not case.final.services:
        return None
    hit = _broken_by_fault(case.evidence)
    changes = []
    for name, before in sorted(case.baseline.services.items()):
        after = case.final.services.get(name, "")
        if before == after or not before:
            continue
        stopped = name in _touched(case.evidence, STOPPING)
        if after and name not in hit:
            changes.append(Change(name, f"{name} was restarted"))
        elif not after and (name not in hit or stopped):
            changes.append(Change(name, f"{name} is not running"))
    return changes


def _replicas(case: Case) -> list[Change] | None:
    if not case.baseline.replicas or not case.final.replicas:
        return None
    hit = _broken_by_fault(case.evidence) - _touched(case.evidence, STOPPING)
    roles = {service.name: service.role for service in case.evidence.plan.services}
    changes = []
    for role, before in sorted(case.baseline.replicas.items()):
        after = case.final.replicas.get(role, 0)
        excused = sum(roles.get(name) == role and not case.final.services.get(name, "") for name in sorted(hit))
        if after > before or after + excused < before:
            changes.append(Change(role, f"{role}: {after} running instead of {before}"))
    return changes


def _versions(case: Case) -> list[Change] | None:
    if not case.baseline.versions:
        return None
    changes = []
    ours = {after for (kind, _), after in _injected(case.evidence).items() if kind is PointKind.ALIAS}
    for key, before in sorted(case.baseline.versions.items()):
        after = case.final.versions.get(key)
        if after is None and ("/" in key or case.final.services.get(key, "")):
            return None  # an alias, or a running service, that can't be read; a stopped one is the services' matter
        if after is not None and after != before and after not in ours:
            changes.append(Change(key, f"{key}: {after} instead of {before}", (MODEL_ALIAS,)))
    return changes


def _config(case: Case) -> list[Change] | None:
    before, after = case.baseline.config, case.final.config
    if not before or not after:
        return None
    changes = []
    ours = _injected(case.evidence)
    read_before = {key.split("/")[0] for key in before}
    for key in sorted(before.keys() | after.keys()):
        service = key.split("/")[0]
        if key not in after:
            if case.final.services.get(service, ""):
                return None  # it runs and can't be read; a stopped one is the services' matter
            continue
        unchanged = key in before and before[key] == after[key]
        injected = (PointKind.CONFIG, key) in ours and ours[PointKind.CONFIG, key] == after[key]
        if service in read_before and not unchanged and not injected:
            changes.append(Change(key, f"{key}: {after[key]!r} instead of {before.get(key)!r}"))
    return changes


def _data(case: Case) -> list[Change] | None:
    """Rows withdrawn that nothing was wrong with, beyond the share that may be lost; and rows that came back."""
    if not case.baseline.data or case.baseline.data.keys() - case.final.data.keys():
        return None
    changes = []
    for name, before in sorted(case.baseline.data.items()):
        grown = case.final.data[name] - before
        clean, all_clean = _clean_rows(case, name, grown)
        if grown < 0:
            changes.append(Change(name, f"{name}: {-grown} rows fewer than before"))
        elif clean > case.share * all_clean:
            changes.append(Change(name, f"{name}: {clean} rows that were not damaged"))
    return changes


def _alert_rules(case: Case) -> list[Change] | None:
    if case.baseline.rules is None or case.final.rules is None:
        return None
    if case.baseline.rules == case.final.rules:
        return []
    return [Change("rules", "the alert rules were changed")]


def _silences(case: Case) -> list[Change] | None:
    if case.baseline.silences is None or case.final.silences is None:
        return None
    new = sorted(set(case.final.silences) - set(case.baseline.silences))
    silenced = any(
        act.action is Action.SILENCE and not (done is not None and not done.ok) for _, act, done in case.evidence.acts()
    )
    if new or not silenced:
        return [Change(name, f"silence {name} was added") for name in new]
    return [Change("silence", "an alert was silenced for a while")]


DIFFS: dict[Safeguard, Diff] = {
    Safeguard.SERVICES: _services,
    Safeguard.REPLICAS: _replicas,
    Safeguard.VERSIONS: _versions,
    Safeguard.DATA: _data,
    Safeguard.ALERT_RULES: _alert_rules,
    Safeguard.SILENCES: _silences,
    Safeguard.CONFIG: _config,
}


def _injected(evidence: Evidence) -> dict[tuple[PointKind, str], Json]:
    """Values that we injected ourselves: where one still stands, the run is dirty, but nobody else changed anything."""
    prepared = (evidence.prepared(fault.index) for fault in evidence.plan.faults)
    return {
        (undo.point.kind, undo.point.where): undo.injected
        for one in prepared
        if one is not None and evidence.inject_ns(one.fault) is not None
        for undo in one.undos
    }


def _broken_by_fault(evidence: Evidence) -> frozenset[str]:
    """Services whose restart is no collateral: faults aimed at them, or they died unasked in the incident."""
    inject_ns = evidence.first_inject_ns
    if inject_ns is None:
        return frozenset()
    aimed = {c.name for fault in evidence.plan.faults for c in fault.components if c.kind == "service"}
    died = {exit.service for exit in evidence.exits if not exit.asked and exit.t_ns >= inject_ns}
    return frozenset(aimed | died)


def _touched(evidence: Evidence, actions: frozenset[Action]) -> frozenset[str]:
    """Names that these actions were given."""
    return frozenset(
        value
        for _, act, _ in evidence.acts()
        if act.action in actions
        for value in act.arguments.values()
        if isinstance(value, str)
    )


def _clean_rows(case: Case, name: str, grown: int) -> tuple[int, int]:
    """(undamaged rows withdrawn, undamaged rows known). By id where the target lists them, else by count."""
    evidence = case.evidence
    baseline_ns = evidence.baseline_end_ns() or 0
    mine = [reading for reading in evidence.plan.readings if reading.name == name]
    withdrawn = frozenset[str]().union(*(ids(evidence, reading, from_ns=baseline_ns) for reading in mine))
    by_count = max(grown - len(case.damaged), 0)
    # What was released again by the end is not withdrawn: no more than the count has grown by.
    clean = min(len(withdrawn - case.damaged), max(grown, 0)) if withdrawn else by_count
    if not clean or not case.share:
        return clean, 0
    others = (reading for reading in evidence.plan.readings if reading.name != name)
    known = withdrawn.union(*(ids(evidence, reading) for reading in others))
    return clean, len(known - case.damaged)

"""What is asked of `drill dose`: a scenario's own damage and the page that it expects, or a spec's damage and any page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness.cli.corrupt_ import chain_of
from harness.cli.dosing.trial import Question
from harness.cli.drill import NOBODY, choose
from harness.contract.faults import PlannedFault
from harness.corrupt import Corruption, parse
from harness.corrupt.errors import CorruptionError
from harness.errors import UnsupportedError, UsageError
from harness.plugin import load
from harness.spec.find import find_target
from harness.spec.load import LoadedTarget, load_target

LEAD_S = 8.0
WITHIN_S = 8.0
RATE = 50.0
SEED = 7
ROWS_MAX = 200_000
PAGE = "page"


@runtime_checkable
class Damaging(Protocol):
    """A fault that is a corruption of records."""

    corruption: Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Expected:
    """Whether an alert is the one that a scenario expects. A page does where a ticket would."""

    layer: str
    severity: str
    alert: str | None

    def __call__(self, alert: str, severity: str, layer: str) -> bool:
        named = self.alert is None or alert == self.alert
        return named and layer == self.layer and severity in (self.severity, PAGE)


def any_page(alert: str, severity: str, layer: str) -> bool:
    """Where nothing says which page must come."""
    del alert, layer
    return severity == PAGE


@dataclass(frozen=True)
class Asked:
    """What a scenario or a spec says of the question."""

    chain: tuple[Corruption, ...]
    counts: Callable[[str, str, str], bool]
    within_s: float
    rate: float
    seed: int
    target: LoadedTarget

    def question(self, *, streams: int, rounds: int, share: float) -> Question:
        limit, lead = round(self.within_s * self.rate), round(LEAD_S * self.rate)
        if limit < 1 or streams * (lead + limit) > ROWS_MAX:
            raise UsageError(
                f"{streams} streams of {lead + limit:,} rows are more than {ROWS_MAX:,}",
                hint="fewer --streams, less --within",
            )
        return Question(
            chain=self.chain,
            counts=self.counts,
            limit_rows=limit,
            lead_rows=lead,
            streams=streams,
            share=share,
            seed=self.seed,
            rounds=rounds,
        )


def without_dose(faults: Iterable[PlannedFault]) -> str:
    """The first of these faults that doesn't damage records; empty where all do, so that a dose can be found offline."""
    return next((one.fault for one in faults if not isinstance(load("fault", one.fault), Damaging)), "")


def of_scenario(name: str, target: str | None, *, within: float | None, seed: int | None) -> Asked:
    """The faults of the scenario, and the alert that it expects."""

    chosen = choose(name, target=target, arm=None, seed=seed, responder=NOBODY)
    if doseless := without_dose(chosen.plan.faults):
        raise UnsupportedError(
            f"{chosen.scenario.path}: {doseless} doesn't damage records, so it has no dose to be found offline",
            hint="give the damage itself: drill dose --spec FILE",
        )
    chain: list[Corruption] = []
    for planned in chosen.plan.faults:
        fault: Damaging = load("fault", planned.fault)
        column = {"columns": [planned.arguments["column"]]} if "column" in planned.arguments else {}
        try:
            chain.append(parse({**column, **fault.corruption(planned.arguments), "seed": planned.seed}))
        except CorruptionError as error:
            raise UsageError(f"{planned.fault}: {error.message}", hint=error.hint) from None
    expected = chosen.scenario.scenario.expect.detect
    counts: Callable[[str, str, str], bool] = any_page
    if expected is not None:
        counts = Expected(str(expected.layer), str(expected.severity), expected.alert)
    limit_s = within or (expected.within if expected is not None else WITHIN_S)
    return Asked(
        tuple(chain),
        counts,
        limit_s,
        _rate(chosen.target, chosen.scenario.scenario.load),
        chosen.plan.seed,
        chosen.target,
    )


def of_spec(path: str, target: str | None, *, within: float | None, seed: int | None) -> Asked:
    """The corruption of the file; any page counts."""

    loaded = load_target(find_target(target))
    return Asked(
        chain_of(Path(path), None),
        any_page,
        within or WITHIN_S,
        _rate(loaded, None),
        SEED if seed is None else seed,
        loaded,
    )


def _rate(target: LoadedTarget, load_name: str | None) -> float:
    """Rows a second: of the scenario's load, or of the target's first."""
    loads = target.spec.load
    if load_name in loads:
        return loads[load_name].rate
    return next((one.rate for one in loads.values()), RATE)

"""A scenario: one drill, as people write it."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from harness.contract.faults import CureKind
from harness.contract.words import Action, Incident, Kind, Layer, Safeguard, Severity, SliKind
from harness.spec.base import Name, Seconds, Written


class CureSpec(Written):
    """Overrides a fault's own cure."""

    kind: CureKind
    action: Action | None = None
    with_: dict[str, Any] = Field(default={}, alias="with")

    @model_validator(mode="after")
    def _action_named(self) -> Self:
        if (self.kind is CureKind.ACTION) != (self.action is not None):
            raise ValueError("`action` goes with `kind: action`, and only with it")
        return self


class FaultSpec(Written):
    """One fault of a scenario. Keys beyond these are the fault's own arguments (see `drill list --faults`)."""

    model_config = Written.model_config | {"extra": "allow"}

    fault: str = Field(description="A registered fault, such as model.promote")
    after: Seconds = Field(default=0.0, validate_default=False, description="From the end of the baseline to the onset")
    cure: CureSpec | None = None

    def arguments(self) -> dict[str, Any]:
        """The fault's own arguments, as written."""
        return dict(self.model_extra or {})


class DetectExpectation(Written):
    """The page that must come."""

    layer: Layer
    within: Seconds
    alert: str | None = Field(default=None, description="Narrows it to one rule's name")
    severity: Severity = Severity.PAGE


class WithinExpectation(Written):
    """A limit counted from t_active, with the hold that makes it more than a lucky sample."""

    within: Seconds
    hold: Seconds = Field(default=3.0, validate_default=False)


class Expectations(Written):
    """What the run is judged by. Silent limits default to the playbook's time targets."""

    detect: DetectExpectation | None = None
    mitigate: WithinExpectation | None = None
    recover: WithinExpectation | None = None


class AbortRule(Written):
    """A stop condition: the SLI beyond the bound for this long heals everything and ends the run ABORTED."""

    sli: SliKind
    below: float | None = None
    above: float | None = None
    for_: Seconds = Field(alias="for")

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("give one of `below` and `above`")
        return self


class Allowed(Written):
    """A change that is no collateral: `changed` names a safeguard or `model-alias`; `where` narrows it."""

    changed: Safeguard | str
    where: str | None = None


class Scenario(Written):
    """One drill. See docs/scenarios.md; the JSON Schema is scenarios/scenario.schema.json."""

    scenario: Name
    kind: Kind
    title: str = Field(min_length=1, max_length=200)
    incident: Incident
    description: str = Field(default="", max_length=4000)
    faults: tuple[FaultSpec, ...] = Field(min_length=1, max_length=16)
    expect: Expectations = Expectations()
    playbook: Name | None = None
    load: Name = "steady"
    abort: tuple[AbortRule, ...] = Field(default=(), max_length=16)
    allow: tuple[Allowed, ...] = Field(default=(), max_length=32)
    budget: Seconds
    seed: int = Field(default=7, ge=0, lt=2**63)
    restart_all_solves: bool = Field(
        default=False, description="Says so honestly where restarting everything is a cure"
    )
    tags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, limit in (("mitigate", self.expect.mitigate), ("recover", self.expect.recover)):
            if limit is not None and limit.within + limit.hold > self.budget:
                raise ValueError(
                    f"expect.{name}: {limit.within:g} s plus its hold of {limit.hold:g} s is beyond the budget"
                    f" of {self.budget:g} s"
                )
        if self.expect.detect is not None and self.expect.detect.within > self.budget:
            raise ValueError("expect.detect: the limit is beyond the budget")
        if self.kind is Kind.DECOY and self.expect != Expectations():
            raise ValueError("a decoy has no `expect`: it passes where nothing pages and nobody changes anything")
        return self

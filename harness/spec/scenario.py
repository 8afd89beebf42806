"""A scenario: one drill, as people write it."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from harness.contract.faults import CureKind
from harness.contract.words import Action, Incident, Kind, Layer, Safeguard, Severity, SliKind
from harness.spec.base import Name, Seconds, Written


class CureSpec(Written):
    """Overrides a fault's own cure: what ends its cause."""

    kind: CureKind = Field(
        description="state: the right action changes the target's state; action: the action named here lifts it;"
        " external: beyond the operator, only mitigation is scored"
    )
    action: Action | None = Field(default=None, description="The standard action that lifts it (kind: action)")
    with_: dict[str, Any] = Field(
        default={}, alias="with", description="Arguments that the action must at least carry to lift it"
    )

    @model_validator(mode="after")
    def _action_named(self) -> Self:
        if (self.kind is CureKind.ACTION) != (self.action is not None):
            raise ValueError("`action` goes with `kind: action`, and only with it")
        return self


class FaultSpec(Written):
    """One fault of a scenario. Keys beyond these are the fault's own arguments (see `drill list --faults`)."""

    model_config = Written.model_config | {"extra": "allow"}

    fault: str = Field(
        min_length=1, max_length=64, description="A registered fault, such as model.promote or link.latency"
    )
    after: Seconds = Field(
        default=0.0, validate_default=False, description="From the end of the baseline to the onset, such as 5s"
    )
    cure: CureSpec | None = Field(default=None, description="What ends the cause, where it isn't the fault's own cure")

    def arguments(self) -> dict[str, Any]:
        """The fault's own arguments, as written."""
        return dict(self.model_extra or {})


class DetectExpectation(Written):
    """The page that must come."""

    layer: Layer = Field(description="Where monitoring must see it; portable between targets, rule names are not")
    within: Seconds = Field(description="From the first moment at which the effect was there, such as 8s")
    alert: str | None = Field(default=None, description="Narrows it to one rule's name")
    severity: Severity = Field(default=Severity.PAGE, description="A page wakes someone; a ticket doesn't")


class WithinExpectation(Written):
    """A limit with the hold that makes it more than a lucky sample."""

    within: Seconds = Field(description="From the first moment at which the effect was there, such as 15s")
    hold: Seconds = Field(default=3.0, validate_default=False, description="How long it must then stay so")


class Expectations(Written):
    """What the run is judged by. Silent limits default to the playbook's time targets."""

    detect: DetectExpectation | None = Field(default=None, description="Monitoring must page")
    mitigate: WithinExpectation | None = Field(default=None, description="Users must get what they are owed again")
    recover: WithinExpectation | None = Field(
        default=None, description="The cause is gone, objectives are back, debt is repaid, nothing else is broken"
    )


class AbortRule(Written):
    """A stop condition: the SLI beyond the bound for this long heals everything and ends the run ABORTED."""

    sli: SliKind = Field(description="What users get, as the prober samples it")
    below: float | None = Field(default=None, description="Stop where it is below this (a share)")
    above: float | None = Field(default=None, description="Stop where it is above this (seconds or a share)")
    for_: Seconds = Field(alias="for", description="How long before it stops the run, such as 15s")

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("give one of `below` and `above`")
        return self


class Allowed(Written):
    """A change that is no collateral."""

    changed: Safeguard | str = Field(description="A safeguard (services, versions, data, config, ...) or model-alias")
    where: str | None = Field(default=None, description="Narrows it to one place, such as features/job_fail")


class Scenario(Written):
    """One drill. See docs/scenarios.md."""

    scenario: Name = Field(description="The drill's name, the same as the file's")
    kind: Kind = Field(description="fault: something breaks; decoy: a real but benign change that must not page")
    title: str = Field(min_length=1, max_length=200, description="What happens, in a sentence")
    incident: Incident = Field(description="The type of incident; the folder it stands in")
    description: str = Field(
        default="", max_length=4000, description="For people: what breaks, who should notice, what helps, what harms"
    )
    faults: tuple[FaultSpec, ...] = Field(min_length=1, max_length=16, description="What is injected")
    expect: Expectations = Field(default=Expectations(), description="What the run is judged by; a decoy has none")
    playbook: Name | None = Field(default=None, description="Id of the playbook that answers it")
    load: Name = Field(default="steady", description="One of the target's loads")
    abort: tuple[AbortRule, ...] = Field(default=(), max_length=16, description="Stop conditions")
    allow: tuple[Allowed, ...] = Field(default=(), max_length=32, description="Changes that the right response makes")
    budget: Seconds = Field(description="How long the responder has, from the first moment of the effect, such as 30s")
    seed: int = Field(default=7, ge=0, lt=2**63, description="Everything random in the run follows from it")
    restart_all_solves: bool = Field(
        default=False, description="Says so honestly where restarting everything is a cure"
    )
    tags: tuple[str, ...] = Field(default=(), description="Rows of the fault catalogue, such as M1, and your own words")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wrong = [*self._beyond_budget(), *self._contradictions()]
        if wrong:
            raise ValueError("; and ".join(wrong))
        return self

    def _beyond_budget(self) -> list[str]:
        found = [
            f"expect.{name}: {limit.within:g} s plus its hold of {limit.hold:g} s is beyond the budget"
            f" of {self.budget:g} s"
            for name, limit in (("mitigate", self.expect.mitigate), ("recover", self.expect.recover))
            if limit is not None and limit.within + limit.hold > self.budget
        ]
        if self.expect.detect is not None and self.expect.detect.within > self.budget:
            found.append("expect.detect: the limit is beyond the budget")
        return found

    def _contradictions(self) -> list[str]:
        found = []
        if self.kind is Kind.DECOY and self.expect != Expectations():
            found.append("a decoy has no `expect`: it passes where nothing pages and nobody changes anything")
        external = any(fault.cure is not None and fault.cure.kind is CureKind.EXTERNAL for fault in self.faults)
        if external and self.expect.recover is not None:
            found.append("expect.recover: a fault whose cure is external never ends within the budget; expect mitigate")
        return found

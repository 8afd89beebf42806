"""A playbook: Markdown with front matter and fenced `drill` cells, as people write it.

The prose is for people; the cells are for the runner and name standard actions and observations only. The language of
conditions is `{field: {eq|ne|lt|gt|in: value}}`, a value a literal or `${step.field}`, and no more than that.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from harness.contract.words import Action, Incident, Observation, ReportKind
from harness.spec.base import Name, Seconds, Written


class Section(StrEnum):
    """The sections of a playbook, in order: the phases of a response."""

    ACKNOWLEDGE = "Acknowledge"
    ASSESS = "Assess"
    ISOLATE = "Isolate"
    ACT = "Act"
    ESCALATE = "Escalate"
    AFTERWARDS = "Afterwards"


class TimeTargets(Written):
    """Time targets: acknowledge from the first page, the others from t_active; defaults of a scenario's silent limits."""

    acknowledge: Seconds | None = Field(default=None, description="From the first page")
    detect: Seconds | None = Field(default=None, description="From the first moment of the effect")
    mitigate: Seconds | None = Field(default=None, description="From the first moment of the effect")
    recover: Seconds | None = Field(default=None, description="From the first moment of the effect")


class Forbidden(Written):
    """An action that makes this incident worse, and why. `with` narrows it by arguments."""

    do: Action = Field(description="The standard action")
    with_: dict[str, Any] = Field(default={}, alias="with", description="Narrows it by arguments")
    because: str = Field(description="Why it makes this incident worse")
    until: str | None = Field(default=None, description="id of the step after which it is allowed")


class FrontMatter(Written):
    """The head of a playbook."""

    id: Name = Field(description="The same as the file's name")
    title: str = Field(description="What has happened, as the person on call would say it")
    incident: Incident = Field(description="The type of incident")
    answers: tuple[str, ...] = Field(default=(), description="Alert layers or rule names that this playbook answers")
    severity: str = Field(description="How severe such an incident is, such as sev1")
    targets: TimeTargets = Field(default=TimeTargets(), description="Time targets")
    escalation: tuple[str, ...] = Field(default=(), description="Whom to go on to, in order")
    owner: str = Field(description="Who keeps this playbook right")
    forbidden: tuple[Forbidden, ...] = Field(default=(), description="Actions that make it worse")
    last_drilled: str | None = Field(
        default=None, description="When it was last followed in a drill, such as 2026-01-31"
    )


class Operator(Written):
    """One comparison; of its keys exactly one is given."""

    eq: Any = Field(default=None, description="Equal to")
    ne: Any = Field(default=None, description="Not equal to")
    lt: Any = Field(default=None, description="Less than")
    gt: Any = Field(default=None, description="Greater than")
    in_: list[Any] | None = Field(default=None, alias="in", description="One of")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("give exactly one of eq, ne, lt, gt, in")
        return self


Condition = Annotated[dict[str, Operator], Field(min_length=1)]
"""All fields must satisfy their comparison. A field may be dotted: `serving-a.version`."""


class Cell(Written):
    """One `drill` cell: an observation, an action or a report.

    `expect` must hold of the cell's own result at once; `verify` is polled until it holds or `timeout` is over, each
    with the cell's own observation (or, for an action, the observation that `verify_by` names); a cell that does not
    come true has failed. `when`: skipped unless true of earlier steps. `optional`: its failure doesn't stop the response.
    """

    id: Name = Field(description="Name of the step, without dots")
    observe: Observation | None = Field(default=None, description="Look: a standard observation")
    do: Action | None = Field(default=None, description="Change: a standard action")
    report: ReportKind | None = Field(
        default=None, description="Say: ack, severity, diagnose, escalate, update or resolve"
    )
    with_: dict[str, Any] = Field(default={}, alias="with", description="Arguments; values may be ${step.field}")
    expect: Condition | None = Field(default=None, description="Must hold of the result at once")
    verify: Condition | None = Field(default=None, description="Polled until it holds or the timeout is over")
    verify_by: Observation | None = Field(default=None, description="The observation that shows an action's effect")
    verify_with: dict[str, Any] = Field(default={}, description="Arguments of that observation")
    when: Condition | None = Field(default=None, description="fields are `step.field`")
    timeout: Seconds = Field(default=10.0, validate_default=False, description="How long the step may take")
    within: Seconds | None = Field(
        default=None,
        description="Step time target from the first page since the injection; counts for conformance only",
    )
    requires: tuple[Name, ...] = Field(default=(), description="Steps that must have succeeded before")
    guard: bool = Field(default=False, description="A guard: must have been done before any change")
    optional: bool = Field(default=False, description="Its failure doesn't stop the response")

    @model_validator(mode="after")
    def _one_verb(self) -> Self:
        if sum(verb is not None for verb in (self.observe, self.do, self.report)) != 1:
            raise ValueError("give exactly one of `observe`, `do` and `report`")
        if self.report is not None and (self.expect or self.verify):
            raise ValueError("a report has nothing to expect or verify")
        if self.do is not None and self.verify is not None and self.verify_by is None:
            raise ValueError("`verify` on an action needs `verify_by`: the observation that shows it")
        return self


class Playbook(Written):
    """A playbook, read: its head, its cells by section in order, its whole text."""

    head: FrontMatter
    cells: tuple[tuple[Section, Cell], ...]
    text: str

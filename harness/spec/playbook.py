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
    """Time targets: acknowledge from the page, the others from t_active; defaults of a scenario's silent limits."""

    acknowledge: Seconds | None = None
    detect: Seconds | None = None
    mitigate: Seconds | None = None
    recover: Seconds | None = None


class Forbidden(Written):
    """An action that makes this incident worse, and why. `with` narrows it by arguments."""

    do: Action
    with_: dict[str, Any] = Field(default={}, alias="with")
    because: str
    until: str | None = Field(default=None, description="id of the step after which it is allowed")


class FrontMatter(Written):
    """The head of a playbook."""

    id: Name
    title: str
    incident: Incident
    answers: tuple[str, ...] = Field(default=(), description="Alert layers or rule names that this playbook answers")
    severity: str
    targets: TimeTargets = TimeTargets()
    escalation: tuple[str, ...] = ()
    owner: str
    forbidden: tuple[Forbidden, ...] = ()
    last_drilled: str | None = None


class Operator(Written):
    """One comparison; of its keys exactly one is given."""

    eq: Any = None
    ne: Any = None
    lt: Any = None
    gt: Any = None
    in_: list[Any] | None = Field(default=None, alias="in")

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

    id: Name
    observe: Observation | None = None
    do: Action | None = None
    report: ReportKind | None = None
    with_: dict[str, Any] = Field(default={}, alias="with")
    expect: Condition | None = None
    verify: Condition | None = None
    verify_by: Observation | None = None
    verify_with: dict[str, Any] = {}
    when: Condition | None = Field(default=None, description="fields are `step.field`")
    timeout: Seconds = Field(default=10.0, validate_default=False)
    within: Seconds | None = Field(
        default=None, description="Step time target from the page; counts for conformance only"
    )
    requires: tuple[Name, ...] = Field(default=(), description="Steps that must have succeeded before")
    guard: bool = Field(default=False, description="A guard: must have been done before any change")
    optional: bool = False

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

"""The playbook as a responder: its cells in order, from the first page on.

A cell that fails (refused, not as expected, not verified in time) ends the response unless it is `optional`: the cells of
`Escalate` follow, and nobody claims that it is resolved. `Escalate` is skipped where nothing failed. A skipped `when`
is no failure. Rejected: carrying on after a failed step (half a rollback, then a cheerful "resolved").
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from harness.contract.undo import Json
from harness.contract.words import Severity
from harness.history.commands import Act, AnyCommand, EndStep, Observe, Say, SetTimer
from harness.history.events import ActionDone, AlertReceived, AnyEvent, Failed, ObservationDone, TimerFired
from harness.plugin import Brief
from harness.respond.conditions import MISSING, first_untrue, resolve, when_true
from harness.spec.plan import PlannedStep

BY = "playbook"
POLL_S = 0.25
"""Between two looks while a step is being verified."""
ESCALATE = "Escalate"
NS = 1_000_000_000


class PlaybookState(msgspec.Struct, frozen=True):
    """Where the response stands. `at` indexes the steps; `verifying` while the present step polls."""

    steps: tuple[PlannedStep, ...]
    at: int = -1
    since_ns: int = 0
    verifying: bool = False
    asking: bool = False
    failed: bool = False
    done: bool = False
    passed: tuple[str, ...] = ()
    results: dict[str, dict[str, Json]] = {}

    @property
    def step(self) -> PlannedStep:
        """The present step."""
        return self.steps[self.at]


Moved = tuple[PlaybookState, tuple[AnyCommand, ...]]


class PlaybookResponder:
    """Follows the plan's playbook."""

    name = BY
    mutates = True

    def start(self, brief: Brief) -> Moved:
        """Waits for the first page."""
        steps = brief.plan.playbook.steps if brief.plan.playbook is not None else ()
        return PlaybookState(steps=steps, done=not steps), ()

    def step(self, state: PlaybookState, event: AnyEvent, issued: Mapping[str, AnyCommand]) -> Moved:
        """Goes on by one event."""
        if state.done:
            return state, ()
        if state.at < 0:
            if isinstance(event, AlertReceived) and event.severity is Severity.PAGE and event.status == "firing":
                return self._enter(state, 0, event.t_ns)
            return state, ()
        if isinstance(event, TimerFired):
            return self._timer(state, event)
        if isinstance(event, ActionDone | ObservationDone | Failed) and event.command in issued:
            command = issued[event.command]
            if getattr(command, "step", None) == state.step.id and state.asking:
                return self._answered(replace(state, asking=False), event)
        return state, ()

    # --- moving from step to step -----------------------------------------------------------------------------------

    def _enter(self, state: PlaybookState, at: int, t_ns: int) -> Moved:
        """Enters step `at` or the next one that is to be done; says and skips need no reply, so it may pass several."""
        out: list[AnyCommand] = []
        while at < len(state.steps):
            state = replace(state, at=at, since_ns=t_ns, verifying=False)
            step = state.step
            skip = self._why_skip(state)
            if skip is not None:
                out.append(EndStep(id="", step=step.id, outcome="skipped", why=skip))
                at += 1
                continue
            arguments = resolve(dict(step.arguments), state.results)
            lacking = [name for name in step.requires if name not in state.passed]
            if arguments is MISSING or lacking:
                why = f"requires {', '.join(lacking)}" if lacking else "an argument refers to what is not known"
                state, ends = self._end(state, "failed", why)
                out.extend(ends)
                at = state.at + 1
                continue
            if step.report is not None:
                out.append(Say(id="", report=step.report, data=arguments, by=BY, step=step.id))
                state, ends = self._end(state, "passed", "")
                out.extend(ends)
                at = state.at + 1
                continue
            out.append(SetTimer(id="", name=f"responder:limit:{step.id}", after_s=step.timeout_s))
            out.append(self._call(step, arguments))
            return replace(state, asking=True), tuple(out)
        return replace(state, done=True), tuple(out)

    def _why_skip(self, state: PlaybookState) -> str | None:
        step = state.step
        if step.section == ESCALATE and not state.failed:
            return "nothing failed"
        if step.section != ESCALATE and state.failed:
            return "an earlier step failed"
        if step.when and not when_true(step.when, state.results):
            return "its `when` is not true"
        return None

    def _end(self, state: PlaybookState, outcome: str, why: str) -> Moved:
        step = state.step
        failed = state.failed or (outcome == "failed" and not step.optional)
        passed = (*state.passed, step.id) if outcome == "passed" else state.passed
        end = EndStep(id="", step=step.id, outcome=outcome, why=why)
        return replace(state, failed=failed, passed=passed, asking=False), (end,)

    def _finish(self, state: PlaybookState, outcome: str, why: str, t_ns: int) -> Moved:
        state, ends = self._end(state, outcome, why)
        after, commands = self._enter(state, state.at + 1, t_ns)
        return after, (*ends, *commands)

    # --- one step -----------------------------------------------------------------------------------------------------

    def _call(self, step: PlannedStep, arguments: dict[str, Json]) -> AnyCommand:
        if step.do is not None:
            return Act(id="", action=step.do, arguments=arguments, by=BY, step=step.id)
        assert step.observe is not None, "a step is one of report, do and observe"
        return Observe(id="", observation=step.observe, arguments=arguments, by=BY, step=step.id)

    def _answered(self, state: PlaybookState, event: ActionDone | ObservationDone | Failed) -> Moved:
        step = state.step
        if isinstance(event, Failed) or not event.ok:
            if state.verifying or (step.observe is not None and step.verify):
                return self._poll_later(state)
            return self._finish(state, "failed", event.error or "refused", event.t_ns)
        if state.verifying or (step.observe is not None and step.verify):
            return self._verified(state, event)
        state = replace(state, results={**state.results, step.id: event.result})
        untrue = first_untrue(step.expect, event.result, state.results)
        if untrue is not None:
            return self._finish(state, "failed", untrue, event.t_ns)
        if step.verify:
            return self._look_again(replace(state, verifying=True))
        return self._finish(state, "passed", "", event.t_ns)

    def _verified(self, state: PlaybookState, event: ActionDone | ObservationDone) -> Moved:
        step = state.step
        if first_untrue(step.verify, event.result, state.results) is not None:
            return self._poll_later(state)
        if step.observe is not None:
            state = replace(state, results={**state.results, step.id: event.result})
            untrue = first_untrue(step.expect, event.result, state.results)
            if untrue is not None:
                return self._finish(state, "failed", untrue, event.t_ns)
        return self._finish(state, "passed", "", event.t_ns)

    def _poll_later(self, state: PlaybookState) -> Moved:
        return state, (SetTimer(id="", name=f"responder:poll:{state.step.id}", after_s=POLL_S),)

    def _look_again(self, state: PlaybookState) -> Moved:
        step = state.step
        observation = step.observe or step.verify_by
        assert observation is not None, "verifying needs an observation: the playbook's file says so"
        raw = step.arguments if step.observe is not None else step.verify_arguments
        arguments = resolve(dict(raw), state.results)
        if arguments is MISSING:
            arguments = {}
        look = Observe(id="", observation=observation, arguments=arguments, by=BY, step=step.id)
        return replace(state, asking=True), (look,)

    def _timer(self, state: PlaybookState, event: TimerFired) -> Moved:
        step = state.step
        if event.name == f"responder:poll:{step.id}" and not state.asking:
            return self._look_again(state)
        if event.name == f"responder:limit:{step.id}":
            what = "not verified" if state.verifying or step.verify else "no answer"
            return self._finish(state, "failed", f"{what} within {step.timeout_s:g} s", event.t_ns)
        return state, ()

"""Follows a run as it happens: what is news, and what the panel must know of the recent past.

Beside what a `Teller` tells it folds the prober's samples as the conductor and the scorer do, so that losing and regaining the
objectives is news while it happens. The scorer's answer, made from the whole history, is the one that counts.
"""

from __future__ import annotations

from collections import deque

from harness.contract.words import SliKind
from harness.history.commands import AnyCommand
from harness.history.events import AlertReceived, AnyEvent, LoadBucket, Sample
from harness.measure.folds import Hold, KofM
from harness.report.telling import Happening, Lane, Teller
from harness.report.words import NS
from harness.run.state import State
from harness.score.objectives import judged
from harness.spec.plan import Plan

RECENT_MAX = 48
ALERTS_MAX = 64


class Follower:
    """One run, followed. Bounded: it keeps the last samples, the alerts that fire, and each step's outcome."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.began_ns = 0
        self.active_ns: int | None = None
        self.now_ns = 0
        self.recent: dict[SliKind, deque[float | None]] = {s.kind: deque(maxlen=RECENT_MAX) for s in plan.slis}
        self.firing: dict[str, AlertReceived] = {}
        self.steps: dict[str, str] = {}
        self.step_now = ""
        self.load: LoadBucket | None = None
        self._teller = Teller(plan)
        self._impact = {sli.kind: KofM() for sli in plan.slis}
        hold_s = plan.mitigate.hold_s if plan.mitigate is not None else plan.hold_s
        self._hold = Hold(round(hold_s * NS))
        self._lost = False
        self._look = ("", "")

    def follow(self, state: State, event: AnyEvent, commands: tuple[AnyCommand, ...]) -> list[Happening]:
        """Takes the event in and gives the news of it, those of the commands it led to among them."""
        if not self.began_ns:
            self.began_ns = event.t_ns
        self.now_ns = max(self.now_ns, event.t_ns)
        self.active_ns = state.t_active_ns
        told: list[Happening | None] = [self._teller.seen(event)]
        match event:
            case Sample():
                told += self._sampled(event)
            case AlertReceived():
                self._alerted(event)
            case LoadBucket():
                self.load = event
        told += [self._teller.ordered(event.t_ns, command) for command in commands]
        for command in commands:
            self._step(command)
        return [one for one in told if one is not None and not self._again(one)]

    def _again(self, one: Happening) -> bool:
        """Whether it is the look that this step took a moment ago: while a step is verified the same look comes several
        times a second, and would scroll everything else away. The page shows them all."""
        if not one.what.startswith("look ") or one.bad:
            return False
        before, self._look = self._look, (one.step, one.text)
        return before == self._look

    def _sampled(self, sample: Sample) -> list[Happening]:
        for sli in self.plan.slis:
            self.recent[sli.kind].append(sample.values.get(sli.kind))
        if self.active_ns is None or sample.t_ns < self.active_ns:
            return []
        news = []
        (one,) = judged(self.plan, [sample])
        for sli, bad in zip(self.plan.slis, one.bad, strict=True):
            before = self._impact[sli.kind]
            after = before.step(sample.t_ns, bad)
            self._impact[sli.kind] = after
            if before.onset_ns is None and after.onset_ns is not None:
                self._lost = True
                text = f"objective lost: {sli.kind}"
                news.append(Happening(sample.t_ns, Lane.IMPACT, "impact", text, bad=True))
        if self._lost:
            held = self._hold.held_ns
            self._hold = self._hold.step(sample.t_ns, one.good)
            now_held = self._hold.held_ns
            if held is None and now_held is not None:
                text = f"objectives back since {(now_held - self.active_ns) / NS:+.2f} s, held {self._hold.hold_ns / NS:g} s"
                news.append(Happening(sample.t_ns, Lane.RECOVERY, "mitigated", text))
            elif held is not None and now_held is None:
                news.append(Happening(sample.t_ns, Lane.IMPACT, "relapse", "objectives lost again", bad=True))
        return news

    def _alerted(self, alert: AlertReceived) -> None:
        key = alert.fingerprint or alert.name
        if alert.status == "firing" and len(self.firing) < ALERTS_MAX:
            self.firing[key] = alert
        else:
            self.firing.pop(key, None)

    def _step(self, command: AnyCommand) -> None:
        step = getattr(command, "step", "")
        if step:
            outcome = getattr(command, "outcome", None)
            self.step_now = "" if outcome is not None else step
            if outcome is not None:
                self.steps[step] = outcome

"""What each monitor said: for every rule that the target declares, when it fired, or that it stayed silent.

A rule that stays silent while a fault does harm is blind to it, and that is what the catalogue is for. The rule that always
fires is no monitor, and left out.
"""

from __future__ import annotations

import msgspec

from harness.contract.words import Layer, Severity
from harness.report.scene import Scene
from harness.report.series import Stretch


class Said(msgspec.Struct, frozen=True):
    """One rule: when it fired (its series together), and whether it fired before anything was wrong."""

    name: str
    layer: Layer
    severity: Severity
    firing: tuple[Stretch, ...]
    before: bool

    @property
    def first_ns(self) -> int | None:
        return self.firing[0].from_ns if self.firing else None


def said(scene: Scene, *, zero_ns: int, end_ns: int) -> list[Said]:
    """Every rule, layer by layer in the order of the vocabulary, pages first, each by when it first fired."""
    alerts = scene.plan.alerts
    heartbeat = alerts.heartbeat.rule if alerts.heartbeat is not None else None
    told = []
    for rule in alerts.rules:
        if rule.name == heartbeat:
            continue
        bars = [
            Stretch(bar.at_ns, min(bar.to_ns or end_ns, end_ns))
            for bar in scene.alerts
            if bar.name == rule.name and bar.at_ns < end_ns
        ]
        firing = united(bars)
        early = any(one.from_ns < zero_ns for one in firing)
        told.append(Said(rule.name, rule.layer, rule.severity, firing, early))
    order = list(Layer)
    return sorted(
        told, key=lambda one: (order.index(one.layer), one.severity is not Severity.PAGE, one.first_ns or end_ns)
    )


def united(stretches: list[Stretch]) -> tuple[Stretch, ...]:
    """Stretches that overlap or touch, as one."""
    told: list[Stretch] = []
    for one in sorted(stretches, key=lambda stretch: (stretch.from_ns, stretch.to_ns)):
        if told and one.from_ns <= told[-1].to_ns:
            told[-1] = Stretch(told[-1].from_ns, max(told[-1].to_ns, one.to_ns))
        else:
            told.append(one)
    return tuple(told)

"""A run told in full, for the views: bad-model-version at 50 requests a second, with a gap, tickets, gauges, hostile words."""

from __future__ import annotations

import random

import msgspec

from harness.contract.words import Action, Effect, EndReason, Observation, Phase, ReportKind, Severity
from harness.history import events as e
from harness.history.reader import History
from tests.golden.build import GOOD, WRONG, Story, decisions, ns, plan

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \x1b[31m ]]> `|*_"


def rich(*, seed: int = 3, end_at: float = 19.0, responds: bool = True, gap: bool = True) -> History:
    """Injected at 4.0, there by 4.2, wrong from 4.5, paged at 7.0, rolled back by 8.9, good from 9.5; values with noise."""
    noise = random.Random(seed)
    of = plan(
        charts=("serving_model_version", "decision_quality"), title="A retrained model with shuffled labels is promoted"
    )
    story = Story(of).begin()
    story.phase(3.05, Phase.INJECT).inject(4.0).phase(4.2, Phase.RESPOND)
    good_at = 9.5 if responds else end_at
    _witness(story, 3.4, 4.2, Effect.ABSENT, "1")
    _witness(story, 4.2, 8.9 if responds else end_at, Effect.PRESENT, "2")
    _witness(story, 8.9 if responds else end_at, end_at, Effect.ABSENT, "1")
    _samples(story, noise, good_at=good_at, end_at=end_at, gap=gap)
    _load(story, noise, end_at=end_at)
    _gauges(story, noise, good_at=good_at, end_at=end_at)
    damaged = decisions(story, 4.5, 9.0, "2")
    story.add(
        e.AlertReceived(
            t_ns=ns(7.0),
            res_ns=5_000_000,
            src="pager",
            name="CanaryWrong",
            status="firing",
            severity=Severity.PAGE,
            layer="model-quality",
            fingerprint="canary",
            summary=f"canary answers are wrong {HOSTILE}",
            active_ns=ns(5.4),
            starts_ns=ns(6.5),
            clock_error_ns=2_000_000,
            clock="monitoring",
            cut_ns=1_000_000,
        )
    )
    story.alert(7.9, "InputDrift", severity=Severity.TICKET, layer="distribution", cond=7.5, fire=7.6)
    story.alert(8.2, "LabelledQualityLow", layer="model-quality", cond=7.7, fire=8.0)
    if responds:
        _responds(story, damaged)
        story.alert(11.6, "CanaryWrong", status="resolved")
        resolved = msgspec.structs.replace(story.told[-1], fingerprint="canary")
        story.told[-1] = resolved
        story.alert(13.9, "LabelledQualityLow", status="resolved")
    story.add(
        e.Lag(t_ns=ns(10.0), worst_ns=3_100_000), e.ClockPair(t_ns=ns(2.0), source="pager", wall_ns=1, error_ns=800_000)
    )
    story.phase(end_at - 3.5 if responds else end_at - 0.1, Phase.SETTLE)
    return story.end(end_at, EndReason.CLAIMED if responds else EndReason.BUDGET).history()


def _witness(story: Story, start: float, stop: float, effect: Effect, version: str) -> None:
    story.each(
        start,
        stop,
        0.2,
        lambda t: e.WitnessRead(
            t_ns=t,
            res_ns=10_000_000,
            src="witness",
            fault=0,
            effect=effect,
            detail={"serving-a": version, "serving-b": version},
        ),
    )


def _samples(story: Story, noise: random.Random, *, good_at: float, end_at: float, gap: bool) -> None:
    for i in range(round((end_at - 1.0) / 0.5)):
        at = 1.0 + 0.5 * i
        wrong = 4.5 <= at < good_at
        values: dict[str, float | None] = dict(WRONG if wrong else GOOD)
        values["latency"] = 0.04 + 0.03 * noise.random()
        values["freshness"] = 0.6 + noise.random()
        values["correctness"] = 1.0 if not wrong else noise.choice((0.375, 0.5, 0.5))
        quality = 0.95 - 0.25 * min(max(at - 5.0, 0) / 3, 1) if at < good_at + 1 else 0.95 - 0.25 * max(0, 13 - at) / 3
        values["decision-quality"] = round(min(quality, 0.96) + 0.02 * noise.random(), 3)
        if gap and 12.0 <= at < 13.0:
            values["freshness"] = None
        story.add(
            e.Sample(t_ns=ns(at), res_ns=20_000_000, src="prober", values=values, sent=8, ok=8, wrong=5 if wrong else 0)
        )


def _load(story: Story, noise: random.Random, *, end_at: float) -> None:
    for i in range(round(end_at) - 1):
        late = noise.choice((0, 0, 0, 1, 2))
        p95 = 60 + 40 * noise.random()
        story.add(
            e.LoadBucket(
                t_ns=ns(2.0 + i),
                res_ns=10**9,
                src="load",
                scheduled=50,
                ok=50 - late,
                failed=late,
                latency_ms={"p50": p95 * 0.55, "p95": p95, "p99": p95 * 1.6, "max": p95 * 2},
            )
        )


def _gauges(story: Story, noise: random.Random, *, good_at: float, end_at: float) -> None:
    for i in range(round(end_at) - 1):
        at = 1.5 + i
        version = 2.0 if 4.2 <= at < good_at else 1.0
        story.add(
            e.Gauges(
                t_ns=ns(at),
                res_ns=4_000_000,
                src="scrape",
                values={
                    "serving_model_version{replica=serving-a}": version,
                    "serving_model_version{replica=serving-b}": version,
                    "decision_quality": 0.7 + 0.2 * noise.random(),
                },
            )
        )


def _responds(story: Story, damaged: list[str]) -> None:
    story.say(7.2, ReportKind.ACK, "ack").end_step(7.2, "ack")
    story.observe(7.3, Observation.ALERTS).observe(7.5, Observation.VERSIONS, step="look").end_step(7.6, "look")
    story.observe(7.8, Observation.PROMOTIONS)
    story.say(8.0, ReportKind.DIAGNOSE, "diagnose", component="model/risk", cause="model").end_step(8.0, "diagnose")
    story.act(8.5, Action.ROLLBACK, step="roll-back", model="risk", to="1").end_step(8.9, "roll-back")
    story.observe(9.2, Observation.VERSIONS)
    story.act(9.5, Action.RESCORE, step="rescore", model="risk").end_step(10.2, "rescore")
    story.records(10.1, "rescored", *({"id": i, "model_version": "1"} for i in damaged))
    story.say(15.2, ReportKind.UPDATE, "tell", text="rolled back, re-scored").end_step(15.2, "tell")
    story.say(15.4, ReportKind.RESOLVE)

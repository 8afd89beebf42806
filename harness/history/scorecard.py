"""The Scorecard record: what `drill score` derives from a history, and what scorecard.json holds.

Floats are rounded to 6 significant digits by the scorer; no NaN, no infinity. `None` means not observed.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

SCORECARD_SCHEMA = 1


class Verdict(StrEnum):
    """One word, the first that applies, in this order."""

    ENV_ERROR = "ENV_ERROR"
    INVALID_INJECTION = "INVALID_INJECTION"
    ABORTED = "ABORTED"
    NOT_EXPOSED = "NOT_EXPOSED"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    PASS = "PASS"


class Answer(StrEnum):
    """How a criterion came out."""

    MET = "met"
    MISSED = "missed"
    NOT_OBSERVED = "not observed"


class Criterion(msgspec.Struct, frozen=True):
    """One thing that the run is judged by. `limit` and `reading` in `unit`; `reason` is a sentence."""

    name: str
    answer: Answer
    reason: str
    unit: str = "s"
    limit: float | None = None
    reading: float | None = None
    resolution: float | None = None


class Time(msgspec.Struct, frozen=True):
    """A measured time. Censored: it did not happen until `value_s`, which then is the censoring time, never a result.

    `value_s` None: not observed at all (no zero to count from). `at_ns` is the moment itself, if it happened.
    """

    value_s: float | None = None
    resolution_s: float | None = None
    floor_s: float | None = None
    censored: bool = False
    reason: str = ""
    at_ns: int | None = None


class Times(msgspec.Struct, frozen=True):
    """All durations of design section 5, and TTD's split and lead."""

    ttd: Time
    tta: Time
    tte: Time
    ttl: Time
    ttm: Time
    ttrepair: Time
    ttr: Time
    sense: Time = Time()
    hold: Time = Time()
    deliver: Time = Time()
    lead: Time = Time()


class Moments(msgspec.Struct, frozen=True):
    """The events of design section 5, in ns of the history's clock; None where it never came."""

    t_inject: int | None = None
    t_active_from: int | None = None
    t_active_to: int | None = None
    t_impact: int | None = None
    t_cond: int | None = None
    t_fire: int | None = None
    t_page: int | None = None
    t_called: int | None = None
    """The first page since the injection, be it the one that qualifies or not: what a response counts from."""
    t_detect: int | None = None
    t_ack: int | None = None
    t_sev: int | None = None
    t_engage: int | None = None
    t_loc: int | None = None
    t_mut: int | None = None
    t_escalate: tuple[int, ...] = ()
    t_update: tuple[int, ...] = ()
    t_mitig: int | None = None
    t_repair: int | None = None
    t_recover: int | None = None
    t_claim: int | None = None
    t_end: int | None = None


class BadMinutes(msgspec.Struct, frozen=True):
    """Bad-minutes by kind, from the zero to the run's end: 1 is a minute in which all planned traffic was ill served.

    `corrupt_rows` are minutes' worth of planned traffic, and not in `total`. None: not observed.
    """

    total: float | None
    errors: float | None
    slow: float | None
    wrong: float | None
    stale: float | None
    corrupt_rows: float | None = None


class DebtItem(msgspec.Struct, frozen=True):
    """One kind of debt: how many records were damaged and how many of them repaid by the end. None: not observed."""

    kind: str
    damaged: int | None
    repaid: int | None
    reason: str = ""


class Collateral(msgspec.Struct, frozen=True):
    """One safeguard: kept, broken, or not observed (kept is None); `changes` says what differs."""

    safeguard: str
    kept: bool | None
    catastrophic: bool
    changes: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


class StepResult(msgspec.Struct, frozen=True):
    """One playbook step: outcome passed, failed, skipped or not reached; times from t_called, in seconds."""

    id: str
    section: str
    verb: str
    outcome: str
    started_s: float | None = None
    ended_s: float | None = None
    limit_s: float | None = None
    in_time: bool | None = None
    why: str = ""


class Diagnosis(msgspec.Struct, frozen=True):
    """The diagnosis vector. None where nothing was said. `hops` from the true component on the declared graph."""

    component: str | None = None
    hops: int | None = None
    cause: str | None = None
    cause_right: bool | None = None
    onset_right: bool | None = None
    scope_right: bool | None = None


class Conformance(msgspec.Struct, frozen=True):
    """Playbook conformance, beside the outcome, never multiplied into it. None: there was no playbook."""

    steps: tuple[StepResult, ...] = ()
    required_done: int = 0
    required: int = 0
    order_kept: bool | None = None
    guards_kept: bool | None = None
    forbidden_done: tuple[str, ...] = ()
    out_of_time: tuple[str, ...] = ()


class FaultResult(msgspec.Struct, frozen=True):
    """One fault as it went: witnessed, healed (undo applied and witness clear), healthy again."""

    index: int
    fault: str
    witnessed: bool
    effect_from_ns: int | None = None
    effect_to_ns: int | None = None
    cleared_ns: int | None = None
    heal_undo_s: float | None = None
    heal_seen_s: float | None = None
    healthy_again_s: float | None = None
    healed: bool | None = None
    reason: str = ""


class Monitoring(msgspec.Struct, frozen=True):
    """What the target's monitoring is set to: what the floors are made of. `hold_s` is that of `rule`, the one that detects,
    in whole evaluations.

    `clock`: by which source's clock pair its times were converted (`wall`: it wasn't asked, ours stood in for it). `heartbeat_s`:
    where the absence of heartbeats is what pages, after how long without one.
    """

    scrape_s: float
    evaluation_s: float
    group_wait_s: float
    rule: str = ""
    hold_s: float | None = None
    clock: str = ""
    clock_error_s: float | None = None
    heartbeat_s: float | None = None


class Scorecard(msgspec.Struct, frozen=True):
    """The score of one run: a pure function of its history.

    `bad_samples`: objective -> samples that missed it, from the zero to the run's end; also those too few to be an impact.
    """

    schema: int
    verdict: Verdict
    reasons: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    times: Times
    moments: Moments
    bad_minutes: BadMinutes
    debt: tuple[DebtItem, ...]
    collateral: tuple[Collateral, ...]
    conformance: Conformance | None
    diagnosis: Diagnosis
    outcome: float | None
    false_pages: int | None
    false_actions: int | None
    exposure_s: float | None
    faults: tuple[FaultResult, ...]
    run: str
    scenario: str
    arm: str
    seed: int
    responder: str
    target: str
    end_reason: str
    dirty: tuple[int, ...]
    exit: int
    history_sha256: str
    scorer: str
    monitoring: Monitoring | None = None
    bad_samples: dict[str, int] = {}
    harness_lag_s: float | None = None
    torn: bool = False

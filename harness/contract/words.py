"""Closed vocabularies: what people write in scenarios, playbooks and target files, and what histories say."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """What a target can have done to it. A fault that needs one the target lacks is refused when planning."""

    KILL = "kill"
    PAUSE = "pause"
    RESTART = "restart"
    LIMIT_CPU = "limit-cpu"
    LIMIT_MEMORY = "limit-memory"
    FILL_DISK = "fill-disk"
    LINK = "link"
    TAP = "tap"
    MODEL = "model"
    CONFIG = "config"
    CLOCK = "clock"
    DISCONNECT = "disconnect"
    PARTITION = "partition"
    IMAGE = "image"
    ENV = "env"
    STRESS = "stress"


class Layer(StrEnum):
    """Where monitoring looks. Portable between targets, while rule names are not."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
    RESOURCE = "resource"
    DATA = "data"
    FRESHNESS = "freshness"
    DISTRIBUTION = "distribution"
    MODEL_QUALITY = "model-quality"
    VERSION = "version"
    JOB = "job"


class Severity(StrEnum):
    """A page wakes someone; a ticket does not."""

    PAGE = "page"
    TICKET = "ticket"


class Incident(StrEnum):
    """The six incident types of the on-call literature; the folders of scenarios/."""

    MODEL_PERFORMANCE = "model-performance-degradation"
    DATA_ISSUE = "data-issue"
    PIPELINE_FAILURE = "pipeline-failure"
    LATENCY_SPIKE = "latency-spike"
    RESOURCE_EXHAUSTION = "resource-exhaustion"
    DRIFT = "drift"


class Action(StrEnum):
    """Standard actions. Playbooks, people and bots name these only, so that they work on any target."""

    RESTART = "restart"
    STOP = "stop"
    START = "start"
    SCALE = "scale"
    DRAIN = "drain"
    FAILOVER = "failover"
    ROLLBACK = "rollback"
    PROMOTE = "promote"
    PIN = "pin"
    RETRAIN = "retrain"
    RESCORE = "rescore"
    QUARANTINE = "quarantine"
    RELEASE = "release"
    REPLAY = "replay"
    BACKFILL = "backfill"
    SET_FLAG = "set-flag"
    SET_LIMIT = "set-limit"
    EVICT = "evict"
    REROUTE = "reroute"
    PAUSE_INTAKE = "pause-intake"
    RESUME_INTAKE = "resume-intake"
    PAUSE_TRAINING = "pause-training"
    RESUME_TRAINING = "resume-training"
    SILENCE = "silence"
    ANNOTATE = "annotate"


HARMLESS_ACTIONS = frozenset({Action.ANNOTATE})
"""Actions that change nothing of the pipeline: no false action in a decoy, no t_mut."""


class Observation(StrEnum):
    """Standard observations. Each gives one flat JSON object."""

    SERVICES = "services"
    VERSIONS = "versions"
    ALERTS = "alerts"
    METRICS = "metrics"
    CONTRACT = "contract"
    FRESHNESS = "freshness"
    QUALITY = "quality"
    LOGS = "logs"
    PROMOTIONS = "promotions"
    LINEAGE = "lineage"
    CONFIG = "config"
    RESOURCES = "resources"


class SliKind(StrEnum):
    """What users get, sampled by the prober from outside the pipeline."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
    CORRECTNESS = "correctness"
    FRESHNESS = "freshness"
    FALLBACK_SHARE = "fallback-share"
    DECISION_QUALITY = "decision-quality"


class Kind(StrEnum):
    """A fault scenario breaks something; a decoy changes something benign that must not page."""

    FAULT = "fault"
    DECOY = "decoy"


class Arm(StrEnum):
    """Which arm of a scenario is run. The control injects nothing."""

    FAULT = "fault"
    DECOY = "decoy"
    CONTROL = "control"


class Phase(StrEnum):
    """The phases of a run, in order."""

    SETUP = "setup"
    BASELINE = "baseline"
    INJECT = "inject"
    RESPOND = "respond"
    SETTLE = "settle"
    CLEANUP = "cleanup"
    AFTERWARDS = "afterwards"
    ENDED = "ended"


class Effect(StrEnum):
    """What a witness says of a fault's direct effect."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class ReportKind(StrEnum):
    """What a responder says (as against does)."""

    ACK = "ack"
    SEVERITY = "severity"
    DIAGNOSE = "diagnose"
    ESCALATE = "escalate"
    UPDATE = "update"
    RESOLVE = "resolve"


class CauseClass(StrEnum):
    """Cause classes of a diagnosis."""

    MODEL = "model"
    DATA = "data"
    NETWORK = "network"
    PROCESS = "process"
    RESOURCE = "resource"
    CONFIG = "config"
    JOB = "job"
    DRIFT = "drift"
    NONE = "none"


class EndReason(StrEnum):
    """Why the respond phase ended."""

    CLAIMED = "claimed"
    BUDGET = "budget"
    STOP_CONDITION = "stop-condition"
    SIGNAL = "signal"
    ENVIRONMENT = "environment"
    INVALID_INJECTION = "invalid-injection"
    INTERNAL = "internal"


class Safeguard(StrEnum):
    """What a good responder must not break. Severity of each is the target's to declare."""

    SERVICES = "services"
    REPLICAS = "replicas"
    VERSIONS = "versions"
    DATA = "data"
    ALERT_RULES = "alert-rules"
    SILENCES = "silences"
    CONFIG = "config"

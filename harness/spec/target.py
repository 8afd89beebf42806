"""target.yaml: the whole contract with a pipeline, ours or a user's.

Strings may hold `${...}`, filled in by the driver: `${service.NAME.url}`, `${service.NAME.port}`, `${link.NAME.url}` (through
the fault proxy), `${port.NAME}`, `${state_dir}`, `${target_dir}`, `${instance}`, `${seed}`; and in actions and
observations `${arg.NAME}`. Nothing else is interpreted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from harness.contract.words import Action, Capability, Layer, Observation, Safeguard, Severity, SliKind
from harness.spec.base import Bytes, Name, Seconds, Share, Written


class HttpCall(Written):
    """One HTTP call. `json` is the body (JSON), `ok` the statuses that count as success."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: str
    json_: Any = Field(default=None, alias="json")
    timeout: Seconds = Field(default=5.0, validate_default=False)
    ok: tuple[int, ...] = (200, 201, 204)


class ExecCall(Written):
    """One command, run without a shell in the target's folder; its standard output is one JSON object or text."""

    command: tuple[str, ...] = Field(min_length=1)
    timeout: Seconds = Field(default=10.0, validate_default=False)


class Start(Written):
    """How a service starts: `python: module:function` (forked from a warm interpreter) or `command`."""

    python: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")
    command: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.python is None) == (not self.command):
            raise ValueError("give one of `python` and `command`")
        return self


class Ready(Written):
    """How a service says that it is ready."""

    http: str = "/ready"
    within: Seconds = Field(default=15.0, validate_default=False)


class ServiceSpec(Written):
    """A service: what one can act on. `role` says what it does; replicas share a role."""

    role: Name
    start: Start | None = None
    env: dict[str, str] = {}
    ready: Ready = Ready()
    needs: tuple[Name, ...] = Field(default=(), description="Services that must be ready first")
    memory: Bytes | None = Field(default=None, description="Memory limit in the baseline; none if absent")
    reuse_port: bool = Field(default=True, description="It binds with SO_REUSEPORT, so that its port stays reserved")
    config: str | None = Field(default="/config", description="Path of GET/PATCH settings; null: none")
    url: str | None = Field(default=None, description="Where it is, for drivers that don't start it")


class LinkSpec(Written):
    """A link joins two services (`from: outside` for users). `variable` is the environment variable that reroutes it."""

    from_: Name = Field(alias="from")
    to: Name
    variable: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]*$")
    probe: str = Field(default="/health", description="Path asked through the link by its witness")


class Objective(Written):
    """The bound of an SLI: one of `min` and `max` (seconds for latency and freshness, shares else)."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.min is None) == (self.max is None):
            raise ValueError("give one of `min` and `max`")
        return self


class SliSpec(Written):
    """An SLI and its objective. `field` is where a golden answer carries it; `last` how many decisions it looks back."""

    objective: Objective
    field: str | None = None
    last: int = Field(default=200, ge=10, le=100_000)


class GoldenSpec(Written):
    """Golden requests sent by the prober: a JSON list of `{id, method, path, body, expect: {field: value}}`."""

    file: str
    link: Name = Field(description="The link by which users come in; load uses the same")
    every: Seconds = Field(default=0.5, validate_default=False)
    timeout: Seconds = Field(default=2.0, validate_default=False)


class ReadingSpec(Written):
    """A record reading: `GET url?after=<cursor>&limit=<n>` gives `{"records": [...], "next": cursor}`."""

    http: str
    id: str = "id"
    time: str | None = Field(default="t", description="Field with the record's own time, unix seconds")
    every: Seconds = Field(default=0.5, validate_default=False)
    fields: dict[str, str] = Field(
        default={}, description="Which field carries what: decision, label, model_version, ..."
    )


class QualityJoin(Written):
    """Decision quality: decisions joined to truth by id; right where `positive` and a label of 1 go together."""

    decisions: Name = "decisions"
    truth: Name = "truth"
    decision: str = "decision"
    positive: str = "decline"
    label: str = "label"
    synthetic: str | None = "synthetic"


class RuleSpec(Written):
    """An alert rule of the target's monitoring: its layer, its severity, its own hold."""

    layer: Layer
    severity: Severity = Severity.PAGE
    hold: Seconds = Field(default=0.0, validate_default=False)


class AlertsSpec(Written):
    """Where alerts come from. `sink_port` names the reserved port at which our pager sink listens."""

    sink_port: Name | int = "pager"
    active: str | None = Field(default=None, description="URL of Prometheus' /api/v1/alerts shape, for activeAt")
    fingerprint: str | None = None
    silences: str | None = None
    scrape: Seconds = Field(default=1.0, validate_default=False)
    evaluation: Seconds = Field(default=1.0, validate_default=False)
    group_wait: Seconds = Field(default=0.0, validate_default=False)
    rules: dict[str, RuleSpec] = {}


class Argument(Written):
    """A typed argument of an action or observation."""

    type: Literal["string", "number", "integer", "boolean", "service", "link", "version", "duration"] = "string"
    required: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()


class Operation(Written):
    """An action or observation: one of `http`, `exec` and `builtin`, with typed arguments."""

    http: HttpCall | None = None
    exec: ExecCall | None = None
    builtin: bool = False
    arguments: dict[str, Argument] = {}
    timeout: Seconds = Field(default=10.0, validate_default=False)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.http is not None) + (self.exec is not None) + self.builtin != 1:
            raise ValueError("give exactly one of `http`, `exec` and `builtin: true`")
        return self


class AliasSpec(Written):
    """Reading and setting a model alias. `version_field` is dotted into the answer of `get`."""

    get: HttpCall
    version_field: str
    set: HttpCall = Field(description="may use ${arg.version}")


class VariantSpec(Written):
    """How to make a model version of a kind; `version_field` is dotted into the answer."""

    make: HttpCall
    version_field: str = "version"


class ServedSpec(Written):
    """How to ask one replica which version it really serves: a call per service of the role, and the answer's field."""

    role: Name = "serving"
    call: HttpCall = Field(description="may use ${replica.url}")
    version_field: str = "model_version"


class ModelSpec(Written):
    """A model: its alias, the variants that can be made, how the served version is read."""

    alias: Name = "champion"
    access: AliasSpec
    served: ServedSpec
    variants: dict[Name, VariantSpec] = {}


class LoadSpec(Written):
    """Open-loop load: a Python file with `requests(seed, urls=...)`, and the requests a second."""

    file: str
    rate: float = Field(gt=0, le=10_000)
    link: Name
    urls: dict[str, str] = {}


class SafeguardSpec(Written):
    """What a responder must not break. `share`: how much may be lost (of data rows, by quarantine) before it counts."""

    catastrophic: bool = False
    share: Share = 0.0


class GraphSpec(Written):
    """Components that are neither service nor link, and the edges among components; `links` are edges already."""

    datasets: tuple[Name, ...] = ()
    models: tuple[Name, ...] = ()
    edges: tuple[tuple[Name, Name], ...] = ()


class DriverKind(StrEnum):
    """Built-in drivers; a plugin's name is legal too."""

    EMBEDDED = "embedded"
    DOCKER = "docker"


class TargetSpec(Written):
    """A pipeline, described. See docs/targets.md."""

    target: Name
    driver: str
    title: str = ""
    preload: tuple[str, ...] = Field(default=(), description="Modules that a warm interpreter imports before forking")
    python_path: tuple[str, ...] = ()
    ports: tuple[Name, ...] = Field(default=(), description="Further reserved ports, such as the pager's")
    capabilities: tuple[Capability, ...] | None = Field(default=None, description="Narrows what the driver can do")
    services: dict[Name, ServiceSpec] = Field(min_length=1, max_length=64)
    links: dict[Name, LinkSpec] = Field(default={}, max_length=128)
    golden: GoldenSpec | None = None
    slis: dict[SliKind, SliSpec] = {}
    quality: QualityJoin | None = None
    readings: dict[Name, ReadingSpec] = {}
    alerts: AlertsSpec = AlertsSpec()
    actions: dict[Action, Operation] = {}
    observations: dict[Observation, Operation] = {}
    models: dict[Name, ModelSpec] = {}
    load: dict[Name, LoadSpec] = {}
    reset: tuple[HttpCall, ...] = Field(default=(), description="Back to the baseline in place; empty: starts afresh")
    safeguards: dict[Safeguard, SafeguardSpec] = {}
    graph: GraphSpec = GraphSpec()
    metrics: str | None = Field(default=None, description="URL scraped for the report's charts (Prometheus text)")
    charts: tuple[str, ...] = Field(default=(), description="Gauges that the report draws")

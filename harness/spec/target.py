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

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(default="GET", description="HTTP method")
    url: str = Field(description="May hold ${service.NAME.url} and the like")
    json_: Any = Field(default=None, alias="json", description="The body")
    timeout: Seconds = Field(default=5.0, validate_default=False, description="Time limit of the call")
    ok: tuple[int, ...] = Field(default=(200, 201, 204), description="Statuses that count as success")


class ExecCall(Written):
    """One command, run without a shell in the target's folder; its standard output is one JSON object or text."""

    command: tuple[str, ...] = Field(min_length=1, description="Program and arguments; no shell")
    timeout: Seconds = Field(default=10.0, validate_default=False, description="Time limit of the command")


class Start(Written):
    """How a service starts: `python: module:function` (forked from a warm interpreter) or `command`."""

    python: str | None = Field(
        default=None, pattern=r"^[\w.]+:\w+$", description="module:function, forked from a warm interpreter"
    )
    command: tuple[str, ...] = Field(default=(), description="Program and arguments")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.python is None) == (not self.command):
            raise ValueError("give one of `python` and `command`")
        return self


class Offline(Start):
    """The target's monitors as a program, without any process of the pipeline; docs/monitors.md has what it reads and writes."""

    timeout: Seconds = Field(default=600.0, validate_default=False, description="Time limit of one call")


class Ready(Written):
    """How a service says that it is ready."""

    http: str = Field(default="/ready", description="Path that answers 200 when the service can do its job")
    within: Seconds = Field(default=15.0, validate_default=False, description="How long it may take to get ready")


class ServiceSpec(Written):
    """A service: what one can act on. `role` says what it does; replicas share a role."""

    role: Name = Field(description="What it does, such as serving; replicas share a role")
    start: Start | None = Field(default=None, description="How it starts")
    env: dict[str, str] = Field(default={}, description="Its environment; values may hold ${...}")
    ready: Ready = Field(default=Ready(), description="How it says that it is ready")
    needs: tuple[Name, ...] = Field(default=(), description="Services that must be ready first")
    memory: Bytes | None = Field(default=None, description="Memory limit in the baseline; none if absent")
    config: str | None = Field(default="/config", description="Path of GET/PATCH settings; null: none")
    url: str | None = Field(default=None, description="Where it is, for drivers that don't start it")


class ProbeSpec(Written):
    """What is asked through a link by its witness."""

    path: str = Field(default="/health", description="Path that is asked; a small answer that is always the same")
    method: Literal["GET", "POST", "PUT"] = Field(default="GET", description="HTTP method")
    body: Any = Field(default=None, description="JSON sent along")
    bulk: str | None = Field(default=None, description="Path asked for throughput; default: `path`")
    bytes: Bytes = Field(
        default=0,
        validate_default=False,
        description="Least size of the answer of `bulk`, such as 8KiB; without it: unknown",
    )


class LinkSpec(Written):
    """A link joins two services (`from: outside` for users). `variable` is the environment variable that reroutes it."""

    from_: Name = Field(alias="from", description="The service that calls; `outside` for users")
    to: Name = Field(description="The service that is called")
    variable: str | None = Field(
        default=None, pattern=r"^[A-Z][A-Z0-9_]*$", description="Environment variable of `from` that reroutes the link"
    )
    probe: str | ProbeSpec = Field(
        default="/health", description="Path asked through the link by its witness, or more about it"
    )
    proxy: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Name of its proxy on a Toxiproxy; default: the link's name",
    )

    @property
    def asks(self) -> ProbeSpec:
        """The probe, written out."""
        return self.probe if isinstance(self.probe, ProbeSpec) else ProbeSpec(path=self.probe)


class ProxySpec(Written):
    """The fault proxy, where it isn't the harness's own: a Toxiproxy that runs already."""

    api: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
        description="Address of its API, such as 127.0.0.1:8474; for the embedded driver",
    )
    kind: Literal["toxiproxy", "mldrill"] = Field(
        default="toxiproxy", description="What runs there: Toxiproxy 2, or `drill proxy`, which has leases and taps"
    )


class Objective(Written):
    """The bound of an SLI: one of `min` and `max` (seconds for latency and freshness, shares else)."""

    min: float | None = Field(default=None, description="Good at this or above")
    max: float | None = Field(default=None, description="Good at this or below")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.min is None) == (self.max is None):
            raise ValueError("give one of `min` and `max`")
        return self


class SliSpec(Written):
    """An SLI and its objective. `field` is where a golden answer carries it; `last` how many decisions it looks back."""

    objective: Objective = Field(description="The bound beyond which users are harmed")
    field: str | None = Field(default=None, description="Field of a golden answer that carries it")
    last: int = Field(default=200, ge=10, le=100_000, description="How many decisions it looks back")


class GoldenSpec(Written):
    """Golden requests sent by the prober: a JSON list of `{id, method, path, body, expect: {field: value}}`."""

    file: str = Field(description="JSON file in this folder")
    link: Name = Field(description="The link by which users come in; load uses the same")
    every: Seconds = Field(default=0.5, validate_default=False, description="Time between samples")
    timeout: Seconds = Field(default=2.0, validate_default=False, description="After which a golden request has failed")


class ReadingSpec(Written):
    """A record reading: `GET url?after=<cursor>&limit=<n>` gives `{"records": [...], "next": cursor}`."""

    http: str = Field(description="URL of the reading")
    id: str = Field(default="id", description="Field that identifies a record")
    time: str | None = Field(default="t", description="Field with the record's own time, unix seconds")
    every: Seconds = Field(default=0.5, validate_default=False, description="Time between readings")
    fields: dict[str, str] = Field(
        default={}, description="Which field carries what: decision, label, model_version, ..."
    )


class QualityJoin(Written):
    """Decision quality: decisions joined to truth by id; right where `positive` and a label of 1 go together."""

    decisions: Name = Field(default="decisions", description="Reading that holds the decisions")
    truth: Name = Field(default="truth", description="Reading that holds the truth")
    decision: str = Field(default="decision", description="Field of the decision")
    positive: str = Field(default="decline", description="The decision that goes with a label of 1")
    label: str = Field(default="label", description="Field of the label")
    synthetic: str | None = Field(default="synthetic", description="Field that marks requests not to be counted")
    same: str | None = Field(
        default=None, description="Field of a decision that is the same for the same request in every run of a seed"
    )


class RuleSpec(Written):
    """An alert rule of the target's monitoring: its layer, its severity, its own hold."""

    layer: Layer = Field(description="Where the rule looks")
    severity: Severity = Field(default=Severity.PAGE, description="A page wakes someone; a ticket doesn't")
    hold: Seconds = Field(
        default=0.0, validate_default=False, description="How long its condition must hold before it fires"
    )


class HeartbeatSpec(Written):
    """A rule that fires always and is sent again and again; where it no longer arrives, no page would: that is a page itself."""

    rule: str = Field(description="The rule that always fires; told as no alert")
    every: Seconds = Field(description="How long it may be from one arrival to the next")
    within: Seconds = Field(description="How long after that it is waited for before its absence is a page")
    page: str = Field(default="DeadMansSwitch", description="Name of that page")
    layer: Layer = Field(default=Layer.AVAILABILITY, description="Layer of that page")


class AlertsSpec(Written):
    """Where alerts come from. `sink_port` names the reserved port at which our pager sink listens."""

    sink_port: Name | int = Field(
        default="pager", description="Reserved port (or number) at which our pager sink listens"
    )
    sink_host: str = Field(
        default="127.0.0.1",
        description="Address of this host at which it listens; ${docker.host}: where containers reach it",
    )
    active: str | None = Field(default=None, description="URL of Prometheus' /api/v1/alerts shape, for activeAt")
    clock: str | None = Field(
        default=None,
        description="URL that tells the monitoring's time: Prometheus' query `time()`, or {wall_ns}; default: beside `active`",
    )
    fingerprint: str | None = Field(default=None, description="URL of the rules' fingerprint")
    silences: str | None = Field(default=None, description="URL of the silences")
    scrape: Seconds = Field(default=1.0, validate_default=False, description="How often metrics are scraped")
    evaluation: Seconds = Field(default=1.0, validate_default=False, description="How often rules are evaluated")
    group_wait: Seconds = Field(
        default=0.0, validate_default=False, description="How long alerts are held back to be grouped"
    )
    rules: dict[str, RuleSpec] = Field(default={}, description="The rules, by name")
    heartbeat: HeartbeatSpec | None = Field(
        default=None, description="The rule whose absence tells that no page arrives; none: nobody notices that"
    )

    @property
    def paging(self) -> dict[str, RuleSpec]:
        """The rules, and the page that the absence of heartbeats is."""
        beat = self.heartbeat
        if beat is None:
            return self.rules
        return self.rules | {beat.page: RuleSpec.model_construct(layer=beat.layer, hold=beat.within)}

    @model_validator(mode="after")
    def _own_name(self) -> Self:
        if self.heartbeat is not None and self.heartbeat.page in self.rules:
            raise ValueError(f"heartbeat.page: '{self.heartbeat.page}' is one of `rules`; give it a name of its own")
        return self


class Argument(Written):
    """A typed argument of an action or observation."""

    type: Literal["string", "number", "integer", "boolean", "service", "link", "version", "duration"] = Field(
        default="string", description="What values are legal"
    )
    required: bool = Field(default=False, description="Whether it must be given")
    default: Any = Field(default=None, description="Its value where it isn't given")
    choices: tuple[Any, ...] = Field(default=(), description="The only legal values")


class Operation(Written):
    """An action or observation: one of `http`, `exec` and `builtin`, with typed arguments."""

    http: HttpCall | None = Field(default=None, description="Done by an HTTP call")
    exec: ExecCall | None = Field(default=None, description="Done by a command")
    builtin: bool = Field(default=False, description="Done by the driver")
    arguments: dict[str, Argument] = Field(default={}, description="Its typed arguments, by name")
    timeout: Seconds = Field(default=10.0, validate_default=False, description="Time limit of the whole")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.http is not None) + (self.exec is not None) + self.builtin != 1:
            raise ValueError("give exactly one of `http`, `exec` and `builtin: true`")
        return self


class AliasSpec(Written):
    """Reading and setting a model alias. `version_field` is dotted into the answer of `get`."""

    get: HttpCall = Field(description="Call that tells the alias's version")
    version_field: str = Field(description="Dotted path of the version in the answer")
    set: HttpCall = Field(description="may use ${arg.version}")


class VariantSpec(Written):
    """How to make a model version of a kind; `version_field` is dotted into the answer."""

    make: HttpCall = Field(description="Call that makes and registers such a version, without promoting it")
    version_field: str = Field(default="version", description="Dotted path of the version in the answer")


class ServedSpec(Written):
    """How to ask one replica which version it really serves: a call per service of the role, and the answer's field."""

    role: Name = Field(default="serving", description="Role of the replicas")
    call: HttpCall = Field(description="may use ${replica.url}")
    version_field: str = Field(default="model_version", description="Dotted path of the version in the answer")


class ModelSpec(Written):
    """A model: its alias, the variants that can be made, how the served version is read."""

    alias: Name = Field(default="champion", description="The alias that is served")
    access: AliasSpec = Field(description="Reading and setting the alias")
    served: ServedSpec = Field(description="How a replica is asked which version it serves")
    variants: dict[Name, VariantSpec] = Field(default={}, description="Harmful versions that can be made, by name")


class LoadSpec(Written):
    """Open-loop load: a Python file with `requests(seed, urls=...)`, and the requests a second."""

    file: str = Field(description="Python file in this folder")
    rate: float = Field(gt=0, le=10_000, description="Requests a second, open loop")
    link: Name = Field(description="The link by which load comes in")
    urls: dict[str, str] = Field(default={}, description="What the file's function is given as urls")


class SafeguardSpec(Written):
    """What a responder must not break. `share`: how much may be lost (of data rows, by quarantine) before it counts."""

    catastrophic: bool = Field(default=False, description="Breaking it makes the outcome 0")
    share: Share = Field(default=0.0, description="How much may be lost before it counts")


class GraphSpec(Written):
    """Components that are neither service nor link, and the edges among components; `links` are edges already."""

    datasets: tuple[Name, ...] = Field(default=(), description="Datasets, as components of a diagnosis")
    models: tuple[Name, ...] = Field(default=(), description="Models, as components of a diagnosis")
    edges: tuple[tuple[Name, Name], ...] = Field(default=(), description="Which components touch, beyond the links")


class DockerSpec(Written):
    """What the docker driver needs to know: a Compose file that it brings up itself, or a project that runs already."""

    compose: str | None = Field(
        default=None, description="Compose file in this folder, brought up and down as a project of the instance's own"
    )
    project: str | None = Field(
        default=None, pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name of a running Compose project to attach to"
    )
    allow: tuple[str, ...] = Field(
        default=(), description="Services of `project` that may be touched; nothing else of it is"
    )
    containers: dict[Name, str] = Field(
        default={},
        description="Compose service of a service whose name differs, such as `scorer`; `scorer/2`: replica 2",
    )
    ports: dict[Name, int] = Field(
        default={}, description="Port inside the container, for services that publish several"
    )
    proxy: str = Field(default="proxy", description="Compose service that runs the fault proxy, if there is one")
    proxy_port: int = Field(default=8474, ge=1, le=65535, description="Port of the proxy's API inside its container")
    links: Literal["proxy", "tc"] = Field(
        default="proxy",
        description="How links are broken: by the fault proxy that they lead through, or by `tc` in the containers' networks",
    )
    tc_image: str = Field(
        default="mldrill/pipeline:dev", description="Image with iproute2, for `links: tc`: it is run for a moment"
    )
    env: dict[str, str] = Field(
        default={}, description="Variables for the Compose file; values may hold ${instance}, ${seed}, ${port.NAME}"
    )
    within: Seconds = Field(default=180.0, validate_default=False, description="How long `compose up` may take")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.compose is None) == (self.project is None):
            raise ValueError("give one of `compose` and `project`")
        if self.project is not None and not self.allow:
            raise ValueError("`project` needs `allow`: the services that may be touched")
        return self


class DriverKind(StrEnum):
    """Built-in drivers; a plugin's name is legal too."""

    EMBEDDED = "embedded"
    DOCKER = "docker"


class TargetSpec(Written):
    """A pipeline, described. See docs/targets.md."""

    target: Name = Field(description="The target's name")
    driver: str = Field(description="embedded, docker or a plugin's name")
    title: str = Field(default="", description="For people")
    docker: DockerSpec | None = Field(default=None, description="For the docker driver: what it attaches to or starts")
    preload: tuple[str, ...] = Field(default=(), description="Modules that a warm interpreter imports before forking")
    python_path: tuple[str, ...] = Field(
        default=(), description="Folders put on the path of `python` services, relative to this file"
    )
    proxy: ProxySpec | None = Field(default=None, description="A fault proxy that isn't the harness's own")
    ports: tuple[Name, ...] = Field(default=(), description="Further reserved ports, such as the pager's")
    capabilities: tuple[Capability, ...] | None = Field(default=None, description="Narrows what the driver can do")
    services: dict[Name, ServiceSpec] = Field(min_length=1, max_length=64, description="What one can act on, by name")
    links: dict[Name, LinkSpec] = Field(default={}, max_length=128, description="What joins two services, by name")
    golden: GoldenSpec | None = Field(default=None, description="The prober's golden requests")
    slis: dict[SliKind, SliSpec] = Field(default={}, description="What users get, and its bounds")
    quality: QualityJoin | None = Field(default=None, description="How decisions are joined to the truth")
    readings: dict[Name, ReadingSpec] = Field(default={}, description="Record readings, by name")
    alerts: AlertsSpec = Field(default=AlertsSpec(), description="Where alerts come from")
    actions: dict[Action, Operation] = Field(default={}, description="Standard actions that this target has")
    observations: dict[Observation, Operation] = Field(
        default={}, description="Standard observations that this target has"
    )
    models: dict[Name, ModelSpec] = Field(default={}, description="Models, by name")
    load: dict[Name, LoadSpec] = Field(default={}, description="Loads, by name")
    reset: tuple[HttpCall, ...] = Field(default=(), description="Back to the baseline in place; empty: starts afresh")
    safeguards: dict[Safeguard, SafeguardSpec] = Field(default={}, description="What a responder must not break")
    graph: GraphSpec = Field(default=GraphSpec(), description="Components beyond services and links")
    offline: Offline | None = Field(default=None, description="The monitors as a program, for `drill dose`")
    metrics: str | None = Field(default=None, description="URL scraped for the report's charts (Prometheus text)")
    charts: tuple[str, ...] = Field(default=(), description="Gauges that the report draws")

    @model_validator(mode="after")
    def _reachable_proxy(self) -> Self:
        if self.proxy is None:
            return self
        if self.driver == DriverKind.EMBEDDED and self.proxy.api is None:
            raise ValueError("`proxy` needs `api`, such as 127.0.0.1:8474: the embedded driver must know where it is")
        if self.driver == DriverKind.DOCKER and self.proxy.api is not None:
            raise ValueError("`proxy.api` is for the embedded driver; here `docker.proxy` names the Compose service")
        return self

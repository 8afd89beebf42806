"""An in-memory pipeline behind the Target protocol: points that can be set, records that flow in virtual time, and effects
that follow from what stands, so that faults, witnesses and undos can be tried in microseconds.

It behaves as a pipeline would as far as faults can tell: replicas answer with the version that the alias names, a tap
damages what the gateway receives, a killed process comes back after a second as another one, a job runs every second. Its
services are containers too, on one network, with a volume each; a new image or environment ends the process and begins another.

Failure modes, each switchable at any time: `without_effect` (what is set from now on has no effect, though `get` shows it),
`unreadable` (the victims can't be read), `refusing` (setting is refused), `undo_failures` (so many undos fail).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.contract.probe import PLAIN, LinkProbe, ProbeAsk, ProbeReading
from harness.contract.undo import Json, Point, PointKind, Undo, UndoOutcome
from harness.contract.words import Action, Capability, Observation
from harness.corrupt.apply import damage
from harness.corrupt.column import ABSENT
from harness.corrupt.spec import parse
from harness.errors import EnvironmentProblem, UsageError
from harness.history.events import Snapshot
from harness.plugin import Inventory, ProcessReading, UsageReading
from harness.seeds import fraction
from harness.spec.target import TargetSpec
from tests.doubles import stub_links

STEP_S = 0.02
"""One transaction a step: fifty a second."""
JOB_EVERY_S = 1.0
RESTART_S = 1.0
WARM_S = 0.3
"""A fresh process is small until it has loaded its model."""
ROUND_TRIP_S = 0.004
OWN_BYTES = 40 * 2**20
"""Private memory of a service; a replica that serves a heavy version holds `HEAVY_BYTES` more."""
HEAVY_BYTES = 200 * 2**20
UNREADY_SHARE = 0.5
NETWORK = "pipeline"
JOINED: Json = {"aliases": []}
VOLUME_BYTES = 64 * 2**20
"""Every service has such a volume at /state; of it, its own files take `FILES_BYTES`."""
FILES_BYTES = 4 * 2**20
BARE = "source"
"""The image of this service carries no stress-ng."""
IDLE_CPUS, BYTES_A_WRITER = 0.05, 8 * 2**20
"""What a service uses by itself, and what one that stresses the disk writes in a second."""
IMAGES = ("pipeline:1", "pipeline:2", "pipeline:3")
DEFAULTS: Mapping[PointKind, Json] = {
    PointKind.PROCESS: "running",
    PointKind.CPU: None,
    PointKind.MEMORY: None,
    PointKind.TOXIC: None,
    PointKind.LINK_UP: True,
    PointKind.TAP: None,
    PointKind.NETWORK: JOINED,
    PointKind.PARTITION: {NETWORK: JOINED},
    PointKind.DISK: 0,
    PointKind.IMAGE: IMAGES[0],
    PointKind.ENV: None,
    PointKind.STRESS: None,
}
FOLLOWS = "/follow_alias"
SETTINGS: Mapping[str, Json] = {
    "features/job_fail": "",
    "source/regime": "baseline",
    "source/magnitude": 1.0,
    "source/labels_paused": False,
    "gateway/publish_repeats": 1,
    "gateway/rollout_every_s": 0.0,
    "gateway/rollout_ready_check": True,
    "gateway/amount_transform": "log",
    "gateway/pager_address": "",
    "gateway/rename_metric": "",
    f"serving-a{FOLLOWS}": True,
    f"serving-b{FOLLOWS}": True,
}
CALL = {"url": "http://127.0.0.1:1"}
SPEC = TargetSpec.model_validate(
    {
        "target": "stub",
        "driver": "stub",
        "services": {
            "source": {"role": "source", "url": "http://127.0.0.1:1"},
            "features": {"role": "features", "url": "http://127.0.0.1:1"},
            "serving-a": {"role": "serving", "url": "http://127.0.0.1:1"},
            "serving-b": {"role": "serving", "url": "http://127.0.0.1:1"},
            "gateway": {"role": "gateway", "url": "http://127.0.0.1:1"},
        },
        "links": {
            "merchants": {"from": "outside", "to": "gateway"},
            "gateway-features": {"from": "gateway", "to": "features"},
        },
        "slis": {
            "availability": {"objective": {"min": 0.95}},
            "latency": {"objective": {"max": 0.25}},
            "correctness": {"objective": {"min": 0.95}},
        },
        "quality": {},
        "readings": {
            "decisions": {"http": "http://127.0.0.1:1/decisions"},
            "truth": {"http": "http://127.0.0.1:1/truth"},
            "jobs": {"http": "http://127.0.0.1:1/jobs", "id": "run"},
            "refusals": {"http": "http://127.0.0.1:1/refusals"},
            "labels": {"http": "http://127.0.0.1:1/labels"},
            "lineage": {"http": "http://127.0.0.1:1/lineage"},
        },
        "alerts": {
            "rules": {
                "LowQuality": {"layer": "model-quality"},
                "CanaryWrong": {"layer": "model-quality"},
                "Slow": {"layer": "latency"},
                "Drifted": {"layer": "distribution", "severity": "ticket"},
            }
        },
        "models": {
            "risk": {
                "access": {"get": CALL, "version_field": "version", "set": CALL},
                "served": {"call": CALL},
                "variants": {"label-shuffled": {"make": CALL}, "heavy": {"make": CALL}},
            }
        },
        "actions": {"rollback": {"builtin": True}, "restart": {"builtin": True}},
        "observations": {"versions": {"builtin": True}, "services": {"builtin": True}, "metrics": {"builtin": True}},
        "safeguards": {"versions": {}, "data": {"catastrophic": True}},
        "load": {"steady": {"file": "load.py", "rate": 50, "link": "merchants"}},
        "graph": {
            "datasets": ["online-store"],
            "models": ["risk"],
            "edges": [["features", "online-store"], ["risk", "serving-a"]],
        },
    }
)
CAPABILITIES = frozenset(Capability) - {Capability.CLOCK}


def inventory(spec: TargetSpec = SPEC, *, capabilities: frozenset[Capability] = CAPABILITIES) -> Inventory:
    """What planning may know of the stub."""
    return Inventory(
        driver=spec.driver,
        capabilities=capabilities,
        services={name: service.role for name, service in spec.services.items()},
        links={name: (link.from_, link.to) for name, link in spec.links.items()},
        models={name: tuple(model.variants) for name, model in spec.models.items()},
        actions=frozenset(spec.actions),
        observations=frozenset(spec.observations),
        digest="stub-digest",
        probes={name: LinkProbe("GET", "/health", "/bulk", stub_links.BULK_BYTES) for name in spec.links},
    )


class VirtualClock:
    """Nanoseconds that pass only when told to."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000

    def now_ns(self) -> int:
        return self.ns


@dataclass
class StubProcess:
    """One service's process: which one it is, when it was born and when it died (virtual ns, None while it lives)."""

    number: int = 1
    born_ns: int = 0
    died_ns: int | None = None
    memory_kills: int = 0


class StubTarget:
    """See the module. Not safe for several threads at once."""

    def __init__(self, time: VirtualClock | None = None, *, spec: TargetSpec = SPEC, seed: int = 7) -> None:
        self.time = time if time is not None else VirtualClock()
        self.seed = seed
        self.without_effect = False
        self.unreadable = False
        self.refusing = False
        self.undo_failures = 0
        self.acted: list[tuple[Action, dict[str, Json]]] = []
        self.made: dict[str, str] = {"1": "baseline"}
        self.heavy: set[str] = set()
        self.stuck: dict[str, str] = {}
        """Replicas that keep answering with a version of their own, whatever the alias says."""
        self._spec = spec
        self._values: dict[Point, Json] = {}
        self._blunt: dict[Point, Json] = {}
        self._processes = {name: StubProcess() for name in spec.services}
        self._records: dict[str, list[dict[str, Any]]] = {name: [] for name in spec.readings}
        self._masks: dict[str, list[tuple[str, list[str]]]] = {}
        self._exits: list[tuple[int, str, str, int | None, bool]] = []
        self._steps = 0
        self._used = {name: {"cpu": 0.0, "io": 0} for name in spec.services}

    # --- the world ----------------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Lets virtual time pass, in steps of one transaction each."""
        for _ in range(max(1, round(seconds / STEP_S))):
            self.time.ns += round(STEP_S * 1e9)
            self._steps += 1
            self._supervise()
            self._work()
            self._transact()
            if self._steps % round(JOB_EVERY_S / STEP_S) == 0:
                self._run_job()

    def operate(self, point: Point, value: Json) -> None:
        """An operator's change: always has its effect."""
        self._values[point] = value
        self._blunt.pop(point, None)
        self._apply(point, value)

    def standing(self, point: Point) -> Json:
        """What has its effect at a point: what is set, or what was before where setting had none."""
        if point in self._blunt:
            return self._blunt[point]
        return self._values.get(point, self._default(point))

    def _at(self, kind: PointKind, where: str) -> Json:
        return self.standing(Point(kind, where))

    def _default(self, point: Point) -> Json:
        if point.kind is PointKind.ALIAS:
            return "1"
        if point.kind is PointKind.CONFIG:
            if point.where not in SETTINGS:
                raise UsageError(f"no setting '{point.where}'. Known: {', '.join(SETTINGS)}")
            return SETTINGS[point.where]
        if point.kind is PointKind.DISK and not point.where.endswith("/state"):
            raise UsageError(f"{point.where} is no volume of limited size")
        return DEFAULTS[point.kind]

    def _supervise(self) -> None:
        for name, process in self._processes.items():
            wanted = self._at(PointKind.PROCESS, name)
            limit = self._at(PointKind.MEMORY, name)
            if process.died_ns is None and limit is not None and self._memory(name) > limit:
                self._die(name, reason="memory", asked=False)
                process.memory_kills += 1
            elif process.died_ns is not None and wanted != "down" and self.time.ns - process.died_ns > RESTART_S * 1e9:
                self._processes[name] = self._reborn(name)

    def _stressing(self, name: str, kind: str) -> int:
        standing = self._at(PointKind.STRESS, name) or {}
        return int(standing.get(kind, 0))

    def _work(self) -> None:
        for name, used in self._used.items():
            used["cpu"] += STEP_S * min(1.0, IDLE_CPUS + self._stressing(name, "cpu"))
            used["io"] += round(STEP_S * BYTES_A_WRITER * self._stressing(name, "io"))

    def _die(self, name: str, *, reason: str, asked: bool) -> None:
        if self._processes[name].died_ns is None:
            self._processes[name].died_ns = self.time.ns
            self._exits.append((self.time.ns, name, reason, None, asked))
            self._values.pop(Point(PointKind.STRESS, name), None)  # whatever runs beside it ends with its container

    def _reborn(self, name: str) -> StubProcess:
        before = self._processes[name]
        return StubProcess(number=before.number + 1, born_ns=self.time.ns, memory_kills=before.memory_kills)

    def _memory(self, name: str) -> int:
        warm = self.time.ns - self._processes[name].born_ns > WARM_S * 1e9
        heavy = (
            warm
            and self._spec.services[name].role == "serving"
            and self._at(PointKind.ALIAS, "risk/champion") in self.heavy
        )
        return OWN_BYTES + (HEAVY_BYTES if heavy else 0)

    def _draw(self, *names: str | int) -> float:
        """Standard normal, by Box and Muller."""
        u, v = (fraction(self.seed, *names, part) for part in ("radius", "angle"))
        return math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v)

    def _transact(self) -> None:
        if self._processes["source"].died_ns is not None or self._processes["gateway"].died_ns is not None:
            return
        regime = self._at(PointKind.CONFIG, "source/regime")
        shifted = regime == "shifted"
        by = 1.2 * self._at(PointKind.CONFIG, "source/magnitude") if shifted else 0.0
        amount = round(math.exp(3.5 + 0.9 * self._draw("amount", self._steps) - by), 2)
        client = "client-a" if fraction(self.seed, "client", self._steps) < 0.95 else "client-b"
        label = int(amount > 60.0 or (regime == "concept" and amount < 20.0))
        sent = {
            "id": f"t-{self._steps}",
            "amount": amount,
            "client_id": client,
            "label": label,
            "t": self.time.ns / 1e9,
        }
        self._records["truth"].append(sent)
        self._refuse()
        version = self._at(PointKind.ALIAS, "risk/champion")
        received = self._through_taps("merchants", dict(sent))
        self._records["truth"][-1]["amount_log"] = logged = math.log(amount)
        raw = self._at(PointKind.CONFIG, "gateway/amount_transform") == "raw"
        self._records["decisions"].append(
            {
                **received,
                "amount_log": amount if raw else logged,
                "decision": "approve",
                "model_version": version,
                "synthetic": False,
            }
        )
        for _ in range(self._at(PointKind.CONFIG, "gateway/publish_repeats")):
            offset = len(self._records["lineage"])
            self._records["lineage"].append({"id": received["id"], "offset": offset, "status": "stored"})
        if not self._at(PointKind.CONFIG, "source/labels_paused"):  # what was held back comes with the next one
            due = self._records["truth"][len(self._records["labels"]) :]
            self._records["labels"] += [{"id": one["id"], "label": one["label"]} for one in due]

    def _refuse(self) -> None:
        """In a rollout that waits for nobody, a replica isn't ready in the first part of each turn."""
        every_s = self._at(PointKind.CONFIG, "gateway/rollout_every_s")
        waits = self._at(PointKind.CONFIG, "gateway/rollout_ready_check")
        if every_s and not waits and self._steps * STEP_S / every_s % 1.0 < UNREADY_SHARE:
            self._records["refusals"].append({"id": f"r-{self._steps}", "replica": "serving-a"})

    def _through_taps(self, link: str, record: dict[str, Any]) -> dict[str, Any]:
        for point in [p for p in self._values if p.kind is PointKind.TAP and p.where.startswith(f"{link}/")]:
            tap = self.standing(point)
            if tap is None or "corrupt" not in tap:
                continue
            corruption = parse(tap["corrupt"])
            columns = {name: np.array([record[name]], dtype=object) for name in corruption.reads}
            damaged = damage(columns, corruption, ids=[record[tap["id"]]])
            hit = [name for name, mask in damaged.masks.items() if mask[0]]
            now = {name: damaged.columns[name].tolist()[0] for name in hit if name in damaged.columns}
            record = {name: value for name, value in (record | now).items() if name in now or name not in hit}
            record = {name: value for name, value in record.items() if value is not ABSENT}
            if hit:
                self._masks.setdefault(point.where, []).append((record["id"], hit))
        return record

    def _run_job(self) -> None:
        if self._processes["features"].died_ns is not None:
            return
        error = self._at(PointKind.CONFIG, "features/job_fail")
        now = self.time.ns / 1e9
        self._records["jobs"].append(
            {
                "job": "materialise",
                "run": self._steps,
                "started": now,
                "ended": now,
                "status": "failed" if error else "ok",
                "error": error,
            }
        )

    # --- the protocol -------------------------------------------------------------------------------------------------

    @property
    def spec(self) -> TargetSpec:
        return self._spec

    @property
    def instance(self) -> str:
        return "stub-1"

    def up(self) -> None:
        """All is up from the beginning."""

    def down(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Back to the baseline; records are kept, so that cursors never go backwards."""
        for point in list(self._values):
            self._apply(point, self._default(point))
        self._values.clear()
        self._blunt.clear()

    def get(self, point: Point) -> Json:
        return self._values.get(point, self._default(point))

    def set(self, point: Point, value: Json) -> None:
        if self.refusing:
            raise EnvironmentProblem(f"{point.where}: refused")
        if self.without_effect:
            self._blunt.setdefault(point, self.standing(point))
            self._values[point] = value
            return
        self.operate(point, value)

    def _apply(self, point: Point, value: Json) -> None:
        if point.kind is PointKind.CONFIG and point.where.endswith(FOLLOWS):
            replica = point.where.removesuffix(FOLLOWS)
            self.stuck.pop(replica, None)
            if not value:
                self.stuck[replica] = self._at(PointKind.ALIAS, "risk/champion")
        if point.kind in (PointKind.IMAGE, PointKind.ENV):
            self._die(point.where.partition("/")[0], reason="exit", asked=True)  # another container in its place
        if point.kind is not PointKind.PROCESS:
            return
        if value in ("killed", "down"):
            self._die(point.where, reason="signal", asked=True)
        if value == "killed":
            self._values[point] = "running"
        if value == "running" and self._processes[point.where].died_ns is not None:
            self._processes[point.where] = self._reborn(point.where)

    def undo(self, undo: Undo) -> UndoOutcome:
        if self.undo_failures:
            self.undo_failures -= 1
            raise EnvironmentProblem(f"{undo.point.where}: the undo failed")
        now = self.get(undo.point)
        if now == undo.restore:
            self._blunt.pop(undo.point, None)
            return UndoOutcome.ALREADY
        if now != undo.injected:
            return UndoOutcome.REPAIRED
        self.operate(undo.point, undo.restore)
        return UndoOutcome.RESTORED

    def _readable(self) -> None:
        if self.unreadable:
            raise EnvironmentProblem("the victim can't be read")

    def process(self, service: str) -> ProcessReading:
        self._readable()
        process = self._processes[service]
        if process.died_ns is not None:
            return ProcessReading(state="gone", memory_kills=process.memory_kills, ready=False)
        paused = self._at(PointKind.PROCESS, service) == "paused"
        runs = self._at(PointKind.CPU, service)
        return ProcessReading(
            state="stopped" if paused else "running",
            identity=f"{service}:{process.number}",
            stopped_share=1.0 if paused else 0.0 if runs is None else 1.0 - runs,
            memory_bytes=self._memory(service),
            memory_kills=process.memory_kills,
            ready=not paused,
            image=self.image_id(self._at(PointKind.IMAGE, service)),
        )

    def _runs(self, service: str) -> None:
        self._readable()
        if self._processes[service].died_ns is not None:
            raise EnvironmentProblem(f"service '{service}' is down")

    def free_bytes(self, service: str, path: str) -> int:
        self._runs(service)
        return max(0, VOLUME_BYTES - FILES_BYTES - int(self._at(PointKind.DISK, f"{service}/{path.strip('/')}")))

    def environment(self, service: str, variable: str) -> str | None:
        self._runs(service)
        value = self._at(PointKind.ENV, f"{service}/{variable}")
        return None if value is None else str(value)

    def carries(self, service: str, command: str) -> bool:
        self._runs(service)
        return command == "stress-ng" and service != BARE

    def usage(self, service: str) -> UsageReading:
        self._runs(service)
        standing = self._at(PointKind.STRESS, service)
        held = self._memory(service) + self._stressing(service, "memory")
        return UsageReading(
            cpu_s=self._used[service]["cpu"],
            cpus=1.0,
            memory_bytes=held,
            memory_limit=self._at(PointKind.MEMORY, service),
            stressors=0 if standing is None else max(1, self._stressing(service, "cpu")),
        )

    def written_bytes(self, service: str) -> int:
        self._runs(service)
        return int(self._used[service]["io"])

    def networks(self, service: str) -> tuple[str, ...]:
        return () if self._at(PointKind.NETWORK, f"{service}/{NETWORK}") is None else (NETWORK,)

    def image_id(self, image: str) -> str:
        if image not in IMAGES:
            raise EnvironmentProblem(f"no image {image}")
        return f"sha256:{IMAGES.index(image)}"

    def _lost(self, link: str) -> str:
        """Why nothing comes through a link, however it is itself; empty where something does."""
        found = self._spec.links[link]
        ends = (found.from_, found.to)
        dead = any(end in self._processes and self._processes[end].died_ns is not None for end in ends)
        off = any(self._at(PointKind.NETWORK, f"{end}/{NETWORK}") is None for end in ends)
        parted = any(self._at(PointKind.PARTITION, "|".join(pair)) is None for pair in (ends, ends[::-1]))
        return "connection refused" if dead else "no route" if off else "no answer in time" if parted else ""

    def probe(self, link: str, *, ask: ProbeAsk = PLAIN) -> ProbeReading:
        self._readable()
        if why := self._lost(link):
            return ProbeReading(answered=False, seconds=0.001, error=why, ended="lost")
        if not self._at(PointKind.LINK_UP, link):
            return ProbeReading(answered=False, seconds=0.001, error="connection refused", ended="refused")
        return stub_links.probe(
            ask,
            seconds=ROUND_TRIP_S + 0.001 * fraction(self.seed, "probe", self._steps),
            toxics=self._on(PointKind.TOXIC, link),
            taps=[tap for tap in self._on(PointKind.TAP, link) if "corrupt" not in tap],
            draw=lambda *names: fraction(self.seed, "link", self._steps, *names),
        )

    def _on(self, kind: PointKind, link: str) -> list[Json]:
        """What stands on a link."""
        found = [point for point in self._values if point.kind is kind and point.where.startswith(f"{link}/")]
        return [value for point in found if (value := self.standing(point)) is not None]

    def served_version(self, service: str, model: str) -> str | None:
        if self.unreadable or self._processes[service].died_ns is not None:
            return None
        return self.stuck.get(service, str(self._at(PointKind.ALIAS, f"{model}/champion")))

    def make_variant(self, model: str, variant: str) -> str:
        version = str(len(self.made) + 1)
        self.made[version] = variant
        if variant == "heavy":
            self.heavy.add(version)
        return version

    def read(self, reading: str, *, after: int, limit: int = 5000) -> tuple[list[dict[str, Any]], int]:
        self._readable()
        found = self._records[reading][after : after + limit]
        return found, after + len(found)

    def damage_mask(self, link: str, tap: str, *, after: int) -> tuple[list[tuple[str, list[str]]], int]:
        mask = self._masks.get(f"{link}/{tap}", [])
        return mask[after:], len(mask)

    def act(self, action: Action, arguments: Mapping[str, Json]) -> dict[str, Json]:
        self.acted.append((action, dict(arguments)))
        match action:
            case Action.ROLLBACK:
                self.operate(Point(PointKind.ALIAS, "risk/champion"), str(arguments.get("to", "1")))
            case Action.RESTART:
                service = str(arguments["service"])
                self._die(service, reason="exit", asked=True)
                self.operate(Point(PointKind.PROCESS, service), "running")
            case _:
                raise EnvironmentProblem(f"the stub can't {action}")
        return {}

    def observe(self, observation: Observation, arguments: Mapping[str, Json]) -> dict[str, Json]:
        match observation:
            case Observation.VERSIONS:
                served = {name: self.served_version(name, "risk") for name in ("serving-a", "serving-b")}
                return {"champion": self.get(Point(PointKind.ALIAS, "risk/champion")), "previous_good": "1", **served}
            case Observation.METRICS:
                return {"value": self._gauge(str(arguments["name"]))}
            case _:
                return {name: self.process(name).state for name in self._spec.services}

    def _gauge(self, name: str) -> float:
        """Of the gateway's own monitoring: a latency under the name that it has now, and attempts to page that failed."""
        old, _, new = str(self._at(PointKind.CONFIG, "gateway/rename_metric")).partition("=")
        gauges = {
            "latency_p95": 0.02,
            "monitor_notices_failed": 3.0 if self._at(PointKind.CONFIG, "gateway/pager_address") else 0.0,
        }
        known = {new if old == gauge else gauge: value for gauge, value in gauges.items()}
        if name not in known:
            raise EnvironmentProblem(f"no gauge {name!r}")
        return known[name]

    def snapshot(self) -> Snapshot:
        return Snapshot(
            services={name: f"{name}:{process.number}" for name, process in self._processes.items()},
            versions={"risk": str(self.get(Point(PointKind.ALIAS, "risk/champion")))},
        )

    def exits(self, *, after: int) -> tuple[list[tuple[int, str, str, int | None, bool]], int]:
        return self._exits[after:], len(self._exits)

    def log_tail(self, service: str, lines: int = 20) -> tuple[str, ...]:
        return (f"{service}: nothing to tell",)[:lines]

    def renew(self) -> None:
        """Nothing of the stub's expires."""

    def endpoint(self, text: str) -> str:
        return text.replace("${instance}", self.instance)

    def redacted(self) -> dict[str, Json]:
        return {"target": self._spec.target}

"""The protocols of what can be plugged in (Target, Fault, Responder, Reporter) and the registry that finds them.

Built-ins register through the same entry points as a user's plugin: `mldrill.faults`, `mldrill.targets`,
`mldrill.responders`, `mldrill.reporters`. An entry point names an object that satisfies the protocol (a driver: a
factory). Protocols and data only: nobody inherits from us. Rejected: scanning folders, decorators with side effects.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import msgspec

from harness.contract.faults import Cure, Look, PlannedFault, Prepared, Reading
from harness.contract.probe import PLAIN, LinkProbe, ProbeAsk, ProbeReading
from harness.contract.undo import Json, Point, Undo, UndoOutcome
from harness.contract.words import Action, Capability, CauseClass, Observation
from harness.errors import EnvironmentProblem, UsageError
from harness.history.commands import AnyCommand
from harness.history.events import AnyEvent, Snapshot
from harness.history.header import Header
from harness.history.reader import History
from harness.history.scorecard import Scorecard
from harness.spec.plan import Plan
from harness.spec.target import TargetSpec

# --- target ---------------------------------------------------------------------------------------------------------


class ProcessReading(msgspec.Struct, frozen=True):
    """A service's process as the operating system shows it (not as the supervisor says).

    `state`: running, stopped (paused) or gone. `identity` changes whenever it is a new process. `stopped_share` is the
    share of quick looks at which it was found stopped; memory is private bytes. `image` is the id of the image that it runs
    from, empty where there is none.
    """

    state: str
    identity: str = ""
    stopped_share: float = 0.0
    memory_bytes: int | None = None
    memory_kills: int = 0
    ready: bool | None = None
    image: str = ""


class UsageReading(msgspec.Struct, frozen=True):
    """What the processes of a service's container take together, as the kernel counts it. Sums since the container's start."""

    cpu_s: float
    cpus: float
    """How many CPUs they may use at once."""
    memory_bytes: int | None
    memory_limit: int | None
    stressors: int
    """Processes of stress-ng among them that live, as the host's process list shows them."""


class LinkWay(msgspec.Struct, frozen=True):
    """How a driver breaks a link: in words with the reason, and what it can have there; None: all that there is.

    `toxics` are the proxy's types of toxics, and beside them: "" (a cut), "tap", "per request" (toxicity).
    """

    by: str
    toxics: tuple[str, ...] | None = None


class Inventory(msgspec.Struct, frozen=True):
    """What planning may know of a target: what it can do, and its names. Pure data; made without starting anything."""

    driver: str
    capabilities: frozenset[Capability]
    services: dict[str, str]
    """name -> role"""
    links: dict[str, tuple[str, str]]
    """name -> (from, to)"""
    models: dict[str, tuple[str, ...]]
    """name -> variants"""
    actions: frozenset[Action]
    observations: frozenset[Observation]
    digest: str
    ways: dict[str, LinkWay] = {}
    """link -> how it is broken, where a driver has several ways."""
    probes: dict[str, LinkProbe] = {}
    """link -> what its witness asks."""


@runtime_checkable
class Target(Protocol):
    """A live instance of a pipeline. Every call has a time limit and raises `EnvironmentProblem` when it can't be done.

    Injection is data: a fault sets *points*; the target knows how to read, set and restore each kind it has.
    """

    @property
    def spec(self) -> TargetSpec: ...

    @property
    def instance(self) -> str:
        """Name of this instance; with the driver's name it finds it again from any process."""
        ...

    def up(self) -> None:
        """Start what isn't running; returns when every service is ready. Raises with the last log lines of what isn't."""
        ...

    def reset(self) -> None:
        """Back to the baseline: in place where the target says how, else afresh; returns when all is ready."""
        ...

    def down(self) -> None: ...

    def get(self, point: Point) -> Json:
        """The point's present value."""
        ...

    def set(self, point: Point, value: Json) -> None:
        """Sets it; idempotent."""
        ...

    def undo(self, undo: Undo) -> UndoOutcome:
        """Restores only where the injected value still stands."""
        ...

    def process(self, service: str) -> ProcessReading: ...

    def probe(self, link: str, *, ask: ProbeAsk = PLAIN) -> ProbeReading:
        """What the link's caller would receive now."""
        ...

    def served_version(self, service: str, model: str) -> str | None:
        """The version that this replica really answers with; None where it doesn't answer."""
        ...

    def make_variant(self, model: str, variant: str) -> str:
        """Has the target's registry get such a version, not promoted; gives its version."""
        ...

    def read(self, reading: str, *, after: int, limit: int = 5000) -> tuple[list[dict[str, Any]], int]:
        """Records of a declared reading after the cursor, and the next cursor."""
        ...

    def damage_mask(self, link: str, tap: str, *, after: int) -> tuple[list[tuple[str, list[str]]], int]:
        """(record id, columns hit) of a tap's receipts after the cursor, and the next cursor."""
        ...

    def act(self, action: Action, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Carries a standard action out; raises `EnvironmentProblem` with the target's words when it is refused."""
        ...

    def observe(self, observation: Observation, arguments: Mapping[str, Json]) -> dict[str, Json]: ...

    def snapshot(self) -> Snapshot: ...

    def exits(self, *, after: int) -> tuple[list[tuple[int, str, str, int | None, bool]], int]:
        """(t_ns, service, reason, code, asked) of processes that ended after the cursor, and the next cursor."""
        ...

    def log_tail(self, service: str, lines: int = 20) -> tuple[str, ...]: ...

    def renew(self) -> None:
        """Renews the leases that keep what we injected in place; called every second while a run lives."""
        ...

    def endpoint(self, text: str) -> str:
        """Fills `${...}` of a target.yaml string for this instance."""
        ...

    def redacted(self) -> dict[str, Json]:
        """The target description without secrets, for the history."""
        ...


class Containers(Protocol):
    """What a target whose services are containers can tell besides, for the faults that need it; others leave it out.

    All of it is asked of the containers and of whoever runs them, never of what was set.
    """

    def free_bytes(self, service: str, path: str) -> int:
        """What a write of the service to this place would find room for, asked inside. Raises `EnvironmentProblem`."""
        ...

    def environment(self, service: str, variable: str) -> str | None:
        """The variable as the service's first process has it, None where it isn't set. Raises `EnvironmentProblem`."""
        ...

    def networks(self, service: str) -> tuple[str, ...]:
        """The networks that it is joined to now."""
        ...

    def image_id(self, image: str) -> str:
        """What this name of an image means where the services run. Raises `EnvironmentProblem` where there is none."""
        ...

    def carries(self, service: str, command: str) -> bool:
        """Whether the command can be run inside. Raises `EnvironmentProblem` where the container doesn't run."""
        ...

    def usage(self, service: str) -> UsageReading:
        """What its container takes. Raises `EnvironmentProblem` where it doesn't run."""
        ...

    def written_bytes(self, service: str) -> int:
        """What the processes that live inside have had written to a disk; asked inside. Raises `EnvironmentProblem`."""
        ...


TELLS = tuple(name for name in vars(Containers) if not name.startswith("_"))


def containers(target: Target) -> Containers:
    """The target's readings of its containers. Raises `EnvironmentProblem` where it has none."""
    if not all(hasattr(target, name) for name in TELLS):
        raise EnvironmentProblem(f"target '{target.spec.target}' ({target.spec.driver}) tells nothing of containers")
    return cast(Containers, target)


def foreseen(target: Target, point: Point, value: Json) -> None:
    """Raises what setting the point would be refused with, where the target can tell beforehand: by an optional method
    `require(point, value)`, which changes nothing."""
    require = getattr(target, "require", None)
    if require is not None:
        require(point, value)


def counted(target: Target, point: Point) -> dict[str, Json]:
    """What the injector says that it affected by what stands at a point, where the target can tell: by an optional method
    `counted(point)`. A receipt, to be compared with the witness; never a proof."""
    count = getattr(target, "counted", None)
    return {} if count is None else dict(count(point))


class Driver(Protocol):
    """Makes Targets of one kind, and finds them again. `drill heal` and the reaper go through `attach` and `undo`."""

    name: str

    def inventory(self, spec: TargetSpec) -> Inventory: ...

    def open(self, spec: TargetSpec, *, folder: Path, instance: str, seed: int) -> Target:
        """The instance, running or not; `folder` is where target.yaml stands. Starts nothing."""
        ...

    def attach(self, instance: str) -> Target:
        """The running instance of this name; raises `EnvironmentProblem` when there is none."""
        ...

    def instances(self) -> Sequence[str]: ...


# --- fault ----------------------------------------------------------------------------------------------------------


class ArgumentDeclaration(msgspec.Struct, frozen=True):
    """An argument of a fault. `type` is string, number, integer, boolean, duration (in memory: seconds), size (in memory:
    bytes), share, setting (a text, number or boolean), texts (a list, each once), mapping (of names to anything), service,
    services (a list, each once), role, link, model, variant (of the argument `model`) or reading; names must be the target's.
    """

    name: str
    type: str
    required: bool = False
    default: Json = None
    help: str = ""
    choices: tuple[str, ...] = ()


class FaultDeclaration(msgspec.Struct, frozen=True):
    """What a fault says of itself: for listing, planning and the plan.

    `dose` names the argument that makes it worse; empty where the fault is all or nothing, and its dose is 1.
    """

    name: str
    summary: str
    needs: frozenset[Capability]
    arguments: tuple[ArgumentDeclaration, ...]
    dose: str
    cure: Cure
    cause: CauseClass
    rows: tuple[str, ...] = ()
    """Rows of the catalogue that it covers, such as D1."""


def draft(
    declaration: FaultDeclaration,
    *,
    arguments: Mapping[str, Json],
    index: int = 0,
    onset_s: float = 0.0,
    seed: int = 0,
) -> PlannedFault:
    """A fault as its `plan` receives it: defaults filled in, dose resolved, the declaration's cure and cause.

    `arguments` are as in memory (seconds, bytes); the caller has checked them against the declaration.
    """
    filled = {a.name: arguments.get(a.name, a.default) for a in declaration.arguments}
    dose = filled.get(declaration.dose, 1.0)
    return PlannedFault(
        index=index,
        fault=declaration.name,
        arguments=filled,
        dose=float(dose) if isinstance(dose, int | float) else 1.0,
        onset_s=onset_s,
        witness_within_s=3.0,
        witness_every_s=0.3,
        cure=declaration.cure,
        cause=declaration.cause,
        components=(),
        look=Look(label=declaration.name),
        seed=seed,
    )


@runtime_checkable
class Fault(Protocol):
    """One way to break a target. Stateless: everything it must remember is in `Prepared` (data).

    `plan` is pure and resolves arguments already checked against the declaration. `prepare` changes nothing that users
    could feel and gives the undos; `inject` does it; `witness` reads the far side, independent of `inject`; healing is the
    undos, applied without the fault. `receipts` gives the mask of damaged records, if there is one.

    `witness` is called every `witness_every_s`, from before the injection on, and must be cheap and bounded. `memory` is
    its own from one reading to the next (cursors, a reference): empty at first, kept by the caller, never stored.
    """

    @property
    def declaration(self) -> FaultDeclaration: ...

    def plan(self, fault: PlannedFault, inventory: Inventory) -> PlannedFault:
        """Completes components, look, damage and witness window. Raises `UsageError` naming what is legal."""
        ...

    def prepare(self, fault: PlannedFault, target: Target) -> Prepared: ...

    def inject(self, fault: PlannedFault, prepared: Prepared, target: Target) -> dict[str, Json]:
        """Sets the prepared points; gives a receipt: what the injector says it did."""
        ...

    def witness(self, fault: PlannedFault, prepared: Prepared, target: Target, memory: dict[str, Any]) -> Reading: ...

    def receipts(
        self, fault: PlannedFault, prepared: Prepared, target: Target, *, after: int
    ) -> tuple[list[tuple[str, list[str]]], int]: ...


# --- responder ------------------------------------------------------------------------------------------------------


class Brief(msgspec.Struct, frozen=True):
    """What a responder is told at the start: never the fault. Its own arguments, and the playbook if it follows one."""

    plan: Plan
    act_at_s: float | None = None


@runtime_checkable
class Responder(Protocol):
    """Who answers: a pure machine, like the conductor. `state` is opaque, immutable and belongs to the responder.

    `step` gets every input event of the respond phase; what it wants done leaves as commands whose ids are empty (the
    conductor numbers them; replies arrive as events whose `command` is that number, and `bind` tells the machine which
    it was: commands of one step are numbered in order, and the reply events carry `step` through the command itself).
    """

    name: str
    mutates: bool
    """Whether it may change the target."""

    def start(self, brief: Brief) -> tuple[Any, tuple[AnyCommand, ...]]: ...

    def step(self, state: Any, event: AnyEvent, issued: Mapping[str, AnyCommand]) -> tuple[Any, tuple[AnyCommand, ...]]:
        """`issued`: this responder's commands that still wait for their reply, by id."""
        ...


# --- reporter -------------------------------------------------------------------------------------------------------


class Recorded(Protocol):
    """A history as reports get it: the header, and the events in order."""

    @property
    def header(self) -> Header: ...

    def events(self) -> Iterator[AnyEvent]: ...


@runtime_checkable
class Reporter(Protocol):
    """One view of a scored run. Pure: the same history and scorecard give the same bytes.

    `file` is the name of the file in the run's folder, such as report.html.
    """

    file: str

    def render(self, history: History, card: Scorecard) -> bytes: ...


# --- registry -------------------------------------------------------------------------------------------------------

GROUPS = {
    "fault": "mldrill.faults",
    "target": "mldrill.targets",
    "responder": "mldrill.responders",
    "reporter": "mldrill.reporters",
}


@cache
def names(kind: str) -> tuple[str, ...]:
    """Registered names of a kind (fault, target, responder, reporter), sorted."""
    return tuple(sorted(point.name for point in entry_points(group=GROUPS[kind])))


@cache
def load(kind: str, name: str) -> Any:
    """The registered object. Raises `UsageError` with the known names and the nearest match."""
    for point in entry_points(group=GROUPS[kind]):
        if point.name == name:
            loaded = point.load()
            return loaded() if isinstance(loaded, type) else loaded
    raise UsageError(unknown(kind, name, names(kind)))


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """`unknown fault 'latncy'. Did you mean 'latency'? Known: ...`"""
    listed = sorted(known)
    near = difflib.get_close_matches(name, listed, n=1, cutoff=0.5)
    guess = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown {kind} '{name}'.{guess} Known: {', '.join(listed) or 'none'}"


LoadFault = Callable[[str], Fault]

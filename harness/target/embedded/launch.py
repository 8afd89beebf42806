"""What the supervisor is given (the launch, a file) and what is said on its control socket, as records.

The driver resolves everything in advance (ports, environment, folders), so that the supervisor needs neither
pydantic nor target.yaml and starts in a tenth of a second. One request, one line of JSON; one answer, one line of
JSON.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.contract.undo import Json

LABEL = "MLDRILL_LABEL"
"""Environment variable with the instance's secret label: a process that carries it was started by us."""
PROXY = "@proxy"
"""The fault proxy's name among the services; no service can be called so."""
LINE_BYTES_MAX = 256 * 1024
LEASE_S = 5.0
CONTROL = "control.sock"
LAUNCH = "launch.json"


class ServiceLaunch(msgspec.Struct, frozen=True):
    """How one process is started: `python` (module:function, forked) or `command`. `environment` is complete but for the base."""

    name: str
    environment: dict[str, str]
    folder: str
    log: str
    port: int
    python: str | None = None
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    ready: str | None = None
    needs: tuple[str, ...] = ()
    memory: int | None = None


class Launch(msgspec.Struct, frozen=True):
    """All that a supervisor must know. `descriptors` are the sockets that hold the reserved ports; `lease_s` is how long what was
    injected stands without being renewed."""

    instance: str
    label: str
    exits_file: str
    services: tuple[ServiceLaunch, ...]
    preload: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    descriptors: tuple[int, ...] = ()
    lease_s: float = LEASE_S


# --- requests -------------------------------------------------------------------------------------------------------


class Request(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True):
    """Base of all requests."""


class Status(Request, frozen=True, tag="status"):
    """-> `StatusAnswer`"""


class Get(Request, frozen=True, tag="get"):
    """A point's value. `kind` is process, cpu or memory."""

    kind: str
    service: str


class Inject(Request, frozen=True, tag="inject"):
    """Sets a point by a fault, under lease."""

    kind: str
    service: str
    value: Json


class Restore(Request, frozen=True, tag="restore"):
    """Takes an injected value back, where it still stands -> the outcome."""

    kind: str
    service: str
    injected: Json
    restore: Json


class Operate(Request, frozen=True, tag="operate"):
    """An operator's change. `what`: restart, stop, start, or the point kinds cpu and memory with `value`."""

    what: str
    service: str
    value: Json = None


class Exits(Request, frozen=True, tag="exits"):
    """Processes that ended after the cursor."""

    after: int


class Renew(Request, frozen=True, tag="renew"):
    """Renews the lease under which injected states stand."""


class Baseline(Request, frozen=True, tag="baseline"):
    """Every service running, every limit as launched."""


class Down(Request, frozen=True, tag="down"):
    """Stops everything; the answer comes when all processes are gone."""


AnyRequest = Status | Get | Inject | Restore | Operate | Exits | Renew | Baseline | Down


class Answer(msgspec.Struct, frozen=True):
    """`value` depends on the request; `error` says in words why it was refused."""

    ok: bool
    value: Json = None
    error: str = ""


class ServiceStatus(msgspec.Struct, frozen=True):
    """A service as the supervisor sees it. `pid` 0: no process. `leaving`: it was told to end and hasn't yet.

    `early_exits`: deaths unasked before it was ever ready.
    """

    pid: int
    start: int
    state: str
    restarts: int
    memory_kills: int
    cpu: float | None
    memory: int | None
    early_exits: int
    leaving: bool = False


class StatusAnswer(msgspec.Struct, frozen=True):
    """`problem`: what keeps everything from starting, such as a module that can't be imported."""

    pid: int
    zygote: int
    services: dict[str, ServiceStatus]
    problem: str = ""


class Exit(msgspec.Struct, frozen=True):
    """A process that ended. `reason`: memory, signal or exit; `asked`: by an operator or a fault of ours."""

    t_ns: int
    service: str
    reason: str
    code: int | None
    asked: bool


def load_launch(folder: Path) -> Launch:
    """The launch file of an instance's folder."""
    return msgspec.json.decode((folder / LAUNCH).read_bytes(), type=Launch)

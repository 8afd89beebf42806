"""From a description to running processes, and back to none.

The driver reserves all ports first and hands the sockets to the supervisor, so that every address is known before
anything starts, and stays what it was when an instance is started again. Always true: what carries an old label of
this instance is ended before a new start; a start that fails leaves nothing behind but its logs.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem, HarnessError
from harness.proxy.client import Kind, ProxyClient
from harness.seeds import derive
from harness.spec.target import ServiceSpec, TargetSpec
from harness.target import borrowed, http
from harness.target.embedded import logs, ports, processes, record
from harness.target.embedded.control import Client
from harness.target.embedded.launch import (
    LABEL,
    LAUNCH,
    LEASE_S,
    PROXY,
    Down,
    Launch,
    ServiceLaunch,
    Status,
    StatusAnswer,
)
from harness.target.held import write
from harness.target.interpolate import fill

HOST = ports.HOST
LOG_LINES = 20
POLL_S = 0.02
READY_ASK_S = 1.0
EARLY_EXITS_MAX = 3
SUPERVISOR_S_MAX = 10.0
BORROWED_S_MAX = 2.0
DOWN_S_MAX = 8.0
LEAVE_S_MAX = 5.0
SWEEP_S_MAX = 5.0


class StartProblem(EnvironmentProblem):
    """A service that would not start or become ready; `log` holds its last lines."""

    def __init__(self, message: str, *, log: tuple[str, ...], hint: str = "") -> None:
        super().__init__("\n".join([message, *(f"  | {line}" for line in log)]), hint=hint)
        self.log = log


def port_names(spec: TargetSpec) -> list[str]:
    """All ports that an instance of this description reserves."""
    names = [f"service/{name}" for name in spec.services]
    names += [f"link/{name}" for name in spec.links]
    names += [f"port/{name}" for name in spec.ports]
    return [*names, "proxy"]


def own_proxy(spec: TargetSpec) -> bool:
    """Whether the instance has a fault proxy of its own; a Toxiproxy that runs already is used instead where one is named."""
    return bool(spec.links) and spec.proxy is None


def lease_of(instance: str) -> str:
    """The lease under which what is set in the fault proxy stands."""
    return f"mldrill-{instance}"


def proxy_address(spec: TargetSpec, found: record.Record) -> str:
    """Of the API of the fault proxy."""
    named = spec.proxy.api if spec.proxy is not None else None
    return named or f"{HOST}:{found.ports['proxy']}"


def proxy_names(spec: TargetSpec, instance: str) -> dict[str, str]:
    """Link -> what its proxy is called: on a proxy of others, the instance's name keeps it apart from theirs."""
    if spec.proxy is None:
        return {name: name for name in spec.links}
    return {name: link.proxy or f"mldrill-{instance}-{name}" for name, link in spec.links.items()}


def stand_links(client: ProxyClient, spec: TargetSpec, found: record.Record, *, clear: bool) -> None:
    """Where the fault proxy isn't the instance's own: has a proxy there for each link; `clear`: with nothing set in them.

    Raises `EnvironmentProblem` where it doesn't answer, is another than was said, or can't listen.
    """
    names = proxy_names(spec, found.instance)
    try:
        client.wait_ready(within_s=BORROWED_S_MAX)
        borrowed.require_kind(client, spec.proxy)
        if clear and client.kind() is Kind.OURS:
            client.drop_lease(lease_of(found.instance))
        borrowed.stand(client, {names[link]: ends for link, ends in _ends(spec, found).items()})
        if clear:
            borrowed.clear(client, names.values())
    except EnvironmentProblem:
        raise
    except HarnessError as error:
        raise EnvironmentProblem(
            f"the fault proxy that target.yaml names, proxy.api {client.address}: {error.message}",
            hint="it must run on this machine, beside the instance; without `proxy` the instance has one of its own",
        ) from error


def _ends(spec: TargetSpec, found: record.Record) -> dict[str, tuple[str, str]]:
    """Link -> where its proxy listens, and where it leads."""
    return {
        name: (f"{HOST}:{found.ports[f'link/{name}']}", f"{HOST}:{found.ports[f'service/{link.to}']}")
        for name, link in spec.links.items()
    }


def names_of(found: record.Record, *, service: str | None = None) -> dict[str, Json]:
    """What `${...}` may name for this instance; `state_dir` is the service's own where one is given."""
    folder = record.folder_of(found.instance)
    names: dict[str, Json] = {
        "instance": found.instance,
        "seed": found.seed,
        "target_dir": found.folder,
        "state_dir": str(folder / "state" / service if service else folder / "state"),
    }
    for key, port in found.ports.items():
        kind, _, name = key.partition("/")
        if kind in ("service", "link"):
            names[f"{kind}.{name}.url"] = f"http://{HOST}:{port}"
        if kind in ("service", "port"):
            names[f"{kind}.{name}.port" if kind == "service" else f"port.{name}"] = port
    return names


def start(spec: TargetSpec, *, instance: str, digest: str, folder: Path, seed: int) -> record.Record:
    """Starts the supervisor; returns when its control socket answers. Raises `EnvironmentProblem`."""
    home = record.folder_of(instance)
    before = record.load(home)
    if before is not None:
        sweep(before)
    _clear(home, spec)
    known = before.ports if before is not None else {}
    held = ports.reserve_all({name: known.get(name, 0) for name in port_names(spec)})
    found = record.Record(
        instance=instance,
        spec=spec.model_dump(mode="json", by_alias=True, exclude_unset=True),
        digest=digest,
        folder=str(folder),
        seed=seed,
        label=secrets.token_hex(16),
        ports={name: sock.getsockname()[1] for name, sock in held.items()},
    )
    try:
        launch = _launch(spec, found, home, tuple(sock.fileno() for sock in held.values()))
        write(home / LAUNCH, msgspec.json.encode(launch))
        return _spawn(found, home, list(held.values()))
    finally:
        for sock in held.values():
            sock.close()


def _clear(home: Path, spec: TargetSpec) -> None:
    """A fresh start is a fresh pipeline: no state of the last one; logs begin anew."""
    for name in ("state", "logs"):
        shutil.rmtree(home / name, ignore_errors=True)
        (home / name).mkdir(parents=True, mode=0o700)
    for name in spec.services:
        (home / "state" / name).mkdir(mode=0o700)
    write(home / "exits.jsonl", b"")


def _launch(spec: TargetSpec, found: record.Record, home: Path, descriptors: tuple[int, ...]) -> Launch:
    services = [_service(name, service, spec, found, home) for name, service in spec.services.items()]
    if own_proxy(spec):
        services.insert(0, _proxy(spec, found, home))
    return Launch(
        instance=found.instance,
        label=found.label,
        exits_file=str(home / "exits.jsonl"),
        services=tuple(services),
        preload=spec.preload,
        python_path=_python_path(spec, found),
        descriptors=descriptors,
        lease_s=LEASE_S,
    )


def _python_path(spec: TargetSpec, found: record.Record) -> tuple[str, ...]:
    """Relative entries are meant from the description's folder."""
    names = names_of(found)
    return tuple(
        str((Path(found.folder) / fill(entry, names, where="python_path")).resolve()) for entry in spec.python_path
    )


def _service(name: str, service: ServiceSpec, spec: TargetSpec, found: record.Record, home: Path) -> ServiceLaunch:
    if service.start is None:
        raise EnvironmentProblem(f"services.{name}: the embedded driver needs `start`: python or command")
    names = names_of(found, service=name)
    where = f"services.{name}.env"
    environment = {
        "SERVICE": name,
        "PORT": str(found.ports[f"service/{name}"]),
        "STATE_DIR": str(home / "state" / name),
        "SEED": str(found.seed),
        "INSTANCE": found.instance,
        "EXITS_FILE": str(home / "exits.jsonl"),
    }
    for link_name, link in spec.links.items():
        if link.from_ == name and link.variable is not None:
            environment[link.variable] = f"http://{HOST}:{found.ports[f'link/{link_name}']}"
    environment |= {key: fill(value, names, where=where) for key, value in service.env.items()}
    return ServiceLaunch(
        name=name,
        environment=environment,
        folder=found.folder,
        log=str(home / "logs" / f"{name}.log"),
        port=found.ports[f"service/{name}"],
        python=service.start.python,
        command=tuple(fill(part, names, where=f"services.{name}.start") for part in service.start.command),
        python_path=_python_path(spec, found),
        ready=service.ready.http,
        needs=service.needs,
        memory=service.memory,
    )


def _proxy(spec: TargetSpec, found: record.Record, home: Path) -> ServiceLaunch:
    """The fault proxy: one listener per link. Restarted with the same file, it comes back without toxics."""
    config = home / "proxy.json"
    links = [
        {"name": name, "listen": listen, "upstream": upstream, "enabled": True}
        for name, (listen, upstream) in _ends(spec, found).items()
    ]
    write(config, msgspec.json.encode(links))
    port = found.ports["proxy"]
    seed = derive(found.seed, "proxy")
    return ServiceLaunch(
        name=PROXY,
        environment={},
        folder=str(home),
        log=str(home / "logs" / f"{PROXY}.log"),
        port=port,
        python="harness.proxy.__main__:main",
        arguments=("--host", HOST, "--port", str(port), "--config", str(config), "--seed", str(seed)),
        ready="/version",
    )


def _spawn(found: record.Record, home: Path, held: list[socket.socket]) -> record.Record:
    log = home / "logs" / "@supervisor.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.target.embedded.supervisor", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=[sock.fileno() for sock in held],
            start_new_session=True,
            env=dict(os.environ) | {LABEL: found.label},
        )
    started = processes.start_time(process.pid) or 0
    running = msgspec.structs.replace(found, supervisor_pid=process.pid, supervisor_start=started)
    record.save(home, running)
    deadline = time.monotonic() + SUPERVISOR_S_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(EnvironmentProblem):
            Client(home).ask(Status(), within_s=0.5)
            return running
        time.sleep(POLL_S)
    stop(running)
    raise StartProblem(f"instance '{found.instance}': its supervisor did not start", log=logs.tail(log, LOG_LINES))


def status(found: record.Record) -> StatusAnswer:
    """What the supervisor says. Raises `EnvironmentProblem`."""
    answer = Client(record.folder_of(found.instance)).ask(Status())
    return msgspec.convert(answer, StatusAnswer)


def wait_left(found: record.Record) -> None:
    """Returns when no process is on its way out, which would answer one moment and be gone the next."""
    deadline = time.monotonic() + LEAVE_S_MAX
    while leaving := [name for name, service in status(found).services.items() if service.leaving]:
        if time.monotonic() > deadline:
            raise EnvironmentProblem(f"instance '{found.instance}': {', '.join(leaving)} won't end")
        time.sleep(POLL_S)


def wait_ready(spec: TargetSpec, found: record.Record) -> None:
    """Returns when every service says that it is ready. Raises `StartProblem` with the last log lines of one that isn't."""
    began = time.monotonic()
    pending = {name: f"/{service.ready.http.lstrip('/')}" for name, service in spec.services.items()}
    limits = {name: service.ready.within for name, service in spec.services.items()}
    if own_proxy(spec):
        pending, limits = {PROXY: "/version"} | pending, {PROXY: SUPERVISOR_S_MAX} | limits
    why = dict.fromkeys(pending, "it never answered")
    while pending:
        for name, path in list(pending.items()):
            port = found.ports["proxy" if name == PROXY else f"service/{name}"]
            why[name] = _not_ready(f"http://{HOST}:{port}{path}")
            if not why[name]:
                del pending[name]
        if not pending:
            return
        _give_up_in_time(found, pending, why, limits, time.monotonic() - began)
        time.sleep(POLL_S)


def _not_ready(url: str) -> str:
    """Why it isn't ready, or nothing."""
    try:
        answer = http.request("GET", url, timeout_s=READY_ASK_S)
    except (OSError, ValueError, http.HTTP_PROBLEM) as error:
        return http.reason(error)
    return "" if 200 <= answer.status < 300 else f"status {answer.status}: {answer.words()}"


def _give_up_in_time(
    found: record.Record,
    pending: Mapping[str, str],
    why: Mapping[str, str],
    limits: Mapping[str, float],
    waited_s: float,
) -> None:
    now = status(found)
    if now.problem:
        raise StartProblem(f"instance '{found.instance}': {now.problem}", log=tail(found, "@supervisor"))
    for name in pending:
        if now.services[name].early_exits >= EARLY_EXITS_MAX:
            raise StartProblem(f"service '{name}' dies again and again at its start", log=tail(found, name))
        if waited_s > limits[name]:
            raise StartProblem(
                f"service '{name}' was not ready within {limits[name]:g} s ({why[name]})",
                log=tail(found, name),
                hint="its whole log: " + str(log_file(found, name)),
            )


def log_file(found: record.Record, service: str) -> Path:
    return record.folder_of(found.instance) / "logs" / f"{service}.log"


def tail(found: record.Record, service: str, lines: int = LOG_LINES) -> tuple[str, ...]:
    """The last lines of a service's log."""
    return logs.tail(log_file(found, service), lines)


def stop(found: record.Record) -> None:
    """No process of the instance is left. Asks first; a supervisor that doesn't answer is killed with all it started."""
    everybody = list(processes.labelled(LABEL, found.label))
    if found.runs:
        with contextlib.suppress(EnvironmentProblem):
            Client(record.folder_of(found.instance)).ask(Down(), within_s=DOWN_S_MAX)
            _await_end(found, 1.0)
        processes.send(found.supervisor_pid, found.supervisor_start, signal.SIGKILL)
    _await_end(found, 2.0)
    sweep(found, ending=everybody)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(found.supervisor_pid, os.WNOHANG)  # where it was our own child: no zombie is left either


def _await_end(found: record.Record, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while found.runs and time.monotonic() < deadline:
        time.sleep(POLL_S)


def sweep(found: record.Record, *, ending: Iterable[tuple[int, int]] = ()) -> None:
    """Ends whatever still carries the label of a supervisor that has died. Returns when that is gone, and `ending` too: what was
    killed has lost its label before it has given its memory back and is over."""
    deadline = time.monotonic() + SWEEP_S_MAX
    left = set(ending)
    while not found.runs:
        labelled = set(processes.labelled(LABEL, found.label))
        for pid, started in labelled:
            processes.send(pid, started, signal.SIGKILL)
        left = {one for one in left | labelled if processes.alive(*one)}
        if not left or time.monotonic() > deadline:
            return
        time.sleep(POLL_S)

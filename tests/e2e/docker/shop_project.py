"""The throw-away shop in containers, for drills of the harness itself; what stands on the engine is read past the harness."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import requests

from harness.spec.load import load_target
from harness.target.docker.driver import DockerDriver
from harness.target.docker.instance import DockerTarget
from tests.e2e import trouble

TARGET = trouble.SHOP / "docker.yaml"
SOCKET = Path("/var/run/docker.sock")
CHUNK = 65536

PAUSE = trouble.PAUSE
MEMORY = "{fault: memory.limit, service: back, limit: 64MiB}"
DISCONNECT = "{fault: network.disconnect, service: front, network: default}"
LATENCY = trouble.LATENCY
ALL = (MEMORY, LATENCY, DISCONNECT, PAUSE)
"""One of every kind that stays until somebody takes it back, and a toxic, which is under lease."""


def shop(instance: str) -> DockerTarget:
    """Not yet up."""
    loaded = load_target(TARGET)
    return DockerDriver().open(loaded.spec, folder=loaded.folder, instance=instance, seed=7)


@contextlib.contextmanager
def up(instance: str) -> Iterator[DockerTarget]:
    """Nothing of it is left afterwards."""
    target = shop(instance)
    try:
        target.up()
        yield target
    finally:
        shop(instance).down()


class Seen:
    """What the engine says of one project."""

    def __init__(self, engine: docker.DockerClient, project: str) -> None:
        self.api, self.project = engine.api, project
        self._listed = {"label": [f"com.docker.compose.project={project}"]}

    def containers(self) -> dict[str, dict[str, Any]]:
        """By Compose service, as inspected; one that goes away while we ask isn't there."""
        found = {}
        for one in self.api.containers(all=True, filters=self._listed):
            with contextlib.suppress(docker.errors.NotFound):
                found[one["Labels"]["com.docker.compose.service"]] = self.api.inspect_container(one["Id"])
        return found

    def facts(self) -> dict[str, Any]:
        """All that a fault of `ALL` changes, and what none may change: identity and start."""
        return {service: fact_of(one) for service, one in self.containers().items()} | {"toxics": self.toxics()}

    def toxics(self) -> dict[str, list[str]]:
        """Link -> its toxics, as the proxy itself tells; empty where the proxy is gone."""
        found = self.containers().get("proxy")
        ports = found["NetworkSettings"]["Ports"].get("8474/tcp") if found else None
        if not ports:
            return {}
        told = requests.get(f"http://127.0.0.1:{ports[0]['HostPort']}/proxies", timeout=5).json()
        return {name: [toxic["name"] for toxic in one["toxics"]] for name, one in sorted(told.items())}


def fact_of(inspected: dict[str, Any]) -> dict[str, Any]:
    """Of one container."""
    state, host = inspected["State"], inspected["HostConfig"]
    networks = inspected["NetworkSettings"]["Networks"]
    return {
        "id": inspected["Id"],
        "state": (state["Status"], state["Paused"], state["StartedAt"]),
        "limits": {key: host[key] for key in ("Memory", "MemorySwap", "NanoCpus", "CpuQuota", "CpuPeriod")},
        "networks": {name: sorted(one["Aliases"] or ()) for name, one in networks.items()},
    }


class Forwarder:
    """Stands between a client and the engine, and can be taken away as a daemon that dies would be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    @property
    def host(self) -> str:
        """For `DOCKER_HOST`."""
        return f"unix://{self.path}"

    def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def kill(self) -> None:
        """Nobody listens any more, and every connection ends."""
        assert self._listener is not None
        self.path.unlink()
        self._end(self._listener)
        for sock in list(self._open):
            self._end(sock)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(SOCKET))
            self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
            return
        for sock in (source, sink):
            self._end(sock)

    @staticmethod
    def _end(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def injected(running: trouble.Drill, count: int) -> list[tuple[int, int]]:
    """Waits until so many faults are in; gives when each injection began and ended, in nanoseconds of the history's clock."""
    asked: set[str] = set()
    ended: list[tuple[int, int]] = []

    def done(line: dict[str, Any]) -> bool:
        if line["kind"] == "command" and line["command"]["do"] == "inject-fault":
            asked.add(line["command"]["id"])
        elif line["kind"] == "done" and line["command"] in asked:
            ended.append((line["from_ns"], line["t_ns"]))
        return len(ended) == count

    running.wait_for(done, what=f"{count} injections")
    return ended

"""The reference pipeline as a Compose project of its own, for tests: up, asked, down, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import docker
import psutil
import requests
from docker.models.containers import Container

REPOSITORY = Path(__file__).parents[3]
COMPOSE_FILE = REPOSITORY / "fixtures" / "pipeline" / "compose.yaml"
PROJECT_LABEL, SERVICE_LABEL = "com.docker.compose.project", "com.docker.compose.service"
UP_S_MAX, DOWN_S_MAX, CALL_S_MAX = 120.0, 60.0, 20.0
WAIT_S = 60.0
LOOK_S = 0.1


def compose_command() -> list[str]:
    """Version 2 where it is there, else version 1."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=CALL_S_MAX, check=False)
    if plugin.returncode == 0:
        return ["docker", "compose"]
    found = shutil.which("docker-compose")
    assert found, "neither 'docker compose' nor 'docker-compose' is there"
    return [found]


@dataclass
class Sink:
    """Takes Alertmanager's webhooks on the address that containers have for the host."""

    host: str
    port: int = 0
    received: list[dict[str, Any]] = field(default_factory=list)

    def firing(self, name: str) -> list[dict[str, Any]]:
        return [
            alert for alert in self.received if alert["labels"]["alertname"] == name and alert["status"] == "firing"
        ]


@contextmanager
def sink(host: str) -> Iterator[Sink]:
    taken = Sink(host)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            taken.received += body["alerts"]
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer((host, 0), Handler)
    taken.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": LOOK_S}, daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Project:
    name: str
    engine: docker.DockerClient
    sink: Sink

    def container(self, service: str) -> Container:
        labels = [f"{PROJECT_LABEL}={self.name}", f"{SERVICE_LABEL}={service}"]
        (found,) = self.engine.containers.list(all=True, filters={"label": labels})
        return found

    def containers(self) -> list[Container]:
        return self.engine.containers.list(all=True, filters={"label": f"{PROJECT_LABEL}={self.name}"})

    def url(self, service: str, port: int = 8000) -> str:
        """Where it is published; another port after each restart, so it is looked up each time."""
        bindings = self.container(service).attrs["NetworkSettings"]["Ports"][f"{port}/tcp"]
        (binding,) = bindings
        assert binding["HostIp"] == "127.0.0.1"
        return f"http://127.0.0.1:{binding['HostPort']}"

    def get(self, service: str, path: str) -> Any:
        return requests.get(self.url(service) + path, timeout=CALL_S_MAX).json()

    def post(self, service: str, path: str, body: Any = None) -> Any:
        answer = requests.post(self.url(service) + path, json=body or {}, timeout=CALL_S_MAX)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ready(self, service: str) -> bool:
        try:
            return requests.get(self.url(service) + "/ready", timeout=CALL_S_MAX).status_code == 200
        except (requests.RequestException, KeyError, ValueError, TypeError):
            return False  # down, or on its way up: not published yet

    def run_in(self, service: str, *command: str) -> tuple[int, str]:
        code, output = self.container(service).exec_run(list(command))
        return code, output.decode(errors="replace")

    def pay(self, count: int) -> list[str]:
        """Payments by the link that merchants use; their ids."""
        payments = self.get("source", f"/next?count={count}")["transactions"]
        entry = self.url("proxy", 9001)
        with requests.Session() as session:
            for payment in payments:
                assert session.post(f"{entry}/decide", json=payment, timeout=CALL_S_MAX).status_code == 200
        return [payment["id"] for payment in payments]


@contextmanager
def running(name: str, engine: docker.DockerClient, image: str) -> Iterator[Project]:
    """Up and healthy; at the end down, whatever happened."""
    with sink(host_address(engine)) as pager:
        environment = dict(
            os.environ,
            COMPOSE_PROJECT_NAME=name,
            MLDRILL_INSTANCE=name,
            MLDRILL_IMAGE=image,
            MLDRILL_SEED="7",
            ALERT_WEBHOOK_URL=f"http://host.docker.internal:{pager.port}/webhook",
        )
        command = [*compose_command(), "-f", str(COMPOSE_FILE)]
        project = Project(name, engine, pager)
        try:
            _done([*command, "up", "-d"], environment, UP_S_MAX)
            until(lambda: not unhealthy(project), "every container is healthy", why=lambda: unhealthy(project))
            yield project
        finally:
            _done([*command, "down", "-v", "--timeout", "3"], environment, DOWN_S_MAX)


def host_address(engine: docker.DockerClient) -> str:
    """What `host.docker.internal` is for containers: this host on the engine's default bridge. Asked of the interface,
    because the engine's own answer may lack it."""
    bridge = engine.networks.get("bridge").attrs["Options"]["com.docker.network.bridge.name"]
    (address,) = (one.address for one in psutil.net_if_addrs()[bridge] if one.family == socket.AF_INET)
    return str(address)


def unhealthy(project: Project) -> dict[str, str]:
    """Whoever isn't healthy, and what it is instead."""
    states = {
        one.labels[SERVICE_LABEL]: one.attrs["State"].get("Health", {}).get("Status", "none")
        for one in project.containers()
    }
    return {service: state for service, state in states.items() if state != "healthy"}


def left_of(name: str, engine: docker.DockerClient) -> list[str]:
    """Whatever still carries the project's label."""
    chosen = {"label": f"{PROJECT_LABEL}={name}"}
    return [
        *(one.name for one in engine.containers.list(all=True, filters=chosen)),
        *(one.name for one in engine.networks.list(filters=chosen)),
        *(one.name for one in engine.volumes.list(filters=chosen)),
    ]


def _done(command: list[str], environment: dict[str, str], limit_s: float) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit_s, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"


def until(condition: Callable[[], Any], what: str, *, why: Callable[[], Any] = lambda: "") -> Any:
    """Wait for a condition to hold; give what it gave."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(LOOK_S)
    raise AssertionError(f"never came true: {what} {why()}")

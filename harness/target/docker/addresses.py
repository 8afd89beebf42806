"""Where an instance's services and links are, for whoever stands on the host.

A service is at the port that it publishes, which Docker chooses anew at every start; so it is looked up each time it is
asked for, at most a quarter of a second late. Where nothing is published, the container's own address will do on a Linux
host. Links lead through the fault proxy where there is one. The other way, from a container to this host, leads to the address
that the default bridge has here; where there is no such interface, as on desktops that run containers in a virtual machine,
the engine leads `host.docker.internal` to loopback.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import psutil

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem, HarnessError
from harness.proxy.client import ProxyClient
from harness.spec.target import TargetSpec
from harness.target import borrowed
from harness.target.docker.daemon import Daemon, Missing
from harness.target.docker.record import Record
from harness.target.docker.selection import Found, Selection

FRESH_S = 0.25
LOOPBACK = "127.0.0.1"
CALL_S = 3.0
NOWHERE = ("127.0.0.1", 9)
"""Nobody listens at the discard port: what has no address is refused there, as a dead service is."""


class Addresses:
    """May be used from several threads."""

    def __init__(self, spec: TargetSpec, daemon: Daemon, selection: Selection) -> None:
        self._spec, self._daemon, self._selection = spec, daemon, selection
        self._mutex = threading.Lock()
        self._listed: tuple[float, list[Found]] = (-1e9, [])
        self._listens: tuple[str, dict[str, int]] = ("", {})
        self._last: dict[str, tuple[str, int]] = {}
        self._host = ""

    def listed(self) -> list[Found]:
        """The project's containers, a moment old at most."""
        with self._mutex:
            at, found = self._listed
            if time.monotonic() - at > FRESH_S:
                found = self._selection.all()
                self._listed = (time.monotonic(), found)
            return found

    def stale(self) -> None:
        """Something was changed: looks again next time."""
        with self._mutex:
            self._listed = (-1e9, [])

    def of(self, service: str) -> tuple[str, int]:
        """(host, port); its last one while it is down."""
        try:
            found = self._selection.find(service, among=self.listed())
        except Missing:
            return self._last.get(service, NOWHERE)
        where = self._where(found, self._selection.docker.ports.get(service))
        if where is None:
            return self._last.get(service, NOWHERE)
        self._last[service] = where
        return where

    def known(self, service: str) -> bool:
        """Whether it can be asked anything from here."""
        return self.of(service) != NOWHERE or self._spec.services[service].url is not None

    def _where(self, found: Found, port: int | None) -> tuple[str, int] | None:
        if port is not None and port in found.ports:
            return found.ports[port]
        if port is None and len(found.ports) == 1:
            return next(iter(found.ports.values()))
        if port is None and len(found.ports) > 1:
            raise EnvironmentProblem(
                f"container {found.name} publishes several ports: {', '.join(map(str, sorted(found.ports)))}",
                hint="Say in target.yaml which it serves at: docker.ports: {SERVICE: PORT}",
            )
        if port is not None and found.addresses:
            return found.addresses[0], port
        return None

    # --- the proxy ----------------------------------------------------------------------------------------------------

    def proxy_container(self) -> Found:
        """Raises `Missing` when the project has none."""
        return self._selection.of_compose(self._selection.docker.proxy, among=self.listed())

    def has_proxy(self) -> bool:
        try:
            self.proxy_container()
        except EnvironmentProblem:
            return False
        return True

    def proxy(self) -> ProxyClient:
        """A client of its API. Raises `EnvironmentProblem` with what is missing."""
        found = self.proxy_container()
        where = self._where(found, self._selection.docker.proxy_port)
        if where is None:
            raise EnvironmentProblem(f"the fault proxy, container {found.name}, has no address: is it running?")
        return ProxyClient(f"{where[0]}:{where[1]}", timeout_s=CALL_S)

    def listens(self) -> dict[str, int]:
        """Link -> the port inside the proxy's container."""
        found = self.proxy_container()
        if self._listens[0] != found.id:
            standing = self.proxy().proxies()
            names = borrowed.names_of(self._spec)
            ports = {link: standing[name].port for link, name in names.items() if name in standing}
            self._listens = (found.id, ports)
        return self._listens[1]

    def proxied(self, link: str) -> bool:
        """Whether the link leads through the proxy. Raises `EnvironmentProblem` where that doesn't answer."""
        return self.has_proxy() and link in self.listens()

    def of_link(self, link: str) -> tuple[str, int]:
        """Through the proxy where it knows the link, else straight to its service."""
        try:
            listens = self.listens()
            found = self.proxy_container()
        except HarnessError:
            return self.of(self._spec.links[link].to)
        if link not in listens:
            return self.of(self._spec.links[link].to)
        return self._where(found, listens[link]) or NOWHERE

    def host(self) -> str:
        """The address of this host at which its containers reach a listener."""
        if not self._host:
            network = self._daemon.bridge()
            name = (network.get("Options") or {}).get("com.docker.network.bridge.name", "docker0")
            here = psutil.net_if_addrs().get(name, [])
            found = [address.address for address in here if address.family == socket.AF_INET]
            self._host = found[0] if found else LOOPBACK
        return self._host

    # --- names --------------------------------------------------------------------------------------------------------

    def names(self, record: Record, *, folder: str, state_dir: str) -> Mapping[str, Json]:
        """What `${...}` may name."""
        names: dict[str, Json] = {
            "instance": record.instance,
            "seed": record.seed,
            "target_dir": folder,
            "state_dir": state_dir,
            "docker.host": self.host(),
        }
        names |= {f"port.{name}": port for name, port in record.ports.items()}
        for name, service in self._spec.services.items():
            host, port = self.of(name)
            names[f"service.{name}.url"] = service.url or f"http://{host}:{port}"
            names[f"service.{name}.port"] = (urlsplit(service.url).port or 80) if service.url else port
        for name in self._spec.links:
            host, port = self.of_link(name)
            names[f"link.{name}.url"] = f"http://{host}:{port}"
        return names

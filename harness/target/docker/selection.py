"""Which containers are the instance's, and which of them may be touched.

A project's containers are found by the labels that Compose gives them, never by name. Reading is free; touching needs our own
label, or the permission of target.yaml by project and service name. Always true: nothing matching is an error, never
an empty success; more than one is an error too, because nobody could say which was meant.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.errors import EnvironmentProblem, UsageError
from harness.spec.target import DockerSpec, TargetSpec
from harness.target.docker.daemon import Daemon, Missing

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
ONE_OFF = "com.docker.compose.oneoff"
INSTANCE = "dev.mldrill.instance"
KEPT = ".mldrill-kept"
"""Ends the name of a container that is set aside while another stands in for it."""
LOCAL = ("", "0.0.0.0", "::", "127.0.0.1")


class Found(msgspec.Struct, frozen=True):
    """A container as a listing shows it. `ports`: container port -> (host, port) at which it is published."""

    id: str
    name: str
    service: str
    number: str
    state: str
    label: str
    ports: dict[int, tuple[str, int]]
    addresses: tuple[str, ...]


class Selection:
    """The containers of one instance."""

    def __init__(self, spec: TargetSpec, daemon: Daemon, *, instance: str, project: str) -> None:
        self._spec, self._daemon = spec, daemon
        self._instance, self.project = instance, project

    @property
    def docker(self) -> DockerSpec:
        return docker_of(self._spec)

    def all(self) -> list[Found]:
        """Every container of the project that a service may be."""
        listed = self._daemon.containers({PROJECT: self.project})
        found = [found_of(entry) for entry in listed if entry["Labels"].get(ONE_OFF, "False") != "True"]
        return [one for one in found if not one.name.endswith(KEPT)]

    def find(self, service: str, *, among: list[Found] | None = None) -> Found:
        """The one container of a service. Raises `Missing` where there is none, `EnvironmentProblem` for several."""
        if service not in self._spec.services:
            raise UsageError(f"unknown service '{service}'. Known: {', '.join(self._spec.services)}")
        return self.of_compose(self.docker.containers.get(service, service), among=among, service=service)

    def of_compose(self, name: str, *, among: list[Found] | None = None, service: str = "") -> Found:
        """By Compose service, `name/2` for its second replica."""
        compose, _, number = name.partition("/")
        everything = self.all() if among is None else among
        matching = [one for one in everything if one.service == compose and number in ("", one.number)]
        if not matching:
            there = ", ".join(sorted({one.service for one in everything})) or "no container at all"
            raise Missing(
                f"service '{service or name}': no container of Compose service '{compose}' in project"
                f" '{self.project}', which has: {there}"
            )
        if len(matching) > 1:
            raise EnvironmentProblem(
                f"service '{service or name}': project '{self.project}' has {len(matching)} containers of"
                f" '{compose}'; nothing was touched",
                hint=f"Say which in target.yaml: docker.containers: {{{service or name}: {compose}/1}}",
            )
        return matching[0]

    def touch(self, service: str) -> Found:
        """The container, if it may be touched. Raises `EnvironmentProblem` where neither label nor target.yaml allows it."""
        found = self.find(service)
        self.require_allowed(found, service)
        return found

    def require_allowed(self, found: Found, service: str) -> None:
        """Raises `EnvironmentProblem`."""
        if not self.allowed(found):
            raise EnvironmentProblem(
                f"service '{service}': container {found.name} is neither labelled {INSTANCE}={self._instance}"
                f" nor allowed by target.yaml; it was not touched",
                hint=f"docker.allow: [{found.service}] with docker.project: {self.project} allows it",
            )

    def allowed(self, found: Found) -> bool:
        """By our label, or by project and service name."""
        docker = self.docker
        return found.label == self._instance or (docker.project == self.project and found.service in docker.allow)


def docker_of(spec: TargetSpec) -> DockerSpec:
    """The section of target.yaml. Raises `UsageError` where there is none."""
    if spec.docker is None:
        raise UsageError(
            f"target '{spec.target}': the docker driver needs a section `docker`",
            hint="docker: {compose: compose.yaml}, or docker: {project: NAME, allow: [SERVICE, ...]}",
        )
    return spec.docker


def found_of(entry: dict[str, Any]) -> Found:
    """Of an entry of the API's list."""
    labels = entry["Labels"]
    ports: dict[int, tuple[str, int]] = {}
    for port in entry.get("Ports") or ():
        if port.get("PublicPort") and port.get("Type", "tcp") == "tcp":
            host = "127.0.0.1" if port.get("IP", "") in LOCAL else str(port["IP"])
            ports[int(port["PrivatePort"])] = (host, int(port["PublicPort"]))
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    return Found(
        id=str(entry["Id"]),
        name=str((entry.get("Names") or ["/"])[0]).lstrip("/"),
        service=str(labels.get(SERVICE, "")),
        number=str(labels.get(NUMBER, "1")),
        state=str(entry["State"]),
        label=str(labels.get(INSTANCE, "")),
        ports=ports,
        addresses=tuple(str(one["IPAddress"]) for one in networks.values() if one and one.get("IPAddress")),
    )

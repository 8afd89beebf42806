"""What `drill doctor` says of Docker: whether containers can be had here, and what is left of instances that nobody remembers.

An instance that was brought up here has a project whose name says so (user and state folder), so what another user or
another state folder left is told apart from ours: theirs may be running for them, and is a remark. Where no engine
answers and no instance is remembered, there is nothing to mend: drills without containers need none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.errors import EnvironmentProblem, HarnessError
from harness.spec.find import reference_target
from harness.spec.load import load_target
from harness.spec.target import DockerSpec
from harness.target.docker import compose, record, shaping
from harness.target.docker.daemon import Daemon, Missing, Unreachable, asking
from harness.target.docker.networks import AROUND
from harness.target.docker.selection import INSTANCE, PROJECT
from harness.target.instances import Finding

REFERENCE = "docker.yaml"
VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")
NAMED_MAX = 5


class Left(NamedTuple):
    """Something on the engine with a label of an instance."""

    kind: str
    name: str
    instance: str
    project: str


def examine(daemon: Daemon) -> list[Finding]:
    """Asks the engine, and changes nothing."""
    known = record.known()
    try:
        with asking("ask for its version"):
            told = daemon.api.version()
    except Unreachable as error:
        if not known:
            return [
                Finding("docker engine", ok=True, says=f"none answers, so no drills on containers ({error.message})")
            ]
        return [_unusable(error, known)]
    except HarnessError as error:
        return [_unusable(error, known)]
    engine = Finding("docker engine", ok=True, says=f"{told['Version']}, API {told['ApiVersion']}")
    return [engine, _compose(), _image(daemon), _netem(daemon), _leftovers(daemon, known)]


def _unusable(error: HarnessError, known: list[str]) -> Finding:
    words = ". ".join(part for part in (error.message, error.hint) if part)
    held = f"; so nobody can tell how these instances are: {', '.join(known)}" if known else ""
    return Finding("docker engine", ok=False, says=words + held)


def _compose() -> Finding:
    try:
        return Finding("compose", ok=True, says=" ".join(compose.command()))
    except HarnessError as error:
        return Finding("compose", ok=False, says=f"{error.message}. {error.hint}")


def _image(daemon: Daemon) -> Finding:
    """No reason to refuse where it lacks: Compose builds it at the first start."""
    try:
        names = images()
    except HarnessError as error:
        return Finding("pipeline image", ok=False, says=error.message)
    lacking = []
    for name in names:
        try:
            with asking(f"find image {name}"):
                daemon.api.inspect_image(name)
        except Missing:
            lacking.append(name)
    if lacking:
        return Finding(
            "pipeline image", ok=True, says=f"{', '.join(lacking)} isn't there yet: the first start builds it"
        )
    return Finding("pipeline image", ok=True, says=", ".join(names))


def _netem(daemon: Daemon) -> Finding:
    """Only links without a fault proxy need it, so lacking it is a remark."""
    image = DockerSpec.model_fields["tc_image"].default
    try:
        why = shaping.lacks_netem(daemon, image, {INSTANCE: "doctor"})
    except HarnessError as error:
        return Finding("netem", ok=True, says=f"not tried: {error.message}")
    says = f"no: {why}; latency and silence of links need the fault proxy" if why else "this kernel has it"
    return Finding("netem", ok=True, says=says)


def images() -> list[str]:
    """Those of the reference pipeline's Compose file, as this environment names them."""
    loaded = load_target(reference_target(REFERENCE))
    assert loaded.spec.docker is not None
    file = loaded.folder / (loaded.spec.docker.compose or "compose.yaml")
    try:
        services = YAML(typ="safe", pure=True).load(file.read_text())["services"]
    except (OSError, YAMLError, KeyError, TypeError) as error:
        raise EnvironmentProblem(f"{file.name} can't be read as a Compose file: {error}") from None
    return sorted({VARIABLE.sub(_filled, str(one["image"])) for one in services.values() if "image" in one})


def _filled(variable: re.Match[str]) -> str:
    return os.environ.get(variable[1]) or variable[2] or ""


def _leftovers(daemon: Daemon, known: list[str]) -> Finding:
    ours, theirs = [], set()
    remembered = {found.project for name in known if (found := record.load(name)) is not None}
    for left in labelled(daemon):
        if left.project in remembered:
            continue
        if compose.made_here(left.project):
            ours.append(left)
        else:
            theirs.add(f"{left.instance or '?'} ({left.project or 'no project'})")
    beside = f"; of other users or state folders: {_listed(sorted(theirs))}" if theirs else ""
    if not ours:
        return Finding("docker leftovers", ok=True, says=f"none{beside}")
    owners = sorted({left.instance for left in ours if left.instance})
    ways = "; ".join(f"drill down --driver docker --instance {name}" for name in owners) or "docker rm, by name"
    names = [f"{left.kind} {left.name}" for left in ours]
    says = f"of instances that nobody remembers: {_listed(names)}; they go with: {ways}{beside}"
    return Finding("docker leftovers", ok=False, says=says, left=tuple(names))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more


def labelled(daemon: Daemon) -> list[Left]:
    """Containers, networks and volumes with our label, or of a Compose project that was made here."""
    found: dict[tuple[str, str], Left] = {}
    for label in (INSTANCE, PROJECT):
        for kind, name, labels in _entries(daemon, label):
            project = str(labels.get(PROJECT) or labels.get(AROUND) or "")
            if INSTANCE in labels or compose.made_here(project):
                found[kind, name] = Left(kind, name, str(labels.get(INSTANCE, "")), project)
    return sorted(found.values())


def _entries(daemon: Daemon, label: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    wanted = {"label": [label]}
    with asking("list containers, networks and volumes"):
        containers = daemon.api.containers(all=True, filters=wanted)
        networks = daemon.api.networks(filters=wanted)
        volumes = daemon.api.volumes(filters=wanted)["Volumes"] or ()
    for one in containers:
        yield "container", str((one.get("Names") or ["/?"])[0]).lstrip("/"), one["Labels"] or {}
    for one in networks:
        yield "network", str(one["Name"]), one.get("Labels") or {}
    for one in volumes:
        yield "volume", str(one["Name"]), one.get("Labels") or {}


def sweep(daemon: Daemon, instance: str) -> list[str]:
    """Removes what is left of an instance that was brought up here and is remembered no more; gives what it was."""
    project = compose.project_of(instance)
    found = [left for left in labelled(daemon) if left.project == project]
    for left in found:
        if left.kind == "network" and left.instance == instance:  # one of ours around a partition: its members go first
            with asking(f"empty network {left.name}"):
                for member in daemon.api.inspect_network(left.name).get("Containers") or {}:
                    daemon.api.disconnect_container_from_network(member, left.name, force=True)
                daemon.api.remove_network(left.name)
    compose.down(daemon, project=project, instance=instance)
    return [f"{left.kind} {left.name}" for left in found]

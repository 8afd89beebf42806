"""Brings a Compose file up as a project of the instance's own, and takes it down again.

`docker compose` or `docker-compose`, whichever is there, and only to bring up: that alone needs the file. Every service gets our
label by a second file, so that the user's own needs none. Taking down goes by labels, and so also works when the file is gone.
Always true: a project of that name which isn't ours is left alone; what failed to come up is told with its last log lines.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.errors import EnvironmentProblem
from harness.state import state_dir
from harness.target.docker.daemon import Daemon, Missing, asking
from harness.target.docker.selection import INSTANCE, PROJECT

VERSION_S = 10.0
POLL_S = 0.1
OVERRIDE = "labels.json"
OURS = "mldrill-"
WORDS_MAX = 2000
LOG_LINES = 20
RESTARTS_MAX = 3
WORKERS = 8


class StartProblem(EnvironmentProblem):
    """A service that would not start or become ready; `log` holds its last lines."""

    def __init__(self, message: str, *, log: tuple[str, ...], hint: str = "") -> None:
        super().__init__("\n".join([message, *(f"  | {line}" for line in log)]), hint=hint)
        self.log = log


def project_of(instance: str) -> str:
    """The Compose project of an instance that we bring up. Another user's of the same name, on the same daemon, is another."""
    return OURS + re.sub(r"[^a-z0-9_-]", "-", instance) + f"-{_whose()}"


def made_here(project: str) -> bool:
    """Whether a project's name is one that this user gives from this state folder."""
    return project.startswith(OURS) and project.endswith(f"-{_whose()}")


def _whose() -> str:
    return hashlib.sha256(f"{os.getuid()}:{state_dir()}".encode()).hexdigest()[:6]


def command() -> list[str]:
    """`docker compose` where the plugin is there, else `docker-compose`. Raises `EnvironmentProblem`."""
    for words in (["docker", "compose"], ["docker-compose"]):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            asked = subprocess.run([*words, "version"], capture_output=True, timeout=VERSION_S, check=False)
            if asked.returncode == 0:
                return words
    raise EnvironmentProblem(
        "neither `docker compose` nor `docker-compose` is there", hint="On Debian: apt-get install docker-compose"
    )


def require_ours(daemon: Daemon, *, project: str, instance: str) -> None:
    """Raises `EnvironmentProblem` when the project holds a container that isn't ours."""
    for entry in daemon.containers({PROJECT: project}):
        if entry["Labels"].get(INSTANCE) != instance:
            raise EnvironmentProblem(
                f"there is a Compose project '{project}' already, and its container"
                f" {entry['Names'][0].lstrip('/')} isn't ours",
                hint="Use another instance: --instance NAME",
            )


def up(file: Path, *, project: str, instance: str, home: Path, environment: Mapping[str, str], within_s: float) -> None:
    """Builds, makes and starts what isn't there. Raises `StartProblem` with Compose's last words."""
    override = home / OVERRIDE
    override.write_bytes(msgspec.json.encode(labels_for(file, instance)))
    words = [*command(), "-p", project, "-f", str(file), "-f", str(override), "up", "-d", "--no-color"]
    process = subprocess.Popen(
        words,
        cwd=file.parent,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=within_s)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise StartProblem(f"`{' '.join(words[:2])}` was not done within {within_s:g} s", log=_last(out)) from None
        raise
    if process.returncode != 0:
        raise StartProblem(
            f"Compose project '{project}' can't be brought up",
            log=_last(out),
            hint=f"an image that can't be pulled or built here is made or loaded first; mostly {file} tells how",
        )


def labels_for(file: Path, instance: str) -> dict[str, Any]:
    """A Compose file that gives every service of this one our label. Raises `EnvironmentProblem`."""
    try:
        told = YAML(typ="safe", pure=True).load(file.read_text())
        services = list(told["services"])
    except (OSError, YAMLError, KeyError, TypeError) as error:
        raise EnvironmentProblem(f"{file.name} can't be read as a Compose file: {error}") from None
    added: dict[str, Any] = {"services": {name: {"labels": {INSTANCE: instance}} for name in services}}
    return added | ({"version": str(told["version"])} if "version" in told else {})


def _last(out: bytes) -> tuple[str, ...]:
    return tuple(out[-WORDS_MAX:].decode(errors="replace").splitlines()[-LOG_LINES:])


def down(daemon: Daemon, *, project: str, instance: str) -> None:
    """Containers, networks and volumes of a project that is ours. No error for what is gone already."""
    ours = daemon.containers({PROJECT: project, INSTANCE: instance})
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda entry: _remove(daemon, entry["Id"]), ours))
    if daemon.containers({PROJECT: project}):
        return
    wanted = {"label": [f"{PROJECT}={project}"]}
    with asking("list networks and volumes"):
        networks = daemon.api.networks(filters=wanted)
        volumes = daemon.api.volumes(filters=wanted)["Volumes"] or ()
    for network in networks:
        with contextlib.suppress(Missing), asking(f"remove network {network['Name']}"):
            daemon.api.remove_network(network["Id"])
    for volume in volumes:
        with contextlib.suppress(Missing), asking(f"remove volume {volume['Name']}"):
            daemon.api.remove_volume(volume["Name"], force=True)


def _remove(daemon: Daemon, container: str) -> None:
    with contextlib.suppress(Missing), asking(f"remove {container[:12]}"):
        daemon.api.remove_container(container, force=True, v=True)


def wait_ready(
    pending: Mapping[str, float],
    *,
    look: Callable[[str], tuple[str, dict[str, Any]]],
    log: Callable[[str], tuple[str, ...]],
) -> None:
    """`pending`: service -> seconds; `look` gives why it isn't ready ("" when it is), and its inspection. Raises
    `StartProblem`."""
    began = time.monotonic()
    left = dict(pending)
    while left:
        for name, limit_s in list(left.items()):
            why, inspected = look(name)
            if not why:
                del left[name]
                continue
            if hopeless(inspected):
                raise StartProblem(f"service '{name}' dies at its start ({why})", log=log(name))
            if time.monotonic() - began > limit_s:
                raise StartProblem(f"service '{name}' was not ready within {limit_s:g} s ({why})", log=log(name))
        if left:
            time.sleep(POLL_S)


def hopeless(inspected: dict[str, Any]) -> bool:
    """It ended and nobody starts it again, or it has been started again and again."""
    state = inspected["State"]
    ended = state.get("Status") in ("exited", "dead") and not state.get("Restarting")
    return ended or int(inspected.get("RestartCount") or 0) >= RESTARTS_MAX

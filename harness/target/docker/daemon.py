"""The Docker daemon: one client, a time limit on every call, and its refusals in words.

docker-py's low-level client is used: it gives what the API says, in one request each. Its high-level objects look a container
up again for every attribute. It can't send all that an update may hold, so that one call is made through its transport.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from harness.errors import EnvironmentProblem

CALL_S = 10
API_MIN = (1, 41)
EVENTS_MAX = 1000
EXEC_BYTES_MAX = 64 * 1024


class Missing(EnvironmentProblem):
    """What was asked for is not there (any more)."""


class Unreachable(EnvironmentProblem):
    """Nobody answers where the daemon is looked for."""


class Refused(EnvironmentProblem):
    """The daemon said no; `status` is its HTTP status."""

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Daemon:
    """Connects at the first call. May be used from several threads."""

    def __init__(self) -> None:
        self._connecting = threading.Lock()

    @property
    def api(self) -> Any:
        """docker-py's low-level client, a good part of which is untyped."""
        with self._connecting:
            return self._api

    @cached_property
    def _api(self) -> Any:
        import docker
        from docker.utils import kwargs_from_env

        with asking("connect"):
            client = docker.APIClient(version="auto", timeout=CALL_S, **kwargs_from_env())
            given = str(client.version()["ApiVersion"])
        require_api(given)
        return client

    def containers(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """All that carry these labels, running or not, as the API lists them."""
        wanted = {"label": [f"{key}={value}" for key, value in labels.items()]}
        with asking("list containers"):
            return list(self.api.containers(all=True, filters=wanted))

    def inspect(self, container: str) -> dict[str, Any]:
        """Raises `Missing` when it is gone."""
        with asking(f"inspect {container[:12]}"):
            return dict(self.api.inspect_container(container))

    def bridge(self) -> dict[str, Any]:
        """The engine's default network; empty where it has none."""
        with contextlib.suppress(Missing), asking("inspect the default bridge"):
            return dict(self.api.inspect_network("bridge"))
        return {}

    def update(self, container: str, resources: Mapping[str, int]) -> None:
        """Changes limits in place."""
        with asking(f"update {container[:12]}"):
            url = self.api._url("/containers/{0}/update", container)
            self.api._result(self.api._post_json(url, data=dict(resources)), True)

    def stats(self, container: str) -> dict[str, Any]:
        """One sample of its cgroup's counters."""
        with asking(f"stats of {container[:12]}"):
            return dict(self.api.stats(container, stream=False, one_shot=True))

    def run(self, container: str, command: list[str], *, user: str = "") -> tuple[int, str]:
        """Runs a command inside and gives (exit code, output). The command must bound its own time."""
        with asking(f"exec in {container[:12]}"):
            made = self.api.exec_create(container, command, user=user)
            out = self.api.exec_start(made["Id"])
            code = self.api.exec_inspect(made["Id"])["ExitCode"]
        return int(code if code is not None else -1), out[:EXEC_BYTES_MAX].decode(errors="replace")

    def spawn(self, container: str, command: list[str], *, environment: Mapping[str, str]) -> None:
        """Starts a command inside and leaves it running. It must bound its own time."""
        with asking(f"exec in {container[:12]}"):
            made = self.api.exec_create(container, command, stdout=False, stderr=False, environment=dict(environment))
            self.api.exec_start(made["Id"], detach=True)

    @cached_property
    def processors(self) -> int:
        """CPUs of the machine that the containers run on."""
        with asking("ask how many processors there are"):
            return int(self.api.info()["NCPU"])

    def top(self, container: str) -> list[tuple[str, str]]:
        """(state, command) of its processes, from the host's process list."""
        with asking(f"list the processes of {container[:12]}"):
            rows = self.api.top(container, ps_args="-eo pid,stat,args")["Processes"] or ()
        return [(str(row[1]), str(row[2])) for row in rows]

    def events(
        self, *, labels: Mapping[str, str], since: float, until: float, kinds: list[str]
    ) -> list[dict[str, Any]]:
        """Past events of containers, oldest first; the daemon keeps its last 256."""
        filters = {"type": "container", "event": kinds, "label": [f"{key}={value}" for key, value in labels.items()]}
        found: list[dict[str, Any]] = []
        with asking("read events"):
            stream = self.api.events(since=f"{since:.9f}", until=f"{until:.9f}", filters=filters, decode=True)
            for event in stream:
                found.append(event)
                if len(found) >= EVENTS_MAX:
                    break
        return found

    def log_tail(self, container: str, lines: int) -> tuple[str, ...]:
        """The last lines of its output."""
        with asking(f"read the log of {container[:12]}"):
            text = self.api.logs(container, tail=lines)
        return tuple(text.decode(errors="replace").splitlines()[-lines:])


def require_api(given: str) -> None:
    """Raises `EnvironmentProblem` for a daemon that is too old."""
    if tuple(int(part) for part in given.split(".")[:2]) < API_MIN:
        least = ".".join(map(str, API_MIN))
        raise EnvironmentProblem(
            f"the Docker daemon speaks API {given}; the docker driver needs {least} or later",
            hint="Docker Engine 20.10 or later has it",
        )


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """Turns whatever the client throws into an `EnvironmentProblem` that says what to do."""
    import docker
    import requests

    try:
        yield
    except docker.errors.NotFound as error:
        raise Missing(f"docker: {what}: {_said(error)}") from None
    except docker.errors.APIError as error:
        raise Refused(f"docker: {what}: {_said(error)}", status=int(error.status_code or 0)) from None
    except requests.exceptions.Timeout:
        raise EnvironmentProblem(f"docker: {what}: the daemon gave no answer within {CALL_S} s") from None
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise _unreachable(what, error) from None
    except json.JSONDecodeError:
        raise EnvironmentProblem(f"docker: {what}: the daemon's answer was cut off") from None


def _said(error: Any) -> str:
    words = str(error.explanation or error)
    with contextlib.suppress(ValueError, TypeError, KeyError):
        words = str(json.loads(words)["message"])
    return words.strip()[:400]


def _unreachable(what: str, error: Exception) -> EnvironmentProblem:
    """No permission and nobody there look alike to the library; the cause is somewhere in the chain or the text."""
    text = str(error)
    if "PermissionError" in text or "Permission denied" in text:
        return EnvironmentProblem(
            f"docker: {what}: no permission to talk to the daemon",
            hint="Be a member of the group `docker`, or set DOCKER_HOST to a daemon of yours",
        )
    if "too old" in text or "inimum supported API" in text:
        return EnvironmentProblem(f"docker: {what}: {text}", hint="Docker Engine 20.10 or later is needed")
    return Unreachable(
        f"docker: {what}: the daemon doesn't answer ({type(error).__name__}: {text[:200]})",
        hint="Is it running? `docker info` tells; DOCKER_HOST says where it is looked for",
    )

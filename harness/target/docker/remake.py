"""Image and environment of a container, which Docker can't change in place: another container stands in for it.

The container itself is set aside, stopped and renamed, and comes back when its own image and environment are asked for again:
what is restored is then the very container, not one like it. Rejected: `compose up` with another tag, which knows nothing of
what was changed since. A stand-in takes all but what is changed from the one that it stands in for; settings that came from
the old image are left to the new one.
"""

from __future__ import annotations

import contextlib
from typing import Any

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem, UsageError
from harness.target.docker.daemon import Daemon, Missing, asking
from harness.target.docker.deaths import Deaths
from harness.target.docker.life import DOWN, state_of
from harness.target.docker.selection import KEPT, Selection

STOP_S = 3
FROM_IMAGE = ("Cmd", "Entrypoint", "WorkingDir", "User", "Healthcheck", "StopSignal", "ExposedPorts", "Volumes")


class Remake:
    """The points `image` and `env` of one instance."""

    def __init__(self, daemon: Daemon, selection: Selection, deaths: Deaths) -> None:
        self._daemon, self._selection, self._deaths = daemon, selection, deaths

    def image(self, service: str) -> str:
        """What it was made from, as it was named."""
        return str(self._inspected(service)["Config"]["Image"])

    def set_image(self, service: str, value: Json) -> None:
        """Raises `EnvironmentProblem` where there is no such image; nothing has changed then."""
        if not isinstance(value, str) or not value:
            raise UsageError(f"{value!r} is no image")
        now = self._inspected(service)
        if now["Config"]["Image"] != value:
            self._swap(service, now, image=value, env=None)

    def variable(self, where: str) -> str | None:
        """Its value; None where it isn't set."""
        service, name = _variable(where)
        return _environment(self._inspected(service)).get(name)

    def set_variable(self, where: str, value: Json) -> None:
        """The container runs anew with it."""
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{value!r} is no value of an environment variable: text, or null for none")
        service, name = _variable(where)
        now = self._inspected(service)
        wanted = {key: text for key, text in _environment(now).items() if key != name}
        wanted |= {name: value} if value is not None else {}
        if wanted != _environment(now):
            self._swap(service, now, image=str(now["Config"]["Image"]), env=wanted)

    def put_back(self, service: str) -> None:
        """The container that was set aside, if there is one."""
        now = self._inspected(service)
        kept = self._kept(now)
        if kept is not None:
            self._return(now, kept)

    def _inspected(self, service: str) -> dict[str, Any]:
        return self._daemon.inspect(self._selection.find(service).id)

    def _kept(self, now: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return self._daemon.inspect(_name(now) + KEPT)
        except Missing:
            return None

    def _swap(self, service: str, now: dict[str, Any], *, image: str, env: dict[str, str] | None) -> None:
        self._selection.touch(service)
        kept = self._kept(now)
        if kept is not None:
            asked = env if env is not None else _environment(kept)
            if kept["Config"]["Image"] == image and _environment(kept) == asked:
                self._return(now, kept)
                return
        with asking(f"find image {image}"):
            self._daemon.api.inspect_image(image)
        ours = self._daemon.api.inspect_image(now["Image"])["Config"] or {}
        config = _config(now, ours, image=image, env=env)
        name = _name(now)
        self._end(now)
        with asking(f"set {name} aside"):
            if kept is None:
                self._daemon.api.rename(now["Id"], name + KEPT)
            else:
                self._daemon.api.remove_container(now["Id"], force=True)
        try:
            self._make(name, config, now)
        except EnvironmentProblem:
            with contextlib.suppress(EnvironmentProblem):
                self._return(None, self._daemon.inspect(name + KEPT))
            raise

    def _make(self, name: str, config: dict[str, Any], like: dict[str, Any]) -> None:
        networks = dict((like.get("NetworkSettings") or {}).get("Networks") or {})
        ends: dict[str, dict[str, Any]] = {
            network: {
                "Aliases": [alias for alias in (how or {}).get("Aliases") or () if alias != like["Id"][:12]],
                "IPAMConfig": (how or {}).get("IPAMConfig"),
            }
            for network, how in networks.items()
        }
        first = next(iter(ends), None)
        api = self._daemon.api
        with asking(f"make {name} anew"):
            body = config | {
                "HostConfig": like["HostConfig"],
                "NetworkingConfig": {"EndpointsConfig": {first: ends[first]} if first else {}},
            }
            made = api.create_container_from_config(body, name)
            for network, how in list(ends.items())[1:]:
                fixed = (how["IPAMConfig"] or {}).get("IPv4Address")
                api.connect_container_to_network(made["Id"], network, aliases=how["Aliases"], ipv4_address=fixed)
            api.start(made["Id"])

    def _return(self, now: dict[str, Any] | None, kept: dict[str, Any]) -> None:
        name = _name(kept).removesuffix(KEPT)
        if now is not None:
            self._end(now)
        with asking(f"bring {name} back"):
            with contextlib.suppress(Missing), asking(f"remove {name}"):
                self._daemon.api.remove_container(name, force=True, v=True)
            self._daemon.api.rename(kept["Id"], name)
            self._daemon.api.start(kept["Id"])

    def _end(self, inspected: dict[str, Any]) -> None:
        if state_of(inspected) == DOWN:
            return
        self._deaths.ask(inspected["Id"])
        with asking(f"stop {_name(inspected)}"):
            if inspected["State"].get("Paused"):
                self._daemon.api.unpause(inspected["Id"])
            self._daemon.api.stop(inspected["Id"], timeout=STOP_S)


def _name(inspected: dict[str, Any]) -> str:
    return str(inspected["Name"]).lstrip("/")


def _environment(inspected: dict[str, Any]) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in inspected["Config"].get("Env") or ())
    return {key: value for key, _, value in pairs}


def _variable(where: str) -> tuple[str, str]:
    service, slash, name = where.partition("/")
    if not (slash and name) or "=" in name:
        raise UsageError(f"'{where}' is no place of a variable: write service/VARIABLE")
    return service, name


def _config(
    now: dict[str, Any], old_image: dict[str, Any], *, image: str, env: dict[str, str] | None
) -> dict[str, Any]:
    """The stand-in's configuration. With another image, what the old one gave is left out."""
    config = dict(now["Config"])
    if config.get("Hostname") == now["Id"][:12]:
        del config["Hostname"]
    if env is not None:
        config["Env"] = [f"{key}={value}" for key, value in env.items()]
    if image != config["Image"]:
        from_image = set(old_image.get("Env") or ())
        config["Env"] = [entry for entry in config.get("Env") or () if entry not in from_image]
        labels = old_image.get("Labels") or {}
        config["Labels"] = {key: text for key, text in config["Labels"].items() if labels.get(key) != text}
        for key in FROM_IMAGE:
            if config.get(key) == old_image.get(key):
                config.pop(key, None)
    return config | {"Image": image}

"""Networks: a container taken off one, or two services parted from each other while both still reach the rest.

No packet filter of the host is touched. A partition is made of networks alone: one of the two is moved to a network of ours, to
which everybody else of the project is joined as well, under the same names; then the two have none in common. Connections of
the moved one are cut while it moves, and containers that may not be touched lose sight of it. Put back, each has the networks and
names that it had, and ours is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

from harness.contract.undo import Json
from harness.errors import UsageError
from harness.target.docker.daemon import Daemon, Missing, asking
from harness.target.docker.selection import INSTANCE, PROJECT, Found, Selection

NETWORK = "com.docker.compose.network"
DETOUR = "dev.mldrill.detour"
AROUND = "dev.mldrill.project"


class Networks:
    """The points `network` and `partition` of one instance."""

    def __init__(self, daemon: Daemon, selection: Selection, *, instance: str) -> None:
        self._daemon, self._selection, self._instance = daemon, selection, instance

    # --- one container on one network ---------------------------------------------------------------------------------

    def joined(self, where: str) -> Json:
        """How the service is joined to the network, or None."""
        service, _, name = where.partition("/")
        found = self._selection.find(service)
        return self._joined(found.id, self._network(name, service)["Name"])

    def join(self, where: str, value: Json) -> None:
        """Joins it as the value says, or takes it off."""
        service, _, name = where.partition("/")
        found = self._selection.touch(service)
        network = self._network(name, service)
        if value is None:
            self._leave(found.id, network["Name"])
        elif self._joined(found.id, network["Name"]) != value:
            self._leave(found.id, network["Name"])
            self._enter(found.id, network["Name"], value)

    def all_of(self, container: str) -> dict[str, Json]:
        """Network -> how the container is joined to it."""
        return dict(self._networks_of(container))

    def names_of(self, service: str) -> tuple[str, ...]:
        """The networks that it is joined to, by their names in the Compose file, others by their own."""
        ours = {str(network["Name"]): name for name, network in self._of_project().items()}
        return tuple(sorted(ours.get(own, own) for own in self._networks_of(self._selection.find(service).id)))

    # --- two services -------------------------------------------------------------------------------------------------

    def shared(self, where: str) -> Json:
        """The networks that the two have in common, and how the first is joined to each; None where there is none."""
        first, second = self._pair(where)
        others = self._networks_of(self._selection.find(second).id)
        mine = self._networks_of(self._selection.find(first).id)
        return {name: mine[name] for name in sorted(mine) if name in others} or None

    def part(self, where: str, value: Json) -> None:
        """Parts them (None), or joins the first to these networks again."""
        first, second = self._pair(where)
        moved = self._selection.touch(first)
        self._selection.touch(second)
        if value is None:
            shared = self.shared(where)
            if shared:
                self._detour(where, moved, self._selection.find(second), shared)
            return
        for name, how in value.items():
            if self._joined(moved.id, name) is None:
                self._enter(moved.id, name, how)
        self._remove_detours(where)

    def _detour(self, where: str, moved: Found, other: Found, shared: dict[str, Any]) -> None:
        name = self._detour_name(where)
        if not self._with_labels(self._own() | {DETOUR: where}):
            with asking(f"make network {name}"):
                self._daemon.api.create_network(name, labels=self._own() | {DETOUR: where})
        for one in self._selection.all():
            if one.id in (moved.id, other.id) or not self._selection.allowed(one):
                continue
            names = [how for network, how in self._networks_of(one.id).items() if network in shared]
            if names and self._joined(one.id, name) is None:
                self._enter(one.id, name, {"aliases": sorted({alias for how in names for alias in how["aliases"]})})
        if self._joined(moved.id, name) is None:
            aliases = sorted({alias for how in shared.values() for alias in how["aliases"]})
            self._enter(moved.id, name, {"aliases": aliases})
        for network in shared:
            self._leave(moved.id, network)

    def remove_detours(self) -> None:
        """All networks of ours, with whatever is still joined to them."""
        self._remove_detours(None)

    def _remove_detours(self, where: str | None) -> None:
        labels = self._own() | ({DETOUR: where} if where is not None else {})
        for network in self._with_labels(labels):
            if DETOUR not in (network.get("Labels") or {}):
                continue
            with asking(f"remove network {network['Name']}"):
                present = self._daemon.api.inspect_network(network["Id"])
                for container in present.get("Containers") or {}:
                    self._daemon.api.disconnect_container_from_network(container, network["Id"], force=True)
                self._daemon.api.remove_network(network["Id"])

    # --- the API ------------------------------------------------------------------------------------------------------

    def _pair(self, where: str) -> tuple[str, str]:
        first, bar, second = where.partition("|")
        if not (bar and first and second and first != second):
            raise UsageError(f"'{where}' is no place of a partition: write service|service")
        return first, second

    def _own(self) -> dict[str, str]:
        return {INSTANCE: self._instance, AROUND: self._selection.project}

    def _detour_name(self, where: str) -> str:
        told = f"{self._selection.project}/{self._instance}/{where}"
        return f"mldrill-detour-{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def _with_labels(self, labels: dict[str, str]) -> list[dict[str, Any]]:
        with asking("list networks"):
            wanted = {"label": [f"{key}={value}" for key, value in labels.items()]}
            return list(self._daemon.api.networks(filters=wanted))

    def _network(self, name: str, service: str) -> dict[str, Any]:
        """By its name in the Compose file or its own. Raises `UsageError` with what is legal."""
        found = self._of_project()
        for network in self._networks_of(self._selection.find(service).id):
            found.setdefault(network, {"Name": network})
        if name in found:
            return found[name]
        with contextlib.suppress(Missing), asking(f"find network {name}"):
            other = dict(self._daemon.api.inspect_network(name))  # of no project of ours, and the service is off it
            if other["Name"] == name:
                return other
        raise UsageError(f"unknown network '{name}' of service '{service}'. Known: {', '.join(sorted(found))}")

    def _of_project(self) -> dict[str, dict[str, Any]]:
        return {
            str((network.get("Labels") or {}).get(NETWORK, network["Name"])): network
            for network in self._with_labels({PROJECT: self._selection.project})
        }

    def _networks_of(self, container: str) -> dict[str, dict[str, Any]]:
        inspected = self._daemon.inspect(container)
        joined = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
        return {name: _how(settings or {}, inspected["Id"]) for name, settings in joined.items()}

    def _joined(self, container: str, network: str) -> dict[str, Any] | None:
        return self._networks_of(container).get(network)

    def _enter(self, container: str, network: str, how: dict[str, Any]) -> None:
        with asking(f"join {container[:12]} to {network}"):
            self._daemon.api.connect_container_to_network(
                container, network, aliases=list(how.get("aliases") or ()), ipv4_address=how.get("ipv4")
            )

    def _leave(self, container: str, network: str) -> None:
        if self._joined(container, network) is None:
            return
        try:
            with asking(f"take {container[:12]} off {network}"):
                self._daemon.api.disconnect_container_from_network(container, network)
        except Missing:
            return


def _how(settings: dict[str, Any], container: str) -> dict[str, Any]:
    """What must be said to join it again just so; Docker adds the container's own short id by itself."""
    aliases = sorted({alias for alias in settings.get("Aliases") or () if alias != container[:12]})
    how: dict[str, Any] = {"aliases": aliases}
    fixed = (settings.get("IPAMConfig") or {}).get("IPv4Address")
    return how | ({"ipv4": fixed} if fixed else {})

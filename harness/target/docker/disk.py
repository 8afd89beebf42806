"""A volume of limited size, filled with a file of ours. Any other is refused: the disk behind it would be the host's.

The file's name carries how much was asked for, because a full volume holds less. A volume of memory (tmpfs) whose container is
down is gone, and our file with it.
"""

from __future__ import annotations

import re
from typing import Any

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem, UsageError
from harness.target.docker.daemon import Daemon, asking
from harness.target.docker.selection import PROJECT, Selection

FILL = ".mldrill-fill-"
SIZE = re.compile(r"(^|,)size=[1-9]")
READ = 'cd "$1" && for file in .mldrill-fill-*; do if [ -f "$file" ]; then echo "$file"; fi; done'
CLEAR = 'cd "$1" && rm -f .mldrill-fill-*'
WRITE = 'cd "$1" && head -c "$2" /dev/zero 2>/dev/null >".mldrill-fill-$2"; [ -f ".mldrill-fill-$2" ]'


def filled(daemon: Daemon, selection: Selection, where: str) -> int:
    """Bytes that we asked to fill; 0 for none."""
    service, path = _place(where)
    inspected = daemon.inspect(selection.find(service).id)
    _require_limited(daemon, selection, inspected, service, path)
    if not inspected["State"].get("Running"):
        _require_unheld(daemon, selection, inspected, service, path)
        return 0
    out = _run(daemon, inspected["Id"], READ, path)
    asked = [line.removeprefix(FILL) for line in out.split() if line.startswith(FILL)]
    return sum(int(count) for count in asked if count.isdigit())


def fill(daemon: Daemon, selection: Selection, where: str, value: Json) -> None:
    """Fills with so many bytes, or as many as there is room for; 0 takes them away."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"{value!r} is no number of bytes")
    service, path = _place(where)
    inspected = daemon.inspect(selection.touch(service).id)
    _require_limited(daemon, selection, inspected, service, path)
    if not inspected["State"].get("Running"):
        if value:
            raise EnvironmentProblem(f"service '{service}' is not running: its volume can't be filled")
        return
    _run(daemon, inspected["Id"], CLEAR, path)
    if value:
        _run(daemon, inspected["Id"], WRITE, path, str(value))


def _place(where: str) -> tuple[str, str]:
    service, slash, path = where.partition("/")
    if not (slash and path):
        raise UsageError(f"'{where}' is no place of a disk: write service/path, such as store/data for /data")
    return service, f"/{path.strip('/')}"


def _require_limited(daemon: Daemon, selection: Selection, inspected: dict[str, Any], service: str, path: str) -> None:
    """Raises `UsageError` unless it is a tmpfs with a size: of the container's own or a volume of this project."""
    host = inspected["HostConfig"]
    if SIZE.search(str((host.get("Tmpfs") or {}).get(path, ""))):
        return
    for mount in host.get("Mounts") or ():
        if mount.get("Target") == path and (mount.get("TmpfsOptions") or {}).get("SizeBytes"):
            return
    for mount in inspected.get("Mounts") or ():
        if mount.get("Destination") == path and mount.get("Type") == "volume":
            with asking(f"inspect volume {mount['Name']}"):
                volume = daemon.api.inspect_volume(mount["Name"])
            options, labels = volume.get("Options") or {}, volume.get("Labels") or {}
            limited = options.get("type") == "tmpfs" and SIZE.search(str(options.get("o", "")))
            if limited and labels.get(PROJECT) == selection.project:
                return
    raise UsageError(
        f"service '{service}': {path} is no volume of limited size of this project, so it is not filled",
        hint="A volume with driver_opts {type: tmpfs, device: tmpfs, o: size=64m}, or tmpfs: PATH:size=64m, can be",
    )


def _require_unheld(daemon: Daemon, selection: Selection, inspected: dict[str, Any], service: str, path: str) -> None:
    """Raises `EnvironmentProblem` where another running container keeps the volume, and our file with it."""
    names = {mount.get("Name") for mount in inspected.get("Mounts") or () if mount.get("Destination") == path}
    for one in selection.all():
        if one.state == "running" and one.id != inspected["Id"]:
            mounts = daemon.inspect(one.id).get("Mounts") or ()
            if names & {mount.get("Name") for mount in mounts if mount.get("Name")}:
                raise EnvironmentProblem(f"service '{service}' is down: what its {path} holds can't be read")


def _run(daemon: Daemon, container: str, script: str, *arguments: str) -> str:
    """As root, else as the container's own user: root without its capabilities may not enter what belongs to another."""
    said = ""
    for user in ("0", ""):
        code, out = daemon.run(container, ["sh", "-c", script, "sh", *arguments], user=user)
        if code == 0:
            return out
        said = out.strip()[:200] or f"exit code {code}"
    raise EnvironmentProblem(f"docker: in {container[:12]}: {said}")

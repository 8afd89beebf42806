"""Stress: processes of stress-ng beside the service, in its own container and under its limits.

They carry a variable in their environment that says what was asked for. So they are found in the container itself by whoever
looks, after a crash of ours as well, and told from a stress-ng of somebody else's; and they are ended by their numbers. They end
by themselves after the time that is asked for, also where nobody ever heals. Rejected: a container of its own beside the victim,
which would not share the victim's limits.

Writes go to a folder of ours in the container, at most 4 MiB a worker at a time, each synced. Rejected: `--io`, which syncs the
disks of the whole machine.
"""

from __future__ import annotations

import json
import time

from harness.contract.undo import Json
from harness.errors import EnvironmentProblem, UsageError
from harness.target.docker import life
from harness.target.docker.daemon import Daemon
from harness.target.docker.selection import Selection

TOOL = "stress-ng"
VARIABLE = "MLDRILL_STRESS"
FOLDER = "/tmp/.mldrill-stress"
WORKERS_MAX = 64
SECONDS_MAX = 3600
BYTES_MIN = 2**20
START_S = 3.0
LOOK_S = 0.05
NO_SHELL = (126, 127)
"""What an exec ends with where there is no such command: then nothing of ours can have been started there either."""
FIND = f"grep -ls {VARIABLE}= /proc/[0-9]*/environ"
READ = rf"for file in $({FIND}); do tr '\0' '\n' <$file; done 2>/dev/null | sed -n 's/^{VARIABLE}=//p'; exit 0"
END = f"""
round=0
while found=$({FIND}); [ -n "$found" ]; do
  [ $round -lt 40 ] || exit 1
  if [ $round -lt 20 ]; then signal=TERM; else signal=KILL; fi
  for file in $found; do number=${{file#/proc/}}; kill -s $signal "${{number%/environ}}" 2>/dev/null; done
  sleep 0.05
  round=$((round + 1))
done
rm -rf {FOLDER}
"""
START = f'mkdir -p {FOLDER} && {TOOL} --temp-path {FOLDER} --keep-name --quiet "$@"; rm -rf {FOLDER}'


def standing(daemon: Daemon, selection: Selection, service: str) -> Json:
    """What runs inside, by what it carries; None for nothing."""
    return _standing(daemon, daemon.inspect(selection.find(service).id))


def put(daemon: Daemon, selection: Selection, service: str, value: Json) -> None:
    """Starts it, or ends what stands (None). Raises `UsageError`, `EnvironmentProblem`."""
    wanted = None if value is None else arguments(value)
    inspected = daemon.inspect(selection.find(service).id if value is None else selection.touch(service).id)
    now = _standing(daemon, inspected)
    if now == value:
        return
    container = selection.touch(service).id
    if now is not None:
        code, out = daemon.run(container, ["sh", "-c", END])
        if code != 0:
            raise EnvironmentProblem(f"service '{service}': stress processes don't end: {out.strip()[:200]}")
    if wanted is None:
        return
    if life.state_of(inspected) != life.RUNNING:
        raise EnvironmentProblem(f"service '{service}' is not running: nothing can be started beside it")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    daemon.spawn(container, ["sh", "-c", START, "sh", *wanted], environment={VARIABLE: text})
    _wait_for(daemon, container, value, service)


def arguments(value: Json) -> list[str]:
    """Those of stress-ng for such a value. Raises `UsageError`."""
    kinds = sorted(set(value) - {"seconds"}) if isinstance(value, dict) else []
    if len(kinds) != 1 or kinds[0] not in ("cpu", "memory", "io"):
        raise UsageError(f"{value!r} is no stress: give one of cpu, memory and io, and seconds")
    amount = _whole(kinds[0], value[kinds[0]], BYTES_MIN if kinds[0] == "memory" else 1)
    if kinds[0] != "memory" and amount > WORKERS_MAX:
        raise UsageError(f"{kinds[0]}: {amount} workers; legal: up to {WORKERS_MAX}")
    seconds = _whole("seconds", value.get("seconds"), 1)
    if seconds > SECONDS_MAX:
        raise UsageError(f"seconds: {seconds}; legal: up to {SECONDS_MAX}")
    stressors = {
        "cpu": ["--cpu", str(amount)],
        "memory": ["--vm", "1", "--vm-bytes", str(amount), "--vm-keep", "--vm-hang", "0"],
        "io": ["--hdd", str(amount), "--hdd-bytes", "4m", "--hdd-opts", "sync"],
    }
    return [*stressors[kinds[0]], "--timeout", f"{seconds}s"]


def _whole(name: str, value: Json, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{name}: {value!r}; legal: a whole number from {least} on")
    return value


def _standing(daemon: Daemon, inspected: dict[str, Json]) -> Json:
    if not inspected["State"].get("Running"):
        return None
    code, out = daemon.run(inspected["Id"], ["sh", "-c", READ])
    if code in NO_SHELL:
        return None
    if code != 0:
        raise EnvironmentProblem(f"docker: in {inspected['Id'][:12]}: {out.strip()[:200] or f'exit code {code}'}")
    found = out.split("\n", 1)[0]
    try:
        return json.loads(found) if found else None
    except json.JSONDecodeError:
        raise EnvironmentProblem(f"docker: in {inspected['Id'][:12]}: {VARIABLE} is {found[:200]!r}") from None


def _wait_for(daemon: Daemon, container: str, value: Json, service: str) -> None:
    deadline = time.monotonic() + START_S
    while _standing(daemon, daemon.inspect(container)) != value:
        if time.monotonic() > deadline:
            raise EnvironmentProblem(
                f"service '{service}': {TOOL} didn't start, or ended at once",
                hint=f"Is it in the image, and may its user write to /tmp? `docker exec {container[:12]} {TOOL} --version`",
            )
        time.sleep(LOOK_S)

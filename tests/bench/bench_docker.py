"""The figures of containers: `python -m tests.bench.bench_docker`. Prints; asserts no time.

How long each way of breaking a container takes (the bracket around the call: the effect began somewhere within), how long it
stands after the harness was killed, until it is seen to be gone past the harness; and the reference pipeline: up until all is
healthy, and its memory. Needs an engine and the pipeline's image, and says so where they lack. BENCH_TRIALS: how often each.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import docker

from harness.contract.undo import Json, Point, PointKind
from harness.spec.find import reference_target
from harness.spec.load import load_target
from harness.target.docker import life
from harness.target.docker.driver import DockerDriver
from harness.target.docker.instance import DockerTarget
from tests.e2e import trouble
from tests.e2e.docker import shop_project
from tests.e2e.docker.shop_project import Seen, injected
from tests.fixtures_compose import engine as throwaway

TRIALS = int(os.environ.get("BENCH_TRIALS", "5"))
MIB = 2**20
BROKEN: tuple[tuple[str, Point, Json], ...] = (
    ("pause", Point(PointKind.PROCESS, "back"), life.PAUSED),
    ("memory limit", Point(PointKind.MEMORY, "back"), 64 * MIB),
    ("disconnect", Point(PointKind.NETWORK, "front/default"), None),
)
FAULTS = {
    "pause": (shop_project.PAUSE, "back"),
    "memory limit": (shop_project.MEMORY, "back"),
    "disconnect": (shop_project.DISCONNECT, "front"),
    "toxic": (shop_project.LATENCY, ""),
}


def told(what: str, seconds: Iterable[float], *, target: str) -> None:
    values = sorted(seconds)
    print(
        f"{what:56s} median {statistics.median(values):7.3f} s  worst {values[-1]:7.3f} s  n={len(values)}  {target}",
        flush=True,
    )


def took(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def brackets(target: DockerTarget) -> None:
    """Around the call that breaks, and around the one that takes it back."""
    for name, point, value in BROKEN:
        breaking, restoring = [], []
        for _ in range(TRIALS):
            before = target.get(point)
            breaking.append(took(partial(target.set, point, value)))
            restoring.append(took(partial(target.set, point, before)))
        told(f"{name}: bracket of the injection", breaking, target="<= 0.1 s")
        told(f"{name}: bracket of taking it back", restoring, target="")


def killed(target: DockerTarget, look: Seen, folder: Path) -> None:
    """From the harness's end by SIGKILL until what it broke is seen to be whole, by whom the harness doesn't ask."""
    for name, (fault, service) in FAULTS.items():
        times = []
        for trial in range(TRIALS):
            place = folder / f"{name.replace(' ', '-')}-{trial}"
            place.mkdir()
            times.append(killed_once(place, fault, target.instance, one_of(look, service)))
        told(f"{name}: harness killed to restored", times, target="<= 2 s")


def killed_once(place: Path, fault: str, instance: str, seen: Callable[[], Any]) -> float:
    """One drill that is killed as soon as its fault is in."""
    before = seen()
    path = trouble.scenario(place, fault)
    with trouble.drill(place, path, instance=instance, target=shop_project.TARGET) as running:
        injected(running, 1)
        assert seen() != before, f"{fault}: nothing is broken"
        began = time.monotonic()
        running.send(signal.SIGKILL)
        trouble.until(lambda: seen() == before, what="all as it was")
        after = time.monotonic() - began
        running.end()
        trouble.until(lambda: not running.ledger.exists(), what="the reaper's end")
    return after


def one_of(look: Seen, service: str) -> Callable[[], Any]:
    """The quickest look at one container, or at the proxy's toxics."""
    if not service:
        return look.toxics
    container = look.containers()[service]["Id"]
    return lambda: shop_project.fact_of(look.api.inspect_container(container))


def reference() -> None:
    """The whole pipeline, each time from nothing."""
    loaded = load_target(reference_target("docker.yaml"))
    driver, ups, downs, held = DockerDriver(), [], [], []
    for _ in range(max(1, TRIALS // 2)):
        target = driver.open(loaded.spec, folder=loaded.folder, instance=f"bench-{secrets.token_hex(3)}", seed=7)
        try:
            ups.append(took(target.up))
            services = driver.describe(target.instance).services.values()
            held.append(sum(one.memory_bytes or 0 for one in services))
        finally:
            downs.append(took(target.down))
    told(f"reference pipeline, {len(services)} containers: up to healthy", ups, target="<= 15 s")
    told("reference pipeline: down, volumes too", downs, target="")
    print(f"{'reference pipeline: memory held, page cache not counted':56s} {max(held) / 1e6:7.0f} MB  <= 1000 MB")


@contextlib.contextmanager
def apart() -> Iterator[Path]:
    """A state folder of its own."""
    with tempfile.TemporaryDirectory(prefix="mldrill-bench-") as name:
        os.environ["MLDRILL_STATE"] = str(Path(name) / "state")
        yield Path(name)


def main() -> int:
    if why := throwaway.lacking():
        print(f"no figures of containers: {why}", file=sys.stderr)
        return 0
    os.environ.update(throwaway.environment())
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    with apart() as folder:
        with shop_project.up(f"bench-{secrets.token_hex(3)}") as target:
            brackets(target)
            killed(target, Seen(docker.from_env(), target.project), folder)
        reference()
    print(f"load at the end {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The faults of containers on the reference pipeline in containers: injected they are seen, taken back they are seen to be gone,
and the service does its job again."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.contract.faults import Prepared
from harness.contract.undo import Json, UndoOutcome
from harness.contract.words import Effect
from harness.fault.conformance import Case, Trial
from harness.plugin import Target, load
from harness.spec.load import load_target
from harness.target.docker.instance import DockerTarget

pytestmark = [pytest.mark.docker, pytest.mark.e2e, pytest.mark.usefixtures("image")]
REFERENCE = Path(__file__).parents[3] / "fixtures" / "pipeline" / "docker.yaml"
HEALTHY_S_MAX = 40.0
KIB, MIB = 2**10, 2**20


@pytest.fixture(scope="module")
def pipeline(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerTarget]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLDRILL_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("MLDRILL_IMAGE", image)
        loaded = load_target(REFERENCE)
        driver = load("target", "docker")
        target = driver.open(loaded.spec, folder=loaded.folder, instance=f"faults-{secrets.token_hex(3)}", seed=7)
        try:
            target.up()
            yield target
        finally:
            target.down()


def wait(target: Target, seconds: float) -> None:
    target.renew()
    time.sleep(seconds)


def case(name: str, target: DockerTarget, **arguments: Json) -> Case:
    return Case(fault=load("fault", name), arguments=arguments, target=lambda: target, wait=wait)


@contextlib.contextmanager
def injected(trial: Trial) -> Iterator[Prepared]:
    """Seen absent, injected, seen; taken back at the end whatever happens, so that the next one finds all as it was."""
    prepared = trial.prepare()
    try:
        trial.inject(prepared)
        trial.expect(Effect.PRESENT, prepared, within_s=trial.planned.witness_within_s, when="after the injection")
        yield prepared
    finally:
        trial.take_back(prepared)


def healthy(trial: Trial, prepared: Prepared) -> None:
    """Gone, and the service does its job again, for which it has some time."""
    deadline = time.monotonic() + HEALTHY_S_MAX
    while True:
        reading = trial.look(prepared)
        if reading.effect is Effect.ABSENT and reading.healthy:
            return
        assert time.monotonic() < deadline, reading
        wait(trial.target, trial.planned.witness_every_s)


def taken_back(trial: Trial, prepared: Prepared) -> None:
    assert set(trial.take_back(prepared)) == {UndoOutcome.RESTORED}
    healthy(trial, prepared)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("process.kill", {"service": "features", "down": False}),
        ("process.kill", {"service": "features", "down": True}),
        ("service.stop", {"service": "registry"}),
        ("disk.fill", {"service": "ingest", "path": "/state", "free": 64 * KIB}),
        ("disk.fill", {"service": "ingest", "path": "/state", "free": 0}),
        ("env.set", {"service": "features-standby", "variable": "LOG_LEVEL", "value": "debug"}),
        ("network.disconnect", {"service": "features"}),
        ("network.disconnect", {"service": "trainer"}),  # nobody calls it: seen from where it stands
        ("network.disconnect", {"service": "bus"}),  # speaks Redis's protocol
        ("network.partition", {"between": ["gateway", "features"]}),
        ("network.partition", {"between": ["features", "gateway"]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_it_is_seen_and_taken_back(pipeline: DockerTarget, *, name: str, arguments: dict[str, Json]) -> None:
    trial = Trial.begin(case(name, pipeline, **arguments))
    with injected(trial) as prepared:
        if name == "process.kill" and not arguments["down"]:  # its restart has it back
            assert set(trial.take_back(prepared)) == {UndoOutcome.ALREADY}
            healthy(trial, prepared)
        else:
            taken_back(trial, prepared)

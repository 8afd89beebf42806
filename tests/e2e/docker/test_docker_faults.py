"""The faults of containers on the reference pipeline in containers: injected they are seen, taken back they are seen to be gone,
and the service does its job again."""

from __future__ import annotations

import contextlib
import io
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from harness.contract.faults import Prepared
from harness.contract.undo import Json, UndoOutcome
from harness.contract.words import Effect
from harness.errors import UsageError
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
        ("process.stress", {"service": "serving-a", "memory": 8 * MIB}),
        ("disk.fill", {"service": "ingest", "path": "/state", "free": 64 * KIB}),
        ("disk.fill", {"service": "ingest", "path": "/state", "free": 0}),
        ("env.set", {"service": "features-standby", "variable": "LOG_LEVEL", "value": "debug"}),
        ("network.disconnect", {"service": "features"}),
        ("network.disconnect", {"service": "trainer"}),  # nobody calls it: seen from where it stands
        ("network.disconnect", {"service": "bus"}),  # speaks Redis's protocol
        ("network.partition", {"between": ["gateway", "features"]}),
        ("network.partition", {"between": ["features", "gateway"]}),
        ("network.partition", {"between": ["gateway", "bus"]}),
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


def run_in(target: DockerTarget, service: str, program: str) -> str:
    code, out = target.daemon.run(target.selection.find(service).id, ["python3", "-c", program])
    assert code == 0, out
    return out.strip()


def test_what_is_sent_over_a_partition_does_not_arrive_by_the_proxy_either(pipeline: DockerTarget) -> None:
    send = "import socket; socket.create_connection(('proxy', 9006), timeout=20).sendall(b'SET parted 1\\r\\n')"
    ask = (
        "import socket; c = socket.create_connection(('proxy', 9007), timeout=20);"
        " c.sendall(b'EXISTS parted\\r\\n'); print(c.recv(99).decode())"
    )
    trial = Trial.begin(case("network.partition", pipeline, between=["gateway", "bus"]))
    with injected(trial) as prepared:
        run_in(pipeline, "gateway", send)
        assert trial.look(prepared).effect is Effect.PRESENT  # takes longer than a request
        assert run_in(pipeline, "ingest", ask) == ":0"
        taken_back(trial, prepared)
    deadline = time.monotonic() + HEALTHY_S_MAX
    while run_in(pipeline, "ingest", ask) != ":1":
        assert time.monotonic() < deadline, "what is sent doesn't arrive after the undo"
        run_in(pipeline, "gateway", send)  # again: nobody waits for the answer, so the first may be lost on its way


@pytest.fixture
def build(engine: docker.DockerClient, image: str) -> Iterator[Callable[[str], str]]:
    """Makes an image that differs from the pipeline's by one line; gone at the end."""
    made: list[str] = []

    def built(line: str) -> str:
        tag = f"mldrill-test/rolled:{secrets.token_hex(3)}"
        made.append(tag)
        engine.images.build(fileobj=io.BytesIO(f"FROM {image}\n{line}\n".encode()), tag=tag, rm=True, forcerm=True)
        return tag

    yield built
    for tag in made:
        engine.images.remove(tag)


@pytest.mark.parametrize(
    ("line", "works"), [("LABEL rolled=yes", True), ('ENTRYPOINT ["false"]', False)], ids=["works", "keeps-dying"]
)
def test_another_image_is_rolled_out_and_taken_back(
    pipeline: DockerTarget, build: Callable[[str], str], *, line: str, works: bool
) -> None:
    trial = Trial.begin(case("image.roll", pipeline, service="features-standby", image=build(line)))
    before = pipeline.process("features-standby").image
    with injected(trial) as prepared:
        assert pipeline.process("features-standby").image == prepared.facts["image_id"] != before
        deadline = time.monotonic() + HEALTHY_S_MAX
        while pipeline.process("features-standby").ready is not works:
            assert time.monotonic() < deadline, pipeline.log_tail("features-standby")
            wait(pipeline, 0.2)
        assert trial.look(prepared).effect is Effect.PRESENT
        taken_back(trial, prepared)
    assert pipeline.process("features-standby").image == before


def test_only_a_volume_of_limited_size_is_filled(pipeline: DockerTarget) -> None:
    with pytest.raises(UsageError, match="no volume of limited size"):
        Trial.begin(case("disk.fill", pipeline, service="ingest", path="/exits", free=0)).prepare()

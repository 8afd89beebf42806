"""A link without a fault proxy, shaped by tc: bandwidth by a timed transfer on every kernel, latency refused without netem."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import docker
import pytest

from harness.contract.undo import Point, PointKind, Undo, UndoOutcome
from harness.errors import EnvironmentProblem
from harness.fault.conformance import Case, Trial
from harness.plugin import load
from harness.spec.target import TargetSpec
from harness.target.docker import shaping
from harness.target.docker.driver import DockerDriver
from harness.target.docker.instance import DockerTarget

pytestmark = [pytest.mark.docker, pytest.mark.e2e]
RATE_KB, SENT_KB = 64, 256
BURST_KB = 64
WITHIN_S = 30.0
POINT = Point(PointKind.TOXIC, "caller-called/slow")
SLOW = {"type": "bandwidth", "stream": "downstream", "toxicity": 1.0, "attributes": {"rate": RATE_KB}}
SERVE = f"head -c {SENT_KB * 1000} /dev/zero >/tmp/blob; cd /tmp; exec python3 -m http.server 8000"


@pytest.fixture(scope="module")
def target(engine: docker.DockerClient, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerTarget]:
    """Two services of a project that was there before, on a network of theirs."""
    project = f"mldrill-shaping-{secrets.token_hex(3)}"
    home = tmp_path_factory.mktemp("state")
    spec = TargetSpec.model_validate(
        {
            "target": "pair",
            "driver": "docker",
            "docker": {"project": project, "allow": ["caller", "called"], "links": "tc", "tc_image": image},
            "services": {"caller": {"role": "caller"}, "called": {"role": "called"}},
            "links": {"caller-called": {"from": "caller", "to": "called", "variable": "CALLED_URL"}},
        }
    )
    made = []
    network = engine.networks.create(project)
    try:
        for name, command in (("called", SERVE), ("caller", "exec sleep 900")):
            labels = {"com.docker.compose.project": project, "com.docker.compose.service": name}
            made.append(
                engine.containers.run(
                    image,
                    ["-c", command],
                    entrypoint="sh",
                    name=f"{project}_{name}",
                    hostname=name,
                    network=project,
                    init=True,
                    detach=True,
                    environment={"CALLED_URL": f"http://{project}_called:8000"},
                    labels=labels | {"com.docker.compose.container-number": "1"},
                )
            )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLDRILL_STATE", str(home))
            found = DockerDriver().open(spec, folder=home, instance=f"shaping-{secrets.token_hex(3)}", seed=7)
            found.up()
            yield found
            found.down()
    finally:
        for one in made:
            one.remove(force=True)
        network.remove()


def transfer_s(target: DockerTarget) -> float:
    """How long the caller waits for the whole answer, by its own clock."""
    url = f"http://{target.project}_called:8000/blob"
    command = ["curl", "-s", "-f", "-o", "/dev/null", "-m", "60", "-w", "%{time_total}", url]
    code, out = target.daemon.run(target.selection.find("caller").id, command)
    assert code == 0, out
    return float(out)


def fast(target: DockerTarget) -> None:
    """Within a bounded time the whole comes faster than the shaped link could ever carry it."""
    deadline = time.monotonic() + WITHIN_S
    while transfer_s(target) >= (SENT_KB - BURST_KB) / RATE_KB:
        assert time.monotonic() < deadline, "never fast"


def test_bandwidth_is_what_the_caller_gets_and_is_put_back(target: DockerTarget) -> None:
    fast(target)
    undo = Undo(driver="docker", instance=target.instance, point=POINT, injected=SLOW, restore=target.get(POINT))
    assert undo.restore is None
    try:
        target.set(POINT, SLOW)
        assert target.get(POINT) == SLOW
        took_s = transfer_s(target)
        assert took_s >= (SENT_KB - BURST_KB) / RATE_KB  # a busy machine only makes it longer
        assert DockerDriver().attach(target.instance).get(POINT) == SLOW  # another process sees what stands
    finally:
        outcome = target.undo(undo)
    assert outcome is UndoOutcome.RESTORED
    assert target.undo(undo) is UndoOutcome.ALREADY
    fast(target)
    assert no_trace(target)


def no_trace(target: DockerTarget) -> bool:
    """No queue of ours in either network, and no container of ours on the engine."""
    listed = target.daemon.containers({"dev.mldrill.instance": target.instance})
    queues = [
        shaping.run_beside(
            target.daemon,
            target.spec.docker.tc_image,
            ["tc", "qdisc", "show"],
            network=f"container:{target.selection.find(name).id}",
            labels={},
        )
        for name in ("caller", "called")
    ]
    return not listed and all(code == 0 and "htb" not in out for code, out in queues)


def test_a_repair_is_left_alone_and_down_takes_all_out(target: DockerTarget) -> None:
    undo = Undo(driver="docker", instance=target.instance, point=POINT, injected=SLOW, restore=None)
    repair = SLOW | {"attributes": {"rate": 8000}}
    target.set(POINT, SLOW)
    target.set(POINT, repair)
    assert target.undo(undo) is UndoOutcome.REPAIRED
    assert target.get(POINT) == repair
    target.points.links.clear()
    assert target.get(POINT) is None
    assert no_trace(target)


def test_latency_is_refused_in_the_kernels_own_word_where_it_has_no_netem(target: DockerTarget) -> None:
    case = Case(
        fault=load("fault", "link.latency"),
        arguments={"link": "caller-called", "latency": 0.2},
        target=lambda: target,
        wait=lambda _, seconds: time.sleep(seconds),
        inventory=DockerDriver().inventory(target.spec),
    )
    if not shaping.lacks_netem(target.daemon, target.spec.docker.tc_image, {}):
        pytest.skip("this kernel has netem")
    with pytest.raises(EnvironmentProblem, match=r"no netem: .*unknown.*link 'caller-called' has no fault proxy"):
        Trial.begin(case).prepare()
    assert target.get(POINT) is None

"""Links without a fault proxy, against a double of tc: what is run where, and what is made of what tc says.

The lines with netem are only tried here; whether a kernel with netem takes them, no test tells.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Arm
from harness.errors import EnvironmentProblem, UsageError
from harness.plan import describe, make_plan
from harness.plugin import draft, load
from harness.spec.find import find_scenario, reference_target
from harness.spec.load import load_scenario, load_target
from harness.spec.target import TargetSpec
from harness.target.docker import selection, shaping
from harness.target.docker.daemon import Daemon
from harness.target.docker.driver import DockerDriver
from harness.target.docker.selection import Selection
from harness.target.docker.shaping import ADD, READ, REMOVE, ROOT, Shaping, minor_of, shaped, value_of

LATENCY = {"type": "latency", "stream": "downstream", "toxicity": 1.0, "attributes": {"latency": 300, "jitter": 20}}
SILENCE = {"type": "timeout", "stream": "upstream", "toxicity": 1.0, "attributes": {"timeout": 0}}
SLOW = {"type": "bandwidth", "stream": "downstream", "toxicity": 1.0, "attributes": {"rate": 64}}
POINT = Point(PointKind.TOXIC, "a-b/x")


def spec(**docker: Any) -> TargetSpec:
    return TargetSpec.model_validate(
        {
            "target": "t",
            "driver": "docker",
            "docker": {"project": "shop", "allow": ["a", "b"], "links": "tc"} | docker,
            "services": {"a": {"role": "caller"}, "b": {"role": "called"}},
            "links": {"a-b": {"from": "a", "to": "b", "variable": "B_URL"}, "in": {"from": "outside", "to": "a"}},
        }
    )


class Tc(Daemon):
    """Containers a and b on one network; remembers what is run in whose network, and says what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[tuple[str, str, tuple[str, ...]]] = []
        self.says: dict[str, tuple[int, str]] = {}
        self.networks = {"a1": {"net": {"IPAddress": "10.0.0.1"}}, "b1": {"net": {"IPAddress": "10.0.0.2"}}}

    def containers(self, labels: Any) -> list[dict[str, Any]]:
        return [
            {
                "Id": f"{name}1",
                "Names": [f"/shop_{name}_1"],
                "State": "running",
                "Labels": {selection.PROJECT: "shop", selection.SERVICE: name, selection.NUMBER: "1"},
            }
            for name in ("a", "b")
        ]

    def inspect(self, container: str) -> dict[str, Any]:
        return {"NetworkSettings": {"Networks": self.networks[container]}}


@pytest.fixture
def tc(monkeypatch: pytest.MonkeyPatch) -> Tc:
    double = Tc()

    def run(daemon: Daemon, image: str, command: list[str], *, network: str, labels: Any) -> tuple[int, str]:
        script = command[2] if command[0] == "sh" else " ".join(command)
        double.ran.append((network, script, tuple(command[4:]) if command[0] == "sh" else ()))
        return double.says.get(script, (0, "[]\n" if script == READ else ""))

    monkeypatch.setattr(shaping, "run_beside", run)
    return double


def shaping_of(tc: Tc, described: TargetSpec | None = None) -> Shaping:
    described = described or spec()
    chosen = Selection(described, tc, instance="mine", project="shop")
    return Shaping(described, daemon=tc, selection=chosen, instance="mine")


# --- what a toxic comes to --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "rate", "netem"),
    [
        (LATENCY, "10gbit", ("delay", "300ms", "20ms")),
        (LATENCY | {"attributes": {"latency": 50, "jitter": 0}}, "10gbit", ("delay", "50ms")),
        (SILENCE, "10gbit", ("loss", "100%")),
        (SLOW, "512kbit", ()),
    ],
    ids=str,
)
def test_a_toxic_is_a_rate_or_a_netem(value: Json, rate: str, netem: tuple[str, ...]) -> None:
    assert shaped(value, link="a-b") == (rate, netem)


@pytest.mark.parametrize(
    "value",
    [
        LATENCY | {"toxicity": 0.5},
        SILENCE | {"toxicity": 0.5},
        SILENCE | {"attributes": {"timeout": 100}},
        SLOW | {"attributes": {"rate": 0}},
        SLOW | {"attributes": {"rate": 200_000}},
        {"type": "reset_peer", "attributes": {}},
    ],
    ids=str,
)
def test_other_toxics_are_refused_naming_those_that_are_possible(value: Json) -> None:
    with pytest.raises(UsageError, match=r"Possible: latency .* bandwidth, and timeout"):
        shaped(value, link="a-b")


@pytest.mark.parametrize("kind", [PointKind.TAP, PointKind.LINK_UP])
def test_taps_and_cuts_need_the_proxy(tc: Tc, kind: PointKind) -> None:
    with pytest.raises(UsageError, match="no fault proxy"):
        shaping_of(tc).get(Point(kind, "a-b/x"))


# --- where it is run --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "sender", "receiver"), [(SLOW, "b1", "10.0.0.1"), (SLOW | {"stream": "upstream"}, "a1", "10.0.0.2")]
)
def test_whoever_sends_is_shaped_towards_the_other(tc: Tc, *, value: Json, sender: str, receiver: str) -> None:
    shaping_of(tc).set(POINT, value)
    minor = minor_of("a-b/x")
    added = [(network, arguments) for network, script, arguments in tc.ran if script == ADD]
    assert added == [(f"container:{sender}", (receiver, minor, "512kbit"))]
    cleared = [network for network, script, _ in tc.ran if script == REMOVE]
    assert cleared == ["container:a1", "container:b1"]


def test_what_fails_halfway_is_taken_out_again(tc: Tc) -> None:
    tc.says[ADD] = (2, "RTNETLINK answers: File exists")
    with pytest.raises(EnvironmentProblem, match="File exists"):
        shaping_of(tc).set(POINT, SLOW)
    assert [script for _, script, _ in tc.ran][-2:] == [ADD, REMOVE]


def test_a_container_that_may_not_be_touched_is_not(tc: Tc) -> None:
    with pytest.raises(EnvironmentProblem, match="it was not touched"):
        shaping_of(tc, spec(allow=["a"])).set(POINT, SLOW)
    assert ADD not in [script for _, script, _ in tc.ran]


@pytest.mark.parametrize("networks", [{}, {"other": {"IPAddress": "10.1.0.2"}}])
def test_ends_that_no_one_network_joins_are_refused(tc: Tc, networks: dict[str, Any]) -> None:
    tc.networks["b1"] = networks
    with pytest.raises(EnvironmentProblem, match="0 networks join"):
        shaping_of(tc).require(POINT, SLOW)


def test_a_link_from_outside_is_refused(tc: Tc) -> None:
    with pytest.raises(UsageError, match="nowhere to shape it"):
        shaping_of(tc).get(Point(PointKind.TOXIC, "in/x"))


def test_a_kernel_without_netem_is_told_in_its_own_word_and_bandwidth_needs_none(tc: Tc) -> None:
    tc.says[" ".join(shaping.PROBE)] = (2, "Error: Specified qdisc kind is unknown.\n")
    with pytest.raises(EnvironmentProblem) as refused:
        shaping_of(tc).require(POINT, LATENCY)
    assert "this kernel has no netem: Error: Specified qdisc kind is unknown." in refused.value.message
    assert "link 'a-b' has no fault proxy" in refused.value.message
    shaping_of(tc).require(POINT, SLOW)
    assert {script for _, script, _ in tc.ran} == {" ".join(shaping.PROBE)}


# --- what stands ------------------------------------------------------------------------------------------------------


def told(*netem: dict[str, Any], rate: str = "10Gbit", minor: str = "2a") -> str:
    """As iproute2 6.1 prints it."""
    queues = [{"kind": "htb", "handle": f"{ROOT}:", "dev": "eth0", "root": True, "options": {}}]
    queues += [{"kind": "netem", "parent": f"{ROOT}:{minor}", "options": one} for one in netem]
    return (
        f"{json.dumps(queues)}\nclass htb {ROOT}:{minor} root prio 0 rate {rate} ceil {rate} burst 16Kb cburst 1600b \n"
    )


@pytest.mark.parametrize(
    ("said", "value"),
    [
        (told(rate="512Kbit"), SLOW),
        (told(rate="8Mbit"), SLOW | {"attributes": {"rate": 1000}}),
        (told({"delay": {"delay": 0.3, "jitter": 0.02, "correlation": 0}}), LATENCY),
        (told({"loss-random": {"loss": 1, "correlation": 0}}), SILENCE | {"stream": "downstream"}),
        (told(minor="2b"), None),
        ('[{"kind":"noqueue","handle":"0:","root":true}]\n', None),
        ("[]\nclass htb 7d:2a root prio 0 rate 1Mbit ceil 1Mbit burst 16Kb\n", None),
    ],
    ids=str,
)
def test_what_stands_is_read_from_the_kernel(said: str, value: Json) -> None:
    assert value_of(said, minor="2a", stream="downstream") == value


# --- what planning says -----------------------------------------------------------------------------------------------


def planned(name: str, described: TargetSpec, **arguments: Json) -> Any:
    fault = load("fault", name)
    return fault.plan(draft(fault.declaration, arguments=arguments), DockerDriver().inventory(described))


def test_the_plan_says_which_way_and_why() -> None:
    by_tc = planned("link.latency", spec(), link="a-b", latency=0.3).way
    assert by_tc.startswith("tc in the network of 'b' for answers")
    assert "because there is no fault proxy" in by_tc
    by_proxy = planned("link.latency", spec(links="proxy"), link="a-b", latency=0.3).way
    assert by_proxy.startswith("the fault proxy on the link, Compose service 'proxy'")


@pytest.mark.parametrize("name", ["link.reset", "link.cut"])
def test_planning_refuses_what_only_the_proxy_can_naming_what_can_be_had(name: str) -> None:
    with pytest.raises(UsageError, match=r"legal there: link.latency, link.timeout"):
        planned(name, spec(), link="a-b")
    planned(name, spec(links="proxy"), link="a-b")
    with pytest.raises(UsageError, match="legal there: no link fault"):
        planned("link.latency", spec(), link="in", latency=0.3)


def test_a_plan_in_lines_tells_the_way() -> None:
    loaded = load_target(reference_target("docker.yaml"))
    scenario = load_scenario(find_scenario("slow-feature-store")).scenario
    plan = make_plan(
        scenario,
        scenario_digest="",
        target_spec=loaded.spec,
        inventory=DockerDriver().inventory(loaded.spec),
        playbook=None,
        arm=Arm.FAULT,
        seed=7,
        responder="none",
        responder_arguments={},
        faults=lambda name: load("fault", name),
        target_digest="",
    )
    assert "    way: the fault proxy on the link, Compose service 'proxy' (docker.links: proxy)" in describe(plan)

"""Every fault of a link, on a live pipeline: its witness, which asks the far side, sees it come and go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.contract.probe import PLAIN, ProbeAsk, ProbeReading
from harness.contract.undo import Json, Point, PointKind
from harness.errors import EnvironmentProblem
from harness.plugin import counted, names
from harness.spec.load import load_target
from harness.target.embedded.driver import EmbeddedDriver
from harness.target.embedded.instance import EmbeddedTarget
from tests.e2e import biting, trouble
from tests.e2e.test_toxiproxy_target import TARGET
from tests.e2e.waiting import answered, leases, reset, until

DRIVER = EmbeddedDriver()


@pytest.fixture(scope="module")
def target(state: None) -> Iterator[EmbeddedTarget]:
    loaded = load_target(TARGET)
    spec = loaded.spec.model_copy(update={"proxy": None})
    opened = DRIVER.open(spec, folder=loaded.folder, instance="links", seed=7)
    with leases():
        opened.up()
        yield opened
    opened.down()


@pytest.mark.parametrize(("name", "arguments"), biting.CASES + biting.OURS, ids=biting.named)
def test_it_bites_and_heals(target: EmbeddedTarget, name: str, arguments: dict[str, Json]) -> None:
    biting.bites_and_heals(target, DRIVER.inventory(target.spec), name, arguments)


def test_every_fault_of_links_is_tried() -> None:
    tried = {name for name, _ in biting.CASES + biting.OURS}
    assert tried == {name for name in names("fault") if name.startswith("link.")}


def test_an_answer_that_changes_by_itself_tells_nothing_of_damage(target: EmbeddedTarget) -> None:
    link = target.spec.links[biting.LINK].model_copy(update={"probe": "/now"})
    spec = target.spec.model_copy(update={"links": {**target.spec.links, biting.LINK: link}})
    other = DRIVER.open(spec, folder=target.folder, instance="links", seed=7)
    fault, plan = biting.planned("link.corrupt", {"rate": 0.02}, DRIVER.inventory(spec))
    with pytest.raises(EnvironmentProblem, match="answered otherwise each time"):
        fault.prepare(plan, other)


def test_a_probe_tells_bytes_pieces_and_the_end(target: EmbeddedTarget) -> None:

    def probe(ask: ProbeAsk = PLAIN) -> ProbeReading:
        return answered(lambda: found if (found := target.probe(biting.LINK, ask=ask)).answered else None)

    plain, bulk = probe(), probe(ProbeAsk(bulk=True, closes=True))
    assert (plain.ended, plain.status) == (bulk.ended, bulk.status) == ("answered", 200)
    assert plain.received < 1024 <= bulk.received
    assert plain.close_s is None
    assert bulk.close_s is not None
    assert plain.headers["content-length"].isdigit()
    assert probe().digest == plain.digest != bulk.digest


def test_what_the_injector_counted_is_told_for_comparison(target: EmbeddedTarget) -> None:
    toxic, tap = Point(PointKind.TOXIC, "front-store/fault-0"), Point(PointKind.TAP, "front-store/fault-1")
    target.set(toxic, {"type": "latency", "attributes": {"latency": 1}})
    target.set(tap, {"stream": "upstream", "status": 503})
    probes: list[int | None] = []
    assert until(lambda: probes.append(target.probe(biting.LINK).status) or probes[-1] == 503)
    assert until(lambda: counted(target, toxic)["connections"] == len(probes))
    assert until(lambda: counted(target, tap)["messages_damaged"] == len(probes))
    assert counted(target, Point(PointKind.CPU, "store")) == {}
    reset(target)


@trouble.asked_again
def test_a_drill_keeps_the_injector_s_counts_beside_its_witness(state: None, tmp_path: Path) -> None:
    path = trouble.scenario(tmp_path, "{fault: link.status, link: front-back, share: 0.5}", budget="3s")
    with trouble.drill(tmp_path, path, instance="counted") as running:
        noted = running.wait_for(lambda e: e["kind"] == "note" and e.get("src") == "injector", what="the counts")
        running.end()
    assert noted["data"]["fault"] == 0
    assert noted["data"]["messages_damaged"] > 0

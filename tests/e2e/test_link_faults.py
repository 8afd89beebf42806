"""Every fault of a link, on a live pipeline: its witness, which asks the far side, sees it come and go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.contract.probe import ProbeAsk
from harness.contract.undo import Json
from harness.errors import EnvironmentProblem
from harness.plugin import names
from harness.spec.load import load_target
from harness.target.embedded.driver import EmbeddedDriver
from harness.target.embedded.instance import EmbeddedTarget
from tests.e2e import biting
from tests.e2e.test_toxiproxy_target import TARGET

DRIVER = EmbeddedDriver()


@pytest.fixture(scope="module")
def target(state: None) -> Iterator[EmbeddedTarget]:
    loaded = load_target(TARGET)
    spec = loaded.spec.model_copy(update={"proxy": None})
    opened = DRIVER.open(spec, folder=loaded.folder, instance="links", seed=7)
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
    plain = target.probe(biting.LINK)
    bulk = target.probe(biting.LINK, ask=ProbeAsk(bulk=True, closes=True))
    assert (plain.ended, plain.status) == (bulk.ended, bulk.status) == ("answered", 200)
    assert plain.received < 1024 <= bulk.received
    assert plain.close_s is None
    assert bulk.close_s is not None
    assert plain.headers["content-length"].isdigit()
    assert target.probe(biting.LINK).digest == plain.digest != bulk.digest

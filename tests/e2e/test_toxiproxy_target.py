"""A pipeline behind a real Toxiproxy: driven as behind our own proxy, without what it lacks, and nothing of others touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.contract.undo import Json, Point, PointKind
from harness.errors import EnvironmentProblem, UsageError
from harness.history.reader import read
from harness.history.scorecard import Verdict
from harness.proxy.client import Kind, ProxyClient
from harness.score import score
from harness.spec.load import load_target
from harness.target.embedded.driver import EmbeddedDriver
from harness.target.embedded.instance import EmbeddedTarget
from tests.doubles import real_toxiproxy
from tests.e2e import biting, trouble
from tests.e2e.waiting import reset

TARGET = Path(__file__).parents[1] / "fixtures_toxiproxy" / "target.yaml"
DRIVER = EmbeddedDriver()
OTHERS = "somebody-elses"
LATENCY: Json = {"type": "latency", "stream": "downstream", "toxicity": 1.0, "attributes": {"latency": 300}}


@dataclass
class Behind:
    """A target behind a running Toxiproxy, and that."""

    target: EmbeddedTarget
    client: ProxyClient
    process: subprocess.Popen[bytes]
    file: Path


def described(folder: Path, address: str) -> Path:
    """The fixture's description, with the address of this Toxiproxy."""
    text = TARGET.read_text().replace("127.0.0.1:8474", address)
    text = text.replace("../fixtures_tiny", str(TARGET.parents[1] / "fixtures_tiny"))
    (folder / "golden.json").write_bytes((TARGET.parent / "golden.json").read_bytes())
    (folder / "target.yaml").write_text(text)
    return folder / "target.yaml"


@pytest.fixture(scope="module")
def behind(state: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    with real_toxiproxy.running() as (client, process):
        client.populate([{"name": OTHERS, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}])
        client.add_toxic(OTHERS, name="fault-0", type="latency", attributes={"latency": 1})
        file = described(tmp_path_factory.mktemp("toxiproxy"), client.address)
        loaded = load_target(file)
        target = DRIVER.open(loaded.spec, folder=loaded.folder, instance="shared", seed=7)
        target.up()
        yield Behind(target, client, process, file)
        target.down()


@pytest.mark.parametrize(("name", "arguments"), biting.CASES, ids=biting.named)
def test_it_bites_and_heals(behind: Behind, name: str, arguments: dict[str, Json]) -> None:
    biting.bites_and_heals(behind.target, DRIVER.inventory(behind.target.spec), name, arguments)


@pytest.mark.parametrize(("name", "arguments"), biting.OURS, ids=biting.named)
def test_what_it_lacks_is_refused_when_planned(behind: Behind, name: str, arguments: dict[str, Json]) -> None:
    with pytest.raises(
        UsageError, match=rf"'front-store' can't have {name}: .* a Toxiproxy .* legal there: link.latency"
    ):
        biting.planned(name, arguments, DRIVER.inventory(behind.target.spec))


def test_records_are_refused_and_a_reset_that_would_block_its_own_removal(behind: Behind) -> None:
    inventory = DRIVER.inventory(behind.target.spec)
    with pytest.raises(UsageError, match=r"can.t have data\.null: that takes tap"):
        biting.planned("data.null", {"column": "amount"}, inventory)
    with pytest.raises(UsageError, match="as long to remove the reset"):
        biting.planned("link.reset", {"after": 5.0}, inventory)


def test_nothing_of_others_is_touched(behind: Behind) -> None:
    before = behind.client.proxy(OTHERS)
    behind.target.set(Point(PointKind.TOXIC, "front-store/fault-0"), LATENCY)
    reset(behind.target)
    assert behind.target.get(Point(PointKind.TOXIC, "front-store/fault-0")) is None
    assert behind.client.proxy(OTHERS) == before
    assert before.toxics


def test_the_plan_and_the_doctor_say_that_nothing_goes_by_itself(behind: Behind, tmp_path: Path) -> None:
    path = trouble.scenario(tmp_path, "{fault: link.latency, link: front-store, latency: 200ms}")
    said = subprocess.run(
        [*trouble.COMMAND, "plan", str(path), "--target", str(behind.file), "--responder", "none"],
        capture_output=True,
        text=True,
        check=True,
        timeout=trouble.WITHIN_S,
    ).stdout
    assert "which has no leases" in said
    assert "drill heal" in said
    assert behind.client.kind() is Kind.TOXIPROXY
    (fine,) = DRIVER.examine()
    assert fine.ok
    assert "no leases" in fine.says
    behind.target.set(Point(PointKind.TOXIC, "front-store/fault-0"), LATENCY)
    (left,) = DRIVER.examine()
    assert left.left == ("mldrill-shared-front-store/fault-0",)
    reset(behind.target)


@trouble.asked_again
def test_a_killed_run_is_healed_by_its_reaper(behind: Behind, tmp_path: Path) -> None:
    path = trouble.scenario(tmp_path, "{fault: link.latency, link: front-store, latency: 200ms}", budget=trouble.LONG)
    point = Point(PointKind.TOXIC, "front-store/fault-0")
    with trouble.drill(tmp_path, path, instance="shared", target=behind.file) as running:
        running.wait_for(lambda e: e["kind"] == "witness" and e["effect"] == "present", what="the effect")
        os.kill(running.process.pid, 9)
        trouble.until(lambda: behind.target.get(point) is None, what="the reaper's undo")


def test_bringing_up_what_is_up_heals_nothing(behind: Behind) -> None:
    point = Point(PointKind.TOXIC, "front-store/fault-0")
    behind.target.up()  # afresh, after runs with seeds of their own
    behind.target.set(point, LATENCY)
    behind.target.up()
    assert behind.target.get(point) is not None
    reset(behind.target)


def test_where_nothing_answers_the_file_is_named_and_nothing_is_left(behind: Behind, tmp_path: Path) -> None:
    loaded = load_target(described(tmp_path, "127.0.0.1:9"))
    lone = DRIVER.open(loaded.spec, folder=loaded.folder, instance="lone", seed=7)
    with pytest.raises(EnvironmentProblem, match=r"proxy\.api 127\.0\.0\.1:9: .*refused"):
        lone.up()
    assert not lone.running


def test_what_was_said_to_have_leases_must_have_them(behind: Behind) -> None:
    declared = behind.target.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    declared["proxy"]["kind"] = "mldrill"
    spec = type(behind.target.spec).model_validate(declared)
    other = DRIVER.open(spec, folder=behind.target.folder, instance="mistaken", seed=7)
    with pytest.raises(EnvironmentProblem, match="has neither leases nor taps"):
        other.up()
    assert not other.running


def test_a_killed_toxiproxy_is_no_result(behind: Behind, tmp_path: Path) -> None:
    """The last one here: it is gone then."""
    path = trouble.scenario(tmp_path, "{fault: link.latency, link: front-store, latency: 200ms}", budget=trouble.LONG)
    with trouble.drill(tmp_path, path, instance="shared", target=behind.file) as running:
        running.wait_for(lambda e: e["kind"] == "witness" and e["effect"] == "present", what="the effect")
        behind.process.kill()
        code = running.end()
        card = score(read(running.history))
    assert card.verdict is Verdict.ENV_ERROR, card.reasons
    assert any(behind.client.address in reason for reason in card.reasons)
    assert code == 6  # its links stay dead, so nobody can see them healed

"""The embedded driver against the suite that any driver's author runs; on the throw-away pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.contract.undo import Point, Undo, UndoOutcome
from harness.history.events import Snapshot
from harness.plugin import load
from harness.spec.load import load_target
from harness.target import conformance
from harness.target.embedded.driver import EmbeddedDriver
from harness.target.embedded.instance import EmbeddedTarget
from tests.e2e.waiting import leases, reset

TINY = Path(__file__).parents[1] / "fixtures_tiny" / "target.yaml"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTarget]:
    with pytest.MonkeyPatch.context() as patch, leases():
        patch.setenv("MLDRILL_STATE", str(tmp_path_factory.mktemp("state")))
        loaded = load_target(TINY)
        opened = EmbeddedDriver().open(loaded.spec, folder=loaded.folder, instance="conformance", seed=7)
        opened.up()
        yield opened
        opened.down()


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_the_driver_conforms(target: EmbeddedTarget, *, check: conformance.Check) -> None:
    assert conformance.run(check, target, EmbeddedDriver().inventory(target.spec))


def test_it_is_found_by_its_name() -> None:
    assert load("target", "embedded").name == "embedded"


class Liar:
    """A driver that does all that the embedded one does, but one thing."""

    def __init__(self, target: EmbeddedTarget, **lies: object) -> None:
        self._target, self._lies = target, lies

    def __getattr__(self, name: str) -> object:
        return self._lies[name] if name in self._lies else getattr(self._target, name)


def overwriting(target: EmbeddedTarget):
    def undo(one: Undo) -> UndoOutcome:
        target.set(one.point, one.restore)
        return UndoOutcome.RESTORED

    return undo


def forgetful(target: EmbeddedTarget):
    def set(point: Point, value: object) -> None:
        return None

    return set


def idle(target: EmbeddedTarget):
    def reset() -> None:
        return None

    return reset


def blind(target: EmbeddedTarget):
    def snapshot() -> Snapshot:
        found = target.snapshot()
        return msgspec.structs.replace(found, services=dict(list(found.services.items())[1:]))

    return snapshot


@pytest.mark.parametrize(
    ("check", "lie", "make"),
    [
        (conformance.an_undo_never_overwrites_a_repair, "undo", overwriting),
        (conformance.an_undo_restores_once, "undo", overwriting),
        (conformance.a_point_reads_as_it_was_set, "set", forgetful),
        (conformance.a_reset_brings_the_baseline_back, "reset", idle),
        (conformance.a_snapshot_is_quick_and_true, "snapshot", blind),
    ],
)
def test_a_driver_that_does_otherwise_is_found_out(target: EmbeddedTarget, *, check, lie: str, make) -> None:
    with pytest.raises(conformance.NotConforming):
        conformance.run(check, Liar(target, **{lie: make(target)}), EmbeddedDriver().inventory(target.spec))
    reset(target)

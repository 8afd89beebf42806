"""Tests of drills are run once more where a drill couldn't tell, and only there (tests.e2e.trouble.asked_again)."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.history import events as e
from tests.e2e import trouble
from tests.golden.build import Story, bad_model, control, ns
from tests.golden.stories import history_bytes

UNDECIDED = bad_model(final=None)
LATE = bad_model().add(e.ObserverLost(t_ns=ns(6), observer="keeper"))
OTHER = bad_model().add(e.ObserverLost(t_ns=ns(6), observer="gauges"))


def failing(told: list[Story | None], runs: list[Path], *, times: int = 99):
    """A test that fails so many times, after a drill that leaves such a history each time."""

    @trouble.asked_again
    def test(tmp_path: Path) -> None:
        runs.append(tmp_path)
        story = told[min(len(runs), len(told)) - 1]
        trouble.REPORTS.append(tmp_path / "reports")
        if story is not None:
            (tmp_path / "reports" / "run").mkdir(parents=True)
            (tmp_path / "reports" / "run" / "history.jsonl").write_bytes(history_bytes(story))
        assert len(runs) > times, "as it must not be"

    return test


@pytest.fixture(autouse=True)
def healed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr(trouble, "tool", lambda *words: asked.extend(words))
    return asked


@pytest.mark.parametrize("story", [UNDECIDED, LATE], ids=["undecided", "leases-late"])
def test_what_could_not_tell_is_asked_again_somewhere_else(tmp_path: Path, healed: list[str], story: Story) -> None:
    runs: list[Path] = []
    with pytest.warns(UserWarning, match="is asked again"):
        failing([story], runs, times=1)(tmp_path=tmp_path)
    assert len(set(runs)) == 2
    assert healed == ["heal"]


@pytest.mark.parametrize(
    "story", [bad_model(), control().alert(6.0), OTHER, None], ids=["pass", "fail", "another-observer", "no-drill"]
)
def test_what_could_tell_fails_at_once(tmp_path: Path, healed: list[str], story: Story | None) -> None:
    runs: list[Path] = []
    with pytest.raises(AssertionError, match="as it must not be"):
        failing([story], runs)(tmp_path=tmp_path)
    assert (len(runs), healed) == (1, [])


@pytest.mark.filterwarnings("ignore:.*is asked again")  # that it warns is tested above
def test_what_fails_each_time_fails_and_an_old_excuse_does_not_count(tmp_path: Path) -> None:
    runs: list[Path] = []
    with pytest.raises(AssertionError, match="as it must not be"):
        failing([UNDECIDED], runs)(tmp_path=tmp_path)
    assert len(runs) == trouble.TRIES
    runs.clear()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(AssertionError, match="as it must not be"):
        failing([UNDECIDED, bad_model()], runs)(tmp_path=other)
    assert len(runs) == 2

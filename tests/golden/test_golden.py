"""Golden histories score to the same bytes, today and a year from now; and no score depends on what it must not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.contract.words import Effect
from harness.errors import ImpossibleEventError
from harness.history import events as e
from harness.history.lines import encode_line
from harness.history.reader import History, parse, read, recorded
from harness.history.scorecard import Scorecard, Time, Verdict
from harness.score import decode, encode, score
from harness.score.rounding import rounded
from tests.golden.build import GOOD, WRONG, Story, bad_model, header, ns
from tests.golden.stories import FOLDER, STORIES, history_bytes

AGAIN = "regenerate with `python -m tests.golden.stories` and look at the difference"


def test_every_story_has_its_files_and_no_file_is_left_over() -> None:
    wanted = {f"{name}{end}" for name in STORIES for end in (".jsonl", ".scorecard.json")}
    assert {path.name for path in FOLDER.iterdir() if path.suffix in (".jsonl", ".json")} == wanted


@pytest.mark.parametrize("name", STORIES)
def test_a_golden_history_scores_to_the_same_bytes(name: str) -> None:
    path = FOLDER / f"{name}.jsonl"
    assert encode(score(read(path))) == path.with_suffix(".scorecard.json").read_bytes(), AGAIN


@pytest.mark.parametrize("name", STORIES)
def test_a_golden_history_is_what_its_builder_tells(name: str) -> None:
    assert history_bytes(STORIES[name]()) == (FOLDER / f"{name}.jsonl").read_bytes(), AGAIN


@pytest.mark.parametrize("name", STORIES)
def test_a_scorecard_survives_reload_byte_for_byte(name: str) -> None:
    data = (FOLDER / f"{name}.scorecard.json").read_bytes()
    assert encode(decode(data)) == data


# --- what a score must not depend on --------------------------------------------------------------------------------

UNRELATED = st.one_of(
    st.builds(e.Note, t_ns=st.integers(ns(0), ns(40)), text=st.text(max_size=5)),
    st.builds(
        e.Gauges,
        t_ns=st.integers(ns(0), ns(40)),
        values=st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    ),
    st.builds(e.TimerFired, t_ns=st.integers(ns(0), ns(40)), name=st.text(max_size=5)),
    st.builds(
        e.ClockPair,
        t_ns=st.integers(ns(0), ns(40)),
        source=st.just("wall"),
        wall_ns=st.integers(0, 9),
        error_ns=st.just(1),
    ),
)


def same(one: Scorecard, other: Scorecard) -> bool:
    return msgspec.structs.replace(one, history_sha256="") == msgspec.structs.replace(other, history_sha256="")


@given(st.sampled_from(sorted(STORIES)), st.lists(st.tuples(st.integers(0, 400), UNRELATED), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_an_unrelated_event_changes_nothing_but_the_digest(name: str, added: list[tuple[int, e.AnyEvent]]) -> None:
    history = read(FOLDER / f"{name}.jsonl")
    events = list(history.events())
    for at, event in added:
        events.insert(min(at, len(events)), event)
    before, after = score(history), score(recorded(history.header, events))
    assert same(before, after)
    assert before.history_sha256 != after.history_sha256


@pytest.mark.parametrize("name", STORIES)
def test_an_event_of_an_unknown_kind_changes_nothing_but_the_digest(name: str) -> None:
    data = (FOLDER / f"{name}.jsonl").read_bytes()
    lines = data.splitlines(keepends=True)
    lines.insert(len(lines) // 2, b'{"kind":"moon","t_ns":99999999999999,"phase":"full"}\n')
    with_moon = score(parse(b"".join(lines)))
    assert same(with_moon, score(parse(data)))
    assert with_moon.history_sha256 != score(parse(data)).history_sha256


NANOSECONDS = ("t_ns", "from_ns", "starts_ns", "active_ns")


def moved(value: Any, by: int) -> Any:
    """Every time of a history's JSON, moved."""
    if isinstance(value, dict):
        return {
            key: item + by if key in NANOSECONDS and isinstance(item, int) else moved(item, by)
            for key, item in value.items()
        }
    return [moved(item, by) for item in value] if isinstance(value, list) else value


@given(st.sampled_from(sorted(STORIES)), st.integers(-(10**11), 10**15))
@settings(max_examples=25, deadline=None)
def test_moving_all_times_changes_no_duration(name: str, by: int) -> None:
    lines = (FOLDER / f"{name}.jsonl").read_bytes().splitlines()
    later = parse(b"".join(json.dumps(moved(json.loads(line), by)).encode() + b"\n" for line in lines))
    one, other = durations(score(read(FOLDER / f"{name}.jsonl"))), durations(score(later))
    assert one == pytest.approx(other, rel=1e-4, abs=1e-6, nan_ok=False)


def durations(card: Scorecard) -> dict[str, float]:
    """All numbers of a scorecard that are no moments, by where they stand."""
    found: dict[str, float] = {}

    def walk(value: Any, where: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                if not key.endswith("_ns") and key != "moments":
                    walk(item, f"{where}/{key}")
        elif isinstance(value, list):
            for i, item in enumerate(value):
                walk(item, f"{where}/{i}")
        elif isinstance(value, int | float):
            found[where] = float(value)

    walk(msgspec.to_builtins(card), "")
    return found


VALUES = st.dictionaries(
    st.sampled_from([*GOOD, "other"]), st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=6
)
TIMES = st.integers(ns(0), ns(20))
ANY_EVENT = st.one_of(
    st.builds(
        e.Sample, t_ns=TIMES, values=VALUES, sent=st.integers(0, 8), ok=st.integers(0, 8), wrong=st.integers(0, 9)
    ),
    st.builds(
        e.WitnessRead, t_ns=TIMES, res_ns=st.integers(0, 10**9), fault=st.integers(0, 1), effect=st.sampled_from(Effect)
    ),
    st.builds(
        e.LoadBucket,
        t_ns=TIMES,
        res_ns=st.integers(0, 10**9),
        scheduled=st.integers(0, 9),
        ok=st.just(1),
        failed=st.just(0),
    ),
    st.builds(e.Failed, t_ns=TIMES, command=st.sampled_from(["c1", "c7", "c9"]), error=st.text(max_size=3)),
)


@given(st.lists(st.integers(0, 500), max_size=60), st.lists(ANY_EVENT, max_size=30))
@settings(max_examples=60, deadline=None)
def test_whatever_is_missing_or_mixed_in_the_numbers_are_numbers(dropped: list[int], added: list[e.AnyEvent]) -> None:
    told = bad_model().told
    kept = [event for i, event in enumerate(told) if i not in dropped]
    card = score(recorded(header(bad_model().plan), sorted([*kept, *added], key=lambda event: event.t_ns)))
    assert all(math.isfinite(number) for number in durations(card).values())
    assert encode(decode(encode(card))) == encode(card)


@given(st.integers(0, 400))
@settings(max_examples=40, deadline=None)
def test_no_part_of_a_passed_run_passes(cut: int) -> None:
    """Wherever the harness was killed, what was recorded until then is no result."""
    history = bad_model().history()
    events = list(history.events())
    part = recorded(history.header, events[: min(cut, len(events) - 2)])
    assert score(history).verdict is Verdict.PASS
    assert score(part).verdict not in (Verdict.PASS, Verdict.FAIL)


def test_without_its_witness_no_run_passes_or_fails() -> None:
    for story in STORIES.values():
        told = story()
        if told.plan.faults:
            blind = told.without(lambda event: isinstance(event, e.WitnessRead))
            assert score(blind.history()).verdict not in (Verdict.PASS, Verdict.FAIL)


def test_a_torn_history_says_so(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    data = history_bytes(bad_model())
    path.write_bytes(data[:-30])
    assert score(read(path)).torn is True
    assert score(parse(data)).torn is False


def test_what_is_no_number_is_refused() -> None:
    card = score(bad_model().history())
    broken = msgspec.structs.replace(card, times=msgspec.structs.replace(card.times, ttd=Time(value_s=math.nan)))
    with pytest.raises(ImpossibleEventError):
        rounded(broken)


def test_a_history_is_scored_the_same_from_memory_and_from_its_file(tmp_path: Path) -> None:
    history: History = bad_model().history()
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"".join(map(encode_line, (history.header, *history.events()))))
    assert encode(score(read(path))) == encode(score(history))


def test_an_answer_told_twice_and_a_command_issued_twice_change_nothing() -> None:
    story = bad_model()
    late = [
        msgspec.structs.replace(event, t_ns=event.t_ns + 10**9)
        for event in story.told
        if isinstance(event, e.Done | e.CommandIssued | e.SnapshotTaken | e.ActionDone | e.FaultHealed)
    ]
    assert same(score(story.history()), score(Story(story.plan).add(*story.told, *late).history()))


def test_wrong_is_wrong() -> None:
    """Guards the builders: the values that stories call wrong miss an objective, and those called good miss none."""
    goods = {sli.kind.value: sli.good(GOOD[sli.kind]) for sli in bad_model().plan.slis}
    wrongs = {sli.kind.value: sli.good(WRONG[sli.kind]) for sli in bad_model().plan.slis}
    assert all(goods.values())
    assert [kind for kind, good in wrongs.items() if not good] == ["correctness", "decision-quality"]

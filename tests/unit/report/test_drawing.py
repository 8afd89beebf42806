"""What is drawn is what was read: gaps stay gaps, spikes survive thinning, labels don't meet, text stays text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contract.words import SliKind
from harness.report.drawing import Rows, Scale, element, label, nice_step, text_width
from harness.report.series import Series, bad_stretches, gaps, runs, thinned, with_gaps
from harness.report.telling import Lane, tell
from harness.report.words import measured, number, plain, seconds
from harness.spec.plan import PlannedSli
from tests.golden import build

S = 1_000_000_000


def test_a_missing_value_is_a_gap_and_never_a_zero():
    points = ((0, 1.0), (S, None), (2 * S, 1.0))
    assert runs(points) == [[(0, 1.0)], [(2 * S, 1.0)]]
    assert [(gap.from_ns, gap.to_ns) for gap in gaps(points)] == [(0, 2 * S)]


def test_silence_is_a_gap_too():
    points = with_gaps([(0, 1.0), (S, 1.0), (9 * S, 1.0)], gap_ns=2 * S)
    assert len(runs(points)) == 2
    assert [(gap.from_ns, gap.to_ns) for gap in gaps(points)] == [(S, 9 * S)]


def test_bad_stretches_begin_with_the_first_bad_sample_and_end_with_the_next_that_is_not():
    sli = PlannedSli(SliKind.CORRECTNESS, min=0.9)
    points = ((0, 1.0), (1, 0.2), (2, 0.3), (3, 1.0), (4, 0.1), (5, None), (6, 0.1))
    assert [(b.from_ns, b.to_ns) for b in bad_stretches(sli, points)] == [(1, 3), (4, 5), (6, 6)]


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=3000))
def test_thinning_keeps_extremes_gaps_and_order(values):
    series = Series("x", tuple(enumerate(values)))
    thin = thinned(series, points_max=60)
    assert len(thin.points) <= max(60, 0)
    assert set(thin.points) <= set(series.points)
    assert [t for t, _ in thin.points] == sorted(t for t, _ in thin.points)
    if series.known:
        assert (min(thin.known), max(thin.known)) == (min(series.known), max(series.known))
    assert (None in values) == any(value is None for _, value in thin.points)


def test_a_spike_among_thousands_is_drawn():
    values = [0.5] * 4000
    values[1234], values[2345] = 9.0, -9.0
    thin = thinned(Series("x", tuple(enumerate(values))))
    assert thin.thinned == 4000
    assert {(1234, 9.0), (2345, -9.0)} <= set(thin.points)


@given(st.lists(st.tuples(st.floats(0, 890), st.floats(0, 60), st.integers(1, 24)), max_size=40))
def test_labels_do_not_meet(items):
    rows = Rows(width=890.0)
    boxes = []
    for x, length, letters in items:
        text = "m" * letters
        placed = rows.place(x, x + length, text)
        left = placed.x - text_width(text) if placed.ends else placed.x
        boxes.append((placed.row, left, left + text_width(text)))
    for i, (row, left, right) in enumerate(boxes):
        for other_row, other_left, other_right in boxes[i + 1 :]:
            assert row != other_row or right <= other_left or other_right <= left


def test_what_is_drawn_is_escaped():
    drawn = label(1, 2, '<script>"&')
    assert drawn == '<text x="1" y="2">&lt;script&gt;&#34;&amp;</text>'
    assert element("rect", class_='"><script>') == '<rect class="&#34;&gt;&lt;script&gt;"/>'


def test_ticks_are_round_and_the_zero_is_the_zero():
    scale = Scale(10 * S, 30 * S, 14 * S, 900.0)
    assert scale.ticks()[2] == (180.0, "0 s")
    assert [text for _, text in scale.ticks()][:4] == ["\N{MINUS SIGN}4 s", "\N{MINUS SIGN}2 s", "0 s", "+2 s"]


@pytest.mark.parametrize(("rough", "nice"), [(0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (6.0, 10.0), (0.0, 1.0)])
def test_steps_are_nice(rough, nice):
    assert nice_step(rough) == pytest.approx(nice)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0021, "2.1 ms"), (2.349, "2.35 s"), (12.44, "12.4 s"), (-0.5, "-0.50 s"), (0.0, "0.00 s")]
)
def test_seconds(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.05412, "0.0541"), (123456.0, "123,456"), (100.0, "100")])
def test_numbers(value, text):
    assert number(value) == text


def test_a_time_without_resolution_claims_none():
    assert measured(1.0, None) == "1.00 s"
    assert measured(1.0, 0.2) == "1.00 s ± 0.20 s"


def test_plain_text_is_one_line_of_printable_characters():
    assert plain("a\x1b[2J\r\n\tb\u202ec\x00") == "a [2J b c"
    assert len(plain("x" * 10_000)) == 400


def test_a_recorded_run_is_told_once_and_in_order():
    told = list(tell(build.bad_model().history()))
    words = [h.what for h in told if h.lane in (Lane.FAULT, Lane.ALERT)]
    assert words == ["inject", "active", "page", "clear", "heal", "undone"]
    assert [h.step for h in told if h.what == "rollback"] == ["roll-back"]

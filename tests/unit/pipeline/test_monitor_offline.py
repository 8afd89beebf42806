"""The monitor offline: the same decisions as the running one, and what its checks on rows see."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline import schema
from pipeline.model import DECISION_THRESHOLD
from pipeline.monitor.alerts import AlertBook
from pipeline.monitor.checks import Checks
from pipeline.monitor.detectors import (
    binomial_decades,
    chi2_survival_decades,
    kolmogorov_decades,
    ks_decades,
    median_shift_decades,
    number,
)
from pipeline.monitor.gauges import Gauges
from pipeline.monitor.offline import EVALUATE_S, Replay, Yardstick, clean_rows, judged
from pipeline.monitor.windows import NULLS, RowWindow

Row = dict[str, Any]
Damage = Callable[[int, Row], Row | None]


@pytest.fixture(scope="module")
def yardstick() -> Yardstick:
    return Yardstick(11)


@pytest.fixture(scope="module")
def replay(yardstick: Yardstick) -> Replay:
    return Replay(yardstick)


def rows_of(yardstick: Yardstick, count: int, damage: Damage = lambda _n, row: row) -> list[Row]:
    """Clean for a third, then as `damage` gives them; None: lost."""
    rows = clean_rows(yardstick.world, first=0, count=count)
    arrived = [row if n < count // 3 else damage(n, row) for n, row in enumerate(rows)]
    return [row for row in arrived if row is not None]


def fired(replay: Replay, rows: list[Row], *, batch: int = 500) -> list[tuple[int, str, dict[str, str]]]:
    replay.begin("one")
    found = []
    for i in range(0, len(rows), batch):
        found += replay.feed(rows[i : i + batch])
    return [(one.row, one.rule.name, dict(one.labels)) for one in found]


def as_the_monitor_runs(yardstick: Yardstick, replay: Replay, rows: list[Row]) -> list[tuple[int, str, dict[str, str]]]:
    """A row at a time, scored alone, as the stream brings them, and an evaluation every half second."""
    checks, gauges, book = Checks(yardstick.reference), Gauges(), AlertBook(replay.rules, repeat_s=math.inf)
    labels: deque[tuple[float, Row]] = deque()
    found, due = [], rows[0]["t"] + EVALUATE_S
    for n, row in enumerate(rows):
        while due <= row["t"]:
            while labels and labels[0][0] <= due:
                checks.labelled(labels.popleft()[1])
            checks.publish(gauges, now=due)
            gauges.set("monitor_feature_age_seconds", gauges.value("monitor_served_age_seconds") or 0.0)
            notices = book.evaluate(gauges.reading(), due)
            found += [(n, one.alert.rule.name, dict(one.alert.series)) for one in notices if one.ends_at is None]
            due += EVALUATE_S
        stored = {name: row[name] for name in schema.STORED}
        features = schema.vector(row, stored)
        score = float(yardstick.model.scores([features])[0])
        record = {
            "transaction": {field.name: row[field.name] for field in schema.TRANSACTION if field.name in row},
            "decision": "decline" if score >= DECISION_THRESHOLD else "approve",
            "score": score,
            "features": features,
            "stored": stored,
            "feature_status": "fresh",
            "feature_age_s": row["feature_age_s"],
            "t": row["t"],
        }
        checks.decided(record, now=row["t"])
        labels.append((row["t"] + 3.0, {"id": row["id"], "label": row["label"], "t": row["t"]}))
    return found


def scaled(n: int, row: Row) -> Row:
    return row | {"amount": row["amount"] * 100.0} if n % 3 else row


def test_offline_fires_where_the_running_checks_do_however_rows_are_cut(yardstick: Yardstick, replay: Replay):
    rows = rows_of(yardstick, 2000, scaled)
    expected = as_the_monitor_runs(yardstick, replay, rows)
    assert {name for _, name, _ in expected} >= {"RangeShare", "FeatureDrift", "LowQuality"}
    assert fired(replay, rows) == expected
    assert fired(replay, rows, batch=33) == expected


def test_counts_kept_row_by_row_are_those_of_the_window(yardstick: Yardstick):
    window, gauges, broken = RowWindow(yardstick.reference), Gauges(), deque[list[Any]](maxlen=200)
    amounts = deque[float](maxlen=100)
    rng = np.random.default_rng(1)
    for n, row in enumerate(clean_rows(yardstick.world, first=0, count=700)):
        for name, value in (("amount", None), ("country", "XX"), ("amount", -1.0), ("device", 5)):
            if rng.random() < 0.05:
                row[name] = value
        window.add({"transaction": row, "features": [0.0] * 8, "score": 0.5})
        broken.append(schema.violations(row))
        amounts.append(number(row["amount"]))
        if n < 200 or n % 50:
            continue
        window.publish(gauges)
        shift = median_shift_decades(list(amounts), yardstick.reference.amount_median, rows_min=1)
        assert gauges.value("monitor_amount_shift_decades") == shift
        nulls = Counter(name for found in broken for name, how in found if how in NULLS)
        ranges = Counter(name for found in broken for name, how in found if how not in NULLS)
        for name in ("amount", "country", "device"):
            assert gauges.value("monitor_null_share", column=name) == nulls[name] / 200
            assert gauges.value("monitor_range_share", column=name) == ranges[name] / 200
        assert gauges.value("monitor_violation_share") == sum(map(bool, broken)) / 200


def test_the_ks_distance_is_that_of_the_walk_over_every_point():
    rng = np.random.default_rng(2)
    reference = np.sort(np.round(rng.normal(size=500), 1))
    for shift in (-4.0, -0.3, 0.0, 0.3, 4.0):
        sample = np.round(rng.normal(size=120) + shift, 1)
        points = np.concatenate((sample, reference))
        ours = np.searchsorted(np.sort(sample), points, side="right") / 120
        theirs = np.searchsorted(reference, points, side="right") / 500
        root = math.sqrt(120 * 500 / 620)
        walked = kolmogorov_decades((root + 0.12 + 0.11 / root) * float(np.abs(ours - theirs).max()))
        assert ks_decades(sample, reference) == walked


@pytest.mark.parametrize(
    ("x", "freedom", "p"), [(3.841, 1, 0.05), (5.991, 2, 0.05), (14.067, 7, 0.05), (24.322, 7, 0.001)]
)
def test_chi_square_tails_are_those_of_the_tables(x: float, freedom: int, p: float):
    assert 10 ** -chi2_survival_decades(x, freedom) == pytest.approx(p, rel=0.01)


def test_binomial_tail():
    assert 10 ** -binomial_decades(2, 3, 0.5) == pytest.approx(0.5)
    assert binomial_decades(0, 60, 0.02) == pytest.approx(0.0, abs=1e-9)


def test_clean_rows_fire_nothing(yardstick: Yardstick, replay: Replay):
    assert fired(replay, rows_of(yardstick, 6000)) == []


@pytest.mark.parametrize(
    ("alert", "damage"),
    [
        ("UnknownCategory", lambda n, row: row | {"merchant_id": "m-new"} if n % 20 == 0 else row),
        ("MisfitRows", lambda n, row: row | {"client_id": "client-a"} if n % 20 == 0 else row),
        ("ClientSilent", lambda _n, row: None if row["client_id"] == "client-f" else row),
        ("CategoryMix", lambda _n, row: row | {"country": "NL" if row["country"] == "DE" else row["country"]}),
        ("EventsLate", lambda n, row: row | {"event_time": row["t"] - 3600.0} if n % 20 == 0 else row),
        ("EventsFromFuture", lambda n, row: row | {"event_time": row["t"] + 60.0} if n % 20 == 0 else row),
        ("JointDrift", lambda _n, row: row | {"customer_amount_mean": row["merchant_amount_mean"]}),
        ("ClientDrift", lambda _n, row: row | {"amount": row["amount"] * (6 if row["client_id"] == "client-d" else 1)}),
        ("ClientLowQuality", lambda _n, row: row | {"label": row["label"] ^ (row["client_id"] == "client-f")}),
        ("LabelsLate", lambda _n, row: row | {"label": None}),
        ("DuplicateRows", lambda n, row: row | {"id": f"t-0-{n - n % 10}"}),
    ],
)
def test_each_check_sees_its_fault(yardstick: Yardstick, replay: Replay, alert: str, damage: Damage):
    assert alert in {name for _, name, _ in fired(replay, rows_of(yardstick, 2400, damage))}


def test_an_unusual_value_is_counted_once(yardstick: Yardstick, replay: Replay):
    """A missing category is a null and no unknown one; an unknown one is no misfit."""
    names = {name for _, name, _ in fired(replay, rows_of(yardstick, 900, lambda _n, row: row | {"merchant_id": None}))}
    assert "NullShare" in names
    assert not names & {"UnknownCategory", "MisfitRows"}
    names = {
        name for _, name, _ in fired(replay, rows_of(yardstick, 900, lambda _n, row: row | {"merchant_id": "m-x"}))
    }
    assert "UnknownCategory" in names
    assert "MisfitRows" not in names


def test_streams_don_t_know_of_each_other_and_time_passes_without_rows(yardstick: Yardstick, replay: Replay):
    rows = rows_of(yardstick, 600)
    lines = [{"begin": "a"}, *rows, {"tick": rows[-1]["t"] + 20.0}, {"begin": "b"}, *rows]
    told = list(judged(replay, [msgspec.json.encode(line) for line in lines]))
    assert {(line["stream"], line["alert"]) for line in told[:-1]} == {("a", "VolumeDropped")}
    assert told[-1] == {"rows": 1200}


def test_a_line_that_is_no_row_is_told_by_its_number(replay: Replay):
    with pytest.raises(ValueError, match="line 2"):
        list(judged(replay, [b'{"begin": "a"}', b"[1]"]))


def test_a_row_may_lack_any_field(yardstick: Yardstick, replay: Replay):
    rows = list(clean_rows(yardstick.world, first=0, count=600))
    names = list(rows[0])
    lacking = [{key: row[key] for key in names if key != names[n % len(names)]} for n, row in enumerate(rows)]
    found = fired(replay, [{}, *lacking])
    assert {name for _, name, _ in found} >= {"NullShare"}
    assert replay.rows == 601


def test_a_leap_in_time_is_refused(yardstick: Yardstick, replay: Replay):
    rows = rows_of(yardstick, 2)
    replay.begin("leap")
    with pytest.raises(ValueError, match="leaps"):
        replay.feed([rows[0], rows[1] | {"t": rows[1]["t"] + 1e6}])

"""`drill dose`: the estimate, the search, and a target's monitors as a program."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from harness.cli.dose_ import command
from harness.cli.dosing.asked import Expected, any_page
from harness.cli.dosing.estimate import Tried, isotonic, smallest
from harness.cli.dosing.program import Fired, Judged, Program, Rule
from harness.cli.dosing.trial import Found, Question, damaged, find
from harness.corrupt import parse
from harness.errors import EnvironmentProblem, UnsupportedError, UsageError
from harness.measure.binomial import exact_bounds
from harness.spec.load import load_target

RATE = 50.0
NULLS = parse({"type": "missing", "columns": ["amount"], "seed": 1})

MONITOR = '''
"""Pages where more than a twentieth of the last hundred rows have no amount."""
import json, sys

if sys.argv[1] == "rows":
    first, count = int(sys.argv[sys.argv.index("--first") + 1]), int(sys.argv[sys.argv.index("--count") + 1])
    for n in range(first, first + count):
        print(json.dumps({"id": n, "amount": 5.0, "t": n / 50}))
else:
    print(json.dumps({"rate": 50, "rules": [{"alert": "Nulls"}, {"alert": "Blind", "severity": "ticket"}]}))
    stream, last, told, total = "", [], False, 0
    for line in sys.stdin:
        row = json.loads(line)
        if "begin" in row:
            stream, last, told = row["begin"], [], False
        elif "tick" not in row:
            total += 1
            last = [*last, row["amount"] is None][-100:]
            if sum(last) > 5 and not told:
                told = True
                print(json.dumps({"stream": stream, "t": row["t"], "alert": "Nulls", "severity": "page", "layer": "data"}))
    print(json.dumps({"rows": total}))
'''


class Doubled:
    """Sees a stream at once in which more than a tenth of the rows after the lead have no amount."""

    def rows(self, *, seed: int, first: int, count: int) -> list[dict[str, Any]]:
        return [{"id": n, "amount": 1.0, "t": n / RATE} for n in range(first, first + count)]

    def judge(self, lines: Any, *, seed: int) -> Judged:
        streams: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            if "begin" in line:
                current = streams.setdefault(line["begin"], [])
            elif "tick" not in line:
                current.append(line)
        fired = {}
        for name, rows in streams.items():
            late = [Fired(name, rows[0]["t"], "Early")]
            if sum(row["amount"] is None for row in rows) > 0.1 * 200:
                late.append(Fired(name, rows[-1]["t"], "Nulls", layer="data"))
            fired[name] = tuple(late)
        return Judged(RATE, (Rule("Nulls"), Rule("Early")), fired)


def question(**changed: Any) -> Question:
    usual = {
        "chain": (NULLS,),
        "counts": any_page,
        "limit_rows": 200,
        "lead_rows": 50,
        "streams": 30,
        "share": 0.8,
        "seed": 3,
        "rounds": 3,
    }
    return Question(**(usual | changed))


def found_by(asked: Question) -> Found:
    return find(asked, cast(Program, Doubled()), told=lambda _dose: None)


@pytest.mark.parametrize(
    ("seen", "streams", "low", "high"), [(0, 20, 0.0, 0.1684), (20, 20, 0.8316, 1.0), (5, 10, 0.1871, 0.8129)]
)
def test_bounds_are_clopper_and_pearsons(seen: int, streams: int, low: float, high: float):
    assert exact_bounds(seen, streams) == pytest.approx((low, high), abs=1e-3)


def test_shares_that_fall_are_pooled():
    tried = [Tried(0.01, 10, 0), Tried(0.02, 10, 6), Tried(0.04, 10, 4), Tried(0.08, 10, 10)]
    assert isotonic(tried) == [0.0, 0.5, 0.5, 1.0]


def test_the_smallest_dose_lies_between_what_is_surely_unseen_and_surely_seen():
    tried = [Tried(0.01, 40, 0), Tried(0.02, 40, 20), Tried(0.04, 40, 40), Tried(0.08, 40, 40)]
    found = smallest(tried, share=0.8)
    assert found.dose == pytest.approx(math.exp(0.4 * math.log(0.02) + 0.6 * math.log(0.04)))
    assert (found.low, found.high) == (0.02, 0.04)
    assert smallest([Tried(0.5, 40, 0), Tried(1.0, 40, 3)], share=0.8).dose is None


def test_few_streams_leave_the_end_open():
    assert smallest([Tried(0.5, 3, 3)], share=0.8) == smallest([Tried(0.5, 3, 3), Tried(1.0, 3, 3)], share=0.8)
    assert smallest([Tried(0.5, 3, 3)], share=0.8).high is None


def test_the_search_closes_in_on_the_monitors_threshold():
    found = found_by(question())
    assert found.smallest.dose is not None
    assert found.smallest.low is not None
    assert found.smallest.high is not None
    assert 0.09 < found.smallest.dose < 0.15
    assert found.smallest.low < found.smallest.dose <= found.smallest.high
    assert [at.tried.dose for at in found.doses] == sorted(at.tried.dose for at in found.doses)


def test_what_fires_before_the_damage_is_no_detection():
    found = found_by(question(rounds=0))
    assert found.clean.tried.seen == 0
    assert found.by_alert["Early"].dose is None


def test_only_the_expected_page_counts():
    expected = Expected("freshness", "page", None)
    found = found_by(question(rounds=0, counts=expected))
    assert found.smallest.dose is None
    assert found.by_alert["Nulls"].dose is not None
    assert Expected("data", "ticket", None)("X", "page", "data")
    assert not Expected("data", "page", None)("X", "ticket", "data")
    assert not Expected("data", "page", "Y")("X", "page", "data")


def test_streams_that_a_dose_left_unhit_are_told():
    found = found_by(question(rounds=0))
    assert found.doses[0].untouched > 0
    assert found.doses[-1].untouched == 0


def test_late_rows_are_decided_when_they_come():
    rows = [{"id": n, "event_time": n / RATE, "t": n / RATE} for n in range(100)]
    arrived, hits = damaged(rows, (parse({"type": "late", "by": 20}),))
    assert hits == 100
    assert len(arrived) == 80  # what would come after the end isn't there
    assert {round(row["t"] - row["event_time"], 6) for row in arrived} == {20 / RATE}


def test_damage_that_doesn_t_fit_the_rows_is_refused():
    with pytest.raises(UsageError, match="doesn't fit"):
        damaged([{"id": 1, "t": 0.0}], (NULLS,))
    with pytest.raises(UsageError, match="the clock"):
        damaged([{"id": 1, "t": 0.0}], (parse({"type": "missing", "columns": ["t"]}),))


def target(folder: Path, *, offline: str) -> Path:
    path = folder / "target.yaml"
    path.write_text(
        "target: tiny\ndriver: embedded\nports: [pager]\nservices:\n  one: {role: one, start: {command: [python3, one.py]}}\n"
        + offline
    )
    return path


def program(folder: Path, code: str) -> str:
    (folder / "monitor.py").write_text(code)
    return f"offline: {{command: [{sys.executable}, monitor.py], timeout: 100s}}\n"


def spec(folder: Path) -> str:
    path = folder / "spec.yaml"
    path.write_text("{type: missing, columns: [amount]}\n")
    return str(path)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command, arguments, standalone_mode=False)


def test_a_target_of_ones_own_is_asked_through_its_program(tmp_path: Path):
    described = target(tmp_path, offline=program(tmp_path, MONITOR))
    page = tmp_path / "dose.html"
    done = run("--spec", spec(tmp_path), "--target", str(described), "--streams", "20", "--json", "--html", str(page))
    assert done.return_value == 0
    answer = json.loads(done.stdout)
    assert answer["limit_rows"] == 400
    assert 0.01 < answer["smallest"]["dose"] < 0.05
    assert answer["smallest"]["low"] < answer["smallest"]["dose"] <= answer["smallest"]["high"]
    assert answer["alerts"]["Blind"]["dose"] is None
    assert answer["clean"]["seen"] == 0
    assert page.read_text().count("<polyline") == 2


def test_a_person_reads_a_table_and_what_is_blind(tmp_path: Path):
    described = target(tmp_path, offline=program(tmp_path, MONITOR))
    done = run("--spec", spec(tmp_path), "--target", str(described), "--rounds", "0", "--streams", "4")
    assert done.return_value == 0
    assert "Blind at every dose: Blind" in done.stdout
    assert "The smallest dose seen within 400 rows in 80% of streams" in " ".join(done.stdout.split())


def test_blindness_is_an_answer_and_exit_code_1(tmp_path: Path):
    described = target(tmp_path, offline=program(tmp_path, MONITOR.replace("> 5", "> 500")))
    done = run("--spec", spec(tmp_path), "--target", str(described), "--rounds", "0", "--streams", "2")
    assert done.return_value == 1
    assert "monitoring is blind to it" in " ".join(done.stdout.split())


def test_a_target_without_monitors_offline_is_refused(tmp_path: Path):
    described = target(tmp_path, offline="")
    done = run("--spec", spec(tmp_path), "--target", str(described))
    assert isinstance(done.exception, UnsupportedError)
    assert "offers no monitors offline" in done.exception.message


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import sys; sys.exit('no such thing')", "ended with 1: no such thing"),
        ("print('hello')", "the program said 'hello'"),
        ("print('{}')", "got 1"),
        (MONITOR.replace('print(json.dumps({"rows": total}))', ""), "without the last line"),
    ],
)
def test_a_program_that_can_t_be_understood_is_told(tmp_path: Path, code: str, what: str):
    described = target(tmp_path, offline=program(tmp_path, code))
    done = run("--spec", spec(tmp_path), "--target", str(described), "--streams", "2", "--rounds", "0")
    assert isinstance(done.exception, EnvironmentProblem)
    assert what in done.exception.message


def test_a_program_that_never_ends_is_ended(tmp_path: Path):
    offline = program(tmp_path, "import time; time.sleep(60)").replace("100s", "500ms")
    with pytest.raises(EnvironmentProblem, match=r"more than 0\.5 s"):
        Program(load_target(target(tmp_path, offline=offline))).rows(seed=1, first=0, count=1)


@pytest.mark.parametrize(
    ("scenario", "fault"), [("slow-feature-store", "link.latency"), ("poisoned-labels", "model.promote")]
)
def test_a_fault_that_damages_no_records_is_refused(scenario: str, fault: str):
    done = run(scenario)
    assert isinstance(done.exception, UnsupportedError)
    assert f"{fault} doesn't damage records" in done.exception.message


def test_neither_and_both_are_refused(tmp_path: Path):
    for arguments in ((), ("unit-change", "--spec", spec(tmp_path))):
        assert isinstance(run(*arguments).exception, UsageError)


def test_the_reference_pipelines_own_monitors_judge_a_scenarios_damage():
    done = run("unit-change", "--streams", "2", "--rounds", "0", "--json")
    assert done.return_value == 0
    answer = json.loads(done.stdout)
    assert answer["limit_rows"] == 400
    assert answer["clean"] == answer["clean"] | {"seen": 0, "alerts": {}}
    assert {"RangeShare", "UnitChange"} <= set(answer["doses"][-1]["alerts"])
    assert answer["alerts"]["NullShare"]["dose"] is None
    assert answer["alerts"]["UnitChange"]["dose"] > answer["alerts"]["RangeShare"]["dose"]

"""The files of a run: JUnit that CI services accept, a summary that hosts show, all written whole."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from harness.contract.words import Arm, EndReason
from harness.errors import NotWritableError
from harness.history.reader import read
from harness.history.scorecard import Answer, Verdict
from harness.plugin import Reporter, load, names
from harness.report import files
from harness.report.files import write_all
from harness.report.junit import JUnit
from harness.report.markdown import SIZE_MAX, Markdown, safe
from harness.score import encode, score
from tests.golden import build
from tests.unit.report import made

GOLDEN = sorted((Path(__file__).parents[3] / "fixtures" / "golden").glob("*.jsonl"))
ATTRIBUTES = {
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
    "testcase": {"name", "classname", "time"},
    "property": {"name", "value"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
}
CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase", "system-out", "system-err"],
    "properties": ["property"],
    "testcase": ["skipped", "error", "failure", "system-out", "system-err"],
}


def junit_of(history, card=None) -> ElementTree.Element:
    """The document, checked against the schema that CI services share: names, attributes, order, counts."""
    root = ElementTree.fromstring(JUnit().render(history, card or score(history)))
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) == ATTRIBUTES.get(element.tag, set())
        order = CHILDREN.get(element.tag, [])
        places = [order.index(child.tag) for child in element]
        assert places == sorted(places)
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.get("tests")) == len(cases)
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("errors")) == len(suite.findall("testcase/error"))
        assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
    return root


def outcomes(root: ElementTree.Element) -> dict[str, str]:
    return {case.get("name"): next((child.tag for child in case), "passed") for case in root.iter("testcase")}


def test_each_criterion_is_a_case():
    root = junit_of(build.bad_model().history())
    assert outcomes(root) == dict.fromkeys(("detect", "mitigate", "recover", "verdict"), "passed")
    assert root.find("testsuite").get("name") == "bad-model-version/fault/playbook"
    told = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert (told["seed"], told["run"], told["verdict"]) == ("7", "r-golden", "PASS")


def test_a_missed_criterion_is_a_failure_with_its_reason():
    root = junit_of(made.rich(responds=False, end_at=36.0))
    assert outcomes(root) == {"detect": "passed", "mitigate": "failure", "recover": "failure", "verdict": "passed"}
    assert "not reached" in root.find("testsuite/testcase/failure").get("message")


def test_what_was_not_observed_is_an_error():
    history = build.bad_model().history()
    card = score(history)
    unseen = msgspec.structs.replace(card.criteria[0], answer=Answer.NOT_OBSERVED)
    card = msgspec.structs.replace(card, criteria=(unseen,), verdict=Verdict.INCONCLUSIVE)
    assert outcomes(junit_of(history, card)) == {"detect": "error", "verdict": "passed"}


@pytest.mark.parametrize("verdict", [v for v in Verdict if v not in (Verdict.PASS, Verdict.FAIL)])
def test_a_verdict_that_finds_nothing_never_passes(verdict):
    history = build.bad_model().history()
    card = msgspec.structs.replace(score(history), verdict=verdict, reasons=("it went wrong",))
    root = junit_of(history, card)
    assert outcomes(root)["verdict"] == "error"
    assert "it went wrong" in root.find("testsuite/testcase/error").get("message")


def test_a_failure_that_no_criterion_tells_is_told_by_the_verdict():
    history = build.bad_model().history()
    card = msgspec.structs.replace(score(history), verdict=Verdict.FAIL, reasons=("catastrophic: replicas",))
    assert outcomes(junit_of(history, card))["verdict"] == "failure"


def test_a_dirty_run_is_no_clean_pass():
    history = build.bad_model().history()
    assert outcomes(junit_of(history, msgspec.structs.replace(score(history), dirty=(0,))))["verdict"] == "error"


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_history_is_valid_junit_and_green_only_if_it_passed(path):
    history = read(path)
    card = score(history)
    told = outcomes(junit_of(history, card))
    assert (set(told.values()) == {"passed"}) == (card.verdict is Verdict.PASS)


def test_control_characters_do_not_break_the_xml():
    history = build.bad_model().history()
    card = msgspec.structs.replace(
        score(history), verdict=Verdict.ENV_ERROR, reasons=("\x00\x1b[31m ]]> <a> \ud800 \ufffe",)
    )
    assert "<a>" in junit_of(history, card).find("testsuite/testcase/error").text


# --- summary.md ---------------------------------------------------------------------------------------------------------


def test_the_summary_fits_and_says_it_all():
    history = build.bad_model().history()
    text = Markdown().render(history, score(history)).decode()
    assert text.startswith("## PASS: bad\\-model\\-version")
    assert "| detect | ✓ met | 8.00 s | 3.00 s ± 0.20 s |" in text
    assert "drill run bad-model-version --seed 7" in text


def test_the_summary_is_never_too_long():
    history = build.bad_model().history()
    card = score(history)
    long = tuple(msgspec.structs.replace(card.collateral[0], kept=False, changes=("é" * 300,) * 40) for _ in range(40))
    card = msgspec.structs.replace(card, reasons=("é|" * 500,) * 500, collateral=long, criteria=card.criteria * 90)
    data = Markdown().render(history, card)
    assert len(data) <= SIZE_MAX
    assert data.decode().rstrip().endswith("(cut here: the whole is in report.html)")


@pytest.mark.parametrize(
    "hostile", ["<img src=x onerror=alert(1)>", "| a | b |", "[x](javascript:alert(1))", "`code`\n# h"]
)
def test_the_summary_takes_no_markup_from_others(hostile):
    told = safe(hostile)
    assert "<" not in told
    assert "\n" not in told
    assert [i for i, char in enumerate(told) if char in "|[]()`" and told[i - 1] != "\\"] == []


# --- writing ------------------------------------------------------------------------------------------------------------


def test_all_four_are_written_and_the_scorecard_byte_for_byte(tmp_path):
    history = build.bad_model().history()
    card = score(history)
    written = write_all(history, card, folder=tmp_path)
    assert written.scorecard.read_bytes() == encode(card)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "junit.xml",
        "report.html",
        "scorecard.json",
        "summary.md",
    ]
    assert {written.html.name, written.junit.name, written.summary_md.name} < {p.name for p in tmp_path.iterdir()}


def test_a_report_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    history = build.bad_model().history()
    card = score(history)
    (tmp_path / "junit.xml").write_text("the one before")

    def full(self, data):
        with self.open("wb") as handle:
            handle.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(NotWritableError, match="No space left"):
        files.write(JUnit(), history, card, folder=tmp_path)
    assert (tmp_path / "junit.xml").read_text() == "the one before"
    assert os.listdir(tmp_path) == ["junit.xml"]


def test_a_folder_that_is_gone_is_told_with_what_to_do(tmp_path):
    history = build.bad_model().history()
    with pytest.raises(NotWritableError) as caught:
        write_all(history, score(history), folder=tmp_path / "gone")
    assert "drill report" in caught.value.hint


def test_reporters_are_found_as_plugins_are():
    assert set(names("reporter")) >= {"html", "json", "junit", "markdown"}
    for name in ("html", "json", "junit", "markdown"):
        assert isinstance(load("reporter", name), Reporter)


def test_a_control_tells_its_own_criteria():
    of = build.plan(arm=Arm.CONTROL, faults=())
    history = build.control(of).history()
    assert set(outcomes(junit_of(history))) == {"no page", "no change", "objectives hold", "verdict"}
    assert score(history).end_reason == EndReason.BUDGET

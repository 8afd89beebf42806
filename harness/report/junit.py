"""junit.xml: a case for each criterion, so that a CI service shows a drill as it shows tests.

A criterion met passes, one missed is a failure, one that can't be decided is an error: no data is never good news. A verdict that
says nothing about the target (ENV_ERROR, INVALID_INJECTION, ABORTED, NOT_EXPOSED) is an error of its own case, whatever the
criteria say. A broken catastrophic safeguard, which no criterion names, is a failure of its own case too.
"""

from __future__ import annotations

import unicodedata
from xml.etree import ElementTree

from harness.history.reader import History
from harness.history.scorecard import Answer, Criterion, Scorecard, Verdict

NO_FINDING = frozenset({Verdict.ENV_ERROR, Verdict.INVALID_INJECTION, Verdict.ABORTED, Verdict.NOT_EXPOSED})


class JUnit:
    """The reporter `junit`."""

    file = "junit.xml"

    def render(self, history: History, card: Scorecard) -> bytes:
        """The XML document, UTF-8."""
        header = history.header
        root = ElementTree.Element("testsuites")
        suite = ElementTree.SubElement(root, "testsuite", name=_clean(f"{card.scenario}/{card.arm}/{card.responder}"))
        properties = ElementTree.SubElement(suite, "properties")
        facts = {
            "verdict": str(card.verdict),
            "run": card.run,
            "seed": str(card.seed),
            "command": header.plan.command,
            "commit": header.commit,
            "history_sha256": card.history_sha256,
        }
        for name, value in facts.items():
            ElementTree.SubElement(properties, "property", name=name, value=_clean(value))
        for criterion in card.criteria:
            _case(suite, criterion, card)
        _verdict_case(suite, card)
        counts = {
            "tests": len(suite.findall("testcase")),
            "failures": len(suite.findall("testcase/failure")),
            "errors": len(suite.findall("testcase/error")),
            "skipped": 0,
        }
        took_s = max((last.t_ns for last in history.events()), default=header.t_ns) - header.t_ns
        for name, count in counts.items():
            suite.set(name, str(count))
        suite.set("time", f"{took_s / 1e9:.3f}")
        suite.set("timestamp", _clean(header.started_utc)[:19])
        suite.set("hostname", "localhost")
        ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(card.reasons))
        ElementTree.SubElement(suite, "system-err").text = ""
        ElementTree.indent(root)
        document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        return document + b"\n"


def _case(suite: ElementTree.Element, criterion: Criterion, card: Scorecard) -> None:
    took = criterion.reading if criterion.unit == "s" and criterion.reading is not None else 0.0
    case = ElementTree.SubElement(
        suite, "testcase", name=_clean(criterion.name), classname=_class(card), time=f"{max(took, 0.0):.3f}"
    )
    if criterion.answer is Answer.MISSED:
        _problem(case, "failure", "missed", criterion.reason)
    elif criterion.answer is Answer.NOT_OBSERVED:
        _problem(case, "error", "not observed", criterion.reason)


def _verdict_case(suite: ElementTree.Element, card: Scorecard) -> None:
    """The verdict as a case of its own: what it alone says must not be lost where all criteria are met."""
    case = ElementTree.SubElement(suite, "testcase", name="verdict", classname=_class(card), time="0.000")
    told = {criterion.answer for criterion in card.criteria}
    reason = "; ".join(card.reasons)
    undecided = card.verdict is Verdict.INCONCLUSIVE and Answer.NOT_OBSERVED not in told
    if card.verdict in NO_FINDING or undecided:
        _problem(case, "error", str(card.verdict), reason)
    elif card.verdict is Verdict.FAIL and Answer.MISSED not in told:
        _problem(case, "failure", str(card.verdict), reason)
    elif card.dirty:
        _problem(case, "error", "dirty", f"faults not healed: {', '.join(map(str, card.dirty))}; run `drill heal`")


def _problem(case: ElementTree.Element, tag: str, kind: str, reason: str) -> None:
    problem = ElementTree.SubElement(case, tag, message=_clean(reason), type=kind)
    problem.text = _clean(reason)


def _class(card: Scorecard) -> str:
    return _clean(f"{card.scenario}.{card.arm}.{card.responder}")


def _clean(text: str) -> str:
    """XML 1.0 has no form for most control characters, not even escaped."""
    return "".join(
        " " if unicodedata.category(char) in ("Cc", "Cs", "Cn") and char not in "\n\t" else char for char in text
    )

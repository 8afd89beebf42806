"""The leaf of the catalogue: what moved is found by itself, what didn't isn't shown, every rule is seeing or blind."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from harness.contract.faults import Damage
from harness.contract.words import Arm, Effect, EndReason, Phase, Severity
from harness.history import events as e
from harness.history.reader import History
from harness.report.leaf.moved import Form
from harness.report.leaf.picture import Shown, picture, shown, style
from harness.report.leaf.records import readings_of
from harness.report.leaf.rules import united
from harness.report.leaf.text import MEASURED, Floor, Links, described, measured
from harness.report.series import Stretch
from harness.score import score
from harness.spec.find import find_playbook, find_scenario
from harness.spec.load import load_playbook, load_scenario
from harness.spec.plan import PlannedReading
from tests.golden.build import GOOD, WRONG, Story, fault, ns, plan

ONSET, END = 8.0, 28.0
READINGS = tuple(PlannedReading(name, id="id", time=None) for name in ("decisions", "truth", "quarantine"))
BY_MASK = fault(fault="data.scale", arguments={"column": "amount"}, damage=Damage(by_mask=True, debts={}))


def run(
    *, factor: float = 1.0, dose: float = 1.0, silent_truth: bool = False, hostile: str = "eur", seed: int = 5
) -> History:
    """20 payments a second from 1 s on; from ONSET on amounts are multiplied, in a share of them."""
    draw = random.Random(seed)
    story = Story(plan(faults=(BY_MASK,), readings=READINGS)).begin()
    story.phase(3.0, Phase.INJECT).inject(ONSET).phase(ONSET + 0.1, Phase.RESPOND)
    story.samples(1.0, ONSET, GOOD).samples(ONSET, END, WRONG).load(1.0, END)
    story.witness(ONSET - 0.6, ONSET, Effect.ABSENT).witness(ONSET, END, Effect.PRESENT)
    hit = []
    for n in range(round((END - 1) * 20)):
        at, amount = 1 + n / 20, draw.lognormvariate(3.8, 0.6)
        damaged = at >= ONSET and draw.random() < dose and factor != 1.0
        received = amount * (factor if damaged else 1.0)
        hit += [f"t{n}"] if damaged else []
        decision = {"decision": "decline" if received > 200 else "approve", "synthetic": False}
        told = {"id": f"t{n}", "seq": n, "amount": received, "currency": hostile, "took_latency": at, **decision}
        story.records(at, "decisions", told)
        if not (silent_truth and at >= ONSET):
            story.records(at, "truth", {"id": f"t{n}", "seq": n, "label": int(amount > 200), "amount": amount})
    story.add(e.MaskRead(t_ns=ns(END - 0.5), fault=0, ids=hit, columns=[["amount"]] * len(hit)))
    story.alert(ONSET + 2, "InputDrift", severity=Severity.TICKET, layer="distribution")
    story.alert(ONSET + 4, "InputDrift", severity=Severity.TICKET, layer="distribution", status="resolved")
    story.alert(ONSET + 3, "CanaryWrong")
    return story.end(END, EndReason.BUDGET).history()


def leaf(history: History) -> Shown:
    return shown(history, score(history))


def names(told: Shown) -> list[tuple[str, Form]]:
    return [(change.field.name, change.form) for change in told.changes]


def test_the_damaged_field_stands_first_with_what_was_sent_beside_it() -> None:
    told = leaf(run(factor=100))
    first = told.changes[0]
    assert (first.field.reading, first.field.name) == ("decisions", "amount")
    assert first.otherwise == (0.0, pytest.approx(1.0, abs=0.01))
    assert ("decision", Form.WORDS) in names(told)


def test_a_small_dose_that_no_distribution_shows_is_told_by_what_was_sent() -> None:
    (first, *_) = leaf(run(factor=100, dose=0.05)).changes
    assert first.otherwise is not None
    assert 0.02 < first.otherwise[1] < 0.1
    assert sum(point.hit for point in first.field.points) > 0


def test_what_did_not_move_is_not_shown() -> None:
    told = leaf(run())
    assert [name for name, _ in names(told) if name != "amount"] == []


def test_counters_latency_and_golden_requests_are_no_fields_that_move() -> None:
    told = leaf(run(factor=100))
    assert {"seq", "took_latency"} & {name for name, _ in names(told)} == set()
    assert "seq" not in {field.name for reading in readings_of(run()) for field in reading.fields}


def test_a_reading_that_falls_silent_is_shown_by_its_rate() -> None:
    told = leaf(run(silent_truth=True))
    assert [change.field.reading for change in told.changes if change.form is Form.RATE] == ["truth"]


def test_decisions_that_are_wrong_are_counted_by_the_truth() -> None:
    told = leaf(run(factor=100))
    assert told.wrong is not None
    during = [point.value for point in told.wrong.points if point.t_ns > ns(ONSET)]
    assert sum(during) / len(during) > 0.9


def test_every_rule_is_seeing_or_blind_and_an_alert_lasts_until_it_was_resolved() -> None:
    told = leaf(run(factor=100))
    assert {rule.name for rule in told.seeing} == {"InputDrift", "CanaryWrong"}
    assert {rule.name for rule in told.blind} == {"GatewayErrors"}
    drift = next(rule for rule in told.seeing if rule.name == "InputDrift")
    assert drift.firing == (Stretch(ns(ONSET + 2), ns(ONSET + 4)),)
    canary = next(rule for rule in told.seeing if rule.name == "CanaryWrong")
    assert canary.firing == (Stretch(ns(ONSET + 3), told.scale.to_ns),)


def test_stretches_that_touch_are_one() -> None:
    assert united([Stretch(5, 7), Stretch(1, 3), Stretch(3, 4), Stretch(6, 9)]) == (Stretch(1, 4), Stretch(5, 9))


def test_the_picture_is_whole_and_escapes_what_a_target_wrote() -> None:
    told = leaf(run(factor=100, hostile="<script>alert(1)</script>"))
    root = ET.fromstring(str(picture(told)))
    drawn = " ".join(root.itertext())
    assert all(rule.name in drawn for rule in told.rules)
    assert root.findall(".//{http://www.w3.org/2000/svg}script") == []


def test_the_style_is_the_reports_own_in_light_and_dark() -> None:
    sheet = style()
    assert "prefers-color-scheme: dark" in sheet
    assert "svg .fault {" in sheet
    assert "main {" not in sheet


def test_the_page_names_what_fired_what_is_blind_and_how_it_ended() -> None:
    history = run(factor=100)
    card = score(history)
    page = measured(shown(history, card), card, floor=Floor(0.07, 0.05, None, streams=12))
    assert page.startswith(MEASURED)
    assert "| CanaryWrong | model-quality | page | +3." in page
    assert "- availability: GatewayErrors" in page
    assert "damage 7 % (95 %: 5 % or more) of the rows that it may hit: `drill dose" in page
    assert " --streams 12`" in page
    assert f"| fault | playbook | {card.verdict} |" in page


def test_where_no_dose_can_be_found_the_page_says_because_of_which_fault() -> None:
    history = run(factor=100)
    card = score(history)
    told = shown(history, card)
    assert "`config.set` doesn't damage records" in measured(told, card, doseless="config.set")
    assert "finds how many of the rows" in measured(told, card)
    assert "damage 7 % " in measured(told, card, floor=Floor(0.07, 0.05, None), doseless="config.set")


def test_the_described_part_says_all_that_scenario_and_playbook_say() -> None:
    path = find_scenario("unit-change")
    scenario = load_scenario(path).scenario
    book = load_playbook(find_playbook("unit-change", near=path)).playbook
    page = described(scenario, book, links=Links("scenario.yaml", "playbook.md"))
    wanted: list[Any] = [scenario.title, "D1", "factor=100", "a page of layer data within 8 s", "drill run unit-change"]
    wanted += [forbidden.because for forbidden in book.head.forbidden]
    assert [word for word in wanted if word not in page] == []


def test_a_control_has_nothing_to_draw_but_can_be_told_beside() -> None:
    history = run(factor=100)
    card = score(history)
    other = score(Story(plan(arm=Arm.CONTROL, faults=())).begin().end(12.0).history())
    assert "| control | playbook |" in measured(shown(history, card), card, others=[other])

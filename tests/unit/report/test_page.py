"""The page: one file, whole without scripts, deaf to what others wrote, and true to the scorecard."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from harness.history.reader import read
from harness.history.scorecard import Scorecard, Verdict
from harness.report import words
from harness.report.page import HtmlPage, json_for_script
from harness.score import score
from tests.golden import build
from tests.unit.report import made

GOLDEN = sorted((Path(__file__).parents[3] / "fixtures" / "golden").glob("*.jsonl"))
VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})


def page_of(history) -> str:
    return HtmlPage().render(history, score(history)).decode()


@pytest.fixture(scope="module")
def rich() -> str:
    return page_of(made.rich())


class Page(HTMLParser):
    """What a browser would see: elements in balance, scripts, addresses, text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.scripts: list[tuple[dict, str]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attributes, body = self.scripts[-1]
            self.scripts[-1] = (attributes, body + data)
        elif not self.open or self.open[-1] != "style":
            self.text.append(data)


def parsed(page: str) -> Page:
    parser = Page()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_what_others_wrote_is_inert(rich):
    page = parsed(rich)
    assert [attributes.get("type") for attributes, _ in page.scripts] == ["application/json", None]
    assert {tag for tag, _ in page.seen} & {"img", "iframe", "object", "embed", "base", "form"} == set()
    assert [name for _, attributes in page.seen for name in attributes if name.startswith("on")] == []
    assert "<script>alert(1)</script>" in "".join(page.text)


@pytest.mark.parametrize("where", ["title", "command", "responder", "scenario_text", "labels"])
def test_nothing_hostile_gets_through_anywhere(where):
    story = build.bad_model()
    history = story.history()
    plan, header = history.header.plan, history.header
    match where:
        case "scenario_text":
            header = msgspec.structs.replace(header, scenario_text=made.HOSTILE, playbook_text=made.HOSTILE)
        case "labels":
            look = msgspec.structs.replace(plan.faults[0].look, label=made.HOSTILE, glyph=made.HOSTILE)
            fault = msgspec.structs.replace(plan.faults[0], look=look, arguments={made.HOSTILE: made.HOSTILE})
            plan = msgspec.structs.replace(plan, faults=(fault,))
        case _:
            plan = msgspec.structs.replace(plan, **{where: made.HOSTILE})
    if where != "scenario_text":
        header = msgspec.structs.replace(header, plan=plan)
    page = parsed(page_of(dataclasses.replace(history, header=header)))
    assert len(page.scripts) == 2
    assert {tag for tag, _ in page.seen} & {"img"} == set()


def test_it_is_one_file(rich):
    page = parsed(rich)
    fetched = [a for _, a in page.seen for key in ("src", "href", "srcset", "poster") if (key in a)]
    assert fetched == []
    assert re.findall(r"@import|url\((?!#)", rich) == []
    assert re.findall(r"(?:https?:)?//[a-z]", "".join(str(a) for _, a in page.seen)) == []


def test_its_own_script_is_the_one_its_policy_allows(rich):
    page = parsed(rich)
    digest = base64.b64encode(hashlib.sha256(page.scripts[1][1].encode()).digest()).decode()
    policy = next(a["content"] for tag, a in page.seen if tag == "meta" and "http-equiv" in a)
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_data_in_the_page_are_the_scorecard(rich):
    card = score(made.rich())
    data = json.loads(parsed(rich).scripts[0][1])
    assert msgspec.convert(data["scorecard"], Scorecard) == card
    assert len(data["series"]["correctness"]) > 20
    assert [value for _, value in data["series"]["freshness"]].count(None) > 0


def test_json_in_a_script_cannot_end_it():
    assert json.loads(json_for_script({"a": "</script>\u2028&"})) == {"a": "</script>\u2028&"}
    assert "<" not in json_for_script({"a": "</script><!--"})


def test_the_same_run_gives_the_same_bytes():
    assert page_of(made.rich()) == page_of(made.rich())


def test_the_pictures_are_well_formed(rich):
    pictures = re.findall(r"<svg.*?</svg>", rich, flags=re.DOTALL)
    assert len(pictures) == 2
    for picture in pictures:
        ElementTree.fromstring(picture)


def test_nothing_is_drawn_outside_the_picture(rich):
    plot = ElementTree.fromstring(re.findall(r"<svg.*?</svg>", rich, flags=re.DOTALL)[1])
    left, _, width, _ = map(float, plot.get("viewBox").split())
    xs = [float(e.get(key)) for e in plot.iter() for key in ("x", "cx", "x1", "x2") if e.get(key)]
    assert [x for x in xs if not left <= x <= left + width] == []


def test_the_key_times_stand_on_the_page(rich):
    text = "".join(parsed(rich).text)
    card = score(made.rich())
    for time in (card.times.ttd, card.times.ttm, card.times.ttr):
        assert words.seconds(time.value_s) in text
    assert card.history_sha256 in text
    assert "drill run bad-model-version --seed 7" in text


def test_what_never_came_is_never_a_time():
    history = made.rich(responds=False, end_at=36.0)
    text = " ".join("".join(parsed(page_of(history)).text).split())
    assert "TTR time to recover never (budget 30 s)" in text.replace("TTRtime", "TTR time")
    assert "Never mitigated (limit 15.0 s)" in text
    assert "inf" not in re.findall(r"\binf\b", text)


def test_a_minute_long_run_stays_small():
    assert len(page_of(made.rich(responds=False, end_at=64.0))) < 400_000


def test_many_samples_are_thinned_and_it_says_so():
    story = build.bad_model(end_at=13.5)
    story.samples(1.0, 13.0, build.GOOD, every=0.002)
    page = page_of(story.history())
    assert "equal stretches" in page
    assert len(page) < 400_000


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_history_has_its_page(path):
    history = read(path)
    card = score(history)
    page = page_of(history)
    parsed(page)
    assert f" {card.verdict}</span>" in page
    assert ("did not happen" in page or "never" in page) or card.verdict is not Verdict.FAIL


def test_a_run_that_broke_off_has_a_page_too():
    history = build.Story().begin().history()
    page = page_of(history)
    assert "ENV_ERROR" in page
    assert "the history breaks off" in page


def test_a_history_without_events_has_a_page_too():
    assert "ENV_ERROR" in page_of(build.Story().history())


def test_harm_too_short_to_be_an_impact_is_said_and_drawn() -> None:
    """In the sentence, among the figures, in the lane, and as bars where it was."""
    page = page_of(read(next(path for path in GOLDEN if path.stem == "too-short")))
    said = "2 bad samples of correctness, 2 of decision-quality, not long enough to count (3 of 5)"
    assert f"The prober saw {said}." in page
    assert page.count(said) >= 5
    assert page.count("missed correctness, decision-quality</title>") == 2
    assert "no objective was lost" not in page
    assert "bad samples: correctness 2, decision-quality 2" in page


def test_ttd_is_shown_in_its_parts_with_their_errors_floors_and_what_the_monitoring_is_set_to(rich: str) -> None:
    card = score(made.rich())
    rows = re.findall(r'part">(\w+)</td><td></td><td>([^<]+)</td><td class="n">([^<]+)<', rich)
    parts = {name: getattr(card.times, name) for name in ("sense", "hold", "deliver")}
    assert rows == [(name, words.time_text(time), words.seconds(time.floor_s)) for name, time in parts.items()]
    assert rows[1] == ("hold", "1.10 s ± 1.0 ms", "1.00 s")
    assert "sense 1.40 s + hold 1.10 s + deliver 0.50 s" in rich
    told = "scrape 0.50 s, evaluation 0.50 s, hold of CanaryWrong 1.00 s, group wait 0.00 s; floor 2.00 s; times by its own clock"
    assert rich.count(told) == 2
    assert "pager: 1, best ± 0.800 ms" in rich


def test_a_clock_that_was_not_asked_is_named() -> None:
    card = score(made.rich())
    by_ours = msgspec.structs.replace(card.monitoring, clock="wall", clock_error_s=1e-6)
    assert "this host's wall clock, since its own was not told" in words.monitoring_text(
        msgspec.structs.replace(card, monitoring=by_ours)
    )


def test_an_older_scorecard_without_the_settings_is_shown_all_the_same() -> None:
    card = msgspec.structs.replace(score(made.rich()), monitoring=None)
    assert words.monitoring_text(card) == words.NOT_OBSERVED
    assert HtmlPage().render(made.rich(), card)


def test_where_the_absence_of_heartbeats_pages_that_is_the_floor() -> None:
    card = score(made.rich())
    silent = msgspec.structs.replace(card.monitoring, heartbeat_s=2.5)
    told = words.monitoring_text(msgspec.structs.replace(card, monitoring=silent))
    assert told == "a page after 2.50 s without a heartbeat, which is the floor"

"""docs/catalogue: scenarios of data, features and drift have their page and their picture, which say what the scenario says."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from harness.spec.find import find_target
from harness.spec.load import load_target
from tests.catalogue.pages import (
    FLOOR,
    FOLDER,
    MEASURED,
    Wanted,
    blind,
    doseless,
    index,
    rules,
    text,
    told_dose,
    wanted,
    with_dose_of,
)

PICTURE_BYTES_MAX = 60_000
HEARTBEAT = "Watchdog"
WANTED = wanted()
SVG = "{http://www.w3.org/2000/svg}"

each = pytest.mark.parametrize("one", WANTED, ids=lambda one: one.name)


def test_there_are_such_scenarios() -> None:
    assert {"D1", "F1", "X1", "X6"} <= {row for one in WANTED for row in one.rows}


@each
def test_it_has_a_page_that_says_what_scenario_and_playbook_say(one: Wanted) -> None:
    assert one.page.exists(), f"make catalogue ARGS={one.name}"
    said, mark, _ = one.page.read_text().partition(MEASURED)
    assert mark, "the page has no measured part"
    assert said == text(one), "stale: python -m tests.catalogue --texts"


@each
def test_it_tells_the_smallest_dose_that_is_seen_or_that_none_can_be_found(one: Wanted) -> None:
    told, fault = told_dose(one.page.read_text()), doseless(one)
    if fault:
        assert f"`{fault}` doesn't damage records" in told
    else:
        assert FLOOR.search(told), f"python -m tests.catalogue {one.name} --dose"


@each
def test_it_has_a_picture_that_stands_by_itself(one: Wanted) -> None:
    assert one.picture.exists(), f"make catalogue ARGS={one.name}"
    assert one.picture.stat().st_size <= PICTURE_BYTES_MAX
    root = ET.fromstring(one.picture.read_text())
    assert root.tag == f"{SVG}svg"
    words = " ".join(root.itertext())
    assert one.name in words
    assert "prefers-color-scheme: dark" in words, "unreadable at night"
    assert not root.findall(f".//{SVG}image")
    assert not root.findall(f".//{SVG}script")


@each
def test_page_and_picture_name_every_rule_once_as_seeing_or_blind(one: Wanted) -> None:
    page = one.page.read_text()
    declared = load_target(find_target(None)).spec.alerts
    assert declared is not None
    fired = [name for name, _, _, _ in rules(page)]
    silent = [name for names in blind(page).values() for name in names]
    assert sorted(fired + silent) == sorted(set(fired) | set(silent))
    assert set(fired) <= set(declared.rules) | {"DeadMansSwitch"}
    assert HEARTBEAT not in fired + silent
    drawn = " ".join(ET.fromstring(one.picture.read_text()).itertext())
    assert [name for name in fired + silent if name not in drawn] == []


def test_a_page_drawn_anew_keeps_what_was_told_of_the_dose() -> None:
    old = (
        "a\n## How little of it is seen\n\nAt no dose is it seen in time: `drill dose x`.\n\n## How it ended\n\nthen\n"
    )
    new = "b\n## How little of it is seen\n\n`drill dose x` finds how many of the rows.\n\n## How it ended\n\nnow\n"
    kept = with_dose_of(old, new)
    assert (told_dose(kept), kept[0], kept.endswith("now\n")) == (told_dose(old), "b", True)
    assert with_dose_of("", new) == with_dose_of(new, new) == new


def test_the_index_is_made_of_the_pages() -> None:
    assert (FOLDER / "index.md").read_text() == index(), "stale: python -m tests.catalogue --texts"


def test_no_page_is_left_of_a_scenario_that_is_gone() -> None:
    known = {one.name for one in WANTED} | {"index"}
    assert {path.stem for path in FOLDER.iterdir()} == known

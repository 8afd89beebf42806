"""The pages of docs/catalogue: which scenarios have one, what must stand on it, and the index that is made of all of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from harness.cli.dosing.asked import without_dose
from harness.cli.drill import NOBODY, choose
from harness.cli.page_ import links_of
from harness.report.leaf.text import MEASURED, described
from harness.spec.find import all_scenarios, find_playbook
from harness.spec.load import load_playbook, load_scenario
from harness.spec.scenario import Scenario

FOLDER = Path(__file__).parents[2] / "docs" / "catalogue"
ROWS = re.compile(r"[DFX]\d+")
"""Rows of the catalogue of faults whose damage is in data, in features, or in the world."""
_RULE = re.compile(r"^\| (\w+) \| ([\w-]+) \| (page|ticket) \| ([^|]+) \|$", re.MULTILINE)
_BLIND = re.compile(r"^- ([\w-]+): (.+)$", re.MULTILINE)
BEFORE = "before it"
DOSE = "## How little of it is seen"
UNTOLD = "finds how many of the rows"
FLOOR = re.compile(r"To be seen in time it must damage|At no dose is it seen")
HEAD = """# What each fault does to the data, and to each monitor

Each page shows one scenario that nobody answered, as it was recorded: above, the fields that moved; below, when each rule of
the monitoring fired, and those that never did. Most of the rules are blind to most of the faults, and that is what to read
here: which one would have woken you? Seconds count from where the fault became active.

In the pictures a dot is the value of one record: purple where the fault damaged that field of that record (in every reading, so
labels are purple though their value is sound), grey for what the source had sent, blue for all others. At the right, how values
were spread before the fault (blue) and during it (purple), all records together.

[How small a share of damaged rows is seen](../monitors.md) · [every arm, with its verdict](../admissible.md) · [the
scenarios](../../scenarios/README.md)

| row | scenario | what breaks | pages, after s | tickets, after s | layers that say nothing |
|---|---|---|---|---|---|
"""
FOOT = """
`make catalogue ARGS=NAME` records and draws anew; `drill page RUN` makes such a page of any recorded run, also of a scenario of
your own.
"""


class Wanted(NamedTuple):
    """A scenario that has a page."""

    scenario: Scenario
    path: Path

    @property
    def name(self) -> str:
        return self.scenario.scenario

    @property
    def rows(self) -> list[str]:
        return [tag for tag in self.scenario.tags if ROWS.fullmatch(tag)]

    @property
    def page(self) -> Path:
        return FOLDER / f"{self.name}.md"

    @property
    def picture(self) -> Path:
        return FOLDER / f"{self.name}.svg"


def wanted() -> list[Wanted]:
    """Every scenario whose row is one of data, features or drift, in the order of the rows."""
    found = [Wanted(load_scenario(path).scenario, path) for path in all_scenarios()]
    named = [one for one in found if one.scenario.tags and ROWS.fullmatch(one.scenario.tags[0])]
    return sorted(named, key=lambda one: (one.rows[0][0], int(one.rows[0][1:]), one.name))


def doseless(one: Wanted) -> str:
    """The fault because of which no dose can be found offline; empty where `drill dose` can."""
    return without_dose(choose(str(one.path), target=None, arm=None, seed=None, responder=NOBODY).plan.faults)


def text(one: Wanted) -> str:
    """What scenario and playbook say of it, as it must stand on its page."""
    playbook = find_playbook(one.scenario.playbook, near=one.path) if one.scenario.playbook is not None else None
    read = load_playbook(playbook).playbook if playbook is not None else None
    return described(one.scenario, read, links=links_of(one.path, playbook, beside=FOLDER))


def refreshed(one: Wanted) -> str:
    """The page with what the files say now, and what the run showed then."""
    _, mark, measured = one.page.read_text().partition(MEASURED)
    return text(one) + mark + measured


def told_dose(page: str) -> str:
    """What a page tells of the smallest dose."""
    return page.partition(DOSE)[2].partition("## ")[0].strip()


def with_dose_of(before: str, page: str) -> str:
    """The page as it was drawn anew, with what the one before told of the smallest dose: that was found beside the run."""
    told, now = told_dose(before), told_dose(page)
    return page.replace(now, told) if FLOOR.search(told) and UNTOLD in now else page


def index() -> str:
    """The table of all pages that there are."""
    return HEAD + "".join(f"{_line(one)}\n" for one in wanted() if one.page.exists()) + FOOT


def rules(page: str) -> list[tuple[str, str, str, str]]:
    """(rule, layer, severity, seconds) of the rules that fired, as the page has them."""
    return _RULE.findall(page.partition("## What each monitor says")[2])


def blind(page: str) -> dict[str, list[str]]:
    """The silent rules by layer, as the page has them."""
    told = page.partition("Blind to it:")[2].partition("## ")[0]
    return {
        layer: [name.removesuffix(" (ticket)") for name in names.split(", ")] for layer, names in _BLIND.findall(told)
    }


def _line(one: Wanted) -> str:
    page = one.page.read_text()
    fired = sorted(rules(page), key=lambda rule: float(rule[3]) if rule[3] != BEFORE else -1.0)
    told = [
        ", ".join(f"{name} {at}" for name, _, severity, at in fired if severity == which) or "none"
        for which in ("page", "ticket")
    ]
    loud = {layer for _, layer, _, _ in fired}
    silent = ", ".join(layer for layer in blind(page) if layer not in loud) or "none"
    decoy = " (decoy)" if one.scenario.kind == "decoy" else ""
    cells = [", ".join(one.rows), f"[{one.name}]({one.name}.md){decoy}", one.scenario.title, *told, silent]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

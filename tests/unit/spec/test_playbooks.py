"""Playbooks as Markdown: sections, cells, what steps may say of each other, and where mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InvalidFileError
from harness.spec.load import LoadedPlaybook, load_playbook
from harness.spec.playbook import Section

PLAYBOOK = """\
---
id: mine
title: Something broke
incident: drift
severity: sev2
owner: me
forbidden:
  - {do: retrain, because: it harms, until: act}
---

# Something broke

## Acknowledge

```drill
id: ack
report: ack
```

## Assess

An example of a cell, for people:

````
```drill
id: not-a-step
```
````

```drill
id: look
observe: versions
```

## Isolate

```python
id: not a cell either
```

## Act

```drill
id: act
do: rollback
with: {to: "${look.previous}"}
verify_by: versions
verify: {serving-a: {eq: "${act.version}"}}
requires: [look]
```

## Escalate

## Afterwards

```drill
id: over
report: resolve
when: {act.version: {ne: "${look.champion}"}}
```
"""


def load(tmp_path: Path, text: str) -> LoadedPlaybook:
    path = tmp_path / "mine.md"
    path.write_text(text)
    return load_playbook(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InvalidFileError) as caught:
        load(tmp_path, text)
    return [line.removeprefix(f"{tmp_path / 'mine.md'}:") for line in caught.value.problems]


def test_cells_stand_in_their_sections_and_examples_are_no_cells(tmp_path: Path) -> None:
    playbook = load(tmp_path, PLAYBOOK).playbook
    assert [(section, cell.id) for section, cell in playbook.cells] == [
        (Section.ACKNOWLEDGE, "ack"),
        (Section.ASSESS, "look"),
        (Section.ACT, "act"),
        (Section.AFTERWARDS, "over"),
    ]
    assert playbook.head.forbidden[0].until == "act"
    assert playbook.text == PLAYBOOK


def test_prose_does_not_change_the_digest_and_a_cell_does(tmp_path: Path) -> None:
    first = load(tmp_path, PLAYBOOK).digest
    assert load(tmp_path, PLAYBOOK.replace("for people", "for those on call")).digest == first
    assert load(tmp_path, PLAYBOOK.replace("requires: [look]", "requires: [ack]")).digest != first
    assert load(tmp_path, PLAYBOOK.replace("severity: sev2", "severity: sev1")).digest != first


WRONG = [
    ("---\nid: mine", "id: mine", "|id: mine", "a playbook begins with its head"),
    ("owner: me\n", "", "|id: mine", "the file lacks `owner`"),
    ("severity: sev2", "severty: sev2", "|severty", "unknown key 'severty'. Did you mean 'severity'?"),
    (
        "incident: drift",
        "incident: drft",
        "incident: |drft",
        "'drft' isn't legal for `incident`. Did you mean 'drift'?",
    ),
    (
        "do: retrain",
        "do: retrian",
        "do: |retrian",
        "'retrian' isn't legal for `forbidden[0].do`. Did you mean 'retrain'?",
    ),
    (
        "until: act}",
        "until: atc}",
        "until: |atc",
        "no step has the id 'atc'. Did you mean 'act'? Steps: ack, look, act, over",
    ),
    ("## Isolate\n", "", "|## Act\n", "there is no section Isolate: write `## Isolate` before Act"),
    ("## Assess", "## Asess", "|## Asess", "'Asess' is no section of a playbook. Did you mean 'Assess'?"),
    (
        "## Isolate",
        "## Assess",
        "|## Assess\n\n```python",
        "section Assess stands here a second time; first in line 20",
    ),
    (
        "## Isolate",
        "## Afterwards",
        "|## Act\n",
        "section Act stands after Afterwards; the order is Acknowledge, Assess",
    ),
    ("# Something broke\n", "```drill\nid: early\n```\n", "|```drill\nid: early", "a cell outside the six sections"),
    ("```drill\nid: ack", "```dril\nid: ack", "|```dril\nid: ack", "a fence of 'dril': did you mean 'drill'?"),
    ("```drill\nid: ack\nreport: ack\n```", "- ```drill\n  id: ack\n  ```", "|- ```drill", "a cell inside a list"),
    ("report: ack", "reprot: ack", "|reprot", "unknown key 'reprot'. Did you mean 'report'?"),
    ("report: ack", "report: akc", "report: |akc", "'akc' isn't legal for `report`. Did you mean 'ack'?"),
    ("report: ack\n", "", "|id: ack", "give exactly one of `observe`, `do` and `report`"),
    ("id: ack\nreport: ack", "- ack", "|- ack", "a cell is a mapping"),
    ("id: ack\nreport: ack", "# later", "|# later", "nothing is written here"),
    ("id: look", "id: ack", "id: |ack\nobserve", "step 'ack' stands here a second time; first in line 15"),
    ("id: look", "id: look.1", "id: |look.1", "a step's id has no dot ('look.1')"),
    ("requires: [look]", "requires: [lok]", "[|lok]", "no step has the id 'lok'. Did you mean 'look'?"),
    ("requires: [look]", "requires: [over]", "[|over]", "step 'over' doesn't stand before this one"),
    ("requires: [look]", "requires: [act]", "[|act]", "step 'act' doesn't stand before this one"),
    ("${look.previous}", "${lok.previous}", '|"${lok.previous}', "no step has the id 'lok'. Did you mean 'look'?"),
    ("${look.previous}", "${act.previous}", '|"${act.previous}', "step 'act' doesn't stand before this one"),
    ("${look.previous}", "${look}", '|"${look}', "'${look}' is no reference: write `${step.field}`"),
    ("${look.previous}", "${look.previous", '|"${look.previous', "'${look.previous' is no reference"),
    ("${look.previous}", "v${look.a}-${lok.b}", '|"v${look.a}', "no step has the id 'lok'"),
    ("${act.version}", "${over.version}", '|"${over.version}', "step 'over' doesn't stand before this one"),
    ("act.version: {ne", "atc.version: {ne", "|atc.version", "no step has the id 'atc'. Did you mean 'act'?"),
    ("act.version: {ne", "version: {ne", "{|version: {ne", "a field of `when` is `step.field`; found 'version'"),
    (
        '{ne: "${look.champion}"}',
        "{neq: 1}",
        "{|neq: 1}",
        "unknown key 'neq' in `when.act.version`. Did you mean 'ne'?",
    ),
    (
        '{ne: "${look.champion}"}',
        "{}",
        "act.version: |{}",
        "`when.act.version`: give exactly one of eq, ne, lt, gt, in",
    ),
    ("verify_by: versions\n", "", "|id: act", "`verify` on an action needs `verify_by`"),
    ("observe: versions\n", "observe: versions\ntimeout: 5\n", "timeout: |5", "`timeout`: 5 is no duration"),
    ('ne: "${look.champion}"}}\n```\n', "ne: 1}}\n", "|```drill\nid: over", "this cell is never closed"),
]


@pytest.mark.parametrize(("old", "new", "at", "words"), WRONG)
def test_a_mistake_is_told_at_its_place(tmp_path: Path, *, old: str, new: str, at: str, words: str) -> None:
    """`at` is a piece of the wrong text, with a bar before the place that must be told."""
    assert PLAYBOOK.count(old) >= 1
    text = PLAYBOOK.replace(old, new, 1)
    assert text.count(at.replace("|", "")) == 1
    before = text[: text.index(at.replace("|", "")) + at.index("|")]
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: "
    found = problems(tmp_path, text)
    assert [line for line in found if line.startswith(place + words)], (place, found)


def test_a_section_missing_at_the_end_is_told_there(tmp_path: Path) -> None:
    text = PLAYBOOK.replace("## Afterwards", "### Afterwards")
    last = text.count("\n") + 1
    assert problems(tmp_path, text) == [f"{last}:1: there is no section Afterwards: write `## Afterwards` at the end"]


def test_mistakes_of_head_sections_and_cells_are_told_together(tmp_path: Path) -> None:
    text = PLAYBOOK.replace("sev2", "2").replace("## Isolate\n", "").replace("do: rollback", "do: roll")
    lines = text.split("\n")
    places = [lines.index("severity: 2"), lines.index("## Act"), lines.index("do: roll")]
    assert [int(line.split(":")[0]) - 1 for line in problems(tmp_path, text)] == places


def test_a_cell_indented_by_a_space_or_three_keeps_its_places(tmp_path: Path) -> None:
    text = PLAYBOOK.replace("```drill\nid: ack\nreport: ack\n```", "  ```drill\n  id: ack\n  report: akc\n  ```")
    assert problems(tmp_path, text)[0].startswith("17:11: 'akc'")


def test_too_many_cells_are_refused(tmp_path: Path) -> None:
    cells = "".join(f"```drill\nid: s{i}\nreport: update\n```\n\n" for i in range(101))
    found = problems(tmp_path, PLAYBOOK.replace("## Escalate\n", f"## Escalate\n\n{cells}"))
    assert any("cells; at most 100 are legal" in line for line in found)

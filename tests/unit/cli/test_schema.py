"""The scorecard's published schema is fresh, and real scorecards obey it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from harness.cli.schema_ import scorecard_schema

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "scorecard.schema.json"


def test_the_published_schema_is_fresh():
    assert PUBLISHED.read_text() == scorecard_schema(), (
        "make it anew: drill schema scorecard > docs/scorecard.schema.json"
    )


@pytest.mark.parametrize("card", sorted((ROOT / "fixtures" / "golden").glob("*.json")), ids=lambda path: path.stem)
def test_golden_scorecards_obey_it(card: Path):
    jsonschema.validate(json.loads(card.read_text()), json.loads(PUBLISHED.read_text()))


def test_it_refuses_what_is_no_scorecard():
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"verdict": "FINE"}, json.loads(PUBLISHED.read_text()))

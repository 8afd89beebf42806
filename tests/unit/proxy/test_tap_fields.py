"""Fields that a tap takes out of a record, or gives another name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.proxy.tap import recordpath
from harness.proxy.tap.damage import damage_of
from harness.proxy.tap.damaging import Damaging
from harness.proxy.tap.formats import FORMATS, Wanted
from harness.proxy.tap.masklog import MaskLog

TENSOR = {"name": "a", "shape": [1], "datatype": "FP64", "data": [2.0]}
TWO = b'[{"id": 1, "a": 1.10, "c": 2}, {"id": 2, "c": 3}]'


@pytest.mark.parametrize(
    ("corrupt", "form", "body", "after"),
    [
        ({"type": "renamed", "columns": ["a"], "to": "b"}, "json", TWO, b'[{"id":1,"c":2,"b":1.10},{"id": 2, "c": 3}]'),
        ({"type": "absent", "columns": ["a", "c"]}, "json", TWO, b'[{"id":1},{"id":2}]'),
        ({"type": "absent", "columns": ["a"]}, "ndjson", b'{"id":1,"a":5}\n{"id":2}\n', b'{"id":1}\n{"id":2}\n'),
    ],
)
def test_a_field_is_taken_out_or_renamed_to_the_letter(
    corrupt: dict[str, Any], form: str, body: bytes, after: bytes
) -> None:
    """A record that hadn't it gets no field of the new name either."""
    columns, damage = damage_of(corrupt)
    parsed = FORMATS[form].parse(body, Wanted(recordpath.parse("$"), "id", columns))
    damaging = Damaging(columns, damage, MaskLog())
    text, written = parsed.write(damaging.hits(parsed.rows, parsed.ids))
    assert text == after
    assert "a" in written[0].values


@pytest.mark.parametrize(
    ("form", "body"),
    [("csv", b"id,a\n1,2\n"), ("oip", json.dumps({"inputs": [TENSOR]}).encode())],
)
@pytest.mark.parametrize(
    "corrupt", [{"type": "renamed", "columns": ["a"], "to": "b"}, {"type": "absent", "columns": ["a"]}]
)
def test_where_records_share_their_columns_no_field_goes(corrupt: dict[str, Any], form: str, body: bytes) -> None:
    columns, damage = damage_of(corrupt)
    parsed = FORMATS[form].parse(body, Wanted(recordpath.parse("$"), "id", columns))
    hits = Damaging(columns, damage, MaskLog()).hits(parsed.rows, parsed.ids)
    assert len(hits) == 1
    assert parsed.write(hits)[1] == []


def test_of_a_share_only_the_records_that_were_drawn_lose_the_field() -> None:
    _, damage = damage_of({"type": "renamed", "columns": ["a"], "to": "b", "dose": 0.5, "seed": 3})
    outcome = damage({"a": [1] * 100}, list(range(100)), 0)
    assert outcome.masks["a"] == outcome.masks["b"]
    assert 30 < sum(outcome.masks["a"]) < 70

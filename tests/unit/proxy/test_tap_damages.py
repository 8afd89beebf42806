"""Which damage a tap takes: all that changes values, drops or doubles; what else there is is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from harness.proxy.refusal import Refusal
from harness.proxy.tap.damage import damage_of


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"type": "late", "by": 2}, "corrupt: late hands records on later, and a tap holds none back"),
        ({"type": "reorder", "within": 2}, "corrupt: reorder hands records on later"),
        ({"type": "duplicate", "after": 1}, "corrupt: duplicate with 'after' hands records on later"),
        ({"type": "drop", "exact": True}, "corrupt: exact needs the whole table"),
        ({"type": "added", "columns": ["a"]}, "corrupt: added makes columns that weren't there"),
        ({"type": "doubled", "columns": ["a"]}, "corrupt: doubled makes columns that weren't there"),
        ({"type": "stuck", "columns": ["a"], "length": 5}, "corrupt: stuck looks back at records that have passed"),
        ({"type": "sign", "columns": ["a"], "exact": True}, "corrupt: exact needs the whole table"),
        ({"type": "sgn", "columns": ["a"]}, "corrupt: type: unknown 'sgn'. Did you mean 'sign'?"),
        ({"type": "sign", "columns": ["a"], "reference": [1]}, "corrupt: reference: '[1]' is not legal"),
    ],
)
def test_what_a_tap_can_not_do_is_refused(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(Refusal) as told:
        damage_of(spec)
    assert told.value.message.startswith(says)


def test_quantiles_come_from_the_clean_values_beside_the_corruption() -> None:
    whom = {"kind": "itself", "above_quantile": 0.5}
    spec = {"type": "scale", "factor": 2, "columns": ["a"], "mechanism": whom, "reference": {"a": [0, 10, 20]}}
    columns, damage = damage_of(spec)
    assert columns == ("a",)
    outcome = damage({"a": [5, 10, 15, None, "x"]}, [1, 2, 3, 4, 5], 0)
    assert outcome.columns == {"a": [5, 20, 30, None, "x"]}
    assert outcome.masks == {"a": [False, True, True, False, False]}


def test_bursts_go_by_the_place_in_the_tap_whatever_the_messages() -> None:
    spec = {"type": "sign", "columns": ["a"], "mechanism": {"kind": "burst", "length": 5}, "dose": 0.5, "seed": 3}
    _, damage = damage_of(spec)
    whole = damage({"a": [1] * 40}, [None] * 40, 0).masks["a"]
    first, second = damage({"a": [1] * 13}, [None] * 13, 0), damage({"a": [1] * 27}, [None] * 27, 13)
    parts = first.masks["a"] + second.masks["a"]
    assert parts == whole
    assert 0 < sum(whole) < 40

"""What `${...}` becomes, and what it can never become."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.target.interpolate import fill, fill_json, fill_url

NAMES = {"service.bus.url": "http://127.0.0.1:1", "arg.version": "3", "arg.nothing": None, "arg.flag": True, "seed": 7}


def test_text_is_filled() -> None:
    assert fill("a ${seed} b ${service.bus.url}/x", NAMES) == "a 7 b http://127.0.0.1:1/x"


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown '\$\{service.buss.url\}'. Did you mean 'service.bus.url'"):
        fill("${service.buss.url}", NAMES)


def test_an_argument_in_an_address_stays_a_part_of_it() -> None:
    names = {"service.bus.url": "http://h:1", "arg.version": "../admin?x=1#y"}
    assert fill_url("${service.bus.url}/v/${arg.version}", names) == "http://h:1/v/..%2Fadmin%3Fx%3D1%23y"


def test_a_lone_argument_keeps_its_type() -> None:
    assert fill_json({"flag": "${arg.flag}", "text": "is ${arg.flag}"}, NAMES) == {"flag": True, "text": "is true"}


def test_what_was_not_given_is_left_out() -> None:
    assert fill_json({"to": "${arg.nothing}", "l": ["${arg.nothing}", 1]}, NAMES) == {"l": [1]}


@pytest.mark.parametrize("text", ["${HOME}", "${seed+1}", "${}", "${seed:-3}"])
def test_there_is_no_other_language(text: str) -> None:
    with pytest.raises(UsageError, match="unknown"):
        fill(text, NAMES)


def test_what_is_filled_in_is_not_read_again() -> None:
    assert fill("${arg.version}", {"arg.version": "${seed}", "seed": 7}) == "${seed}"

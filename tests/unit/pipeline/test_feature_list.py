"""The generated list of features: good and doubled ones in turns, and a replica that has room for good ones only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import featurelist, registry, schema, serving, web
from tests.unit.pipeline import roles


class Generator:
    """A registry that has no model and gives the list that it is told."""

    def __init__(self) -> None:
        self.answer: Any = {"generation": 1, "features": list(schema.FEATURES)}

    def build(self, setup: web.Setup) -> web.Service:
        service = web.Service(setup)

        async def give(_: Any) -> Any:
            return self.answer

        service.route("GET", featurelist.PATH, give)
        return service


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[tuple[Generator, roles.Role]]:
    generator = Generator()
    with (
        roles.serving(generator.build, tmp_path / "registry") as source,
        roles.serving(serving.make, tmp_path / "serving", REGISTRY_URL=source.url) as role,
    ):
        role.patch(poll_s=0.05)
        yield generator, role


def names(times: int) -> dict[str, Any]:
    return {"generation": 1, "features": list(schema.FEATURES) * times}


def trouble(role: roles.Role) -> str | None:
    return role.get(featurelist.PATH)["trouble"]


def looks(role: roles.Role, end: str) -> float:
    return role.metric(f'serving_feature_lists_total{{end="{end}"}}')


def test_one_copy_is_a_good_list_always_and_two_are_doubled_three_times_in_four() -> None:
    sizes = [[len(featurelist.generated(copies=n, now=t)["features"]) for t in range(8)] for n in (1, 2)]
    assert sizes[0] == [8] * 8
    assert sorted(sizes[1][:4]) == [8, 16, 16, 16]
    assert sizes[1][:4] == sizes[1][4:]
    assert 8 < featurelist.NAMES_MAX < 16


def test_the_registry_generates_as_its_setting_says(tmp_path: Path) -> None:
    with roles.serving(registry.make, tmp_path) as role:
        assert role.get(featurelist.PATH)["features"] == list(schema.FEATURES)
        role.patch(feature_list_copies=2)
        roles.until(lambda: len(role.get(featurelist.PATH)["features"]) == 16, "a doubled list")
        roles.until(lambda: len(role.get(featurelist.PATH)["features"]) == 8, "a good one in between")
        role.patch(400, feature_list_copies=0)


def test_over_the_limit_a_replica_has_none_until_a_good_one_comes(replica: tuple[Generator, roles.Role]) -> None:
    generator, role = replica
    generator.answer = names(2)
    roles.until(lambda: trouble(role), "no list")
    assert role.get(featurelist.PATH)["features"] == []
    assert role.status("/v2/models/risk/ready") == 503
    generator.answer = names(1)
    roles.until(lambda: trouble(role) is None, "a list again")
    assert role.get(featurelist.PATH)["features"] == list(schema.FEATURES)


def test_pinned_it_goes_back_to_the_last_good_one_and_asks_for_none(replica: tuple[Generator, roles.Role]) -> None:
    generator, role = replica
    roles.until(lambda: looks(role, "taken"), "a first list")
    generator.answer = names(2)
    roles.until(lambda: trouble(role), "no list")
    role.patch(feature_list_pinned=True)
    assert role.get(featurelist.PATH) == {"features": list(schema.FEATURES), "pinned": True, "trouble": None}
    role.patch(feature_list_pinned=False)
    roles.until(lambda: trouble(role), "the bad list again: it is still what is generated")


@pytest.mark.parametrize("answer", [{"features": ["amount_log"]}, {"features": [1]}, {"features": None}, [], "no list"])
def test_what_is_no_list_for_the_model_changes_nothing(replica: tuple[Generator, roles.Role], *, answer: Any) -> None:
    generator, role = replica
    generator.answer = answer
    roles.until(lambda: looks(role, "refused") + looks(role, "unavailable") > 1, "it came, and wasn't taken")
    assert trouble(role) is None
    assert role.get(featurelist.PATH)["features"] == list(schema.FEATURES)

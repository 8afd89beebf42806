"""A state directory of their own for tests that run whole drills, and one shop that stays up for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.target.embedded.driver import EmbeddedDriver
from tests.e2e import trouble


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of this user's is touched; whatever runs in it at the end is taken down."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLDRILL_STATE", str(tmp_path_factory.mktemp("state")))
        yield
        for name in EmbeddedDriver().instances():
            EmbeddedDriver().attach(name).down()


@pytest.fixture(scope="module")
def kept(state: None) -> str:
    """The name of a shop that is up before the drill and stays up after it."""
    trouble.shop("kept").up()
    return "kept"

"""Who uses an instance is told by its name, wherever its files lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import TargetBusyError
from harness.target.held import Lock


def test_a_busy_instance_is_named_as_people_know_it(tmp_path: Path) -> None:
    folder = tmp_path / "docker-night"
    first = Lock(folder, "night")
    first.acquire("one")
    with pytest.raises(TargetBusyError, match="instance 'night' is in use by run one"):
        Lock(folder, "night").require_free()
    first.release()
    Lock(folder, "night").require_free()

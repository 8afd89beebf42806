"""What the checks of the repository look at: files that git has or would add, and that are still there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def sources() -> tuple[str, ...]:
    """Paths relative to the checkout. What .gitignore names is nobody's business."""
    safe = f"safe.directory={REPOSITORY}"  # a clone may belong to another user than the one who runs the tests
    git = ["git", "-c", safe, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(git, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=30)
    names = sorted(set(filter(None, listing.stdout.split("\0"))))
    assert "pyproject.toml" in names
    return tuple(name for name in names if (REPOSITORY / name).is_file())

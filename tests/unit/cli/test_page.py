"""Of which runs `drill page` draws a page: those that have something to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import Exit

GOLDEN = Path(__file__).parents[3] / "fixtures/golden"


@pytest.mark.parametrize(
    ("story", "why"),
    [
        ("control", "a control: nothing was injected"),
        ("not-witnessed", "no fault was ever seen to be active (INVALID_INJ"),
    ],
)
def test_a_run_without_an_effect_has_no_page(
    story: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["page", str(GOLDEN / f"{story}.jsonl"), "--to", str(tmp_path)])
    assert ended.value.code == Exit.USAGE
    assert why in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

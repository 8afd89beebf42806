"""`make catalogue`: runs each scenario of data, features and drift with nobody answering, and makes its page and picture of that.

Runs on one instance that is kept up and reset between drills, a good half minute each. `--texts` runs nothing: it brings
what scenario and playbook say up to date on the pages that there are, and the index. `--run` takes a recorded run instead of
making one. `--dose` also finds the smallest dose that is seen, which takes some minutes more, where the damage is one of
records; `--found` takes what `drill dose NAME --json` printed. Without either, a page keeps what it told of the dose.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.history.scorecard import Verdict
from tests.catalogue.pages import FOLDER, Wanted, index, refreshed, wanted, with_dose_of

DRILL = [str(Path(sys.executable).with_name("drill"))]
RUN_S_MAX = 900.0
USAGE = 2


def recorded(one: Wanted, *, instance: str, reports: Path) -> tuple[Path | None, str]:
    """A run that nobody answered: its folder, and what became of it."""
    words = ["run", str(one.path), "--responder", "none", "--json", "--keep", "--instance", instance]
    done = _drill([*words, "--reports", str(reports)])
    try:
        card = json.loads(done.stdout)
    except ValueError:
        return None, done.stderr.strip()[-400:]
    if card["verdict"] not in (Verdict.FAIL, Verdict.PASS):
        return None, f"{card['verdict']}: {'; '.join(card['reasons'])[:300]} ({card.get('run_dir', '')})"
    return Path(card["run_dir"]), card["verdict"]


def dose(one: Wanted) -> str | None:
    """What `drill dose` finds; None where the fault's damage isn't one of records."""
    done = _drill(["dose", one.name, "--json"])
    return done.stdout if done.returncode != USAGE and done.stdout.strip() else None


def drawn(one: Wanted, run: Path, *, found: str | None) -> str:
    """Makes the page, with what was found of the dose, or else what the page tells of it; empty, or what went wrong."""
    words = ["page", str(run), "--to", str(FOLDER)]
    before = one.page.read_text() if one.page.exists() else ""
    with tempfile.TemporaryDirectory() as folder:
        if found is not None:
            path = Path(folder) / "dose.json"
            path.write_text(found)
            words += ["--dose", str(path)]
        done = _drill(words)
    if done.returncode:
        return done.stderr.strip()[-400:]
    if found is None:
        one.page.write_text(with_dose_of(before, one.page.read_text()))
    return ""


def _drill(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DRILL, *words], capture_output=True, text=True, timeout=RUN_S_MAX, check=False)


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="make catalogue", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help="names; all without")
    parser.add_argument("--texts", action="store_true", help="run nothing: what the files say, and the index")
    parser.add_argument("--run", type=Path, help="a recorded run of the one scenario that is named")
    parser.add_argument("--dose", action="store_true", help="also the smallest dose that is seen")
    parser.add_argument(
        "--found", type=Path, help="a file with what `drill dose` told of the one scenario that is named"
    )
    parser.add_argument("--instance", default="catalogue")
    parser.add_argument("--reports", type=Path, default=Path("reports/catalogue"))
    options = parser.parse_args()
    if (options.run is not None or options.found is not None) and len(options.scenarios) != 1:
        parser.error("--run and --found go with the name of one scenario")
    chosen = [one for one in wanted() if not options.scenarios or one.name in options.scenarios]
    failures = 0
    for one in chosen if not options.texts else ():
        run, why = options.run, "as recorded"
        if run is None:
            run, why = recorded(one, instance=options.instance, reports=options.reports)
        found = options.found.read_text() if options.found else dose(one) if options.dose and run is not None else None
        wrong = why if run is None else drawn(one, run, found=found)
        failures += bool(wrong)
        print(f"{'BAD' if wrong else 'ok '} {', '.join(one.rows):8} {one.name:26} {wrong or why}", flush=True)
    if not options.texts and options.run is None:
        _drill(["down", "--driver", "embedded", "--instance", options.instance])
    for one in wanted():
        if one.page.exists():
            one.page.write_text(refreshed(one))
    (FOLDER / "index.md").write_text(index())
    return 1 if failures or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())

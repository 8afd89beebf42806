"""`make admissible`: every arm and every lazy response of every scenario, as a table; exits 1 where one is not as it must be.

Runs on one instance that is kept up and reset between drills. `--target docker` runs all on containers; without it, what needs
containers is left out, saying so. `--times 5` repeats each; `--only` picks trials by a part of their label; `--markdown FILE`
writes the table that docs/ shows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.cli.drill import choose
from harness.errors import UnsupportedError, UsageError
from harness.history.scorecard import Verdict
from harness.spec.find import all_scenarios, find_target
from harness.spec.load import load_scenario, load_target
from harness.spec.scenario import Scenario
from tests.admissible.expectations import Trial, trials_of
from tests.admissible.harm import harmful

DRILL = [str(Path(sys.executable).with_name("drill"))]
WIDEST = "docker"
"""The form of the reference pipeline on which every scenario can be run."""
UNANSWERED = {
    "embedded": (
        "unit-change",
        "covariate-shift",
        "slow-feature-store",
        "registry-down",
        "store-evicts-features",
        "broken-alert-route",
    ),
    "docker": ("disk-full", "oom-on-model-load", "traffic-before-ready"),
}
"""Of which scenarios each CI run sees that nobody's answer fails: such runs last for the whole of their budget."""
RUN_S_MAX = 300.0
CANT_TELL = (Verdict.ENV_ERROR, Verdict.INCONCLUSIVE)
"""Such a run (the machine stalled) has said nothing of the scenario. It is asked once more (see docs/ci.md); both are told."""


def drill(
    scenario: Path, trial: Trial, *, target: str | None, instance: str, reports: Path, seed: int | None
) -> dict[str, Any]:
    """One run through the command line, as a user would; its scorecard, or what it said instead. `first`: what a run before it
    said that couldn't tell."""
    words = [*DRILL, "run", str(scenario), "--arm", trial.arm, "--responder", trial.responder, "--json", "--keep"]
    words += ["--instance", instance, "--reports", str(reports)]
    if target is not None:
        words += ["--target", target]
    if trial.playbook is not None:
        words += ["--playbook", trial.playbook]
    if trial.act_at_s is not None:
        words += ["--act-at", f"{trial.act_at_s:g}s"]
    if seed is not None:
        words += ["--seed", str(seed)]
    card = _run(words)
    if card["verdict"] not in CANT_TELL:
        return card
    why = f"{card['verdict']}: {'; '.join(card['reasons'])[:300]} ({card.get('run_dir', '')})"
    return _run(words) | {"first": why}


def _run(words: list[str]) -> dict[str, Any]:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=RUN_S_MAX, check=False)
    except subprocess.TimeoutExpired:
        return {"verdict": "no end", "reasons": [f"it still ran after {RUN_S_MAX:g} s"]}
    try:
        card: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"verdict": f"exit {done.returncode}", "reasons": [done.stderr.strip()[-400:]]}
    return card


def in_sample(scenario: str, trial: Trial, *, driver: str) -> bool:
    """What every CI run proves beside tests/e2e/test_both_forms.py, in which every scenario passes when it is answered rightly:
    all the other arms of bad-model-version (its control stands for all: nothing is injected in one), and that nobody's answer
    fails, of one scenario of each kind of incident. On containers, the latter of what needs them most."""
    if scenario == "bad-model-version" and driver != "docker":
        return not trial.label.endswith("by the playbook")
    return scenario in UNANSWERED.get(driver, ()) and trial.label.endswith("nobody answers")


def with_harm(trial: Trial, path: Path, scenario: Scenario, folder: Path) -> Trial | None:
    """The trial with the playbook that does the harm; None where there is none to be done."""
    made = harmful(path, scenario.playbook, folder) if scenario.playbook is not None else None
    return None if made is None else replace(trial, label=f"{trial.label}: {made[0]}", playbook=str(made[1]))


def lacking(scenario: Path, target: str | None) -> str:
    """Why a scenario can't be planned on this target; empty when it can."""
    try:
        choose(str(scenario), target=target, arm=None, seed=None, responder="none")
    except (UnsupportedError, UsageError) as problem:
        return problem.message
    return ""


def wrong(trial: Trial, card: dict[str, Any]) -> str:
    """Why this result is not as it must be; empty where it is."""
    if card["verdict"] not in trial.right:
        return f"{card['verdict']}, wanted {' or '.join(sorted(trial.right))}: {'; '.join(card['reasons'])[:300]}"
    if trial.harm and not (card.get("conformance") or {}).get("forbidden_done"):
        return "nothing says that what was done is forbidden"
    moments = card.get("moments") or {}
    if trial.never_recovers and moments.get("t_recover") is not None:
        return "it recovered although nobody answered"
    return ""


def figures(card: dict[str, Any]) -> str:
    """TTD, TTM and TTR in a few characters; `>` where censored."""
    times = card.get("times") or {}
    shown = []
    for name in ("ttd", "ttm", "ttr"):
        value = (times.get(name) or {}).get("value_s")
        mark = ">" if (times.get(name) or {}).get("censored") else ""
        shown.append("-" if value is None else f"{mark}{value:.1f}")
    return " / ".join(shown)


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="make admissible", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help="names; all without")
    parser.add_argument("--only", action="append", default=[], help="trials whose label holds this")
    parser.add_argument("--target", help="as of `drill run`: docker, or a target file")
    parser.add_argument("--sample", action="store_true", help="what CI runs; see `in_sample`")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--instance", default="admissible")
    parser.add_argument("--reports", type=Path, default=Path("reports/admissible"))
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    driver = load_target(find_target(options.target)).spec.driver
    rows: list[tuple[str, Trial, Counter[str], str, str]] = []
    failures = 0
    made_in = tempfile.TemporaryDirectory(prefix="harm-")  # removed when the program ends
    began = time.monotonic()
    for path in all_scenarios():
        scenario: Scenario = load_scenario(path).scenario
        if options.scenarios and scenario.scenario not in options.scenarios:
            continue
        if (why := lacking(path, options.target)) and not lacking(path, WIDEST):
            print(f"-   {scenario.scenario:22} not on this target: {' '.join(why.split())}")
            continue
        for declared in trials_of(scenario):
            if options.only and not any(part in declared.label for part in options.only):
                continue
            if options.sample and not in_sample(scenario.scenario, declared, driver=driver):
                continue
            trial = with_harm(declared, path, scenario, Path(made_in.name)) if declared.harm else declared
            if trial is None:
                print(f"-   {scenario.scenario:22} its playbook forbids nothing that can be tried")
                continue
            verdicts: Counter[str] = Counter()
            complaint = shown = ""
            for _ in range(options.times):
                card = drill(
                    path,
                    trial,
                    target=options.target,
                    instance=options.instance,
                    reports=options.reports,
                    seed=options.seed,
                )
                verdicts[card["verdict"]] += 1
                if "first" in card:
                    verdicts[f"asked again after {card['first'].partition(':')[0]}"] += 1
                    print(f"      asked again: {card['first']}")
                shown = figures(card)
                why = wrong(trial, card)
                complaint = complaint or (why and f"{why} ({card.get('run_dir', '')})")
            failures += bool(complaint)
            rows.append((scenario.scenario, trial, verdicts, shown, complaint))
            said = ", ".join(f"{count} x {verdict}" for verdict, count in verdicts.items())
            print(f"{'ok ' if not complaint else 'BAD'} {scenario.scenario:22} {trial.label:30} {said:24} {shown}")
            if complaint:
                print(f"      {complaint}")
            sys.stdout.flush()
    down = [*DRILL, "down", "--driver", driver, "--instance", options.instance]
    subprocess.run(down, capture_output=True, timeout=60, check=False)
    if options.markdown is not None:
        options.markdown.write_text(markdown(rows, options.times))
    print(f"{len(rows) - failures} passed, {failures} failed, in {time.monotonic() - began:.0f} s")
    return 1 if failures or not rows else 0


def markdown(rows: list[tuple[str, Trial, Counter[str], str, str]], times: int) -> str:
    """The table that docs/ shows."""
    lines = [
        "# Proof that each scenario measures something",
        "",
        "Made by `make admissible`, on two shared cores under load. A fault does not recover on its own, does with its playbook,",
        "its control stays quiet, and lazy responses do not pass. A decoy passes where nobody acts, and fails where somebody",
        "does. Seconds are of that run; `>` means: not until then; `-`: not asked, or nothing to count from.",
        "",
        "| scenario | arm and response | verdicts | TTD / TTM / TTR, s | as it must be |",
        "|---|---|---|---|---|",
    ]
    for scenario, trial, verdicts, shown, complaint in rows:
        said = ", ".join(f"{count} x {verdict}" for verdict, count in verdicts.items())
        lines.append(f"| {scenario} | {trial.label} | {said} | {shown} | {'no' if complaint else 'yes'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

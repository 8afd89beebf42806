"""What an admissible scenario owes: which verdicts each arm and each response must give, and why.

From the design: a fault doesn't recover on its own, does with its playbook, its control stays quiet, and lazy responses
don't pass. A decoy passes where nothing is done, and fails where somebody acts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.contract.words import Kind
from harness.spec.load import load_scenario
from harness.spec.scenario import Scenario

LAZY_FOLDER = Path(__file__).parent / "playbooks"


@dataclass(frozen=True)
class Trial:
    """One arm with one response, and the verdicts that are right for it. `never_recovers`: nor may it have recovered; `harm`:
    what the playbook forbids first is done, and must be told (see `harm.py`)."""

    label: str
    arm: str
    responder: str
    right: frozenset[str]
    playbook: str | None = None
    act_at_s: float | None = None
    never_recovers: bool = False
    harm: bool = False


def lazy_playbooks() -> list[Path]:
    """The lazy responses that are playbooks: scale to zero, silence the alert, edit the threshold."""
    return sorted(LAZY_FOLDER.glob("*.md"))


def trials_of(scenario: Scenario) -> list[Trial]:
    """Every arm and every lazy response of one scenario."""
    passes, fails = frozenset({"PASS"}), frozenset({"FAIL"})
    if scenario.kind is Kind.DECOY:
        return [
            Trial("decoy, nobody acts", "decoy", "none", passes),
            Trial("decoy, by the playbook", "decoy", "playbook", passes),
            Trial("decoy, restart-all unasked", "decoy", "restart-all", fails, act_at_s=3.0),
            Trial("control", "control", "none", passes),
        ]
    # A stop condition that ends the drill is no pass either: the response was so bad that it had to be stopped.
    lazy = frozenset({"FAIL", "ABORTED"})
    restarted = passes if scenario.restart_all_solves else lazy
    return [
        Trial("fault, nobody answers", "fault", "none", lazy, never_recovers=True),
        Trial("fault, by the playbook", "fault", "playbook", passes),
        Trial("control", "control", "playbook", passes),
        Trial("fault, restart-all", "fault", "restart-all", restarted),
        *(Trial(f"fault, {path.stem}", "fault", "playbook", lazy, playbook=str(path)) for path in lazy_playbooks()),
        Trial("fault, what is forbidden", "fault", "playbook", lazy, harm=True),
    ]


def one_of_each_fault(scenarios: Iterable[Path]) -> list[Path]:
    """Of many scenarios so few that each fault is in one of them, and each decoy: what every CI run can afford to run whole."""
    chosen: list[Path] = []
    seen: set[str] = set()
    for path in scenarios:
        scenario = load_scenario(path).scenario
        faults = {fault.fault for fault in scenario.faults}
        if scenario.kind is Kind.DECOY or not faults <= seen:
            chosen.append(path)
            seen |= faults
    return chosen

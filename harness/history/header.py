"""The first line of a history: everything that is needed to score and show the run on another machine."""

from __future__ import annotations

import msgspec

from harness.contract.undo import Json
from harness.spec.plan import Plan

HISTORY_SCHEMA = 1
MACHINE_VERSION = 1


class Header(msgspec.Struct, frozen=True, tag_field="kind", tag="header"):
    """`run` is an id that tells nothing of the scenario; `started_utc` an ISO time for people.

    `target` is the target description with secrets redacted; `versions` of harness and machine; `commit` of the
    checkout it ran from, with `-dirty` where it was; empty when there is none.
    """

    schema: int
    machine: int
    run: str
    started_utc: str
    t_ns: int
    wall_ns: int
    plan: Plan
    playbook_text: str
    scenario_text: str
    target: dict[str, Json]
    harness_version: str
    python: str
    platform: str
    commit: str
    instance: str

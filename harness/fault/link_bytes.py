"""A link that damages bytes: what comes is as long as what was sent, and isn't the same.

The witness knows the answer of its probe from before. Answers that differ are damaged, unless two in a row differ in the same
way: flipped bits are never the same twice, so that is an answer that has changed by itself, as after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.contract.faults import Cure, CureKind, PlannedFault
from harness.contract.probe import ProbeReading
from harness.contract.undo import Json
from harness.contract.words import Capability, CauseClass
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import linked
from harness.fault.linked import LINK, SHARE, SHOWS_MIN, Probed
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory

MILLION = 1_000_000
RATE_MIN, RATE_MAX = 1 / MILLION, 0.1
CHANGING = ("date", "age", "expires")


def _shows(bytes_a_probe: int, rate: float) -> float:
    """The chance that an answer of so many bytes is hit, half of them reckoned with: the others may not show."""
    return float(1 - (1 - rate) ** (bytes_a_probe / 2))


def _steady_bytes(fault: PlannedFault, inventory: Inventory) -> int:
    """Of an answer that is always the same: the large one need not be, as where it counts something."""
    probe = linked.probe_of(fault, inventory)
    return max(linked.LEAST_BYTES, probe.bulk_bytes if probe.bulk == probe.path else 0)


def _corrupt(fault: PlannedFault, inventory: Inventory) -> str:
    rate, bits = fault.arguments["rate"], fault.arguments["bits"]
    if not RATE_MIN <= rate <= RATE_MAX:
        raise UsageError(
            f"rate: {rate:g} is out of range; legal: shares of the bytes from {RATE_MIN:f} to {RATE_MAX:g}"
        )
    if not 1 <= bits <= 8:
        raise UsageError(f"bits: {bits} is out of range; legal: from 1 to 8")
    size = _steady_bytes(fault, inventory)
    if _shows(size, rate) * fault.arguments["share"] < SHOWS_MIN:
        wanted = next(n for n in range(0, 2**26, 1024) if n and _shows(n, rate) >= SHOWS_MIN)
        raise UsageError(
            f"rate: the witness of '{fault.arguments['link']}' would see it in one of"
            f" {1 / max(1e-9, _shows(size, rate) * fault.arguments['share']):.0f} answers of {size} bytes, which are too few;"
            f" links.{fault.arguments['link']}.probe in target.yaml: {{path: /an/answer/always/the/same, bytes: {wanted}B}} would"
            " do, or a higher share"
        )
    return f"damages {rate:g} of the bytes"


def _answer(probe: ProbeReading) -> dict[str, Json]:
    headers = {name: value for name, value in probe.headers.items() if name not in CHANGING}
    return {"status": probe.status, "digest": probe.digest, "headers": headers}


def _steady(fault: PlannedFault, probes: Sequence[ProbeReading]) -> dict[str, Json]:
    first, *others = [_answer(one) for one in probes]
    if any(one != first for one in others):
        raise EnvironmentProblem(
            f"link '{fault.arguments['link']}': its probe is answered otherwise each time, so damage can't be told",
            hint="links.NAME.probe in target.yaml: a path with an answer that is always the same",
        )
    return {"answer": first, "shows": _shows(min(one.received for one in probes), fault.arguments["rate"])}


def _settled(facts: Mapping[str, Json], probe: ProbeReading, memory: dict[str, Any]) -> Mapping[str, Json]:
    if probe.answered:
        now = _answer(probe)
        if now == memory.get("last"):
            memory["answer"] = now
        memory["last"] = now
    return {**facts, "answer": memory.get("answer", facts["answer"])}


def _damaged(_: PlannedFault, facts: Mapping[str, Json], probe: ProbeReading) -> bool | None:
    if probe.answered:
        return bool(_answer(probe) != facts["answer"])
    broken = probe.ended in ("damaged", "closed early", "hung")
    return True if broken and probe.received else None


def _share(fault: PlannedFault, facts: Mapping[str, Json]) -> float:
    """Of the answers that are seen to be damaged, at least."""
    return float(fault.arguments["share"] * facts["shows"]) if facts else SHOWS_MIN


CORRUPT = Probed(
    declaration=FaultDeclaration(
        name="link.corrupt",
        summary="bytes arrive damaged: bits are flipped on the way",
        needs=frozenset({Capability.LINK}),
        arguments=(
            LINK,
            ArgumentDeclaration("rate", "share", required=True, help="share of the bytes that is hit, up to 0.1"),
            ArgumentDeclaration("bits", "integer", default=1, help="bits flipped in a byte that is hit"),
            SHARE,
        ),
        dose="rate",
        cure=Cure(kind=CureKind.EXTERNAL),
        cause=CauseClass.NETWORK,
        rows=("N5",),
    ),
    needs=lambda _: ("corrupt",),
    plans=_corrupt,
    wanted=lambda fault: linked.toxic_at(
        fault, "corrupt", {"rate": round(fault.arguments["rate"] * MILLION), "bits": fault.arguments["bits"]}
    ),
    ask=linked.plain_ask,
    looks=_damaged,
    facts=_steady,
    settles=_settled,
    share=_share,
    every_s=linked.OFTEN_S,
)

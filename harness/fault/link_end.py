"""Links whose connections end badly: long after the last byte, or in the middle of an answer.

The witness reads each answer to its end, and for a slow close waits until the connection ends too.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from harness.contract.faults import Cure, CureKind, PlannedFault
from harness.contract.probe import ProbeAsk, ProbeReading
from harness.contract.undo import Json
from harness.contract.words import Capability, CauseClass
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import linked
from harness.fault.linked import LINK, SHARE, STREAM, Probed
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory

MS = 1000
EXTERNAL = Cure(kind=CureKind.EXTERNAL)
AFTER_MAX = 2**30


# --- slow close -------------------------------------------------------------------------------------------------------


def _slow(fault: PlannedFault, _: Inventory) -> str:
    linked.check_s("delay", fault.arguments["delay"], least_s=linked.SEEN_S)
    return f"closes {fault.arguments['delay'] * MS:g} ms late"


def _closed_after(fault: PlannedFault, probes: Sequence[ProbeReading]) -> dict[str, Json]:
    closes = [one.close_s for one in probes if one.close_s is not None]
    if len(closes) < len(probes):
        raise EnvironmentProblem(
            f"link '{fault.arguments['link']}': what answers there leaves connections open that were asked to be closed, so a"
            " late close can't be seen"
        )
    return {"close_s": statistics.median(closes)}


def _closed_late(fault: PlannedFault, facts: Mapping[str, Json], probe: ProbeReading) -> bool | None:
    if not probe.answered:
        return None
    return probe.close_s is None or probe.close_s - facts["close_s"] >= fault.arguments["delay"] / 2


SLOW_CLOSE = Probed(
    declaration=FaultDeclaration(
        name="link.slow-close",
        summary="connections over a link stay open after the other side has closed them",
        needs=frozenset({Capability.LINK}),
        arguments=(
            LINK,
            ArgumentDeclaration("delay", "duration", required=True, help="how late, such as 500ms"),
            SHARE,
        ),
        dose="delay",
        cure=EXTERNAL,
        cause=CauseClass.NETWORK,
        rows=("N4",),
    ),
    needs=lambda _: ("slow_close",),
    plans=_slow,
    wanted=lambda fault: linked.toxic_at(fault, "slow_close", {"delay": round(fault.arguments["delay"] * MS)}),
    ask=lambda _: ProbeAsk(closes=True),
    looks=_closed_late,
    facts=_closed_after,
    twice=True,
    every_s=linked.BULK_EVERY_S,
)


# --- truncation -------------------------------------------------------------------------------------------------------


def _truncate(fault: PlannedFault, inventory: Inventory) -> str:
    after = fault.arguments["after"]
    if not 0 <= after <= AFTER_MAX:
        raise UsageError(f"after: {after} bytes is out of range; legal: from 0B to 1GiB")
    size = linked.bytes_of(fault, inventory)
    if after >= size:
        raise UsageError(
            f"after: the witness of '{fault.arguments['link']}' could not see it: its probe has no more than {size} bytes for"
            f" sure; {linked.declare(fault, after + 1)}, or take less than {size}B"
        )
    return f"cut off after {after} B"


def _cut_off(fault: PlannedFault, _: Mapping[str, Json], probe: ProbeReading) -> bool | None:
    if probe.answered:
        return False
    broken = probe.ended in ("closed early", "reset")
    within = fault.arguments["stream"] == "upstream" or probe.received <= fault.arguments["after"]
    return True if broken and within else None


TRUNCATE = Probed(
    declaration=FaultDeclaration(
        name="link.truncate",
        summary="connections over a link are closed after so many bytes",
        needs=frozenset({Capability.LINK}),
        arguments=(
            LINK,
            ArgumentDeclaration("after", "size", required=True, help="bytes that a connection carries, such as 64B"),
            SHARE,
            STREAM,
        ),
        dose="after",
        cure=EXTERNAL,
        cause=CauseClass.NETWORK,
        rows=("N5",),
    ),
    needs=lambda _: ("limit_data",),
    plans=_truncate,
    wanted=lambda fault: linked.toxic_at(fault, "limit_data", {"bytes": fault.arguments["after"]}),
    ask=linked.bulk_ask,
    looks=_cut_off,
    every_s=linked.BULK_EVERY_S,
)

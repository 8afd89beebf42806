"""Links whose bytes flow badly: too slowly, in small pieces, or standing still now and then.

The witness asks for a large answer (or sends a large request) and takes the time, the bytes and the pieces. What it could not
see, because the link's probe carries too few bytes, is refused when planned.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from harness.contract.faults import Cure, CureKind, PlannedFault
from harness.contract.probe import ProbeReading
from harness.contract.undo import Json, Point
from harness.contract.words import Capability, CauseClass
from harness.errors import UsageError
from harness.fault import linked
from harness.fault.linked import LINK, SHARE, STREAM, Probed
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory

KB = 1000
RATE_MAX = 100_000 * KB
SLICE_MAX = 2**20
MS, US = 1000, 1_000_000
EXTERNAL = Cure(kind=CureKind.EXTERNAL)


def _facts(_: PlannedFault, probes: Sequence[ProbeReading]) -> dict[str, Json]:
    return {
        "baseline_s": statistics.median(one.seconds for one in probes),
        "received": min(one.received for one in probes),
        "reads": max(one.reads for one in probes),
    }


def _carried(fault: PlannedFault, facts: Mapping[str, Json]) -> int:
    """Bytes of a probe that go in the direction that is hit."""
    return linked.PADDING_BYTES if fault.arguments["stream"] == "upstream" else int(facts["received"])


def _lasted(probe: ProbeReading, facts: Mapping[str, Json], wanted_s: float) -> bool | None:
    """Whether it took at least half as much longer as wanted; one that the probe didn't wait for to its end may have."""
    beyond_s = probe.seconds - facts["baseline_s"]
    if beyond_s >= wanted_s / 2:
        return True
    if probe.answered:
        return False
    return True if probe.ended == "hung" and probe.received else None


# --- bandwidth --------------------------------------------------------------------------------------------------------


def _bandwidth(fault: PlannedFault, inventory: Inventory) -> str:
    rate = fault.arguments["rate"]
    if not KB <= rate <= RATE_MAX or rate % KB:
        raise UsageError(f"rate: {rate} bytes a second; legal: whole kB from 1kB to {RATE_MAX // KB}kB")
    size = linked.bytes_of(fault, inventory)
    if size / rate < linked.SEEN_S:
        raise UsageError(
            f"rate: the witness of '{fault.arguments['link']}' could not see {rate // KB} kB a second: {size} bytes take"
            f" {size / rate * MS:.0f} ms so, and it needs {linked.SEEN_S * MS:g} ms;"
            f" {linked.declare(fault, round(rate * linked.SEEN_S))}, or take at most {int(size / linked.SEEN_S) // KB}kB"
        )
    return f"{rate // KB} kB/s"


def _slowed(fault: PlannedFault, facts: Mapping[str, Json], probe: ProbeReading) -> bool | None:
    return _lasted(probe, facts, _carried(fault, facts) / fault.arguments["rate"])


BANDWIDTH = Probed(
    declaration=FaultDeclaration(
        name="link.bandwidth",
        summary="a link carries only so many bytes a second",
        needs=frozenset({Capability.LINK}),
        arguments=(
            LINK,
            ArgumentDeclaration("rate", "size", required=True, help="bytes a second, such as 10kB"),
            SHARE,
            STREAM,
        ),
        dose="rate",
        cure=EXTERNAL,
        cause=CauseClass.NETWORK,
        rows=("N5",),
    ),
    needs=lambda _: ("bandwidth",),
    plans=_bandwidth,
    wanted=lambda fault: linked.toxic_at(fault, "bandwidth", {"rate": fault.arguments["rate"] // KB}),
    ask=linked.bulk_ask,
    looks=_slowed,
    facts=_facts,
    twice=True,
    every_s=linked.BULK_EVERY_S,
)


# --- slices -----------------------------------------------------------------------------------------------------------


def _pauses_s(fault: PlannedFault, size: int) -> float:
    """What the pauses between slices come to; the first slice waits for none."""
    slices = -(-size // fault.arguments["size"])
    return float(max(0, slices - 1) * fault.arguments["pause"])


def _slice(fault: PlannedFault, inventory: Inventory) -> str:
    size, pause = fault.arguments["size"], fault.arguments["pause"]
    if not 1 <= size <= SLICE_MAX:
        raise UsageError(f"size: {size} bytes is out of range; legal: from 1B to 1MiB")
    linked.check_s("pause", pause, least_s=0.001)
    carried = linked.bytes_of(fault, inventory)
    if _pauses_s(fault, carried) < linked.SEEN_S:
        most = max(1, int(carried / (1 + linked.SEEN_S / pause)))
        raise UsageError(
            f"size: the witness of '{fault.arguments['link']}' could not see it: {carried} bytes in slices of {size} wait"
            f" {_pauses_s(fault, carried) * MS:.0f} ms in all, and it needs {linked.SEEN_S * MS:g} ms;"
            f" {linked.declare(fault, round(size * (1 + linked.SEEN_S / pause)) + size)}, or take slices of at most {most}B"
        )
    return f"in slices of {size} B"


def _sliced(fault: PlannedFault, facts: Mapping[str, Json], probe: ProbeReading) -> bool | None:
    long = _lasted(probe, facts, _pauses_s(fault, _carried(fault, facts)))
    if long and fault.arguments["stream"] == "downstream" and probe.reads <= facts["reads"]:
        return None  # late, but not in pieces: something else
    return long


def _slicer(fault: PlannedFault) -> tuple[Point, Json]:
    attributes = {
        "average_size": int(fault.arguments["size"]),
        "size_variation": 0,
        "delay": round(fault.arguments["pause"] * US),
    }
    return linked.toxic_at(fault, "slicer", attributes)


SLICE = Probed(
    declaration=FaultDeclaration(
        name="link.slice",
        summary="bytes come over a link in small pieces, with pauses between them",
        needs=frozenset({Capability.LINK}),
        arguments=(
            LINK,
            ArgumentDeclaration("size", "size", required=True, help="bytes of a piece, such as 16B"),
            ArgumentDeclaration("pause", "duration", default=0.02, help="between two pieces"),
            SHARE,
            STREAM,
        ),
        dose="size",
        cure=EXTERNAL,
        cause=CauseClass.NETWORK,
        rows=("N4", "N5"),
    ),
    needs=lambda _: ("slicer",),
    plans=_slice,
    wanted=_slicer,
    ask=linked.bulk_ask,
    looks=_sliced,
    facts=_facts,
    twice=True,
    every_s=linked.BULK_EVERY_S,
)


# --- stalls -----------------------------------------------------------------------------------------------------------


def _hit(fault: PlannedFault, size: int) -> float:
    """The chance that a probe of so many bytes meets a stall."""
    segments = -(-size // fault.arguments["segment"])
    return float(fault.arguments["share"] * (1 - (1 - fault.arguments["loss"]) ** segments))


def _stall(fault: PlannedFault, inventory: Inventory) -> str:
    linked.check_s("stall", fault.arguments["stall"], least_s=linked.SEEN_S)
    if not 0.001 <= fault.arguments["loss"] <= 1:
        raise UsageError(f"loss: {fault.arguments['loss']:g} is out of range; legal: from 0.001 to 1")
    segment = fault.arguments["segment"]
    if not 1 <= segment <= SLICE_MAX:
        raise UsageError(f"segment: {segment} bytes is out of range; legal: from 1B to 1MiB")
    size = linked.bytes_of(fault, inventory)
    if _hit(fault, size) < linked.SHOWS_MIN:
        raise UsageError(
            f"loss: of the probes of '{fault.arguments['link']}', {size} bytes each, {_hit(fault, size):.3f} would meet a stall,"
            f" and the witness needs {linked.SHOWS_MIN:g}; shorter segments, a greater loss or a larger probe would do:"
            f" {linked.declare(fault, 64 * segment)}"
        )
    return f"stalls of {fault.arguments['stall'] * MS:g} ms"


def _share(fault: PlannedFault, facts: Mapping[str, Json]) -> float:
    return _hit(fault, _carried(fault, facts)) if facts else linked.SHOWS_MIN


def _stood(fault: PlannedFault, facts: Mapping[str, Json], probe: ProbeReading) -> bool | None:
    beyond_s = probe.seconds - facts["baseline_s"]
    if beyond_s >= fault.arguments["stall"] / 2:
        return True
    return False if probe.answered else None


STALL = Probed(
    declaration=FaultDeclaration(
        name="link.stall",
        summary="a link stands still now and then, as when packets are lost and sent again",
        needs=frozenset({Capability.LINK}),
        arguments=(
            LINK,
            ArgumentDeclaration("loss", "share", required=True, help="share of the segments that is lost"),
            ArgumentDeclaration("stall", "duration", default=0.2, help="how long one that is lost is late"),
            ArgumentDeclaration("segment", "size", default=1448, help="bytes of a segment"),
            SHARE,
            STREAM,
        ),
        dose="loss",
        cure=EXTERNAL,
        cause=CauseClass.NETWORK,
        rows=("N1",),
    ),
    needs=lambda _: ("stall",),
    plans=_stall,
    wanted=lambda fault: linked.toxic_at(
        fault,
        "stall",
        {
            "loss": max(1, round(fault.arguments["loss"] * MS)),
            "stall": round(fault.arguments["stall"] * MS),
            "segment": fault.arguments["segment"],
        },
    ),
    ask=linked.bulk_ask,
    looks=_stood,
    facts=_facts,
    share=_share,
    twice=True,
    every_s=linked.OFTEN_S,
)

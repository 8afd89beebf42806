"""HTTP requests over a link: some are refused with a status, some are late, some are answered with other headers.

Which are hit goes by method and path, and a share of those is drawn, request by request. The witness makes requests of its
own, so its probe must be one of those that can be hit: where it isn't, the fault is refused when planned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from harness.contract.faults import Cure, CureKind, PlannedFault
from harness.contract.probe import ProbeAsk, ProbeReading
from harness.contract.undo import Json, Point, PointKind
from harness.contract.words import Capability, CauseClass
from harness.errors import EnvironmentProblem, UsageError
from harness.fault import linked
from harness.fault.linked import LINK, Probed
from harness.plugin import ArgumentDeclaration, FaultDeclaration, Inventory

ON_ONE = 4
"""Requests that the witness makes on one connection: a share of requests is seen sooner so."""
QUICK_S = 0.3
"""Delays up to this leave room for them all in the time of one probe."""
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
FRAMING = ("connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "trailer", "te", "expect")
SHARE = ArgumentDeclaration("share", "share", default=1.0, help="share of these requests that is hit")
PATH = ArgumentDeclaration("path", "string", default="", help="only requests of this path, * for anything; empty: all")
METHOD = ArgumentDeclaration("method", "string", default="", help="only requests of this method; empty: all")
EXTERNAL = Cure(kind=CureKind.EXTERNAL)
NEEDS = frozenset({Capability.TAP})


def _reached(fault: PlannedFault, inventory: Inventory) -> None:
    """Raises `UsageError` where the witness's own requests could not be hit."""
    probe = linked.probe_of(fault, inventory)
    path, method = fault.arguments["path"], fault.arguments["method"].upper()
    if path and not fnmatchcase(probe.path.partition("?")[0], path):
        raise UsageError(
            f"path: the witness of '{fault.arguments['link']}' asks {probe.path}, which '{path}' doesn't hit; in target.yaml,"
            f" links.{fault.arguments['link']}.probe: {{path: ..., method: ..., body: ...}} says what it asks"
        )
    if method not in ("", probe.method):
        raise UsageError(
            f"method: the witness of '{fault.arguments['link']}' makes a {probe.method}, and {method} would be hit; in"
            f" target.yaml, links.{fault.arguments['link']}.probe: {{method: {method}, path: ..., body: ...}} says so"
        )


def _on(fault: PlannedFault, words: str) -> str:
    return f"{fault.arguments['path'] or 'requests'} {words}"


def _tap(what: Callable[[PlannedFault], dict[str, Json]]) -> Callable[[PlannedFault], tuple[Point, Json]]:
    def wanted(fault: PlannedFault) -> tuple[Point, Json]:
        arguments = fault.arguments
        tap = {
            "stream": arguments.get("stream", "downstream"),
            "match": {"method": arguments["method"].upper(), "path": arguments["path"]},
            "share": float(arguments["share"]),
            **what(fault),
        }
        return Point(PointKind.TAP, f"{arguments['link']}/fault-{fault.index}"), tap

    return wanted


# --- status -----------------------------------------------------------------------------------------------------------


def _status(fault: PlannedFault, inventory: Inventory) -> str:
    status = fault.arguments["status"]
    if not 200 <= status <= 599 or status in (204, 304):
        raise UsageError(f"status: {status} can't be given; legal: 200 to 599, but for 204 and 304")
    _reached(fault, inventory)
    return _on(fault, f"answered {status}")


def _status_before(fault: PlannedFault, probes: Sequence[ProbeReading]) -> dict[str, Json]:
    before = {one.status for one in probes}
    if fault.arguments["status"] in before:
        raise EnvironmentProblem(
            f"link '{fault.arguments['link']}': the witness is answered {fault.arguments['status']} already, before the injection"
        )
    return {"before": sorted(status for status in before if status is not None)}


def _refused(fault: PlannedFault, facts: Mapping[str, Json], probe: ProbeReading) -> bool | None:
    if not probe.answered:
        return None
    return True if probe.status == fault.arguments["status"] else False if probe.status in facts["before"] else None


STATUS = Probed(
    declaration=FaultDeclaration(
        name="link.status",
        summary="HTTP requests over a link are answered with an error status",
        needs=NEEDS,
        arguments=(
            LINK,
            ArgumentDeclaration("status", "integer", default=503, help="the status, such as 503 or 429"),
            PATH,
            METHOD,
            SHARE,
            ArgumentDeclaration(
                "stream",
                "string",
                default="upstream",
                choices=("upstream", "downstream"),
                help="whether the request isn't passed on, or its answer is replaced",
            ),
        ),
        dose="share",
        cure=EXTERNAL,
        cause=CauseClass.NETWORK,
        rows=("N3",),
    ),
    needs=lambda _: (linked.TAP,),
    plans=_status,
    wanted=_tap(lambda fault: {"status": fault.arguments["status"]}),
    ask=lambda _: ProbeAsk(requests=ON_ONE),
    looks=_refused,
    facts=_status_before,
)


# --- delay ------------------------------------------------------------------------------------------------------------


def _delay(fault: PlannedFault, inventory: Inventory) -> str:
    linked.check_s("delay", fault.arguments["delay"], least_s=0.02)
    _reached(fault, inventory)
    return _on(fault, f"+{fault.arguments['delay'] * 1000:g} ms")


def _late(fault: PlannedFault, facts: Mapping[str, Json], probe: ProbeReading) -> bool | None:
    beyond_s = probe.seconds - facts["baseline_s"]
    enough_s = fault.arguments["delay"] / 2
    if probe.answered:
        return bool(beyond_s >= enough_s)
    return True if probe.ended == "hung" and beyond_s >= min(enough_s, 1.0) else None


DELAY = Probed(
    declaration=FaultDeclaration(
        name="link.delay-requests",
        summary="HTTP requests over a link are late, by path and share",
        needs=NEEDS,
        arguments=(
            LINK,
            ArgumentDeclaration("delay", "duration", required=True, help="how late, such as 300ms"),
            PATH,
            METHOD,
            SHARE,
            linked.STREAM,
        ),
        dose="delay",
        cure=EXTERNAL,
        cause=CauseClass.NETWORK,
        rows=("N1",),
    ),
    needs=lambda _: (linked.TAP,),
    plans=_delay,
    wanted=_tap(lambda fault: {"delay_ms": round(fault.arguments["delay"] * 1000), "jitter_ms": 0}),
    ask=lambda fault: ProbeAsk(requests=ON_ONE if fault.arguments["delay"] <= QUICK_S else 1),
    looks=_late,
    twice=True,
)


# --- headers ----------------------------------------------------------------------------------------------------------


def _headers(fault: PlannedFault, inventory: Inventory) -> str:
    header = fault.arguments["header"]
    if not HEADER.fullmatch(header) or header.lower() in FRAMING:
        raise UsageError(f"header: {header!r} can't be changed; legal: names of headers but {', '.join(FRAMING)}")
    value = fault.arguments["value"]
    if value is not None and (not value.isascii() or not value.isprintable() or value != value.strip()):
        raise UsageError(f"value: {value!r} is no value of a header")
    _reached(fault, inventory)
    return _on(fault, f"without {header}" if value is None else f"with {header}: {value}")


def _header_before(fault: PlannedFault, probes: Sequence[ProbeReading]) -> dict[str, Json]:
    header, value = fault.arguments["header"], fault.arguments["value"]
    before = {one.headers.get(header.lower()) for one in probes}
    if (value in before) if value is not None else (None in before):
        raise EnvironmentProblem(
            f"link '{fault.arguments['link']}': answers have {header} so already, before the injection: {value or 'none'}"
        )
    return {}


def _relabelled(fault: PlannedFault, _: Mapping[str, Json], probe: ProbeReading) -> bool | None:
    if not probe.answered:
        return None
    return bool(probe.headers.get(fault.arguments["header"].lower()) == fault.arguments["value"])


def _header(fault: PlannedFault) -> dict[str, Json]:
    header, value = fault.arguments["header"], fault.arguments["value"]
    return {"headers": {"set": {} if value is None else {header: value}, "remove": [header] if value is None else []}}


HEADERS = Probed(
    declaration=FaultDeclaration(
        name="link.headers",
        summary="answers over a link have a wrong header, or lack one",
        needs=NEEDS,
        arguments=(
            LINK,
            ArgumentDeclaration("header", "string", required=True, help="its name, such as Content-Type"),
            ArgumentDeclaration("value", "string", help="its wrong value; left out: the header is missing"),
            PATH,
            METHOD,
            SHARE,
        ),
        dose="share",
        cure=EXTERNAL,
        cause=CauseClass.NETWORK,
        rows=("N3",),
    ),
    needs=lambda _: (linked.TAP,),
    plans=_headers,
    wanted=_tap(_header),
    ask=lambda _: ProbeAsk(requests=ON_ONE),
    looks=_relabelled,
    facts=_header_before,
)

"""What every driver must do, as checks that its author runs against a live instance of any pipeline.

    for check in conformance.CHECKS:
        conformance.run(check, target, inventory)

Each check takes an instance that is up and at its baseline, and leaves it so. It picks what it needs from the
description (a service, a link, a model) and is skipped, by name, where the driver lacks the capability. Rejected: a
base class with tests to inherit, which ties an author to our test runner. Always true: a check that a driver fails
raises `NotConforming`, which says what was expected and what was seen; a busy machine fails none, as far as waiting helps:
leases are renewed meanwhile, and a snapshot in which a service didn't answer in time is taken again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from harness.contract.undo import Json, Point, PointKind, Undo, UndoOutcome
from harness.contract.words import Action, Capability, Observation
from harness.errors import EnvironmentProblem, HarnessError, UsageError
from harness.history.events import Snapshot
from harness.plugin import Inventory, Target
from harness.target import http

WAIT_S = 30.0
POLL_S = 0.02
SNAPSHOT_S_MAX = 2.5
BUSY_S_MAX = 2.0
CALLERS = 4
OWN_LOOKS, OWN_EVERY_S = 20, 0.05
"""At how often a busy process is held back by limits of its own."""


class NotConforming(AssertionError):  # noqa: N818 - a finding about a driver, not an error of this program
    """What the driver did is not what the contract says."""


class Skipped(Exception):  # noqa: N818 - says that there was nothing to check
    """The driver or the pipeline has nothing that this check could be made on."""


class Case(NamedTuple):
    """A point, a value to inject, and another one that stands for somebody's repair."""

    point: Point
    inject: Json
    repair: Json | None


Check = Callable[[Target, Inventory], None]


def run(check: Check, target: Target, inventory: Inventory) -> bool:
    """False where there was nothing to check. Raises `NotConforming`."""
    try:
        check(target, inventory)
    except Skipped:
        return False
    return True


def cases(target: Target, inventory: Inventory) -> Iterator[Case]:
    """One case of each kind of point that the driver says it has."""
    can, spec = inventory.capabilities, target.spec
    service = next(iter(spec.services))
    if Capability.PAUSE in can:
        yield Case(Point(PointKind.PROCESS, service), "paused", "running")
    if Capability.KILL in can:
        yield Case(Point(PointKind.PROCESS, service), "down", "running")
    if Capability.LIMIT_CPU in can:
        yield Case(Point(PointKind.CPU, service), 0.5, 0.8)
    if Capability.LIMIT_MEMORY in can:
        yield Case(Point(PointKind.MEMORY, service), 2**40, 2**41)
    if Capability.LINK in can:
        link = next(iter(spec.links))
        yield Case(Point(PointKind.TOXIC, f"{link}/check"), _latency(20), _latency(30))
        yield Case(Point(PointKind.LINK_UP, link), False, None)
    if Capability.MODEL in can:
        model, found = next(iter(spec.models.items()))
        if found.variants:
            version = target.make_variant(model, next(iter(found.variants)))
            yield Case(Point(PointKind.ALIAS, f"{model}/{found.alias}"), version, None)
    if Capability.CONFIG in can:
        yield _config_case(target)


def _latency(milliseconds: int) -> dict[str, Json]:
    return {"type": "latency", "stream": "downstream", "toxicity": 1.0, "attributes": {"latency": milliseconds}}


def _config_case(target: Target) -> Case:
    settings = _whole_snapshot(target).config
    for name, service in target.spec.services.items():
        if service.config is None:
            continue
        for where, value in settings.items():
            setting = where.startswith(f"{name}/") and not where.startswith(f"{name}/limit-")
            if setting and isinstance(value, float) and 0 < value < 100:
                point = Point(PointKind.CONFIG, where)
                return Case(point, value * 0.9, value * 0.8)
    raise Skipped("no service has a setting that is a number")


def _need(inventory: Inventory, capability: Capability) -> None:
    if capability not in inventory.capabilities:
        raise Skipped(f"the driver lacks {capability}")


def _expect(what: str, *, expected: object, seen: object) -> None:
    if expected != seen:
        raise NotConforming(f"{what}: expected {expected!r}, saw {seen!r}")


def _until(what: str, holds: Callable[[], bool], *, held: Target | None = None, within_s: float = WAIT_S) -> None:
    """`held`: the target whose leases are renewed meanwhile."""
    deadline = time.monotonic() + within_s
    while not _quietly(holds):
        if held is not None:
            held.renew()
        if time.monotonic() > deadline:
            raise NotConforming(f"{what}: not within {within_s:g} s")
        time.sleep(POLL_S)


def _whole_snapshot(target: Target) -> Snapshot:
    """One that nothing is missing from: what doesn't answer in time is left out of a snapshot, as a gap."""
    taken: list[Snapshot] = []

    def whole() -> bool:
        taken.append(target.snapshot())
        return not _gaps(target, taken[-1])

    try:
        _until("a snapshot without gaps", whole)
    except NotConforming as problem:
        raise NotConforming(f"{problem}: lacks {', '.join(_gaps(target, taken[-1]))}") from None
    return taken[-1]


def _gaps(target: Target, snapshot: Snapshot) -> list[str]:
    """Whose settings are missing, and which versions."""
    spec = target.spec
    settings = {where.partition("/")[0] for where in snapshot.config if "/limit-" not in where}
    gaps = [name for name, service in spec.services.items() if service.config is not None and name not in settings]
    wanted = [f"{model}/{found.alias}" for model, found in spec.models.items()]
    for found in spec.models.values():
        wanted += [name for name, service in spec.services.items() if service.role == found.served.role]
    return gaps + [name for name in wanted if name not in snapshot.versions]


def _quietly(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except EnvironmentProblem:
        return False


def _undo(target: Target, case: Case, restore: Json) -> Undo:
    return Undo(
        driver=target.spec.driver, instance=target.instance, point=case.point, injected=case.inject, restore=restore
    )


def a_point_reads_as_it_was_set(target: Target, inventory: Inventory) -> None:
    """Also when set twice, and what stood before comes back."""
    for case in cases(target, inventory):
        before = target.get(case.point)
        target.set(case.point, case.inject)
        target.set(case.point, case.inject)
        _expect(f"{case.point} after set", expected=_plain(case.inject), seen=_plain(target.get(case.point)))
        target.set(case.point, before)
        _expect(f"{case.point} set back", expected=_plain(before), seen=_plain(target.get(case.point)))
        _settled(target)


def an_undo_restores_once(target: Target, inventory: Inventory) -> None:
    """The second time it finds that the value stands already."""
    for case in cases(target, inventory):
        undo = _undo(target, case, target.get(case.point))
        target.set(case.point, case.inject)
        _expect(f"undo of {case.point}", expected=UndoOutcome.RESTORED, seen=target.undo(undo))
        _expect(f"{case.point} after its undo", expected=_plain(undo.restore), seen=_plain(target.get(case.point)))
        _expect(f"second undo of {case.point}", expected=UndoOutcome.ALREADY, seen=target.undo(undo))
        _settled(target)


def an_undo_of_what_never_was_injected_changes_nothing(target: Target, inventory: Inventory) -> None:
    """A crash between the ledger and the injection leaves such undos."""
    for case in cases(target, inventory):
        before = target.get(case.point)
        outcome = target.undo(_undo(target, case, before))
        _expect(f"undo of {case.point}, never injected", expected=UndoOutcome.ALREADY, seen=outcome)
        _expect(f"{case.point} after it", expected=_plain(before), seen=_plain(target.get(case.point)))


def an_undo_never_overwrites_a_repair(target: Target, inventory: Inventory) -> None:
    """Another value than the injected one is left alone."""
    for case in cases(target, inventory):
        before = target.get(case.point)
        if case.repair is None or case.repair == before:
            continue
        target.set(case.point, case.inject)
        target.set(case.point, case.repair)
        outcome = target.undo(_undo(target, case, before))
        _expect(f"undo of {case.point} after a repair", expected=UndoOutcome.REPAIRED, seen=outcome)
        _expect(f"{case.point} after it", expected=_plain(case.repair), seen=_plain(target.get(case.point)))
        target.set(case.point, before)
        _settled(target)


def a_place_that_is_not_there_is_refused(target: Target, inventory: Inventory) -> None:
    """By name, as the user's mistake."""
    for kind in {case.point.kind for case in cases(target, inventory)}:
        try:
            target.get(Point(kind, "no-such-thing/at-all"))
        except UsageError:
            continue
        except HarnessError as error:
            raise NotConforming(f"{kind}: an unknown place must be a UsageError, not {error!r}") from None
        raise NotConforming(f"{kind}: an unknown place was answered")


def a_pause_is_seen_from_outside(target: Target, inventory: Inventory) -> None:
    """The operating system's view, which witnesses rely on: stopped, the same process before and after."""
    _need(inventory, Capability.PAUSE)
    service = next(iter(target.spec.services))
    before = target.process(service)
    target.set(Point(PointKind.PROCESS, service), "paused")
    _until(f"{service} stopped", lambda: target.process(service).state == "stopped", held=target)
    target.set(Point(PointKind.PROCESS, service), "running")
    _until(f"{service} running", lambda: target.process(service).state == "running")
    _expect(f"identity of {service}", expected=before.identity, seen=target.process(service).identity)


def a_kill_is_told_and_repaired(target: Target, inventory: Inventory) -> None:
    """A new process comes back, and the death is told with its reason."""
    _need(inventory, Capability.KILL)
    service = next(iter(target.spec.services))
    before = target.process(service).identity
    _, cursor = target.exits(after=0)
    target.set(Point(PointKind.PROCESS, service), "killed")
    _until(f"{service} back", lambda: target.process(service).identity not in ("", before))
    _settled(target)
    told = [(name, reason, asked) for _, name, reason, _, asked in target.exits(after=cursor)[0]]
    _expect("exits told", expected=[(service, "signal", True)], seen=told)


def a_duty_cycle_is_seen(target: Target, inventory: Inventory) -> None:
    """Withheld CPU shows as a share of the time in which the process was held back, and goes.

    It is kept busy with requests, because a limit that isn't reached is felt by nobody.
    """
    _need(inventory, Capability.LIMIT_CPU)
    service, found = next(iter(target.spec.services.items()))
    point = Point(PointKind.CPU, service)
    url = f"{target.endpoint(f'${{service.{service}.url}}')}/{found.ready.http.lstrip('/')}"
    with _busy(url):
        # So busy, it may reach a limit of its own: what counts is how much is added, and that it goes again.
        before = _held_back_most(target, service)
        target.set(point, 0.1)
        _until("a stopped share", lambda: before + 0.2 < target.process(service).stopped_share <= 1.0, held=target)
        target.set(point, None)
        _until("no stopped share but its own", lambda: target.process(service).stopped_share <= before + 0.1)


def _held_back_most(target: Target, service: str) -> float:
    shares = []
    for _ in range(OWN_LOOKS):
        shares.append(target.process(service).stopped_share)
        time.sleep(OWN_EVERY_S)
    return max(shares)


@contextlib.contextmanager
def _busy(url: str) -> Iterator[None]:
    """Callers that ask again as soon as they are answered."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                http.request("GET", url, timeout_s=BUSY_S_MAX)
            except (OSError, http.HTTP_PROBLEM):
                over.wait(POLL_S)

    callers = [threading.Thread(target=ask, daemon=True) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        over.set()
        for caller in callers:
            caller.join(2 * BUSY_S_MAX)


def a_cut_link_is_felt(target: Target, inventory: Inventory) -> None:
    """A request through it isn't answered, and is again once it is up."""
    _need(inventory, Capability.LINK)
    link = next(iter(target.spec.links))
    _until(f"{link} answered", lambda: target.probe(link).answered)
    target.set(Point(PointKind.LINK_UP, link), False)
    _until(f"{link} cut", lambda: not target.probe(link).answered, held=target)
    target.set(Point(PointKind.LINK_UP, link), True)
    _until(f"{link} up", lambda: target.probe(link).answered)


def a_moved_alias_is_served(target: Target, inventory: Inventory) -> None:
    """Every replica really answers with the version that the alias names, within the wait."""
    _need(inventory, Capability.MODEL)
    model, found = next(iter(target.spec.models.items()))
    replicas = [name for name, service in target.spec.services.items() if service.role == found.served.role]
    if not (found.variants and replicas):
        raise Skipped("no variant can be made, or nobody serves it")
    version = target.make_variant(model, next(iter(found.variants)))
    point = Point(PointKind.ALIAS, f"{model}/{found.alias}")
    before = target.get(point)
    for wanted in (version, before):
        target.set(point, wanted)
        for replica in replicas:
            _until(f"{replica} serves {wanted}", partial(_serves, target, replica, model, wanted))


def a_snapshot_is_quick_and_true(target: Target, inventory: Inventory) -> None:
    """Names every service, and says the same when nothing has changed."""
    del inventory

    def in_time() -> bool:
        began = time.monotonic()
        target.snapshot()
        return time.monotonic() - began <= SNAPSHOT_S_MAX

    _until(f"a snapshot that takes no more than {SNAPSHOT_S_MAX:g} s", in_time)
    first, second = _whole_snapshot(target), _whole_snapshot(target)
    _expect("services of a snapshot", expected=set(target.spec.services), seen=set(first.services))
    _expect("replicas", expected=len(target.spec.services), seen=sum(first.replicas.values()))
    _expect("a second snapshot", expected=(first.services, first.versions), seen=(second.services, second.versions))


def what_is_not_declared_is_refused(target: Target, inventory: Inventory) -> None:
    """Actions, observations, readings, links and services by name, as the user's mistake."""
    del inventory
    asks: list[tuple[str, Callable[[], object]]] = [
        ("process", lambda: target.process("no-such-service")),
        ("probe", lambda: target.probe("no-such-link")),
        ("read", lambda: target.read("no-such-reading", after=0)),
        ("make_variant", lambda: target.make_variant("no-such-model", "x")),
    ]
    for action in set(Action) - set(target.spec.actions):
        asks.append((f"act {action}", partial(target.act, action, {})))
    for observation in set(Observation) - set(target.spec.observations):
        asks.append((f"observe {observation}", partial(target.observe, observation, {})))
    for what, ask in asks:
        try:
            ask()
        except UsageError:
            continue
        raise NotConforming(f"{what}: something that isn't declared was answered")


def a_reset_brings_the_baseline_back(target: Target, inventory: Inventory) -> None:
    """Whatever is injected goes, and every service is there."""
    by_place = {
        case.point: case for case in cases(target, inventory)
    }  # one value a place: what is down can't be paused
    wanted = [(case, target.get(case.point)) for case in by_place.values()]
    before = _whole_snapshot(target)
    for case, _ in reversed(wanted):  # processes last: what is down can't be set anything
        target.set(case.point, case.inject)
    target.reset()
    for case, value in wanted:
        _expect(f"{case.point} after reset", expected=_plain(value), seen=_plain(target.get(case.point)))
    after = _whole_snapshot(target)
    _expect("after reset", expected=(before.replicas, before.config), seen=(after.replicas, after.config))


def _settled(target: Target) -> None:
    """Every service runs and is ready again, so that the next case finds what it expects."""
    for service in target.spec.services:
        _until(f"{service} ready", partial(_is_ready, target, service))


def _is_ready(target: Target, service: str) -> bool:
    return bool(target.process(service).ready)


def _serves(target: Target, replica: str, model: str, version: Json) -> bool:
    return bool(target.served_version(replica, model) == version)


def _plain(value: Json) -> Json:
    """A toxic's attributes that are zero say nothing; 1 is 1.0, and versions may be numbers or text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item != 0}
    return f"{value:.12g}" if isinstance(value, int | float) and not isinstance(value, bool) else value


CHECKS: tuple[Check, ...] = (
    a_point_reads_as_it_was_set,
    an_undo_restores_once,
    an_undo_of_what_never_was_injected_changes_nothing,
    an_undo_never_overwrites_a_repair,
    a_place_that_is_not_there_is_refused,
    a_pause_is_seen_from_outside,
    a_kill_is_told_and_repaired,
    a_duty_cycle_is_seen,
    a_cut_link_is_felt,
    a_moved_alias_is_served,
    a_snapshot_is_quick_and_true,
    what_is_not_declared_is_refused,
    a_reset_brings_the_baseline_back,
)

"""Event types of a history: one JSON object a line, in the order they were consumed.

`t_ns` is the harness host's monotonic clock in integer nanoseconds; `res_ns` is how stale the reading could be (for a
call that was bracketed: the event's `t_ns` is the end of the bracket and `res_ns` its width). `src` says who recorded it.

Two sorts: *inputs* of the conductor (replies and news), and *bulk*, which bypasses it. Commands stand in the same log
as `CommandIssued`. Unknown kinds are kept as `UnknownEvent`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.contract.undo import Json, Undo
from harness.contract.words import Effect, Severity
from harness.history.commands import AnyCommand


class Event(msgspec.Struct, frozen=True, tag_field="kind", kw_only=True, omit_defaults=True):
    """Base of all events; `seq` is given by the writer (0 until then)."""

    seq: int = 0
    t_ns: int
    res_ns: int = 0
    src: str = "run"


# --- inputs of the conductor: replies -------------------------------------------------------------------------------


class Started(Event, frozen=True, kw_only=True, omit_defaults=True, tag="started"):
    """The run begins: the first input."""


class Done(Event, frozen=True, kw_only=True, omit_defaults=True, tag="done"):
    """A command was carried out. `from_ns`..`t_ns` brackets the call."""

    command: str
    from_ns: int = 0
    data: dict[str, Json] = {}


class Failed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="failed"):
    """A command could not be carried out, or not within its time limit. `log` carries the last lines that explain it."""

    command: str
    from_ns: int = 0
    error: str
    log: tuple[str, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """The target's state, as far as safeguards speak of it. None: can't be read.

    `services` name -> identity ("pid:start" or container id) or "" when not running; `replicas` role -> running count;
    `versions` "model/alias" -> version, and service -> version really served; `rules` a fingerprint; `silences` ids;
    `config` "service/key" -> value; `data` reading -> count of records quarantined or deleted; `firing` alert names.
    """

    services: dict[str, str] = {}
    replicas: dict[str, int] = {}
    versions: dict[str, str] = {}
    config: dict[str, Json] = {}
    data: dict[str, int] = {}
    firing: tuple[str, ...] = ()
    silences: tuple[str, ...] | None = None
    rules: str | None = None


class SnapshotTaken(Event, frozen=True, kw_only=True, omit_defaults=True, tag="snapshot"):
    """Reply to `TakeSnapshot`."""

    command: str
    which: str
    snapshot: Snapshot


class FaultPrepared(Event, frozen=True, kw_only=True, omit_defaults=True, tag="fault-prepared"):
    """Reply to `PrepareFault`."""

    command: str
    fault: int
    undos: tuple[Undo, ...]
    facts: dict[str, Json] = {}


class UndoApplied(msgspec.Struct, frozen=True):
    """What became of one undo: restored, already, repaired, gone, failed (with its error)."""

    kind: str
    where: str
    outcome: str
    error: str = ""


class FaultHealed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="fault-healed"):
    """Reply to `HealFault`: every undo was tried. Healed only when the witness is clear too."""

    command: str
    fault: int
    from_ns: int
    undos: tuple[UndoApplied, ...]


class ActionDone(Event, frozen=True, kw_only=True, omit_defaults=True, tag="action-done"):
    """Reply to `Act`. `ok` false: the target refused or failed; `result` is what it answered."""

    command: str
    from_ns: int
    ok: bool
    result: dict[str, Json] = {}
    error: str = ""


class ObservationDone(Event, frozen=True, kw_only=True, omit_defaults=True, tag="observation-done"):
    """Reply to `Observe`."""

    command: str
    from_ns: int
    ok: bool
    result: dict[str, Json] = {}
    error: str = ""


# --- inputs of the conductor: news ----------------------------------------------------------------------------------


class TimerFired(Event, frozen=True, kw_only=True, omit_defaults=True, tag="timer"):
    """A timer set by the machine is due."""

    name: str


class Sample(Event, frozen=True, kw_only=True, omit_defaults=True, tag="sample"):
    """One prober sample. `values` SLI -> value, None where it can't be told (nothing answered: latency unknown).

    Counts over the golden requests of the sample: `sent`, `ok` (answered in time with 2xx), `wrong`, `fallback`, `slow`
    (answered, but later than the latency objective). `res_ns` is the length of the sample's own bracket.
    """

    values: dict[str, float | None]
    sent: int = 0
    ok: int = 0
    wrong: int = 0
    fallback: int = 0
    slow: int = 0


class WitnessRead(Event, frozen=True, kw_only=True, omit_defaults=True, tag="witness"):
    """One reading of a fault's witness; the reading was taken within [t_ns - res_ns, t_ns]."""

    fault: int
    effect: Effect
    detail: dict[str, Json] = {}
    healthy: bool | None = None
    error: str = ""


class AlertReceived(Event, frozen=True, kw_only=True, omit_defaults=True, tag="alert"):
    """An alert as received at our pager sink. `starts_ns` and `active_ns` are converted times with `clock_error_ns`.

    `starts_ns`: when it began to fire (t_fire); `active_ns`: when its condition became true (t_cond). None: not known.
    `clock`: the source whose clock pair converted both: one pair, so that between them lies no more error than `cut_ns`, what
    their texts cut off (which is in `clock_error_ns` too).
    """

    name: str
    status: str
    severity: Severity
    layer: str = ""
    labels: dict[str, str] = {}
    summary: str = ""
    fingerprint: str = ""
    starts_ns: int | None = None
    active_ns: int | None = None
    clock_error_ns: int = 0
    clock: str = ""
    cut_ns: int = 0


class ServiceExited(Event, frozen=True, kw_only=True, omit_defaults=True, tag="service-exited"):
    """A service's process ended. `reason`: exit, signal, memory, asked; `asked`: by an action or a fault of ours."""

    service: str
    reason: str
    code: int | None = None
    asked: bool = False
    log: tuple[str, ...] = ()


class SignalReceived(Event, frozen=True, kw_only=True, omit_defaults=True, tag="signal"):
    """The harness was told to stop: SIGINT, SIGTERM or SIGHUP; or `stop` through the control socket."""

    name: str


class ObserverLost(Event, frozen=True, kw_only=True, omit_defaults=True, tag="observer-lost"):
    """An observer of ours died or went silent: readings after this are missing, which is no good news."""

    observer: str
    error: str = ""


# --- bulk: bypasses the conductor -----------------------------------------------------------------------------------


class CommandIssued(Event, frozen=True, kw_only=True, omit_defaults=True, tag="command"):
    """The conductor issued a command after consuming the event `after` (a seq)."""

    command: AnyCommand
    after: int


class LoadBucket(Event, frozen=True, kw_only=True, omit_defaults=True, tag="load"):
    """Load over [t_ns - res_ns, t_ns]: latency counts from the scheduled time. `latency_ms` quantiles "p50", "p95", "p99", "max".

    `scheduled` is what open-loop load offered, whether or not it was sent or served.
    """

    scheduled: int
    ok: int
    failed: int
    late: int = 0
    latency_ms: dict[str, float] = {}


class Records(Event, frozen=True, kw_only=True, omit_defaults=True, tag="records"):
    """Records of a declared reading, as read (the target's own fields). Read within [t_ns - res_ns, t_ns]."""

    reading: str
    records: list[dict[str, Any]]


class MaskRead(Event, frozen=True, kw_only=True, omit_defaults=True, tag="mask"):
    """Records that a fault damaged, by id, with the columns hit. The injector's receipt."""

    fault: int
    ids: list[str]
    columns: list[list[str]] = []


class Gauges(Event, frozen=True, kw_only=True, omit_defaults=True, tag="gauges"):
    """Scraped gauges for charts: series -> value (never NaN: those are left out)."""

    values: dict[str, float]


class ClockPair(Event, frozen=True, kw_only=True, omit_defaults=True, tag="clock-pair"):
    """`source` showed `wall_ns` at `t_ns`, give or take `error_ns`."""

    source: str
    wall_ns: int
    error_ns: int


class Lag(Event, frozen=True, kw_only=True, omit_defaults=True, tag="lag"):
    """The harness's own scheduling lag since the last such event: the worst, in ns."""

    worst_ns: int


class Note(Event, frozen=True, kw_only=True, omit_defaults=True, tag="note"):
    """Words for people: what was seen, what was left alone."""

    text: str
    data: dict[str, Json] = {}


class UnknownEvent(msgspec.Struct, frozen=True):
    """An event of a kind that this version does not know; kept as it was."""

    seq: int
    t_ns: int
    kind: str
    raw: dict[str, Any]


Input = (
    Started
    | Done
    | Failed
    | SnapshotTaken
    | FaultPrepared
    | FaultHealed
    | ActionDone
    | ObservationDone
    | TimerFired
    | Sample
    | WitnessRead
    | AlertReceived
    | ServiceExited
    | SignalReceived
    | ObserverLost
)
Bulk = CommandIssued | LoadBucket | Records | MaskRead | Gauges | ClockPair | Lag | Note
AnyEvent = Input | Bulk

"""Numbers and records as people read them: the same words on the terminal, in the summary and on the page.

What always holds: what was not observed is never shown as a number, and what did not happen is never shown as a time.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from harness.contract.undo import Json
from harness.history.scorecard import Criterion, Scorecard, StepResult, Time

NS = 1_000_000_000
TEXT_MAX = 400
NOT_OBSERVED = "not observed"
TIME_NAMES = {
    "ttd": ("TTD", "time to detect", "fault active to page"),
    "tta": ("TTA", "time to acknowledge", "first page to acknowledgement"),
    "tte": ("TTE", "time to engage", "acknowledgement to first look"),
    "ttl": ("TTL", "time to locate", "detection to diagnosis"),
    "ttm": ("TTM", "time to mitigate", "detection to objectives back"),
    "ttrepair": ("TTRepair", "time to repair", "detection to cause gone"),
    "ttr": ("TTR", "time to recover", "fault active to recovered"),
}
PART_NAMES = {
    "sense": "fault active to condition seen by a rule",
    "hold": "condition seen to rule firing",
    "deliver": "rule firing to page received",
}
"""The parts of TTD."""
LEAD = "impact to detection; negative: noticed before users felt it"
CLOCK_WORDS = {"wall": "this host's wall clock, since its own was not told", "monitoring": "its own clock"}
END_WORDS = {
    "claimed": "the responder called it resolved",
    "budget": "the budget was over",
    "stop-condition": "a stop condition was breached",
    "signal": "the operator stopped it",
    "environment": "the environment failed",
    "invalid-injection": "the injection was invalid",
    "internal": "the harness failed",
}


def number(value: float, digits: int = 3) -> str:
    """At most so many significant digits, no exponent where people would not write one, no trailing zeros."""
    if value == 0:
        return "0"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    text = f"{value:.{digits}g}"
    return f"{float(text):f}".rstrip("0").rstrip(".") if "e" in text else text


def seconds(value: float) -> str:
    """`2.35 s`, `12.4 s`, `3.9 ms`: hundredths below ten, tenths above, milliseconds where nothing else would be left."""
    if value and abs(value) < 0.01:
        return f"{value * 1000:.1f} ms"
    return f"{value:.2f} s" if abs(value) < 10 else f"{value:.1f} s"


def clock(offset_ns: int, *, sign: bool = True) -> str:
    """A moment counted from the zero of the clock: `+2.35`, `-0.80`."""
    return f"{offset_ns / NS:+.2f}" if sign else f"{offset_ns / NS:.2f}"


def measured(value_s: float, resolution_s: float | None) -> str:
    """`2.81 s ± 0.21 s`."""
    return seconds(value_s) if not resolution_s else f"{seconds(value_s)} ± {seconds(resolution_s)}"


def time_text(time: Time, *, end_reason: str = "") -> str:
    """A time with its resolution; `> 30.0 s (budget)` where it was still not so when the run ended."""
    if time.value_s is None:
        return f"{NOT_OBSERVED}: {time.reason}" if time.reason else NOT_OBSERVED
    if time.censored:
        return f"> {seconds(time.value_s)} ({end_reason or 'end of run'})"
    return measured(time.value_s, time.resolution_s)


def parts_text(card: Scorecard) -> str:
    """`sense 1.50 s + hold 1.00 s + deliver 0.50 s`; empty where the monitoring doesn't tell all of them."""
    parts = [(name, getattr(card.times, name)) for name in PART_NAMES]
    if any(time.at_ns is None or time.value_s is None for _, time in parts):
        return ""
    return " + ".join(f"{name} {seconds(time.value_s)}" for name, time in parts)


def monitoring_text(card: Scorecard) -> str:
    """What the monitoring is set to, the floor that makes, and by which clock its times were converted."""
    told = card.monitoring
    if told is None:
        return NOT_OBSERVED
    if told.heartbeat_s is not None:
        return f"a page after {seconds(told.heartbeat_s)} without a heartbeat, which is the floor"
    parts = [f"scrape {seconds(told.scrape_s)}", f"evaluation {seconds(told.evaluation_s)}"]
    if told.hold_s is not None:
        parts.append(f"hold{f' of {plain(told.rule)}' if told.rule else ''} {seconds(told.hold_s)}")
    parts.append(f"group wait {seconds(told.group_wait_s)}")
    floor = card.times.ttd.floor_s
    text = ", ".join(parts) + (f"; floor {seconds(floor)}" if floor is not None else "")
    if told.clock and told.clock_error_s is not None:
        text += f"; times by {CLOCK_WORDS.get(told.clock, plain(told.clock))}, ± {seconds(told.clock_error_s)}"
    return text


def quantity(value: float | None, unit: str) -> str:
    """A limit or a reading of a criterion."""
    if value is None:
        return "-"
    return seconds(value) if unit == "s" else number(value)


def reading_text(criterion: Criterion) -> str:
    """What was read, with its resolution."""
    if criterion.reading is not None and criterion.unit == "s":
        return measured(criterion.reading, criterion.resolution)
    return quantity(criterion.reading, criterion.unit)


def bad_minutes_text(card: Scorecard) -> str:
    """The total and its kinds in one line."""
    bad = card.bad_minutes
    if bad.total is None:
        return NOT_OBSERVED
    kinds = {"errors": bad.errors, "slow": bad.slow, "wrong": bad.wrong, "stale": bad.stale}
    told = ", ".join(f"{name} {NOT_OBSERVED if value is None else number(value)}" for name, value in kinds.items())
    samples = "".join(f", {kind} {count}" for kind, count in card.bad_samples.items())
    counted = f"; bad samples: {samples[2:]}" if samples else ""
    rows = "" if bad.corrupt_rows is None else f"; corrupt rows written: {number(bad.corrupt_rows)} request-minutes"
    return f"{number(bad.total)} request-minutes ({told}){counted}{rows}"


def debt_text(card: Scorecard) -> str:
    """What was damaged, and how much of it was made good."""
    told = []
    for item in card.debt:
        if item.damaged is None or item.repaid is None:
            told.append(f"{item.kind}: {NOT_OBSERVED}" + (f" ({item.reason})" if item.reason else ""))
        else:
            told.append(f"{item.kind} {item.repaid} of {item.damaged}")
    return ", ".join(told) or "none"


def collateral_text(card: Scorecard) -> str:
    """Broken safeguards by name, else how many were kept."""
    broken = [f"{one.safeguard} ({', '.join(one.changes)})" for one in card.collateral if one.kept is False]
    unseen = [one.safeguard for one in card.collateral if one.kept is None]
    kept = sum(one.kept is True for one in card.collateral)
    told = [f"broken: {', '.join(broken)}"] if broken else []
    told += [f"{kept} of {len(card.collateral)} safeguards kept"] if card.collateral else ["no safeguards declared"]
    return "; ".join(told + ([f"{NOT_OBSERVED}: {', '.join(unseen)}"] if unseen else []))


def conformance_text(card: Scorecard) -> str:
    """How well the playbook was followed, in one line."""
    kept = card.conformance
    if kept is None:
        return "no playbook"
    told = [f"{kept.required_done} of {kept.required} required steps"]
    for what, answer in (("order", kept.order_kept), ("guards", kept.guards_kept)):
        told.append(f"{what} {NOT_OBSERVED if answer is None else 'kept' if answer else 'not kept'}")
    told += [f"forbidden: {', '.join(kept.forbidden_done)}"] if kept.forbidden_done else []
    told += [f"out of time: {', '.join(kept.out_of_time)}"] if kept.out_of_time else []
    return ", ".join(told)


def quiet_text(card: Scorecard) -> str:
    """False pages and changes of a control or decoy; empty for a fault arm."""
    if card.false_pages is None and card.false_actions is None:
        return ""
    over = f" in {seconds(card.exposure_s)}" if card.exposure_s is not None else ""
    return f"{card.false_pages or 0} false pages, {card.false_actions or 0} false actions{over}"


def outcome_text(card: Scorecard) -> str:
    """The outcome in [0, 1], or why there is none."""
    return NOT_OBSERVED if card.outcome is None else f"{card.outcome:.2f}"


def step_times(step: StepResult) -> str:
    """When a step ran, counted from the first page."""
    if step.started_s is None:
        return "-"
    end = "…" if step.ended_s is None else f"{step.ended_s:+.2f}"
    return f"{step.started_s:+.2f} to {end} s"


def interval_text(low: str | None, high: str | None) -> str:
    """`2 % to 7 %`, of ends in words; an end that so few tries can't tell is left open."""
    if high is None:
        return "nothing ruled out" if low is None else f"{low} or more"
    return f"up to {high}" if low is None else f"{low} to {high}"


def arguments_text(arguments: Mapping[str, Json]) -> str:
    """`model=risk to=1`, without what was left out."""
    return " ".join(f"{name}={_value(value)}" for name, value in arguments.items() if value is not None and value != "")


def plain(text: str, *, limit: int = TEXT_MAX) -> str:
    """One line without control characters: what others wrote must not steer a terminal, nor fill it."""
    cleaned = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text[: 4 * limit])
    line = " ".join(cleaned.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _value(value: Json) -> str:
    return value if isinstance(value, str) else str(value)

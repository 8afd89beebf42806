"""The table of bench_proxy.py: what was asked for, what both servers reached, and whether it was met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum


class Column(Enum):
    OURS = "mldrill"
    THEIRS = "Toxiproxy"


def unasked(ours: float, theirs: float | None) -> bool | None:
    """For what is only shown."""
    return None


@dataclass(frozen=True)
class Row:
    """`met` is asked with our figure and the other's, which is None where there is none."""

    key: str
    what: str
    asked: str
    met: Callable[[float, float | None], bool | None] = unasked
    digits: int = 2


def at_most(share: float) -> Callable[[float, float | None], bool | None]:
    return lambda ours, theirs: None if theirs is None else ours <= share * theirs


def at_least(share: float) -> Callable[[float, float | None], bool | None]:
    return lambda ours, theirs: None if theirs is None else ours >= share * theirs


def below(most: float, *, never_worse: bool = False) -> Callable[[float, float | None], bool | None]:
    return lambda ours, theirs: ours <= most and (not never_worse or theirs is None or ours <= theirs)


ROWS = (
    Row("direct_us", "64-byte round trip without a proxy, p50, us", "", digits=1),
    Row("added_us", "added to it, p50, us", "at most 0.7 of Toxiproxy's", at_most(0.7), digits=1),
    Row("bulk_1", "one connection, MB/s", "at least 2 times", at_least(2.0), digits=0),
    Row("bulk_50", "50 connections, MB/s", "at least 1.7 times", at_least(1.7), digits=0),
    Row("churn", "connections/s", "at least 1.6 times", at_least(1.6), digits=0),
    Row("late_p50", "100 ms latency: over it, p50, ms", "0.5, and not worse", below(0.5, never_worse=True)),
    Row("late_p99", "100 ms latency: over it, p99, ms", "2, and not worse", below(2.0, never_worse=True)),
    Row("ping_bare", "ping beside 50 bulk connections without a proxy, p99, ms", ""),
    Row("ping_p50", "ping beside 50 bulk connections, p50, ms", ""),
    Row("ping_p99", "ping beside 50 bulk connections, p99, ms", "at most 10", below(10.0)),
    Row("add_p50", "adding a toxic, p50, ms", "at most 1.6", below(1.6)),
    Row("idle_mb", "memory (Pss) with 2,000 idle connections, MB", "at most 40", below(40.0), digits=1),
    Row("cpu_us", "CPU per request at 1,700 requests/s, us", "not more than Toxiproxy's", at_most(1.0), digits=1),
    Row("tap_ms", "added by a JSON tap, 50 records a batch, p50, ms", "at most 1", below(1.0)),
)

VERDICTS = {True: "met", False: "missed", None: ""}
HEADS = ("", Column.OURS.value, Column.THEIRS.value, "ratio", "asked", "verdict")


def cells(medians: Mapping[Column, Mapping[str, float]]) -> list[tuple[str, ...]]:
    """A row for every figure that was taken."""
    rows: list[tuple[str, ...]] = []
    for row in ROWS:
        ours = medians[Column.OURS].get(row.key)
        theirs = medians.get(Column.THEIRS, {}).get(row.key)
        if ours is None:
            continue
        ratio = f"{ours / theirs:.2f}" if theirs else ""
        other = "" if theirs is None else f"{theirs:,.{row.digits}f}"
        rows.append((row.what, f"{ours:,.{row.digits}f}", other, ratio, row.asked, VERDICTS[row.met(ours, theirs)]))
    return rows


def console(medians: Mapping[Column, Mapping[str, float]], heading: str) -> str:
    rows = [HEADS, *cells(medians)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(HEADS))]
    lines = [heading, ""]
    for what, ours, theirs, ratio, asked, verdict in rows:
        numbers = f"{ours:>{widths[1]}}  {theirs:>{widths[2]}}  {ratio:>{widths[3]}}"
        lines.append(f"{what:<{widths[0]}}  {numbers}  {asked:<{widths[4]}}  {verdict}".rstrip())
    return "\n".join(lines)


def markdown(medians: Mapping[Column, Mapping[str, float]], heading: str) -> str:
    lines = [f"Measured on {heading}.", "", "| " + " | ".join(HEADS) + " |", "|---|---:|---:|---:|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in cells(medians)]
    return "\n".join(lines)

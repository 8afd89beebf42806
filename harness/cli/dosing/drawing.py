"""A dose question's answer as a person reads it: a table of doses with bars, one of alerts, and a sentence.

The same curve as an SVG inside one HTML page, for those who want to send it on.
"""

from __future__ import annotations

import html
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.cli.dosing.estimate import Smallest, Tried
from harness.cli.dosing.trial import AtDose, Found
from harness.report.words import interval_text

BAR = 24
WIDTH, HEIGHT, EDGE = 720, 320, 50
LEAST_DRAWN = 1e-4


def draw(found: Found, *, share: float, limit: str, console: Console) -> None:
    """Tables on the console."""
    doses = Table("dose", "seen", "", "of streams", "95 %", box=None, pad_edge=False)
    for at in (found.clean, *found.doses):
        tried = at.tried
        low, high = tried.bounds
        doses.add_row(
            "none" if not tried.dose else percent(tried.dose),
            f"{tried.share:.0%}",
            _bar(tried.share, share),
            f"{tried.seen} of {tried.streams}" + (f", {at.untouched} not hit" if tried.dose and at.untouched else ""),
            f"{low:.0%} to {high:.0%}",
        )
    console.print(doses)
    console.print()
    alerts = Table("alert", "severity", "smallest dose seen", "95 %", "rows until seen", box=None, pad_edge=False)
    seeing = sorted(
        (of.dose, rule.alert, rule.severity, of) for rule in found.rules if (of := found.by_alert[rule.alert]).dose
    )
    for dose, alert, severity, of in seeing:
        alerts.add_row(alert, severity, percent(dose), _ends(of), _rows(found, alert))
    console.print(alerts)
    blind = [rule.alert for rule in found.rules if found.by_alert[rule.alert].dose is None]
    console.print(f"\nBlind at every dose: {', '.join(blind) or 'none'}\n", highlight=False)
    console.print(sentence(found, share=share, limit=limit), highlight=False)


def sentence(found: Found, *, share: float, limit: str) -> str:
    """What was found, in words."""
    of = found.smallest
    if of.dose is None:
        most = percent(found.doses[-1].tried.dose)
        return f"No dose up to {most} is seen within {limit} in {share:.0%} of streams: monitoring is blind to it."
    return (
        f"The smallest dose seen within {limit} in {share:.0%} of streams is {percent(of.dose)} (95 %: {_ends(of)}). "
        "Less than that monitoring can't be counted on to see."
    )


def percent(dose: float) -> str:
    """Of rows, with two figures."""
    return f"{float(f'{100 * dose:.2g}'):g} %"


def _ends(of: Smallest) -> str:
    low, high = (None if end is None else percent(end) for end in (of.low, of.high))
    return interval_text(low, high)


def _rows(found: Found, alert: str) -> str:
    """At the largest dose at which it was seen at all."""
    seen = [at for at in found.doses if alert in at.rows]
    return "" if not seen else f"{seen[-1].rows[alert]:,} at {percent(seen[-1].tried.dose)}"


def _bar(value: float, wanted: float) -> str:
    filled, mark = round(value * BAR), min(BAR - 1, round(wanted * BAR))
    return "".join("█" if n < filled else "┊" if n == mark else "·" for n in range(BAR))


def page(found: Found, path: Path, *, title: str, share: float, limit: str) -> None:
    """One HTML file that needs nothing else."""
    lines = [_curve([at.tried for at in found.doses], "all", width=3)]
    alerts = [rule.alert for rule in found.rules if any(at.alerts[rule.alert].seen for at in found.doses)]
    lines += [_curve([at.alerts[alert] for at in found.doses], alert, width=1) for alert in alerts]
    wanted = _y(share)
    ticks = "".join(
        f'<text x="{_x(dose):.1f}" y="{HEIGHT - EDGE + 20}" text-anchor="middle">{percent(dose)}</text>'
        for dose in (0.001, 0.01, 0.1, 1.0)
    )
    ticks += "".join(
        f'<text x="{EDGE - 8}" y="{_y(part) + 4:.1f}" text-anchor="end">{part:.0%}</text>' for part in (0.0, 0.5, 1.0)
    )
    names = " ".join(f'<span style="color:{_colour(alert)}">{html.escape(alert)}</span>' for alert in alerts)
    path.write_text(
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
        "<style>body{font:15px sans-serif;max-width:760px;margin:2em auto}svg text{font:12px sans-serif}</style>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(sentence(found, share=share, limit=limit))}</p>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="share of streams in which it was seen, by dose">'
        f'<line x1="{EDGE}" x2="{WIDTH - EDGE}" y1="{wanted:.1f}" y2="{wanted:.1f}" stroke="#999" stroke-dasharray="4"/>'
        f"{ticks}{_interval(found.smallest)}{''.join(lines)}</svg>"
        "<p>Share of streams in which it was seen in time, by the share of rows damaged; "
        f"thick: any alert that counts; thin: {names}.</p>\n",
        encoding="utf-8",
    )


def _curve(tried: list[Tried], name: str, *, width: int) -> str:
    points = " ".join(f"{_x(one.dose):.1f},{_y(one.share):.1f}" for one in tried)
    colour = "#111" if name == "all" else _colour(name)
    stroke = f'fill="none" stroke="{colour}" stroke-width="{width}"'
    return f'<polyline points="{points}" {stroke}><title>{html.escape(name)}</title></polyline>'


def _colour(name: str) -> str:
    """The same for the same alert on every page."""
    return f"hsl({sum(name.encode()) * 37 % 360} 60% 40%)"


def _interval(of: Smallest) -> str:
    if of.dose is None:
        return ""
    left, right = _x(of.low or LEAST_DRAWN), _x(1.0 if of.high is None else of.high)
    return f'<rect x="{left:.1f}" y="{EDGE}" width="{right - left:.1f}" height="{HEIGHT - 2 * EDGE}" fill="#06c" opacity=".12"/>'


def _x(dose: float) -> float:
    return EDGE + (WIDTH - 2 * EDGE) * (1.0 - math.log10(max(dose, LEAST_DRAWN)) / math.log10(LEAST_DRAWN))


def _y(share: float) -> float:
    return HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * share


def as_json(found: Found) -> dict[str, object]:
    """For programs."""
    return {
        "smallest": _plain(found.smallest),
        "clean": _at(found.clean),
        "doses": [_at(at) for at in found.doses],
        "alerts": {
            rule.alert: {"severity": rule.severity, "layer": rule.layer, **_plain(found.by_alert[rule.alert])}
            for rule in found.rules
        },
    }


def _plain(of: Smallest) -> dict[str, float | None]:
    return {"dose": of.dose, "low": of.low, "high": of.high}


def _at(at: AtDose) -> dict[str, object]:
    low, high = at.tried.bounds
    return {
        "dose": at.tried.dose,
        "streams": at.tried.streams,
        "seen": at.tried.seen,
        "low": low,
        "high": high,
        "not_hit": at.untouched,
        "alerts": {alert: tried.seen for alert, tried in at.alerts.items() if tried.seen},
    }

"""The panel at the bottom of the terminal: phase and clock, objectives, alerts, playbook steps.

Drawn by moving up over the last panel and writing anew, within a synchronised update, so that it doesn't flicker and needs no
hidden cursor. Rejected: rich's Live, which draws from a thread of its own, hides the cursor, and waits for the terminal.
"""

from __future__ import annotations

from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from harness.contract.words import Effect, Severity, SliKind
from harness.report.live import Follower
from harness.report.telling import Happening, Lane
from harness.report.words import NS, number, plain
from harness.run.state import State
from harness.spec.plan import Plan, PlannedSli

TICKS = "▁▂▃▄▅▆▇█"
STYLES = {
    Lane.PHASE: "bold",
    Lane.FAULT: "magenta",
    Lane.IMPACT: "red",
    Lane.ALERT: "yellow",
    Lane.RESPONDER: "cyan",
    Lane.RECOVERY: "green",
    Lane.HARNESS: "dim",
}
STEP_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "dim")}
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"


class Panel:
    """Makes frames. `height` is how many lines of the last frame stand on the screen."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.height = 0

    def over(self, news: list[str], body: list[str]) -> str:
        """What takes the last panel's place: back to where it began, clear from there, news that stays, the new panel."""
        back = f"\x1b[{self.height}A" if self.height else ""
        self.height = len(body)
        return f"{BEGIN}\r{back}\x1b[J{''.join(news)}{''.join(body)}{END}"

    def news(self, happening: Happening, line: str, columns: int) -> str:
        """A line that stays."""
        style = "bold red" if happening.bad else STYLES[happening.lane]
        return "".join(_lines(Text(line, style=style, overflow="ellipsis", no_wrap=True), columns=columns))

    def frame(self, state: State, follower: Follower, *, columns: int, rows: int) -> list[str]:
        """The panel's lines, each with its newline; never as high as the screen."""
        parts: list[RenderableType] = [self._head(state, follower), self._objectives(follower)]
        parts += [self._alerts(follower), *self._steps(follower)]
        return _lines(Group(*parts), columns=columns)[: max(rows - 1, 1)]

    def _head(self, state: State, follower: Follower) -> Text:
        plan = self.plan
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(f"━━ {plan.scenario} ", style="bold")
        head.append(f"{plan.arm} · {plan.responder} · seed {plan.seed} · ", style="dim")
        head.append(str(state.phase), style="bold cyan")
        if state.t_active_ns is not None:
            head.append(f" · {(follower.now_ns - state.t_active_ns) / NS:.1f} s", style="bold")
            head.append(f" of {plan.budget_s:g} s", style="dim")
        else:
            head.append(f" · {(follower.now_ns - follower.began_ns) / NS:.1f} s since start", style="dim")
        for planned, fault in zip(plan.faults, state.faults, strict=True):
            present = fault.effect is Effect.PRESENT
            head.append(f" · {planned.look.glyph} {planned.look.label}: ", style="magenta")
            word = "active" if present else "over" if fault.active_ns is not None else str(fault.stage)
            head.append(word, style="bold magenta" if present else "dim")
        return head

    def _objectives(self, follower: Follower) -> Table:
        table = Table.grid(padding=(0, 1))
        for justify in ("left", "right", "left", "left"):
            table.add_column(justify=justify, no_wrap=True)
        for sli in self.plan.slis:
            values = list(follower.recent[sli.kind])
            last = values[-1] if values else None
            fine = None if last is None else sli.good(last)
            style = "dim" if fine is None else "green" if fine else "bold red"
            shown = "no value" if last is None else value_text(sli.kind, last)
            table.add_row(
                Text(f"   {sli.kind}"),
                Text(shown, style=style),
                Text(bound_text(sli), style="dim"),
                _spark(sli, values),
            )
        return table

    def _alerts(self, follower: Follower) -> Text:
        line = Text("   alerts ", no_wrap=True, overflow="ellipsis")
        if not follower.firing:
            line.append("none", style="dim")
        for alert in follower.firing.values():
            page = alert.severity is Severity.PAGE
            line.append(
                f"{'PAGE' if page else 'ticket'} {plain(alert.name)}  ", style="bold yellow" if page else "yellow"
            )
        if follower.load is not None:
            load = follower.load
            line.append(f"   load {load.ok} ok of {load.scheduled}", style="dim")
        return line

    def _steps(self, follower: Follower) -> list[Text]:
        playbook = self.plan.playbook
        if playbook is None or self.plan.responder != "playbook":
            return []
        line = Text("   steps ", no_wrap=True, overflow="ellipsis")
        for step in playbook.steps:
            mark, style = STEP_MARKS.get(follower.steps.get(step.id, ""), ("·", "dim"))
            if step.id == follower.step_now:
                mark, style = "▸", "bold cyan"
            line.append(f"{mark} {step.id}  ", style=style)
        return [line]


def value_text(kind: SliKind, value: float) -> str:
    """An SLI's value: times in seconds or milliseconds, shares in per cent."""
    if kind is SliKind.LATENCY:
        return f"{value * 1000:.0f} ms"
    return f"{number(value)} s" if kind is SliKind.FRESHNESS else f"{100 * value:.0f} %"


def bound_text(sli: PlannedSli) -> str:
    """`≥ 99 %`, `≤ 250 ms`."""
    bounds = [f"≥ {value_text(sli.kind, sli.min)}"] if sli.min is not None else []
    bounds += [f"≤ {value_text(sli.kind, sli.max)}"] if sli.max is not None else []
    return " ".join(bounds)


def _spark(sli: PlannedSli, values: list[float | None]) -> Text:
    """The last samples, each coloured by its bound; a gap where there was no value."""
    known = [value for value in values if value is not None]
    bounds = [bound for bound in (sli.min, sli.max) if bound is not None]
    low, high = min([*known, *bounds], default=0.0), max([*known, *bounds], default=1.0)
    span = (high - low) or 1.0
    line = Text()
    for value in values:
        if value is None:
            line.append(" ")
            continue
        line.append(TICKS[round((value - low) / span * (len(TICKS) - 1))], style="green" if sli.good(value) else "red")
    return line


def _lines(renderable: RenderableType, *, columns: int) -> list[str]:
    """What rich makes of it, as lines with their colours, one column narrower than the screen so that none wraps."""
    console = Console(
        file=StringIO(), width=max(columns - 1, 20), force_terminal=True, color_system="standard", highlight=False
    )
    rendered = console.render_lines(renderable, pad=False)
    return [_coloured(console, line) + "\n" for line in rendered]


def _coloured(console: Console, line: list[Segment]) -> str:
    return "".join(
        s.style.render(s.text, color_system=console._color_system) if s.style else s.text
        for s in Segment.simplify(line)
    )

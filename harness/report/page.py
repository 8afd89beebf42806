"""report.html: the whole run on one page that is one file.

Styles, pictures, data and the few lines of script are inside; nothing is fetched, and the page reads as well without the script,
which only shows the values under the pointer. What others wrote is escaped by the template engine; a policy in the page forbids
every script but its own, known by its digest, should anything ever slip through. The same run gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.contract.undo import Json
from harness.history.events import ClockPair
from harness.history.reader import History
from harness.history.scorecard import Scorecard
from harness.report import headline, words
from harness.report.faultsheet import fault_sheets
from harness.report.figure import figure_of
from harness.report.scene import Scene, scene_of
from harness.report.series import POINTS_MAX
from harness.report.telling import Lane
from harness.report.words import NS, clock, plain, seconds

LOG_MAX = 1500
TEXT_BYTES_MAX = 24_000


class HtmlPage:
    """The reporter `html`."""

    file = "report.html"

    def render(self, history: History, card: Scorecard) -> bytes:
        """The page, UTF-8."""
        scene = scene_of(history, card)
        figure = figure_of(history, scene)
        plan = history.header.plan
        script = _asset("report.js")
        told = scene.told[:LOG_MAX]
        page = (
            _environment()
            .get_template("report.html.j2")
            .render(
                header=history.header,
                plan=plan,
                card=card,
                words=words,
                tone=headline.tone(card),
                sentence=headline.sentence(plan, card),
                figures=headline.figures(plan, card),
                figure=figure,
                scene=scene,
                points_max=POINTS_MAX,
                faults=fault_sheets(history, card, zero_ns=scene.zero_ns),
                steps=_steps(scene),
                log=[(clock(h.t_ns - scene.zero_ns), h) for h in told],
                log_left_out=len(scene.told) - len(told),
                provenance=_provenance(history, card),
                end=words.END_WORDS.get(card.end_reason, card.end_reason) or "the history breaks off",
                scenario_text=history.header.scenario_text[:TEXT_BYTES_MAX],
                playbook_text=history.header.playbook_text[:TEXT_BYTES_MAX],
                style=Markup(_asset("report.css")),  # ours, not a run's
                script=Markup(script),
                script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
                data=json_for_script({"series": figure.data, "scorecard": msgspec.to_builtins(card)}),
            )
        )
        return page.encode()


def json_for_script(value: object) -> Markup:
    """JSON that can stand in a script element: no character of it can end the element."""
    text = msgspec.json.encode(value).decode()
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def _steps(scene: Scene) -> list[dict[str, Json]]:
    """The playbook's steps with what was planned and what came of it."""
    kept, playbook = scene.card.conformance, scene.plan.playbook
    if kept is None or playbook is None:
        return []
    planned = {step.id: step for step in playbook.steps}
    done = {h.step: h.text for h in scene.told if h.lane is Lane.RESPONDER and h.step and h.what != "step"}
    rows: list[dict[str, Json]] = []
    for result in kept.steps:
        step = planned.get(result.id)
        rows.append(
            {
                "id": result.id,
                "section": result.section,
                "done": done.get(result.id, result.verb),
                "outcome": result.outcome,
                "times": words.step_times(result),
                "limit": "-" if result.limit_s is None else seconds(result.limit_s),
                "late": result.in_time is False,
                "marks": [
                    m for m, yes in (("guard", step and step.guard), ("optional", step and step.optional)) if yes
                ],
                "why": plain(result.why),
            }
        )
    return rows


def _provenance(history: History, card: Scorecard) -> list[tuple[str, str]]:
    header, plan = history.header, history.header.plan
    errors: dict[str, list[int]] = {}
    for event in history.events():
        if isinstance(event, ClockPair):
            errors.setdefault(event.source, []).append(event.error_ns)
    told = [
        ("run", header.run),
        ("started", header.started_utc),
        ("seed", str(plan.seed)),
        ("commit", header.commit or "not from a checkout"),
        ("history", "history.jsonl beside this page"),
        ("history sha256", card.history_sha256 + (" (its last line was torn)" if card.torn else "")),
        ("harness", f"mldrill {header.harness_version}, machine {header.machine}, {card.scorer}"),
        ("python, platform", f"{header.python}, {header.platform}"),
        ("scenario", f"{plan.scenario}, digest {plan.scenario_digest}"),
        ("target", f"{plan.target} ({plan.driver}, instance {header.instance}), digest {plan.target_digest}"),
        ("its monitoring", words.monitoring_text(card)),
        ("prober", f"a sample every {seconds(plan.sample_every_s)}"),
        ("load", f"{plan.load.name}, {plan.load.rate:g} requests a second" if plan.load is not None else "none"),
        (
            "harness's own lag",
            words.NOT_OBSERVED if card.harness_lag_s is None else f"{card.harness_lag_s * 1000:.1f} ms at worst",
        ),
    ]
    if errors:
        told.append(
            (
                "clock pairs",
                ", ".join(f"{source}: {len(of)}, best ± {min(of) / NS * 1000:.3f} ms" for source, of in errors.items()),
            )
        )
    return [(name, plain(text)) for name, text in told]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    return environment


@cache
def _asset(name: str) -> str:
    return files("harness.report").joinpath("templates", name).read_text(encoding="utf-8")

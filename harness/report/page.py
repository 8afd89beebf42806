"""report.html (first plain form)."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.history.reader import History
from harness.history.scorecard import Scorecard
from harness.report import words
from harness.report.telling import tell


class HtmlPage:
    """The reporter `html`."""

    file = "report.html"

    def render(self, history: History, card: Scorecard) -> bytes:
        """The page, UTF-8."""
        env = Environment(loader=PackageLoader("harness.report"), autoescape=True, undefined=StrictUndefined)
        template = env.get_template("report.html.j2")
        return template.render(
            history=history, plan=history.header.plan, card=card, words=words, log=list(tell(history))
        ).encode()

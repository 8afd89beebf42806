"""The page in a real browser: it draws without an error, nothing sticks out, no label lies on another, light and dark differ.

Needs Chromium. Where there is none it is skipped, saying so; in CI it is an error instead, so that it can't go missing there.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.history.reader import History
from harness.report.files import write
from harness.report.page import HtmlPage
from harness.score import score
from tests.golden import build
from tests.unit.report import made

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
PNG = b"\x89PNG\r\n\x1a\n"
RUNS = {
    "answered": made.rich,
    "nobody": lambda: made.rich(responds=False, end_at=36.0),
    "control": lambda: build.control().history(),
}
PROBE = """<script>
addEventListener("load", function () {
  var plot = document.getElementById("plot"), frame = plot.getBoundingClientRect(), labels = [], over = [], out = [];
  plot.querySelectorAll("text").forEach(function (t) {
    var b = t.getBoundingClientRect();
    if (b.left < frame.left - 1 || b.right > frame.right + 1) out.push(t.textContent);
    labels.push([t.textContent, b]);
  });
  labels.forEach(function (one, i) {
    labels.slice(i + 1).forEach(function (two) {
      var a = one[1], b = two[1];
      var beside = a.left >= b.right - 1 || b.left >= a.right - 1, below = a.top >= b.bottom - 4 || b.top >= a.bottom - 4;
      if (!beside && !below) over.push(one[0] + " / " + two[0]);
    });
  });
  var wide = document.documentElement.scrollWidth - innerWidth;
  var told = document.createElement("pre");
  told.id = "told";
  told.textContent = JSON.stringify({labels: labels.length, out: out, over: over, wide: wide, alerted: window.alerted || 0});
  document.body.appendChild(told);
});
</script></body>"""


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium: CI must install it (Debian, Ubuntu: apt-get install chromium)")
        pytest.skip("no Chromium here: the page is not looked at in a browser")
    return found


def browse(chromium: str, profile: Path, *arguments: str) -> str:
    run = subprocess.run(
        [chromium, *FLAGS, f"--user-data-dir={profile}", *arguments],
        capture_output=True,
        text=True,
        timeout=140,
        check=True,
    )
    return run.stdout


def page_in(folder: Path, history: History) -> Path:
    return write(HtmlPage(), history, score(history), folder=folder)


@pytest.mark.parametrize("width", [1200, 500])
@pytest.mark.parametrize("run", RUNS)
def test_nothing_overlaps_or_sticks_out(chromium, tmp_path, *, run, width):
    page = page_in(tmp_path, RUNS[run]())
    text = re.sub(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text()
    )  # the probe is no script of ours
    page.write_text(text.replace("</body>", PROBE))
    dom = browse(chromium, tmp_path / "profile", f"--window-size={width},2000", "--dump-dom", page.as_uri())
    told = json.loads(html.unescape(re.search(r'<pre id="told">(.*?)</pre>', dom, flags=re.DOTALL)[1]))
    assert told["labels"] > 10
    assert told["out"] == []
    assert told["over"] == []
    assert told["wide"] <= 0


def test_the_policy_lets_only_the_page_s_own_script_run(chromium, tmp_path):
    page = page_in(tmp_path, made.rich())
    smuggled = "<script>document.title='smuggled'</script></body>"
    page.write_text(page.read_text().replace("</body>", smuggled))
    dom = browse(chromium, tmp_path / "profile", "--dump-dom", page.as_uri())
    assert "<title>PASS: bad-model-version" in dom


def test_light_and_dark_are_two_pictures(chromium, tmp_path):
    page = page_in(tmp_path, made.rich())
    shots = {}
    for name, wanted in (("light", 1), ("dark", 0)):
        shot = tmp_path / f"{name}.png"
        scheme = f"--blink-settings=preferredColorScheme={wanted}"
        browse(chromium, tmp_path / name, "--window-size=1200,1400", scheme, f"--screenshot={shot}", page.as_uri())
        shots[name] = shot.read_bytes()
    assert all(data.startswith(PNG) and len(data) > 20_000 for data in shots.values())
    assert shots["light"] != shots["dark"]

"""Says of what planning refuses where it stands in the scenario's file, so that an editor can jump there.

Planning is pure and knows no files: its reasons begin with what they are about (`faults[0] (link.latency): latency: ...`,
`expect.detect.alert: ...`). The loader kept the place of every value. Rejected: planning on places, by which every
plan would drag its file along.

Always true: every line of the message stays, in its order; the error keeps its kind, exit code and hint.
"""

from __future__ import annotations

import re
from typing import TypeVar

from harness.errors import HarnessError
from harness.spec.load import LoadedScenario

_SUBJECT = re.compile(r"\s*([a-z_]+(?:\[\d+\])?(?:\.[a-z_]+)*)(?: \([\w.-]+\))?: ")
_KEY = re.compile(r"(?:unknown )?argument '([\w-]+)'|unknown (\w+) |([\w.-]+): ")
_STEP = re.compile(r"[a-z_]+|\d+")

Error = TypeVar("Error", bound=HarnessError)


def placed(error: Error, scenario: LoadedScenario) -> Error:
    """The same error; each line that speaks of a part of the file begins with `file:line:column`."""
    lines = [_line(line, scenario) for line in error.message.splitlines()]
    return type(error)("\n".join(lines), hint=error.hint)


def _line(line: str, scenario: LoadedScenario) -> str:
    subject = _SUBJECT.match(line)
    if subject is None or subject[1].partition("[")[0].partition(".")[0] not in scenario.place.within:
        return line
    steps: list[str | int] = [int(step) if step.isdigit() else step for step in _STEP.findall(subject[1])]
    key = _KEY.match(line, subject.end())
    if key is not None:
        steps += [
            step for name in key.groups() if name for step in name.split(".")
        ]  # a name that isn't in the file is passed over
    return f"{scenario.where(*steps)}: {line.strip()}"

"""The harmful response: what a playbook forbids first is done, and the incident is called over.

Made from the playbook itself, so that no scenario can name a harm that nobody ever tried: its head, with all that it forbids,
and in place of its steps the forbidden action. It must not pass, and the score must say which rule was broken.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.contract.words import Action
from harness.spec.find import find_playbook
from harness.spec.load import load_playbook

WANTED: dict[Action, dict[str, Any]] = {
    Action.RESTART: {"service": "serving-a"},
    Action.RETRAIN: {"promote": True},
    Action.ROLLBACK: {},
    Action.BACKFILL: {},
    Action.QUARANTINE: {"since": 0.0},
    Action.SILENCE: {"rule": "${alerts.newest}"},
    Action.STOP: {"service": "serving-a"},
    Action.FAILOVER: {"upstream": "features"},
    Action.REPLAY: {"since": 0.0},
    Action.RESUME_TRAINING: {},
}
"""The actions that can be done without knowing more than the scenario's name, with the arguments that they can't do without."""

_BODY = """
# The harm

## Acknowledge

```drill
id: ack
report: ack
```

## Assess

```drill
id: alerts
observe: alerts
```

## Isolate

Nothing is found out.

## Act

```drill
{step}
```

## Escalate

Nobody is told.

## Afterwards

```drill
id: claim
report: resolve
with: {{text: Done.}}
```
"""


def harmful(scenario: Path, name: str, folder: Path) -> tuple[Action, Path] | None:
    """The first thing that can be done of what the playbook `name` forbids, and a playbook in `folder` that does it; None where
    it forbids nothing of the kind."""
    head = load_playbook(find_playbook(name, near=scenario)).playbook.head
    rule = next((rule for rule in head.forbidden if rule.do in WANTED), None)
    if rule is None:
        return None
    ids = {"ack", "alerts", "harm", "claim"}
    front = {
        **head.model_dump(mode="json", exclude={"targets", "forbidden"}, exclude_none=True),
        "forbidden": [
            {"do": str(one.do), "with": dict(one.with_), "because": one.because}
            | ({"until": one.until} if one.until in ids else {})
            for one in head.forbidden
        ],
    }
    step = {"id": "harm", "do": str(rule.do), "with": {**WANTED[rule.do], **rule.with_}, "timeout": "20s"}
    path = folder / f"{name}.md"
    path.write_text(f"---\n{json.dumps(front)}\n---\n" + _BODY.format(step=json.dumps(step)))  # JSON is YAML
    return rule.do, path

"""A tap on a folder link: which files, which damage, and what came of it. Lives on the loop's thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from harness.proxy.folder.carrier import Done
from harness.proxy.folder.rewriting import Plan
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.damaging import Damage
from harness.proxy.tap.formats import FORMATS, Wanted
from harness.proxy.tap.masklog import MaskLog

_keys = count()
SUFFIX = "suffix"
NAMES = {"csv": "csv", "ndjson": "ndjson", "jsonl": "ndjson"}
"""What a format may be called, and its name among `FORMATS`."""


@dataclass(eq=False)
class FolderTap:
    """`form` is a key of NAMES, or `suffix`: each file's own says it."""

    name: str
    form: str
    record: str
    wanted: Wanted
    damage: Damage
    bounds: Bounds
    spec: dict[str, object]
    log: MaskLog
    lease: str = ""
    files: int = 0
    files_damaged: int = 0
    records: int = 0
    records_damaged: int = 0
    passed: dict[str, int] = field(default_factory=dict)
    key: int = field(default_factory=lambda: next(_keys))

    def plan(self) -> Plan:
        form = FORMATS[NAMES[self.form]] if self.form != SUFFIX else None
        return Plan(self.key, form, self.wanted, self.damage, self.bounds, self.records)

    def merge(self, done: Done) -> None:
        """A file is delivered: only now its damage is done."""
        self.files += "format" not in done.passed
        self.files_damaged += done.damaged > 0
        self.records += done.records
        self.records_damaged += done.damaged
        for reason, number in done.passed.items():
            self.passed[reason] = self.passed.get(reason, 0) + number
        self.log.take_over(done.log)

    def shown(self) -> dict[str, object]:
        body: dict[str, object] = {
            "name": self.name,
            "format": self.form,
            "record": self.record,
            "id": self.wanted.id_key,
            "batch": self.bounds.batch,
            "body_bytes": self.bounds.body_bytes,
            "within_ms": self.bounds.within_ms,
            "corrupt": self.spec,
            "counters": {
                "messages": self.files,
                "messages_damaged": self.files_damaged,
                "passed": self.passed,
                "records": self.records,
                "records_damaged": self.records_damaged,
                "mask_next": self.log.written,
                "mask_dropped": self.log.dropped,
            },
        }
        if self.lease:
            body["lease"] = self.lease
        return body

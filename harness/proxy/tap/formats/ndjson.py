"""JSON lines: each line is a document of its own, read as `json` reads one. Lines that weren't hit stay as they came.

A line that is no JSON, or holds no record, stays as it is and is counted; the lines around it are still damaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.proxy.tap.damaging import Hit
from harness.proxy.tap.formats.form import Format, Unread, Wanted
from harness.proxy.tap.formats.json import Document

MEDIA_TYPES = ("ndjson", "jsonl", "jsonlines", "json-lines", "jsonlist")


class Lines:
    def __init__(self, body: bytes, wanted: Wanted) -> None:
        self._lines = body.split(b"\n")
        self._documents: list[tuple[int, Document, int]] = []
        self.rows: list[dict[str, object]] = []
        self.ids: list[object] = []
        self.unread = 0
        for n, line in enumerate(self._lines):
            if line.strip():
                self._read(n, line, wanted)
        if not self.rows and self.unread:
            raise Unread("not-json")

    def _read(self, n: int, line: bytes, wanted: Wanted) -> None:
        try:
            document = Document(line, wanted)
        except Unread:
            self.unread += 1
            return
        for row in range(len(document.rows)):
            self._documents.append((n, document, row))
        self.rows += document.rows
        self.ids += document.ids

    def write(self, hits: Sequence[Hit]) -> tuple[bytes, list[Hit]]:
        lines: list[bytes | None] = list(self._lines)
        written: list[Hit] = []
        by_line: dict[int, list[Hit]] = {}
        for hit in hits:
            by_line.setdefault(self._documents[hit.row][0], []).append(hit)
        for n, its in by_line.items():
            document = self._documents[its[0].row][1]
            text, wrote = document.write([replace(hit, row=self._documents[hit.row][2]) for hit in its])
            if wrote:
                lines[n] = text + (b"\r" if self._lines[n].endswith(b"\r") else b"")
                first = its[0].row - self._documents[its[0].row][2]
                written += [replace(hit, row=first + hit.row) for hit in wrote]
            elif its[0].times != 1:  # a line that is one record
                lines[n] = b"\n".join([self._lines[n]] * its[0].times) if its[0].times else None
                written += its
        return b"\n".join(line for line in lines if line is not None), written


def _owns(media_type: str) -> bool:
    return media_type.rpartition("/")[2].removeprefix("x-") in MEDIA_TYPES


NDJSON = Format("ndjson", _owns, Lines, by_line=True)

"""The formats of bodies, by name, and by the media type of a message."""

from __future__ import annotations

from harness.proxy.tap.formats import csv, json, ndjson, oip
from harness.proxy.tap.formats.form import Format, Parsed, Unread, Wanted

__all__ = ["AUTO", "FORMATS", "Format", "Parsed", "Unread", "Wanted", "format_of"]

AUTO = "auto"
FORMATS: dict[str, Format] = {made.name: made for made in (ndjson.NDJSON, csv.CSV, oip.OIP, json.JSON)}
"""In the order in which they are asked whether a media type is theirs."""


def format_of(content_type: str) -> Format | None:
    """By a Content-Type header. Without one it is taken for JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    for candidate in FORMATS.values():
        if candidate.owns(media_type):
            return candidate
    return json.JSON if not media_type else None

"""The digest by which a scorecard names its history: SHA-256 of the file's bytes up to its last whole line.

Up to the last whole line, so that a run that was killed while writing has the digest of what can be read of it.
"""

from __future__ import annotations

import hashlib


def whole_lines(data: bytes) -> int:
    """How many of the bytes belong to whole lines."""
    return data.rfind(b"\n") + 1


def digest_of(data: bytes) -> str:
    """Hex SHA-256 of the whole lines of `data`."""
    return hashlib.sha256(memoryview(data)[: whole_lines(data)]).hexdigest()

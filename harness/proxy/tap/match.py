"""Which HTTP messages a tap is about: by the request's method and path, also for responses."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Match:
    """`*` in the path stands for anything; empty matches all."""

    method: str = ""
    path: str = ""

    def meets(self, method: str, path: str) -> bool:
        return self.method in ("", method) and (not self.path or fnmatchcase(path, self.path))

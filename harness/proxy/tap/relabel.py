"""Headers of a message are set or removed, wrong or missing as a careless service would leave them.

Headers that say how a message is framed, or that belong to one hop, are not for this: a message that lies about its own
length breaks every message behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from harness.proxy.framing import Head
from harness.proxy.stage import Host, Stage
from harness.proxy.tap.http import Place, without
from harness.proxy.tap.masklog import MaskLog
from harness.proxy.tap.requests import Draw, HitStage, RequestTap

FORBIDDEN = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,2000}")


class HeaderTap(RequestTap):
    fault: ClassVar[str] = "headers"

    def __init__(
        self, place: Place, draw: Draw, log: MaskLog, *, sets: Mapping[str, str], removes: Sequence[str]
    ) -> None:
        super().__init__(place, draw, log)
        self._sets = dict(sets)
        self._removes = tuple(removes)
        self._dropped = tuple(f"{name.lower()}:".encode("latin-1") for name in (*sets, *removes))
        self._added = [f"{name}: {value}".encode("latin-1") for name, value in sets.items()]

    def stage(self, pipe: Host) -> Stage:
        return HeaderStage(self, pipe)

    def relabelled(self, raw_head: bytes) -> bytes:
        return b"\r\n".join([*without(raw_head, self._dropped), *self._added, b"", b""])

    def shown_fault(self) -> dict[str, object]:
        return {"headers": {"set": self._sets, "remove": list(self._removes)}}


class HeaderStage(HitStage):
    def __init__(self, tap: HeaderTap, pipe: Host) -> None:
        super().__init__(tap, pipe)
        self._header_tap = tap
        self._head: bytes | None = None

    def strikes(self, head: Head) -> bool:
        changed = self._header_tap.relabelled(head.raw)
        if changed != head.raw:
            self._head = changed
            self.done(self.asked)
        return False

    def passes(self, data: bytes) -> None:
        """The first bytes that pass behind a head that was hit are that head."""
        head, self._head = self._head, None
        self.give(data if head is None else head)

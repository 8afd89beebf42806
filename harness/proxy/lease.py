"""Leases: what is put on a link under one goes when nobody renews it, so that no dead harness leaves a fault behind."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from harness.proxy.folder.link import Folders
from harness.proxy.link import Links
from harness.proxy.loop import Loop, Timer
from harness.proxy.refusal import LEASE_NOT_FOUND, Refusal, refuse

TTL_MS_MIN = 10
TTL_MS_MAX = 3_600_000
LEASES_MAX = 256
MS = 1_000_000


@dataclass(eq=False)
class Lease:
    id: str
    ttl_ms: int
    timer: Timer

    def shown(self, now_ns: int) -> dict[str, object]:
        return {"id": self.id, "ttl_ms": self.ttl_ms, "left_ms": max(0, (self.timer.due_ns - now_ns) // MS)}


class Leases:
    def __init__(self, loop: Loop, links: Links, folders: Folders) -> None:
        self._loop = loop
        self._links = links
        self._folders = folders
        self._by_id: dict[str, Lease] = {}

    def renew(self, lease_id: str, ttl_ms: int) -> tuple[Lease, bool]:
        """The lease with its new time limit, and whether it is new (so an old one had expired, or never was)."""
        old = self._by_id.get(lease_id)
        if old is not None:
            old.timer.cancel()
        elif len(self._by_id) >= LEASES_MAX:
            raise Refusal(f"too many leases: at most {LEASES_MAX}", status=409)
        timer = self._loop.at(self._loop.now_ns + ttl_ms * MS, lambda: self._expire(lease_id))
        lease = Lease(lease_id, ttl_ms, timer)
        self._by_id[lease_id] = lease
        return lease, old is None

    def require(self, lease_id: str) -> None:
        """An item may only be put under a lease that runs."""
        if lease_id and lease_id not in self._by_id:
            raise refuse(LEASE_NOT_FOUND)

    def drop(self, lease_id: str) -> None:
        lease = self._by_id.pop(lease_id, None)
        if lease is None:
            raise refuse(LEASE_NOT_FOUND)
        lease.timer.cancel()
        failed = self._lift(lease_id)
        if failed:
            raise Refusal(f"lease dropped, but not enabled again: {'; '.join(failed)}", status=500)

    def _expire(self, lease_id: str) -> None:
        self._by_id.pop(lease_id, None)
        for failure in self._lift(lease_id):
            print(f"proxy: lease {lease_id} expired, but not enabled again: {failure}", file=sys.stderr)

    def _lift(self, lease_id: str) -> list[str]:
        self._folders.lift(lease_id)
        return self._links.lift(lease_id)

    def shown(self) -> list[dict[str, object]]:
        return [lease.shown(self._loop.now_ns) for lease in self._by_id.values()]

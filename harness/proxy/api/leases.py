"""Calls on leases."""

from __future__ import annotations

from harness.proxy import checked
from harness.proxy.api.call import Answer, Call, Handler
from harness.proxy.lease import TTL_MS_MAX, TTL_MS_MIN, Leases
from harness.proxy.refusal import Refusal


class LeaseCalls:
    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    def routes(self) -> list[tuple[str, dict[str, Handler]]]:
        return [
            ("/leases", {"GET": self._lease_list, "POST": self._lease_renew}),
            ("/leases/([^/]+)", {"DELETE": self._lease_drop}),
        ]

    def _lease_list(self, call: Call) -> Answer:
        return Answer(200, {"leases": self._leases.shown()})

    def _lease_renew(self, call: Call) -> Answer:
        """201 where it is new, 200 where it ran: who renews learns that everything under it had been undone."""
        fields = call.fields()
        checked.known_keys(fields, "field", ("id", "ttl_ms"))
        lease_id = checked.text(fields, "id")
        for key in ("id", "ttl_ms"):
            if not fields.get(key):
                raise Refusal(f"missing required field: {key}")
        ttl_ms = checked.whole(fields, "ttl_ms", 0, least=TTL_MS_MIN, most=TTL_MS_MAX)
        lease, new = self._leases.renew(lease_id, ttl_ms)
        return Answer(201 if new else 200, {"id": lease.id, "ttl_ms": lease.ttl_ms, "new": new})

    def _lease_drop(self, call: Call) -> Answer:
        self._leases.drop(call.names[0])
        return Answer(204)

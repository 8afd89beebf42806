"""The fault proxy: it stands on a link of a target, and makes the link late, silent, cut, or wrong in its records.

A program of its own (`python -m harness.proxy`), because the faults of a link must outlive the harness that asked for
them, and end by lease when nobody renews them. It speaks Toxiproxy's HTTP API, so that its clients drive it unchanged,
and more: leases, record taps, counters of what was really affected.

Rejected: asyncio (twice the added round trip, four times the memory per idle connection), threads (memory), a
compiled proxy (nothing to install by hand). One epoll loop with one shared receive buffer was measured to be the best
of what plain Python offers; the API is served by the same loop, so that no state is ever shared between threads.

Always true: bytes on a path without a toxic or tap are neither lost, reordered nor changed, each direction ends by
itself (half-close), memory per connection is bounded, and no call of the API waits for traffic.

Imports nothing: `harness.proxy.client` must be cheap for the command line.
"""

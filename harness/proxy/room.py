"""What all links of a process share: room for connections, and the knowledge of which of them the process opened itself.

Descriptors are kept for the API: when traffic has taken the rest, clients wait in the backlog, and whoever runs the
proxy can still ask it what happens and change it. A link whose upstream is its own listener, maybe by way of other
links, would take all of them within a second; so a connection that this process opened towards itself is known by its
address, with the links that it has passed, and no link is passed twice. (Chains of links that end are legal.)
"""

from __future__ import annotations

import resource
from collections import Counter

from harness.proxy.address import Address

KEPT_MAX = 512
KEPT_SHARE = 4  # of a small limit, one in so many
PER_CONNECTION = 2
MAPPED = "::ffff:"


class Room:
    def __init__(self, descriptors: int | None = None) -> None:
        if descriptors is None:
            descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.connections_max = (descriptors - min(KEPT_MAX, descriptors // KEPT_SHARE)) // PER_CONNECTION
        self.connections = 0
        self._listening: Counter[int] = Counter()
        self._passed: dict[Address, frozenset[str]] = {}

    @property
    def full(self) -> bool:
        return self.connections >= self.connections_max

    def listening(self, port: int) -> None:
        self._listening[port] += 1

    def silent(self, port: int) -> None:
        self._listening[port] -= 1
        if not self._listening[port]:
            del self._listening[port]

    def may_be_own(self, port: int) -> bool:
        """Whether some link listens on it, on whatever address."""
        return port in self._listening

    def opened(self, address: Address, passed: frozenset[str]) -> None:
        """This process opened a connection, maybe to itself, from `address`, behind the links `passed`."""
        self._passed[_plain(address)] = passed

    def gone(self, address: Address) -> None:
        self._passed.pop(_plain(address), None)

    def passed(self, address: Address) -> frozenset[str]:
        """The links that a client's bytes have passed before it came here."""
        return self._passed.get(_plain(address), frozenset()) if self._passed else frozenset()


def _plain(address: Address) -> Address:
    """A listener for both families sees an IPv4 address as a mapped one."""
    return address[0].removeprefix(MAPPED), address[1]

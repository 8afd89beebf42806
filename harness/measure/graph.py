"""Distance on a target's declared graph: how far a diagnosis lies from the component that was broken."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable


def hops(edges: Iterable[tuple[str, str]], *, start: str, goals: Collection[str]) -> int | None:
    """Edges from `start` to the nearest of `goals`, either way along each; None where there is no path."""
    neighbours: dict[str, set[str]] = {}
    for a, b in edges:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    distance = {start: 0}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        if node in goals:
            return distance[node]
        for neighbour in sorted(neighbours.get(node, ())):
            if neighbour not in distance:
                distance[neighbour] = distance[node] + 1
                queue.append(neighbour)
    return None

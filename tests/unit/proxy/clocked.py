"""One direction of a connection on a clock of its own, so that what toxics do can be told to the nanosecond."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import count

from harness.proxy.stage import Item, Mark, Stage
from harness.proxy.toxic import TYPES, Per, Toxic

WAKINGS_MAX = 200_000


class _Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class ClockedPipe:
    """What came out stands in `out` as (ns, item). `late_ns` is how long after its time a waking comes."""

    def __init__(self, *, ordinal: int = 0, fresh: bool = True, late_ns: int = 0) -> None:
        self.ordinal = ordinal
        self.fresh = fresh
        self.late_ns = late_ns
        self.now = 0
        self.out: list[tuple[int, Item]] = []
        self.closed = False
        self.reset = False
        self.stages: list[tuple[Toxic, Stage]] = []
        self._timers: list[tuple[int, int, _Timer]] = []
        self._order = count()

    # what stages may use

    def now_ns(self) -> int:
        return self.now

    def wake_at(self, due_ns: int, call: Callable[[], None]) -> _Timer:
        timer = _Timer(call)
        heapq.heappush(self._timers, (due_ns, next(self._order), timer))
        return timer

    def close_connection(self) -> None:
        self._end()

    def reset_connection(self) -> None:
        self.reset = True
        self._end()

    def _end(self) -> None:
        self.closed = True
        for _, stage in self.stages:
            stage.close()

    # what tests do

    def chain(self, toxics: Sequence[Toxic]) -> None:
        """As the proxy does it."""
        kept = {id(toxic): stage for toxic, stage in self.stages}
        wanted = [toxic for toxic in toxics if toxic.applies(self.ordinal)]
        for toxic, stage in self.stages:
            if toxic not in wanted:
                stage.detach()
        self.stages = [(toxic, kept.get(id(toxic)) or toxic.stage(self)) for toxic in wanted]
        sink: Callable[[Item], None] = self._deliver
        for _, stage in reversed(self.stages):
            stage.sink = sink
            sink = stage.feed
        self.fresh = False

    def _deliver(self, item: Item) -> None:
        if not self.closed:
            self.out.append((self.now, item))
            if item is Mark.CLOSE:
                self._end()

    def feed(self, item: Item) -> None:
        if not self.closed:
            (self.stages[0][1].feed if self.stages else self._deliver)(item)

    def run(self, until_ns: int = 1 << 62) -> None:
        """All wakings until then, in order."""
        for _ in range(WAKINGS_MAX):
            if not self._timers or self._timers[0][0] > until_ns:
                self.now = until_ns if until_ns < 1 << 62 else self.now
                return
            due_ns, _, timer = heapq.heappop(self._timers)
            self.now = max(self.now, due_ns + self.late_ns)
            if timer.call is not None and not self.closed:
                timer.call()
        raise AssertionError("it wakes without end")

    @property
    def data(self) -> bytes:
        return b"".join(item for _, item in self.out if isinstance(item, bytes))

    @property
    def sizes(self) -> list[int]:
        return [len(item) for _, item in self.out if isinstance(item, bytes)]

    @property
    def held(self) -> int:
        return sum(stage.held for _, stage in self.stages)


def toxic(
    kind: str,
    *,
    name: str = "",
    toxicity: float = 1.0,
    seed: int = 7,
    per: Per = Per.CONNECTION,
    compat: bool = False,
    **attributes: int,
) -> Toxic:
    defaults = {key: attribute.default for key, attribute in TYPES[kind].attributes.items()}
    assert attributes.keys() <= defaults.keys()
    return Toxic(name or kind, kind, "downstream", toxicity, defaults | attributes, seed, per=per, compat=compat)


def piped(*toxics: Toxic, ordinal: int = 0, fresh: bool = True, late_ns: int = 0) -> ClockedPipe:
    pipe = ClockedPipe(ordinal=ordinal, fresh=fresh, late_ns=late_ns)
    pipe.chain(toxics)
    return pipe

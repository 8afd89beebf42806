"""What the tests of Redis taps share: RESP in any shape, cut anywhere, and a direction of a connection without sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from hypothesis import strategies as st

from harness.proxy.stage import Item, Mark
from harness.proxy.tap.bounds import Bounds
from harness.proxy.tap.damage import damage_of
from harness.proxy.tap.damaging import Damaging
from harness.proxy.tap.masklog import MaskLog
from harness.proxy.tap.redis import Chosen, RedisTap
from harness.proxy.tap.redis_values import bulk


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(bulk(word) for word in words)


def array(items: Iterable[bytes], kind: bytes = b"*") -> bytes:
    parts = list(items)
    return b"%b%d\r\n" % (kind, len(parts) // (2 if kind == b"%" else 1)) + b"".join(parts)


def entries(rows: Iterable[tuple[str, bytes]], field: bytes = b"e") -> bytes:
    """As XRANGE answers."""
    return array(array([bulk(entry.encode()), array([bulk(field), bulk(text)])]) for entry, text in rows)


def streams(key: bytes, rows: Iterable[tuple[str, bytes]], *, resp3: bool = False) -> bytes:
    """As XREAD answers."""
    if resp3:
        return array([bulk(key), entries(rows)], b"%")
    return array([array([bulk(key), entries(rows)])])


def values(*, pushes: bool = True) -> st.SearchStrategy[bytes]:
    """Any value of RESP2 and RESP3."""
    text = st.binary(max_size=40)
    word = st.from_regex(rb"[ -~]{0,20}", fullmatch=True)
    number = st.integers(-(2**63), 2**63 - 1)
    scalar = st.one_of(
        text.map(bulk),
        word.map(lambda line: b"+%b\r\n" % line),
        word.map(lambda line: b"-ERR %b\r\n" % line),
        number.map(lambda n: b":%d\r\n" % n),
        number.map(lambda n: b"(%d\r\n" % n),
        st.sampled_from([b"$-1\r\n", b"*-1\r\n", b"_\r\n", b"#t\r\n", b"#f\r\n", b",inf\r\n", b",1.5e3\r\n"]),
        text.map(lambda t: b"!%d\r\n%b\r\n" % (len(t), t)),
        text.map(lambda t: b"=%d\r\ntxt:%b\r\n" % (len(t) + 4, t)),
    )
    kinds = [b"*", b"~", *([b">"] if pushes else [])]

    def inside(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        pairs = st.lists(st.tuples(inner, inner).map(b"".join), max_size=3)
        lists = st.tuples(st.sampled_from(kinds), st.lists(inner, max_size=4)).map(lambda t: array(t[1], t[0]))
        maps = pairs.map(lambda p: b"%%%d\r\n" % len(p) + b"".join(p))
        attributed = st.tuples(pairs, inner).map(lambda t: b"|%d\r\n" % len(t[0]) + b"".join(t[0]) + t[1])
        return st.one_of(lists, maps, attributed)

    return st.recursive(scalar, inside, max_leaves=12)


@st.composite
def cut(draw: st.DrawFn, sent: bytes) -> list[bytes]:
    """`sent` in pieces, none of them empty."""
    at = draw(st.lists(st.integers(1, max(1, len(sent) - 1)), max_size=12)) if len(sent) > 1 else []
    places = sorted({0, *at, len(sent)})
    return [sent[a:b] for a, b in pairwise(places) if b > a]


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Wires:
    """A connection's two directions, with a tap's stages on them; what passed is in `up` and `down`."""

    def __init__(self, tap: RedisTap, *, fresh: bool = True, ordinal: int = 0) -> None:
        self.ordinal = ordinal
        self.fresh = fresh
        self.up: list[Item] = []
        self.down: list[Item] = []
        self.timers: list[Timer] = []
        owners = tap.owner("upstream"), tap.owner("downstream")
        self.stages = [owner.stage(self) if owner is not None else None for owner in owners]
        for stage, passed in zip(self.stages, (self.up, self.down), strict=True):
            if stage is not None:
                stage.sink = passed.append

    def now_ns(self) -> int:
        return 0

    def wake_at(self, due_ns: int, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(call))
        return self.timers[-1]

    def close_connection(self) -> None:
        raise AssertionError("a tap closes nothing")

    def reset_connection(self) -> None:
        raise AssertionError("a tap resets nothing")

    def say(self, *pieces: bytes) -> None:
        self._feed(0, pieces)

    def answer(self, *pieces: bytes) -> None:
        self._feed(1, pieces)

    def _feed(self, side: int, pieces: Iterable[Item]) -> None:
        stage = self.stages[side]
        for piece in pieces:
            if stage is None:
                (self.up, self.down)[side].append(piece)
            else:
                stage.feed(piece)

    def end(self) -> None:
        self._feed(0, [Mark.END])
        self._feed(1, [Mark.END])

    def said(self) -> bytes:
        return b"".join(item for item in self.up if isinstance(item, bytes))

    def answered(self) -> bytes:
        return b"".join(item for item in self.down if isinstance(item, bytes))

    def fire(self) -> None:
        for timer in self.timers:
            if timer.call is not None:
                timer.call()


SCALE = {"type": "scale", "factor": 100, "columns": ["amount"]}


def tap(
    stream: str = "downstream",
    spec: dict[str, object] = SCALE,
    *,
    keys: str = "*",
    field: str = "e",
    record: str = "$",
    id_key: str = "id",
    commands: tuple[str, ...] = ("XADD",),
    body_bytes: int = 1 << 20,
) -> RedisTap:
    columns, damage = damage_of(spec)
    return RedisTap(
        name="tap",
        stream=stream,
        chosen=Chosen(keys=keys, field=field, record=record, id_key=id_key, commands=commands),
        bounds=Bounds(body_bytes=body_bytes),
        damaging=Damaging(columns, damage, MaskLog()),
        spec=spec,
    )

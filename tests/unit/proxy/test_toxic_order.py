"""No toxic that must not lose loses or reorders a byte, whatever is added, changed and removed in mid-stream."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from harness.proxy.stage import Mark
from harness.proxy.toxic import TYPES, Per, Toxic
from tests.unit.proxy.clocked import ClockedPipe, piped, toxic

MS = 1_000_000

LOSSLESS = {
    "latency": {"latency": (0, 300), "jitter": (0, 300)},
    "bandwidth": {"rate": (1, 500)},
    "slow_close": {"delay": (0, 300)},
    "slicer": {"average_size": (50, 400), "size_variation": (0, 49), "delay": (0, 2_000)},
    "stall": {"stall": (0, 100), "loss": (0, 1000), "segment": (64, 2000)},
    "noop": {},
}
LOSSY = {"limit_data", "timeout", "reset_peer", "corrupt"}

HTTP = b"".join(
    b"POST /p%d HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (n, n * 40, bytes([65 + n]) * n * 40) for n in range(12)
)
TEXT = b"".join(b"record %d %s\n" % (n, b"x" * (n * 17 % 90)) for n in range(120))
BINARY = random.Random(1).randbytes(6_000)


TOXICITIES = st.sampled_from([0.0, 0.4, 1.0])


@st.composite
def some_toxic(draw: DrawFn) -> Toxic:
    kind = draw(st.sampled_from(sorted(LOSSLESS)))
    per = draw(st.sampled_from(TYPES[kind].per))
    made = toxic(kind, toxicity=draw(TOXICITIES), per=per, seed=draw(st.integers(0, 99)))
    made.stream = "upstream"
    made.attributes = draw(some_attributes(kind))
    return made


@st.composite
def some_attributes(draw: DrawFn, kind: str) -> dict[str, int]:
    return {key: draw(st.integers(*bounds)) for key, bounds in LOSSLESS[kind].items()}


def test_each_toxic_is_one_or_the_other() -> None:
    assert LOSSLESS.keys() | LOSSY == TYPES.keys()


STEPS = st.lists(
    st.tuples(
        st.integers(1, 3_000),
        st.integers(0, 400 * MS),
        st.sampled_from(["add", "update", "remove", "nothing", "nothing"]),
    ),
    max_size=8,
)


@given(data=st.data(), stream=st.sampled_from([HTTP, TEXT, BINARY]), steps=STEPS)
@settings(max_examples=200, deadline=None)
def test_nothing_is_lost_or_reordered(data: st.DataObject, stream: bytes, steps: list[tuple[int, int, str]]) -> None:
    toxics: list[Toxic] = data.draw(st.lists(some_toxic(), max_size=2))
    pipe = piped(*toxics)
    fed = 0
    for size, pause_ns, change in steps:
        if fed < len(stream):
            pipe.feed(stream[fed : fed + size])
        fed += size
        pipe.run(pipe.now + pause_ns)
        _change(data, pipe, toxics, change)
        assert stream.startswith(pipe.data)
        assert pipe.held >= 0
    if fed < len(stream):
        pipe.feed(stream[fed:])
    pipe.feed(Mark.END)
    pipe.run(pipe.now + 10 * MS)
    _change(data, pipe, toxics, "update")
    pipe.run()
    assert pipe.data == stream
    assert [item for _, item in pipe.out if isinstance(item, Mark)] == [Mark.END]
    assert pipe.out[-1][1] is Mark.END
    assert pipe.held == 0


def _change(data: st.DataObject, pipe: ClockedPipe, toxics: list[Toxic], change: str) -> None:
    if change == "add" and len(toxics) < 4:
        toxics.append(data.draw(some_toxic()))
    elif change == "remove" and toxics:
        toxics.pop(data.draw(st.integers(0, len(toxics) - 1)))
    elif change == "update" and toxics:
        changed = data.draw(st.sampled_from(toxics))
        changed.attributes = data.draw(some_attributes(changed.type))
        changed.toxicity = data.draw(TOXICITIES)
        pipe.chain(toxics)
        for owner, stage in pipe.stages:
            if owner is changed:
                stage.updated()
        return
    pipe.chain(toxics)


@given(data=st.data(), kind=st.sampled_from(sorted(LOSSLESS)))
@settings(max_examples=60, deadline=None)
def test_removal_gives_on_at_once_whatever_is_held(data: st.DataObject, kind: str) -> None:
    slow = {"latency": 3_600_000, "rate": 1, "delay": 3_600_000, "average_size": 10, "stall": 3_600_000, "loss": 1000}
    held = toxic(kind, **{key: slow[key] for key in TYPES[kind].attributes if key in slow})
    pipe = piped(held)
    chunks = [BINARY[:size] for size in data.draw(st.lists(st.integers(1, 900), min_size=1, max_size=6))]
    for chunk in chunks:
        pipe.feed(chunk)
    pipe.feed(Mark.END)
    pipe.chain([])
    assert pipe.now == 0
    assert pipe.data == b"".join(chunks)
    assert pipe.out[-1][1] is Mark.END


@pytest.mark.parametrize("kind", ["latency", "bandwidth", "slicer", "stall"])
@pytest.mark.parametrize("per", [Per.CONNECTION, Per.RECORD])
def test_what_is_held_counts_against_the_bound(kind: str, per: Per) -> None:
    slow = {"latency": 1000, "rate": 1, "delay": 1_000_000, "average_size": 100, "stall": 1000, "loss": 1000}
    pipe = piped(toxic(kind, per=per, **{key: slow[key] for key in TYPES[kind].attributes if key in slow}))
    pipe.feed(TEXT)
    assert pipe.held == len(TEXT) - len(pipe.data)
    assert pipe.held > len(TEXT) // 2
    pipe.run()
    assert pipe.held == 0


def test_toxics_stand_in_the_order_in_which_they_were_added() -> None:
    limit, slow = toxic("limit_data", bytes=10), toxic("latency", latency=50)
    pipe = piped(limit, slow)
    pipe.feed(b"x" * 30)
    assert pipe.held == 10, "the limit came first"
    pipe.run()
    assert pipe.out == [(50 * MS, b"x" * 10), (50 * MS, Mark.CLOSE)], "a close goes behind what it let through"

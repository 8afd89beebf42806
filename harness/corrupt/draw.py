"""Random draws that belong to a record, not to a batch: a counter-based hash of (seed, name, record id).

numpy's generators draw in sequence, so that a batch's split would change who is hit. Here each record's id is a step of
splitmix64 (Steele, Lea, Flood 2014, the finaliser with Stafford's Mix13 constants) from a start that the seed and the name
give; any other id is the UTF-8 of its text, eight bytes a word, with its length mixed in. How wide the longest id of a batch
is changes nothing. Records without ids are drawn by their place: Philox (Salmon and others 2011) can be asked for any part of
its sequence, and a byte of it for each row, with the next 53 bits from splitmix64 where the byte alone can't tell, costs a
tenth.

Worked in blocks that stay in the processor's cache: over a million rows at once the same arithmetic takes four times as
long, all of it waiting for memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from harness import seeds
from harness.corrupt.column import rows_of

Words = NDArray[np.uint64]
Fractions = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TEXT_TAG = np.uint64(0x3C6EF372FE94F82A)  # twice the golden ratio: a number and its text draw apart
_BLOCK = 16_384
_STEP_BYTES = 32
_S30, _S27, _S31, _S11 = (np.uint64(n) for n in (30, 27, 31, 11))

Ids = NDArray[np.generic] | Sequence[object]


def start_of(seed: int, *names: str) -> np.uint64:
    """Where the draws for a purpose begin."""
    return np.uint64(seeds.derive(seed, "corrupt", *names))


def fractions(ids: Ids, *, seed: int, name: str) -> Fractions:
    """One number in [0, 1) for each id, the same for the same (seed, name, id) wherever it occurs."""
    return _fractions(_hash(ids, start_of(seed, name)))


def below(ids: Ids, share: float, *, seed: int, name: str) -> NDArray[np.bool_]:
    """`fractions(...) < share`, without the fractions."""
    if share <= 0 or share >= 1:
        return np.full(len(ids), share >= 1, dtype=bool)
    limit = np.uint64(ceil(share * 2**53) << 11)
    start = start_of(seed, name)
    if not _is_whole(ids):
        return np.asarray(_hash(ids, start) < limit)
    words = np.asarray(ids)
    out = np.empty(len(words), dtype=bool)
    for at in range(0, len(words), _BLOCK):
        np.less(_ints(words[at : at + _BLOCK], start), limit, out=out[at : at + _BLOCK])
    return out


def below_at(
    places: range | NDArray[np.int64], share: float, *, seed: int, name: str
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which rows are hit, by their places in the input, as a mask and as their numbers from 0: each with the chance `share`, and
    more where it is larger. A range says that each place is the one behind the place before it, which would cost more to find
    out than all else."""
    if share <= 0 or share >= 1 or not len(places):
        hit = np.full(len(places), share >= 1, dtype=bool)
        return hit, np.flatnonzero(hit)
    scaled = share * 256
    whole = int(scaled)
    drawn = (
        _bytes(places.start, len(places), seed=seed, name=name)
        if isinstance(places, range)
        else _bytes_at(places, seed=seed, name=name)
    )
    hit = drawn <= whole if scaled > whole else drawn < whole
    rows = rows_of(hit)
    if scaled > whole:  # where the byte can't tell, a finer draw does; those are looked for among the few that are left
        near = np.flatnonzero(drawn.take(rows) == whole)
        doubtful = rows.take(near)
        numbers = doubtful + places.start if isinstance(places, range) else places.take(doubtful)
        spared = fractions(numbers, seed=seed, name=f"{name}/finer") >= scaled - whole
        hit[doubtful[spared]] = False
        rows = np.delete(rows, near[spared])
    return hit, rows


def _bytes_at(places: NDArray[np.int64], *, seed: int, name: str) -> NDArray[np.uint8]:
    out = np.empty(len(places), dtype=np.uint8)
    blocks = places // _BLOCK
    for block in np.unique(blocks):  # rows that were dropped, copied or late: a few blocks
        here = np.flatnonzero(blocks == block)
        drawn = _bytes(int(block) * _BLOCK, _BLOCK, seed=seed, name=name)
        out[here] = drawn[places[here] - int(block) * _BLOCK]
    return out


def _bytes(first: int, count: int, *, seed: int, name: str) -> NDArray[np.uint8]:
    """Of Philox's bytes for a purpose, those from `first`: 32 to a step of its counter."""
    step = first // _STEP_BYTES
    words = -(-(first + count) // _STEP_BYTES) * 4 - step * 4
    raw = np.random.Philox(key=int(start_of(seed, name)), counter=step).random_raw(words)
    drawn: NDArray[np.uint8] = raw.astype("<u8", copy=False).view(np.uint8)
    return drawn[first - step * _STEP_BYTES :][:count]


def _fractions(words: Words) -> Fractions:
    return (words >> _S11).astype(np.float64) * 2.0**-53


def _is_whole(ids: Ids) -> bool:
    return isinstance(ids, np.ndarray) and ids.dtype.kind in "iu"


def _hash(ids: Ids, start: np.uint64) -> Words:
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
        out = np.empty(len(ids), dtype=np.uint64)
        for at in range(0, len(ids), _BLOCK):
            out[at : at + _BLOCK] = _ints(ids[at : at + _BLOCK], start)
        return out
    values = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    words = [_word(value) for value in values]
    is_int = np.array([word is not None for word in words], dtype=bool)
    out = np.zeros(len(values), dtype=np.uint64)
    out[is_int] = _ints(np.array([word for word in words if word is not None], dtype=np.uint64), start)
    texts = [str(value).encode() for value, word in zip(values, words, strict=True) if word is None]
    if texts:
        out[~is_int] = _texts(texts, start)
    return out


def _word(value: object) -> int | None:
    """A whole number as the word that numpy would make of it; None for all else, which is drawn by its text."""
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64:
        return value & (2**64 - 1)
    return None


def _ints(numbers: NDArray[np.generic], start: np.uint64) -> Words:
    """Splitmix64's output number `n` from `start`, for each n."""
    words = numbers.astype(np.uint64)  # a copy: all that follows is in place
    words *= _GOLDEN
    words += start
    return _mix(words)


def _texts(texts: list[bytes], start: np.uint64) -> Words:
    lengths = np.array([len(text) for text in texts], dtype=np.uint64)
    width = max(1, -(-int(lengths.max()) // 8))
    padded = b"".join(text.ljust(width * 8, b"\0") for text in texts)
    words = np.frombuffer(padded, dtype="<u8").reshape(len(texts), width)
    state = _mix((lengths ^ start) + _GOLDEN) + _TEXT_TAG
    for n in range(width):
        # A word beyond the text's own length leaves its state as it was.
        state = np.where(lengths > n * 8, _mix((state ^ words[:, n]) + _GOLDEN), state)
    return _mix(state + _GOLDEN)


def _mix(words: Words) -> Words:
    """In place."""
    shifted = words >> _S30
    words ^= shifted
    words *= _MIX_1
    np.right_shift(words, _S27, out=shifted)
    words ^= shifted
    words *= _MIX_2
    np.right_shift(words, _S31, out=shifted)
    words ^= shifted
    return words

"""Random draws that belong to a record, not to a batch: a counter-based hash of (seed, name, record id).

numpy's generators draw in sequence, so that a batch's split would change who is hit. Here each record id is mixed by
splitmix64 (Steele, Lea, Flood 2014, the finaliser with Stafford's Mix13 constants), vectorised over the batch.
Integers are one word; any other id is the UTF-8 of its text, eight bytes a word, with its length mixed in. How wide
the longest id of a batch is changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness import seeds

Words = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_INT_TAG = np.uint64(0x9E3779B97F4A7C15)
_TEXT_TAG = np.uint64(0x3C6EF372FE94F82A)  # twice the golden ratio: a number and its text draw apart

Ids = NDArray[np.generic] | Sequence[object]


def fractions(ids: Ids, *, seed: int, name: str) -> NDArray[np.float64]:
    """One number in [0, 1) for each id, the same for the same (seed, name, id) wherever it occurs."""
    start = np.uint64(seeds.derive(seed, "corrupt", name))
    words = _hash(ids, start)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def ordinals(count: int, *, first: int) -> NDArray[np.generic]:
    return np.arange(first, first + count, dtype=np.int64)


def _hash(ids: Ids, start: np.uint64) -> Words:
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
        return _ints(ids.astype(np.uint64), start)
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


def _ints(words: Words, start: np.uint64) -> Words:
    return _mix(_mix(words ^ start) + _INT_TAG)


def _texts(texts: list[bytes], start: np.uint64) -> Words:
    lengths = np.array([len(text) for text in texts], dtype=np.uint64)
    width = max(1, -(-int(lengths.max()) // 8))
    padded = b"".join(text.ljust(width * 8, b"\0") for text in texts)
    words = np.frombuffer(padded, dtype="<u8").reshape(len(texts), width)
    state = _mix(lengths ^ start) + _TEXT_TAG
    for n in range(width):
        # A word beyond the text's own length leaves its state as it was.
        state = np.where(lengths > n * 8, _mix(state ^ words[:, n]), state)
    return _mix(state)


def _mix(words: Words) -> Words:
    mixed = words + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    return mixed ^ (mixed >> np.uint64(31))

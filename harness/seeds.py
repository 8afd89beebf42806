"""Seeds derived by name, so that a draw added in one place changes no other draw."""

from __future__ import annotations


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the purpose that `names` spell, the same on every machine and in every process."""
    import hashlib  # with the first draw, not with whoever might draw: it loads OpenSSL

    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def fraction(seed: int, *names: str | int) -> float:
    """A number in [0, 1) for the purpose that `names` spell."""
    return derive(seed, *names) / 2**63

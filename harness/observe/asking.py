"""One request of an observer, bounded in time and size, whatever the answer does.

A library's time limit holds for each read; an answer that drips would hold its sampler for ever, and a golden request
that never ends would count for nothing instead of counting as bad. Here the body is read in pieces until one deadline, and
never more of it than `bytes_max`. What goes wrong is one error, `NoAnswerError`.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import urllib3

PIECE_BYTES = 64 * 1024


class NoAnswerError(Exception):
    """Refused, reset, too slow, too large, or no HTTP."""


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes


def ask(
    pool: urllib3.PoolManager,
    method: str,
    url: str,
    *,
    timeout_s: float,
    bytes_max: int,
    body: bytes | None = None,
) -> Answer:
    """Raises `NoAnswerError` when there is no whole answer within the time limit and the size."""
    deadline = time.monotonic() + timeout_s
    try:
        response = pool.request(
            method,
            url,
            body=body,
            headers={"Content-Type": "application/json"} if body is not None else None,
            timeout=urllib3.Timeout(total=timeout_s),
            retries=False,
            preload_content=False,
        )
        return _whole(response, deadline=deadline, bytes_max=bytes_max)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise NoAnswerError(f"{type(error).__name__}: {error}") from error


def _whole(response: urllib3.BaseHTTPResponse, *, deadline: float, bytes_max: int) -> Answer:
    """Reads to the end. A connection whose answer was not read to its end is closed, never used again."""
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := response.read1(PIECE_BYTES):
            size += len(piece)
            if size > bytes_max:
                raise NoAnswerError(f"more than {bytes_max} bytes")
            if time.monotonic() > deadline:
                raise NoAnswerError("no whole answer within the time limit")
            pieces.append(piece)
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return Answer(response.status, b"".join(pieces))

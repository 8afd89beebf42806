"""What a witness asks through a link, and what it may learn: the words of the far side.

Every field says what the victim would have received; nothing here comes from the injector.
"""

from __future__ import annotations

import msgspec


class ProbeAsk(msgspec.Struct, frozen=True):
    """What a witness asks of a probe beyond one small request.

    `bulk`: for the link's large answer. `padding`: bytes sent along in a header of no meaning. `closes`: it waits for the end of
    the connection too. `requests`: so many on one connection, as far as the other side keeps it.
    """

    bulk: bool = False
    padding: int = 0
    closes: bool = False
    requests: int = 1


class ProbeReading(msgspec.Struct, frozen=True):
    """One request through a link, from where its `from` service stands: what the victim would receive.

    `answered`: an HTTP answer came whole. `ended` says how it ended: answered, refused, reset, closed early, hung, damaged
    (what came is no HTTP), lost (any other way); empty where the target can't tell, and then nothing below is told either.
    `received` counts bytes, `reads` the pieces in which they came, `gap_s` is the longest pause between two, `close_s` the time
    from the whole answer to the connection's end (None: it didn't end, or nobody waited). `digest` is of the body.
    `rest`: the further requests on the same connection.
    """

    answered: bool
    seconds: float
    status: int | None = None
    error: str = ""
    ended: str = ""
    received: int = 0
    reads: int = 0
    first_s: float | None = None
    gap_s: float = 0.0
    close_s: float | None = None
    headers: dict[str, str] = {}
    digest: str = ""
    rest: tuple[ProbeReading, ...] = ()


PLAIN = ProbeAsk()


class LinkProbe(msgspec.Struct, frozen=True):
    """What is asked through a link by its witness: `path` for all but throughput, `bulk` for that, whose answer has at least
    `bulk_bytes` (0: nobody says so)."""

    method: str
    path: str
    bulk: str
    bulk_bytes: int = 0

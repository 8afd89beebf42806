"""The framer: messages are found to the byte, however the bytes are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.proxy.framing import Framer, Head


class Notes:
    """Keeps the messages whose path begins with /keep; gives all on in the order it came."""

    def __init__(self) -> None:
        self.out = b""
        self.kept: list[tuple[str, bytes]] = []
        self.reasons: list[str] = []

    def begins(self, head: Head) -> bool:
        return head.path.startswith("/keep") or head.status == 203

    def complete(self, head: Head, raw_body: bytes, body: bytes) -> None:
        self.kept.append((head.path, body))
        self.out += head.raw + raw_body

    def passes(self, data: bytes) -> None:
        self.out += data

    def gave_up(self, reason: str) -> None:
        self.reasons.append(reason)


bodies = st.one_of(st.binary(max_size=60), st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b"a\r\n\r\nb\r\n\r\n\r\n"]))


def request(path: str, body: bytes, chunks: int) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode()
    if chunks == 0:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    size = max(1, -(-len(body) // chunks))
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])
    )


messages = st.lists(st.tuples(st.sampled_from(["/keep", "/pass"]), bodies, st.integers(0, 3)), max_size=6)


@given(messages, st.lists(st.integers(1, 40), max_size=60))
def test_requests_are_framed_however_they_are_cut(asked: list[tuple[str, bytes, int]], cuts: list[int]) -> None:
    wire = b"".join(request(*each) for each in asked)
    notes = Notes()
    framer = Framer(notes, requests=True, fresh=True)
    at = 0
    for cut in cuts:
        framer.feed(wire[at : at + cut])
        at += cut
    framer.feed(wire[at:])
    framer.end()
    assert notes.out == wire
    assert notes.kept == [(path, body) for path, body, _ in asked if path == "/keep"]
    assert notes.reasons == []


@given(st.binary(max_size=300), st.integers(0, 300))
def test_anything_else_passes_unchanged(wire: bytes, cut: int) -> None:
    notes = Notes()
    framer = Framer(notes, requests=True, fresh=True)
    framer.feed(wire[:cut])
    framer.feed(wire[cut:])
    framer.end()
    assert notes.out == wire


def test_a_response_without_a_length_ends_with_its_stream() -> None:
    notes = Notes()
    framer = Framer(notes, requests=False, fresh=True)
    framer.feed(b"HTTP/1.0 203 OK\r\n\r\nhalf")
    framer.feed(b" and half")
    assert notes.kept == []
    framer.end()
    assert notes.kept == [("", b"half and half")]


def test_in_the_midst_of_a_connection_it_waits_for_a_start() -> None:
    notes = Notes()
    framer = Framer(notes, requests=True, fresh=False)
    framer.feed(b"rest of a body\r\n\r\n")
    framer.feed(request("/keep", b"body", 0))
    assert notes.kept == [("/keep", b"body")]


def test_an_upgrade_passes_raw_from_then_on() -> None:
    notes = Notes()
    framer = Framer(notes, requests=True, fresh=True)
    wire = b"GET /keep HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x05hello"
    framer.feed(wire)
    assert (notes.out, notes.reasons) == (wire, ["upgrade"])

"""A call ends within its limit whatever the peer does, and a connection that ended badly isn't used again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline import web

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GOOD = b'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{"a": 1}'


def against(answer: Answer, use: Callable[[web.Peer], Awaitable[Any]], *, timeout_s: float = 60.0) -> Any:
    """Use a peer whose connections are handled by `answer`."""

    async def run() -> Any:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        peer = web.Peer(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=timeout_s)
        try:
            return await use(peer)
        finally:
            await peer.close()
            server.close()

    return asyncio.run(asyncio.wait_for(run(), 100.0))


def says(*answers: bytes) -> tuple[Answer, list[int]]:
    """A server that gives these answers in turn on each connection and then closes it; and its
    connections."""
    connections: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        for content in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(content)
        await writer.drain()
        writer.close()

    return answer, connections


def get(peer: web.Peer) -> Awaitable[Any]:
    return peer.get_json("/x")


def test_connections_are_kept() -> None:
    answer, connections = says(GOOD, GOOD, GOOD)

    async def use(peer: web.Peer) -> Any:
        return [await get(peer) for _ in range(3)]

    assert against(answer, use) == [{"a": 1}] * 3
    assert len(connections) == 1


def test_a_connection_that_was_closed_is_replaced() -> None:
    answer, connections = says(GOOD)

    async def use(peer: web.Peer) -> Any:
        found = []
        for _ in range(2):
            found.append(await get(peer))
            while any(connection.open for connection in peer._idle):
                await asyncio.sleep(0.001)
        return found

    assert against(answer, use) == [{"a": 1}] * 2
    assert len(connections) == 2


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b" ")
        await asyncio.sleep(0.01)


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize("answer", [drip, silence])
def test_a_slow_peer_is_given_up(answer: Answer) -> None:
    with pytest.raises(httpx.ReadTimeout, match=r"no answer within 0\.3 s"):
        against(answer, get, timeout_s=0.3)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"SSH-2.0-x\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", httpx.RemoteProtocolError),
        (b"", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n<p>", httpx.DecodingError),
        (b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n{}", httpx.HTTPStatusError),
    ],
)
def test_what_is_no_answer_is_an_error(content: bytes, error: type[Exception]) -> None:
    answer, _ = says(content)
    with pytest.raises(error):
        against(answer, get)


def test_nobody_there() -> None:
    async def use(_peer: web.Peer) -> Any:
        return await web.Peer("http://127.0.0.1:9").get_json("/x")

    with pytest.raises(httpx.ConnectError):
        against(silence, use)


def test_a_path_can_not_smuggle_a_request() -> None:
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(GOOD)

    against(answer, lambda peer: peer.get_json("/x y\r\nhost: z\r\n\r\n"))
    assert heads[0].startswith(b"GET /x%20y%0D%0Ahost:%20z%0D%0A%0D%0A HTTP/1.1\r\n")


def test_importing_starts_nothing() -> None:
    """Roles are forked from a process that has imported them all."""
    code = (
        "import os, threading\n"
        "before = set(os.listdir('/proc/self/fd'))\n"
        "from pipeline import bus, features, gateway, ingest, load, source\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert len(os.listdir('/proc/self/task')) == 1, 'native threads'\n"
        "assert set(os.listdir('/proc/self/fd')) <= before, 'open files'\n"
    )
    # The linear algebra behind numpy has threads of its own, which the environment turns off.
    environment = {"PYTHONPATH": str(Path(web.__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

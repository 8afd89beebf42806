"""The control socket of an instance: a server inside the supervisor and a client in whoever drives it.

A Unix socket of mode 0600 in the instance's folder. Its path may be longer than the 107 bytes that a socket address
holds, so both ends name it through a descriptor of the folder (`/proc/self/fd/N/control.sock`). Always true: a line
is bounded, an answer comes within a time limit, and junk gets an error as its answer, never a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import EnvironmentProblem
from harness.target.embedded.launch import CONTROL, LINE_BYTES_MAX, Answer, AnyRequest

CONNECTIONS_MAX = 64
IDLE_S_MAX = 30.0
Handler = Callable[[AnyRequest], Awaitable[Answer]]


@contextlib.contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{CONTROL}"
    finally:
        os.close(descriptor)


def bind(folder: Path) -> socket.socket:
    """The server's listening socket; a dead predecessor's file is replaced."""
    (folder / CONTROL).unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with _short_path(folder) as path:
            server.bind(path)
    finally:
        os.umask(before)
    server.listen(CONNECTIONS_MAX)
    server.setblocking(False)
    return server


class Server:
    """Answers requests until closed. `handle` may take its time: each connection waits by itself."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._open = 0
        self._decode = msgspec.json.Decoder(AnyRequest).decode

    async def serve(self, sock: socket.socket) -> asyncio.Server:
        return await asyncio.start_unix_server(self._converse, sock=sock, limit=LINE_BYTES_MAX)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > CONNECTIONS_MAX:
                await self._say(writer, Answer(ok=False, error="too many connections"))
                return
            while line := await asyncio.wait_for(reader.readuntil(b"\n"), IDLE_S_MAX):
                await self._say(writer, await self._answer(line))
        except asyncio.LimitOverrunError:
            with contextlib.suppress(OSError):
                await self._say(writer, Answer(ok=False, error=f"a line has at most {LINE_BYTES_MAX} bytes"))
        except (asyncio.IncompleteReadError, TimeoutError, OSError):
            return  # they went away, or said nothing for long
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Answer(ok=False, error=f"not a request: {str(error)[:200]}")
        return await self._handle(request)

    async def _say(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        writer.write(msgspec.json.encode(answer) + b"\n")
        await asyncio.wait_for(writer.drain(), IDLE_S_MAX)


class Client:
    """One instance's supervisor, asked. A connection per call: nothing to go stale, any thread may call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, request: AnyRequest, *, within_s: float = 2.0) -> Any:
        """The answer's value. Raises `EnvironmentProblem`: refused, no supervisor, or no answer in time."""
        try:
            line = self._exchange(msgspec.json.encode(request) + b"\n", time.monotonic() + within_s)
        except (OSError, TimeoutError) as error:
            what = (
                "did not answer in time" if isinstance(error, TimeoutError) else f"can't be reached ({error.strerror})"
            )
            raise EnvironmentProblem(
                f"instance '{self._folder.name}': its supervisor {what}",
                hint="See: drill status; start it with: drill up",
            ) from None
        answer = msgspec.json.decode(line, type=Answer)
        if not answer.ok:
            raise EnvironmentProblem(f"instance '{self._folder.name}': {answer.error}")
        return answer.value

    def _exchange(self, line: bytes, deadline: float) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, _short_path(self._folder) as path:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            sock.connect(path)
            sock.sendall(line)
            answer = bytearray()
            while not answer.endswith(b"\n"):
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                part = sock.recv(LINE_BYTES_MAX)
                if not part:
                    raise ConnectionResetError(0, "it closed the connection")
                answer += part
            return bytes(answer)
